import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { NetworkError } from "../../../src/core/errors.ts";
import { idOfName, policyLimits } from "../../../src/core/policy/policy.ts";
import { readPolicies } from "../../../src/core/policy/read-policies.ts";

const web = {
  id: "web",
  direction: "ingress",
  applied_to: [{ tenant_id: "shop", segment_id: "web" }],
  ingress: [{ peers: [{ peer: "any" }], rules: [{ protocol: "tcp", ports: [80, 443] }] }],
};

/** The example of the original's manual. */
const manual = {
  securitypolicies: [
    {
      name: "policy1",
      description: "Opening SSH, HTTP and HTTPS ports as well as ICMP",
      direction: "ingress",
      applied_to: [{ tenant: "admin", segment: "default" }],
      peers: [{ peer: "any" }],
      rules: [{ protocol: "tcp", ports: [22, 80, 443] }, { protocol: "icmp" }],
    },
  ],
};

function problemsOf(document: unknown): readonly string[] {
  try {
    readPolicies(document);
    return [];
  } catch (error) {
    if (error instanceof NetworkError && error.code === "POLICY_INVALID") {
      return error.details["problems"] as readonly string[];
    }
    throw error;
  }
}

/** Problems of `web` with other fields. */
function problemsWith(fields: object): readonly string[] {
  return problemsOf({ ...web, ...fields });
}

function problemsOfRule(rule: object): readonly string[] {
  return problemsWith({ ingress: [{ peers: [{ peer: "any" }], rules: [rule] }] });
}

function ruleFrom(rule: object): unknown {
  const { policies } = readPolicies({ ...web, ingress: [{ peers: [{ peer: "any" }], rules: [rule] }] });
  return policies[0]?.ingress[0]?.rules[0];
}

describe("the later code's form", () => {
  it("is kept as it is", () => {
    expect(readPolicies(web)).toEqual({ policies: [web], warnings: [] });
  });

  it("is kept with its keys in the original's order, whatever order they came in", () => {
    const { ingress, applied_to: targets, direction, id } = web;
    const [policy] = readPolicies({ ingress, description: "d", applied_to: targets, direction, id }).policies;

    expect(JSON.stringify(policy)).toBe(
      '{"id":"web","direction":"ingress","description":"d","applied_to":[{"tenant_id":"shop","segment_id":"web"}],' +
        '"ingress":[{"peers":[{"peer":"any"}],"rules":[{"protocol":"tcp","ports":[80,443]}]}]}',
    );
  });

  it("takes what the original's listener stored", () => {
    const allowAll = {
      id: "AllowAllPods2Talk_6f0c_",
      direction: "ingress",
      applied_to: [{ tenant_id: "default" }],
      ingress: [{ peers: [{ peer: "any" }], rules: [{ protocol: "any" }] }],
    };

    expect(readPolicies(allowAll).policies).toEqual([allowAll]);
  });

  it("takes the zero values that Go writes for what is not set", () => {
    const zeros = {
      ...web,
      description: "",
      applied_to: [{ peer: "", cidr: "", dest: "", tenant_id: "shop", segment_id: "web" }],
      ingress: [
        {
          peers: [{ peer: "any", tenant_id: "" }],
          rules: [
            {
              protocol: "TCP",
              ports: [80, 443],
              port_ranges: null,
              icmp_type: 0,
              icmp_code: 0,
              is_stateful: false,
            },
          ],
        },
      ],
    };

    expect(readPolicies(zeros).policies).toEqual([web]);
  });

  it("may come as a list", () => {
    const other = { ...web, id: "other" };

    expect(readPolicies([web, other]).policies).toEqual([web, other]);
  });

  it("gets an id from its name when it has none", () => {
    const { id, ...rest } = web;

    expect(readPolicies({ ...rest, name: id }).policies).toMatchObject([{ id: "name.web", name: "web" }]);
  });
});

describe("the manual's form", () => {
  it("becomes the later code's", () => {
    expect(readPolicies(manual).policies).toEqual([
      {
        id: "name.policy1",
        name: "policy1",
        direction: "ingress",
        description: "Opening SSH, HTTP and HTTPS ports as well as ICMP",
        applied_to: [{ tenant_id: "admin", segment_id: "default" }],
        ingress: [
          {
            peers: [{ peer: "any" }],
            rules: [{ protocol: "tcp", ports: [22, 80, 443] }, { protocol: "icmp" }],
          },
        ],
      },
    ]);
  });

  it("may have entries in the later code's form instead of peers and rules, but not both", () => {
    const [policy] = manual.securitypolicies;
    const { ingress } = web;
    const nested = { ...policy, peers: null, rules: [], ingress };

    expect(readPolicies({ securitypolicies: [nested] }).policies).toMatchObject([{ ingress }]);
    expect(problemsOf({ securitypolicies: [{ ...policy, ingress }] })).toEqual([
      'securitypolicies[0]: has "ingress" and "peers" or "rules" beside it: give one of the two forms',
    ]);
  });

  it("must say which policy is meant when two have one name", () => {
    const [policy] = manual.securitypolicies;

    expect(problemsOf({ securitypolicies: [policy, policy] })).toEqual([
      'securitypolicies[1]: has the id "name.policy1" of securitypolicies[0]: give each an id, or a name, of its own',
    ]);
  });
});

describe("problems", () => {
  it("are all named, each with its place", () => {
    const problems = problemsOf({
      securitypolicies: [
        {
          name: "a",
          direction: "sideways",
          applied_to: [],
          peers: [{ peer: "host" }],
          rules: [{ protocol: "sctp" }],
        },
        { direction: "ingress", applied_to: "all", peers: [{}], rules: [] },
        7,
      ],
    });

    expect(problems).toEqual([
      'securitypolicies[0].direction: expected "ingress" or "egress", found the text "sideways"',
      "securitypolicies[0].applied_to: is empty: name at least one endpoint",
      'securitypolicies[0].peers[0].peer: a host always reaches its own endpoints, no policy is needed for that: leave the peer "host" out',
      'securitypolicies[0].rules[0].protocol: expected one of tcp, udp, icmp, any, found the text "sctp"',
      'securitypolicies[1].id: a policy needs an "id", or a "name" from which it gets one',
      'securitypolicies[1].applied_to: expected a list, found the text "all"',
      "securitypolicies[1].applied_to: is empty: name at least one endpoint",
      'securitypolicies[1].peers[0]: names nothing: give one of "tenant_id", "cidr", "peer", "dest"',
      'securitypolicies[1].rules: is empty: name what is allowed, {"protocol": "any"} is everything',
      "securitypolicies[2]: expected an object, found the number 7",
    ]);
  });

  it.for([
    [null, "document: expected a policy or a list of policies, found null"],
    ["policy", 'document: expected a policy or a list of policies, found the text "policy"'],
    [[], "document: holds no policy"],
    [{ securitypolicies: [] }, "securitypolicies: holds no policy"],
    [{ securitypolicies: {} }, "securitypolicies: expected a list, found an object"],
  ] as const)("of %j is that it holds no policy", ([document, problem]) => {
    expect(problemsOf(document)).toContain(problem);
  });

  it.for([
    ["an id of one dot", { id: "." }, 'id: "." cannot stand in a path: choose another'],
    ["an id that is too long", { id: "x".repeat(254) }, "id: 254 characters, at most 253 are taken"],
    [
      "a name that leaves no room for an id",
      { id: "", name: "x".repeat(250) },
      'id: the name is too long to make an id of it: shorten it, or give an "id"',
    ],
    [
      "half a character",
      { id: "\ud800" },
      "id: the text is not well-formed: it holds half a surrogate pair (\\ud800 to \\udfff)",
    ],
    ["no direction", { direction: null }, 'direction: expected "ingress" or "egress", found null'],
    ["no entries", { ingress: [] }, "ingress: is empty: a policy needs peers and rules that it allows"],
    [
      "too many targets",
      { applied_to: Array.from({ length: 1001 }, () => ({ tenant_id: "t" })) },
      "applied_to: 1001 elements, at most 1000 are taken",
    ],
  ] as const)("of %s are refused", ([, fields, problem]) => {
    expect(problemsWith(fields)).toContain(problem);
  });

  it("of an entry that is no object do not hide those of others", () => {
    expect(problemsWith({ ingress: [5, { peers: [{ peer: "any" }], rules: [{ protocol: "x" }] }] })).toEqual([
      "ingress[0]: expected an object, found the number 5",
      "ingress[0].peers: is empty: name at least one endpoint",
      'ingress[0].rules: is empty: name what is allowed, {"protocol": "any"} is everything',
      'ingress[1].rules[0].protocol: expected one of tcp, udp, icmp, any, found the text "x"',
    ]);
  });

  it("are counted when there are very many", () => {
    const rules = Array.from({ length: 150 }, () => ({ protocol: "x" }));

    const problems = problemsWith({ ingress: [{ peers: [{ peer: "any" }], rules }] });

    expect(problems).toHaveLength(101);
    expect(problems.at(-1)).toBe("document: 50 more like these");
  });

  it("are that there are too many policies, or too large ones", () => {
    const many = Array.from({ length: policyLimits.policies + 1 }, (_, index) => ({
      ...web,
      id: `p${index}`,
    }));
    const ports = Array.from({ length: 1000 }, (_, index) => 60_000 + index);
    const rules = Array.from({ length: 100 }, () => ({ protocol: "tcp", ports }));

    expect(problemsOf(many)).toEqual(["document: 101 policies, at most 100 are taken at once"]);
    expect(problemsWith({ ingress: [{ peers: [{ peer: "any" }], rules }] })).toEqual([
      expect.stringMatching(
        /^document: \d{6} characters of policies, at most 400000 are taken: send fewer at once$/,
      ),
    ]);
  });
});

describe("an endpoint", () => {
  const peerProblems = (peer: unknown) =>
    problemsWith({ ingress: [{ peers: [peer], rules: [{ protocol: "any" }] }] });

  it.for([
    [{ cidr: "10.1.2.3/8" }, { cidr: "10.0.0.0/8" }],
    [{ cidr: "10.1.2.3" }, { cidr: "10.1.2.3/32" }],
    [{ tenant: "a" }, { tenant_id: "a" }],
    [
      { tenant: "a", tenant_id: "a", segment: "b" },
      { tenant_id: "a", segment_id: "b" },
    ],
    [{ peer: "any", unknown: null }, { peer: "any" }],
  ] as const)("%j is kept as %j", ([given, kept]) => {
    const [policy] = readPolicies({
      ...web,
      ingress: [{ peers: [given], rules: [{ protocol: "any" }] }],
    }).policies;

    expect(policy?.ingress[0]?.peers).toEqual([kept]);
  });

  it.for([
    [{ cidr: "10.0.0.0/33" }, '.cidr: not an IPv4 network: "10.0.0.0/33" (expected a.b.c.d/length)'],
    [{ cidr: "fd00::/8" }, '.cidr: not an IPv4 network: "fd00::/8" (expected a.b.c.d/length)'],
    [
      { tenant_id: "a", cidr: "10.0.0.0/8" },
      ": says cidr and tenant_id: an endpoint names one thing, make one of each",
    ],
    [{ segment_id: "b" }, ': segment "b" needs its tenant: add "tenant_id"'],
    [{ tenant: "a", tenant_id: "b" }, ': "tenant" is "a" and "tenant_id" is "b": give one of them'],
    [{ peer: "everybody" }, '.peer: expected "any" or "local", found the text "everybody"'],
    [
      { dest: "local" },
      '.dest: endpoints of "this host" are no target, for a policy is the same on every host: name their tenant',
    ],
    [{ dest: "moon" }, '.dest: expected "host", found the text "moon"'],
    [{ tenant_id: 5 }, ".tenant_id: expected a text, found the number 5"],
    [
      { tenant_id: "a", segmentid: "b" },
      '.segmentid: unknown key "segmentid": it would be left out of what is checked; did you mean "segment_id"?',
    ],
    ["any", ': expected an object, found the text "any"'],
  ] as const)("%j is refused", ([peer, problem]) => {
    expect(peerProblems(peer)).toEqual([`ingress[0].peers[0]${problem}`]);
  });
});

describe("targets and peers", () => {
  const targets = {
    tenant: { tenant_id: "a" },
    segment: { tenant_id: "a", segment_id: "b" },
    cidr: { cidr: "10.0.0.0/8" },
    host: { dest: "host" },
    any: { peer: "any" },
    local: { peer: "local" },
  } as const;
  type Name = keyof typeof targets;
  const allowed: Readonly<Record<string, readonly Name[]>> = {
    tenant: ["tenant", "segment", "cidr", "any"],
    segment: ["tenant", "segment", "cidr", "any"],
    cidr: ["tenant", "segment", "cidr", "any"],
    host: ["tenant", "segment", "local"],
    any: [],
    local: [],
  };
  const names = Object.keys(targets) as Name[];

  it.for(
    ["ingress", "egress"].flatMap((direction) =>
      names.flatMap((target) => names.map((peer) => [direction, target, peer] as const)),
    ),
  )("%s to %s with peer %s is taken only if it can be enforced", ([direction, target, peer]) => {
    const problems = problemsWith({
      direction,
      applied_to: [targets[target]],
      ingress: [{ peers: [targets[peer]], rules: [{ protocol: "any" }] }],
    });

    const taken = (allowed[target] ?? []).includes(peer) && (target !== "host" || direction === "ingress");
    expect(problems.length === 0).toBe(taken);
  });

  it("says what a peer may be instead", () => {
    expect(problemsWith({ applied_to: [{ dest: "host" }] })).toEqual([
      'ingress[0].peers[0]: "any" is no peer of a host; such a target may have: tenant, tenant and segment, local',
    ]);
  });

  it("warns of an egress policy, which the original read the other way round", () => {
    expect(readPolicies({ ...web, direction: "egress" }).warnings).toEqual([
      {
        place: "direction",
        message:
          "an egress policy allows what it names and closes the rest; the original's denied what it names",
      },
    ]);
  });
});

describe("a rule", () => {
  it.for([
    [
      {
        protocol: "udp",
        port_ranges: [
          [1, 5],
          [7, 7],
        ],
      },
      {
        protocol: "udp",
        port_ranges: [
          [1, 5],
          [7, 7],
        ],
      },
    ],
    [
      { protocol: "icmp", icmp_type: 0 },
      { protocol: "icmp", icmp_type: 0 },
    ],
    [
      { protocol: "icmp", icmp_type: 3, icmp_code: 15 },
      { protocol: "icmp", icmp_type: 3, icmp_code: 15 },
    ],
    [{ protocol: "ICMP", icmp_type: null, ports: [] }, { protocol: "icmp" }],
    [
      { protocol: "tcp", ports: [0, 65_535], is_stateful: true },
      { protocol: "tcp", ports: [0, 65_535], is_stateful: true },
    ],
  ] as const)("%j is kept as %j", ([given, kept]) => {
    expect(ruleFrom(given)).toEqual(kept);
  });

  it.for([
    [{}, ".protocol: expected one of tcp, udp, icmp, any, found nothing"],
    [{ protocol: 6 }, ".protocol: expected a text, found the number 6"],
    [
      { protocol: "any", port_ranges: [[1, 2]] },
      ': protocol "any" has no ports: name them under "tcp" or "udp", or leave them out',
    ],
    [
      { protocol: "icmp", ports: [1] },
      ': protocol "icmp" has no ports: name them under "tcp" or "udp", or leave them out',
    ],
    [
      { protocol: "tcp", ports: [65_536] },
      ".ports[0]: expected a whole number from 0 to 65535, found the number 65536",
    ],
    [
      { protocol: "tcp", ports: [1.5] },
      ".ports[0]: expected a whole number from 0 to 65535, found the number 1.5",
    ],
    [
      { protocol: "tcp", ports: ["80"] },
      '.ports[0]: expected a whole number from 0 to 65535, found the text "80"',
    ],
    [{ protocol: "tcp", ports: 80 }, ".ports: expected a list, found the number 80"],
    [
      { protocol: "tcp", port_ranges: [[5, 1]] },
      ".port_ranges[0]: 5 to 1 is empty: give the lower port first",
    ],
    [{ protocol: "tcp", port_ranges: [[5]] }, ".port_ranges[0]: expected [lowest, highest], found a list"],
    [
      { protocol: "tcp", port_ranges: ["1-5"] },
      '.port_ranges[0]: expected [lowest, highest], found the text "1-5"',
    ],
    [
      { protocol: "tcp", port_ranges: [[1, 70_000]] },
      ".port_ranges[0][1]: expected a whole number from 0 to 65535, found the number 70000",
    ],
    [
      { protocol: "tcp", icmp_type: 8 },
      ': "icmp_type" and "icmp_code" go with protocol "icmp", not with "tcp"',
    ],
    [
      { protocol: "icmp", icmp_code: 1 },
      '.icmp_code: a code means something only with its "icmp_type": add it',
    ],
    [
      { protocol: "icmp", icmp_type: 256 },
      ".icmp_type: expected a whole number from 0 to 255, found the number 256",
    ],
    [
      { protocol: "icmp", icmp_type: 3, icmp_code: 16 },
      ".icmp_code: ICMP type 3 has codes up to 15, found 16",
    ],
    [{ protocol: "icmp", icmp_type: 4, icmp_code: 1 }, ".icmp_code: ICMP type 4 has codes up to 0, found 1"],
    [{ protocol: "icmp", icmp_type: 5, icmp_code: 4 }, ".icmp_code: ICMP type 5 has codes up to 3, found 4"],
    [
      { protocol: "icmp", icmp_type: 11, icmp_code: 2 },
      ".icmp_code: ICMP type 11 has codes up to 1, found 2",
    ],
    [{ protocol: "tcp", is_stateful: "yes" }, '.is_stateful: expected true or false, found the text "yes"'],
    [
      { protocol: "tcp", port: 80 },
      '.port: unknown key "port": it would be left out of what is checked; did you mean "ports"?',
    ],
  ] as const)("%j is refused", ([rule, problem]) => {
    expect(problemsOfRule(rule)).toEqual([`ingress[0].rules[0]${problem}`]);
  });

  it("that is no object is refused", () => {
    expect(problemsWith({ ingress: [{ peers: [{ peer: "any" }], rules: ["tcp"] }] })).toEqual([
      'ingress[0].rules[0]: expected an object, found the text "tcp"',
    ]);
  });

  it("for port 0, as the original wrote for a named port, is kept with a warning", () => {
    const { warnings } = readPolicies({
      ...web,
      ingress: [{ peers: [{ peer: "any" }], rules: [{ protocol: "tcp", ports: [0] }] }],
    });

    expect(warnings).toEqual([
      { place: "ingress[0].rules[0].ports[0]", message: "nothing is sent to port 0: it allows no traffic" },
    ]);
  });
});

it("reads what it made to the same again, and never throws anything but its own error", () => {
  const word = fc.constantFrom("a", "b", "any", "host", "local", "10.0.0.0/8", "10.1.2.3", "", "tcp", "icmp");
  const endpoint = fc.oneof(
    { weight: 12, arbitrary: fc.record({ tenant_id: fc.constantFrom("a", "b"), segment: word }) },
    fc.constant({ peer: "any" }),
    fc.record({ tenant_id: word, segment_id: word }, { requiredKeys: [] }),
    fc.record({ peer: word, cidr: word, dest: word, tenant: word }, { requiredKeys: [] }),
    fc.jsonValue(),
  );
  const port = fc.oneof(fc.integer({ min: 0, max: 65_535 }), fc.constantFrom(-1, 70_000, 1.5));
  const rule = fc.oneof(
    {
      weight: 12,
      arbitrary: fc.record({ protocol: fc.constantFrom("tcp", "udp"), ports: fc.array(fc.nat(65_535)) }),
    },
    fc.record(
      {
        protocol: fc.constantFrom("tcp", "udp", "icmp", "any", "x"),
        ports: fc.array(port, { maxLength: 2 }),
        port_ranges: fc.array(fc.tuple(port, port), { maxLength: 2 }),
        icmp_type: fc.integer({ min: 0, max: 12 }),
        icmp_code: fc.integer({ min: 0, max: 3 }),
      },
      { requiredKeys: ["protocol"] },
    ),
    fc.constant({ protocol: "any" }),
    fc.jsonValue(),
  );
  const entry = fc.record({
    peers: fc.array(endpoint, { minLength: 1, maxLength: 2 }),
    rules: fc.array(rule, { minLength: 1, maxLength: 2 }),
  });
  const document = fc.record({
    id: fc.oneof(fc.string(), fc.constant("p")),
    name: fc.string(),
    direction: fc.constantFrom("ingress", "egress"),
    applied_to: fc.array(endpoint, { minLength: 1, maxLength: 2 }),
    ingress: fc.array(entry, { minLength: 1, maxLength: 2 }),
  });
  let taken = 0;

  fc.assert(
    fc.property(
      fc.oneof({ weight: 9, arbitrary: document }, { weight: 1, arbitrary: fc.jsonValue() }),
      (given) => {
        if (problemsOf(given).length > 0) {
          return;
        }
        taken += 1;
        const { policies } = readPolicies(given);
        expect(readPolicies(JSON.parse(JSON.stringify(policies))).policies).toEqual(policies);
        expect(readPolicies({ securitypolicies: policies }).policies).toEqual(policies);
      },
    ),
    { numRuns: 2000 },
  );

  expect(taken).toBeGreaterThan(200);
});

it("gives different names different ids, and the same one the same", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (a, b) => {
      expect(idOfName(a) === idOfName(b)).toBe(a === b);
    }),
  );
});
