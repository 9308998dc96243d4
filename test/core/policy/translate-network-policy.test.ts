import fc from "fast-check";
import { describe, expect, it } from "vitest";

import type {
  ClusterNetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
} from "../../../src/core/cluster/objects.ts";
import { canonicalModel } from "../../../src/core/policy/canonical-model.ts";
import { readModel } from "../../../src/core/policy/read-model.ts";
import { closedInstead, translateNetworkPolicy } from "../../../src/core/policy/translate-network-policy.ts";
import {
  modelAllows,
  modelCloses,
  networkPolicy,
  selector,
  writtenAllows,
  writtenCloses,
  type Party,
} from "../../support/policy-world.ts";

const web = selector({ app: "web" });
const everything = [{ kind: "pods", namespaces: { kind: "named", name: "shop" }, pods: [] }];
const webPods = [{ key: "app", operator: "in", values: ["web"] }];
const any = [{ kind: "any" }];
const anyTraffic = [{ protocol: "any" }];

function translated(fields: Partial<ClusterNetworkPolicy>) {
  const { model, problems } = translateNetworkPolicy(networkPolicy(fields));
  return { ...model, problems };
}

/** What one rule of ingress comes to. */
function ingressOf(rule: { peers?: readonly NetworkPolicyPeer[]; ports?: readonly NetworkPolicyPort[] }) {
  const { ingress, problems } = translated({ ingress: [{ peers: [], ports: [], ...rule }] });
  return { ingress, problems: problems.map(({ place, message }) => `${place}: ${message}`) };
}

describe("directions", () => {
  it.for([
    ["nothing said", {}, ["ingress"]],
    [
      "no policyTypes, egress with rules",
      { hasEgress: true, egress: [{ peers: [], ports: [] }] },
      ["ingress", "egress"],
    ],
    ["no policyTypes, egress there and empty", { hasEgress: true }, ["ingress", "egress"]],
    ["policyTypes Ingress", { policyTypes: ["Ingress"], hasEgress: true }, ["ingress"]],
    ["policyTypes Egress", { policyTypes: ["Egress"] }, ["egress"]],
    ["both", { policyTypes: ["Egress", "Ingress"] }, ["ingress", "egress"]],
  ] as const)("closes by %s", ([, fields, isolates]) => {
    const model = translated(fields);

    expect(model.isolates).toEqual(isolates);
    expect(model.problems).toEqual([]);
  });

  it("leaves out the rules of a direction that is not closed", () => {
    const rules = [{ peers: [], ports: [] }];

    const model = translated({ policyTypes: ["Egress"], ingress: rules, egress: rules, hasEgress: true });

    expect(model.ingress).toEqual([]);
    expect(model.egress).toEqual([{ peers: any, traffic: anyTraffic }]);
  });
});

describe("a policy that could not be read", () => {
  it("closes whom it selects in both directions, allows nothing, and says what stood in the way", () => {
    const open = [{ peers: [], ports: [] }];

    const model = translated({
      unreadable: "spec.ingress.0: Unrecognized key",
      podSelector: selector({ app: "db" }),
      policyTypes: ["Ingress"],
      ingress: open,
    });

    expect(model.isolates).toEqual(["ingress", "egress"]);
    expect([model.ingress, model.egress]).toEqual([[], []]);
    expect(model.problems).toEqual([
      { place: "spec", message: expect.stringContaining("spec.ingress.0: Unrecognized key") as string },
    ]);
  });
});

describe("the manifests that everybody writes", () => {
  it("denies all ingress of a namespace", () => {
    expect(translated({ policyTypes: ["Ingress"] })).toEqual({
      id: "kube.shop.p.u",
      source: { kind: "network-policy", namespace: "shop", name: "p", uid: "u" },
      targets: everything,
      isolates: ["ingress"],
      ingress: [],
      egress: [],
      problems: [],
    });
  });

  it("allows all ingress of a namespace", () => {
    expect(ingressOf({})).toEqual({ ingress: [{ peers: any, traffic: anyTraffic }], problems: [] });
  });

  it("selects Pods by their labels, in its own namespace alone", () => {
    expect(translated({ podSelector: web }).targets).toEqual([
      { kind: "pods", namespaces: { kind: "named", name: "shop" }, pods: webPods },
    ]);
  });

  it("reads the example of the Kubernetes documentation", () => {
    const model = translated({
      namespace: "default",
      name: "test-network-policy",
      podSelector: selector({ role: "db" }),
      policyTypes: ["Ingress", "Egress"],
      hasEgress: true,
      ingress: [
        {
          peers: [
            { ipBlock: { cidr: "172.17.0.0/16", except: ["172.17.1.0/24"] } },
            { namespaceSelector: selector({ project: "myproject" }) },
            { podSelector: selector({ role: "frontend" }) },
          ],
          ports: [{ protocol: "TCP", port: 6379 }],
        },
      ],
      egress: [
        {
          peers: [{ ipBlock: { cidr: "10.0.0.0/24", except: [] } }],
          ports: [{ protocol: "TCP", port: 5978 }],
        },
      ],
    });

    const role = (value: string) => [{ key: "role", operator: "in", values: [value] }];
    expect(model).toEqual({
      id: "kube.default.test-network-policy.u",
      source: { kind: "network-policy", namespace: "default", name: "test-network-policy", uid: "u" },
      targets: [{ kind: "pods", namespaces: { kind: "named", name: "default" }, pods: role("db") }],
      isolates: ["ingress", "egress"],
      ingress: [
        {
          peers: [
            { kind: "cidr", cidr: "172.17.0.0/16", except: ["172.17.1.0/24"] },
            {
              kind: "pods",
              namespaces: {
                kind: "labelled",
                selector: [{ key: "project", operator: "in", values: ["myproject"] }],
              },
              pods: [],
            },
            { kind: "pods", namespaces: { kind: "named", name: "default" }, pods: role("frontend") },
          ],
          traffic: [{ protocol: "tcp", ports: [6379] }],
        },
      ],
      egress: [
        {
          peers: [{ kind: "cidr", cidr: "10.0.0.0/24", except: [] }],
          traffic: [{ protocol: "tcp", ports: [5978] }],
        },
      ],
      problems: [],
    });
  });
});

describe("peers", () => {
  const named = { kind: "named", name: "shop" };
  const labelled = { kind: "labelled", selector: [{ key: "team", operator: "in", values: ["a"] }] };

  it.for([
    ["podSelector alone: of the own namespace", { podSelector: web }, named, webPods],
    ["an empty podSelector: all of the own namespace", { podSelector: selector() }, named, []],
    ["namespaceSelector alone: all Pods there", { namespaceSelector: selector({ team: "a" }) }, labelled, []],
    [
      "an empty namespaceSelector: all Pods of all namespaces",
      { namespaceSelector: selector() },
      { kind: "labelled", selector: [] },
      [],
    ],
    [
      "both together: these Pods of these namespaces",
      { namespaceSelector: selector({ team: "a" }), podSelector: web },
      labelled,
      webPods,
    ],
  ] as const)("reads %s", ([, peer, namespaces, pods]) => {
    expect(ingressOf({ peers: [peer] })).toEqual({
      ingress: [{ peers: [{ kind: "pods", namespaces, pods }], traffic: anyTraffic }],
      problems: [],
    });
  });

  it("clears host bits of a block, and drops exceptions inside of others", () => {
    const block = {
      cidr: "10.0.0.77/8",
      except: ["10.9.1.0/24", "10.1.0.5/16", "10.9.0.0/16", "10.1.0.0/16"],
    };

    expect(ingressOf({ peers: [{ ipBlock: block }] })).toEqual({
      ingress: [
        {
          peers: [{ kind: "cidr", cidr: "10.0.0.0/8", except: ["10.1.0.0/16", "10.9.0.0/16"] }],
          traffic: anyTraffic,
        },
      ],
      problems: [],
    });
  });

  it.for([
    [{}, "from[0]: it names nobody"],
    [
      { podSelector: web, ipBlock: { cidr: "10.0.0.0/8", except: [] } },
      "from[0]: ipBlock cannot stand beside a selector",
    ],
    [{ ipBlock: { cidr: "2001:db8::/32", except: [] } }, 'from[0].ipBlock.cidr: "2001:db8::/32" is IPv6'],
    [
      { ipBlock: { cidr: "10.0.0.0/33", except: [] } },
      'from[0].ipBlock.cidr: not an IPv4 network: "10.0.0.0/33"',
    ],
    [{ ipBlock: { cidr: "10.0.0.0", except: [] } }, 'from[0].ipBlock.cidr: not an IPv4 network: "10.0.0.0"'],
    [
      { ipBlock: { cidr: "10.0.0.0/8", except: ["11.0.0.0/16"] } },
      "from[0].ipBlock.except[0]: 11.0.0.0/16 is not a part of 10.0.0.0/8",
    ],
    [
      { ipBlock: { cidr: "10.0.0.0/8", except: ["10.0.0.0/8"] } },
      "from[0].ipBlock.except[0]: 10.0.0.0/8 is not a part of 10.0.0.0/8",
    ],
    [
      { ipBlock: { cidr: "10.1.0.0/16", except: ["10.0.0.0/8"] } },
      "from[0].ipBlock.except[0]: 10.0.0.0/8 is not a part of 10.1.0.0/16",
    ],
    [
      { ipBlock: { cidr: "10.0.0.0/8", except: ["10.1.0.0/16", "::/0"] } },
      'from[0].ipBlock.except[1]: "::/0" is IPv6',
    ],
    [
      { podSelector: selector({}, [{ key: "a", operator: "Gt", values: ["1"] }]) },
      'from[0].podSelector.matchExpressions[0]: operator "Gt" is not known',
    ],
    [
      { namespaceSelector: selector({}, [{ key: "a", operator: "In", values: [] }]) },
      "from[0].namespaceSelector.matchExpressions[0]: In without values",
    ],
    [
      {
        podSelector: selector({}, [{ key: "a", operator: "Exists", values: ["1"] }]),
        namespaceSelector: selector(),
      },
      "from[0].podSelector.matchExpressions[0]: Exists has no values",
    ],
  ] as const)("allows nothing to the peer %j, and says why", ([peer, problem]) => {
    const alone = ingressOf({ peers: [peer] });
    const beside = ingressOf({ peers: [{ podSelector: web }, peer] });

    expect(alone.ingress).toEqual([]);
    expect(alone.problems).toHaveLength(1);
    expect(alone.problems[0]).toContain(`spec.ingress[0].${problem}`);
    expect(alone.problems[0]).toContain("this peer allows nothing");
    expect(beside.ingress).toEqual([
      {
        peers: [{ kind: "pods", namespaces: { kind: "named", name: "shop" }, pods: webPods }],
        traffic: anyTraffic,
      },
    ]);
  });
});

describe("ports", () => {
  it.for([
    [[{ protocol: "TCP" }], [{ protocol: "tcp", ports: "all" }]],
    [
      [
        { protocol: "UDP", port: 53 },
        { protocol: "TCP", port: 53 },
      ],
      [
        { protocol: "tcp", ports: [53] },
        { protocol: "udp", ports: [53] },
      ],
    ],
    [[{ protocol: "SCTP", port: 7777 }], [{ protocol: "sctp", ports: [7777] }]],
    [
      [
        { protocol: "TCP", port: "http" },
        { protocol: "TCP", port: 443 },
      ],
      [{ protocol: "tcp", ports: [443, "http"] }],
    ],
    [[{ protocol: "TCP", port: 32_000, endPort: 32_768 }], [{ protocol: "tcp", ports: [[32_000, 32_768]] }]],
    [[{ protocol: "TCP", port: 80, endPort: 80 }], [{ protocol: "tcp", ports: [80] }]],
    [
      [
        { protocol: "TCP", port: 80, endPort: 90 },
        { protocol: "TCP", port: 91 },
        { protocol: "TCP", port: 85, endPort: 88 },
      ],
      [{ protocol: "tcp", ports: [[80, 91]] }],
    ],
    [[{ protocol: "TCP", port: 80 }, { protocol: "TCP" }], [{ protocol: "tcp", ports: "all" }]],
  ] as const)("reads %j", ([ports, traffic]) => {
    expect(ingressOf({ ports })).toEqual({ ingress: [{ peers: any, traffic }], problems: [] });
  });

  it.for([
    [{ protocol: "ICMP" }, 'protocol: protocol "ICMP" is not known: write TCP, UDP or SCTP'],
    [{ protocol: "tcp", port: 80 }, 'protocol: protocol "tcp" is not known'],
    [{ protocol: "TCP", port: 80, endPort: 79 }, "endPort: 80 to 79 is no range"],
    [{ protocol: "TCP", port: 80, endPort: 65_536 }, "endPort: 80 to 65536 is no range"],
    [{ protocol: "TCP", port: "http", endPort: 90 }, 'endPort: endPort cannot stand beside the name "http"'],
    [{ protocol: "TCP", endPort: 90 }, 'endPort: endPort needs a "port"'],
    [{ protocol: "TCP", port: 0 }, "port: 0 is no port"],
    [{ protocol: "TCP", port: 65_536 }, "port: 65536 is no port"],
    [{ protocol: "TCP", port: 80.5 }, "port: 80.5 is no port"],
    [{ protocol: "TCP", port: "80" }, 'port: "80" is no name of a port'],
    [{ protocol: "TCP", port: "" }, 'port: "" is no name of a port'],
    [{ protocol: "TCP", port: "a-name-that-is-too-long" }, "is no name of a port"],
  ] as const)("allows nothing by the port %j, and says why", ([port, problem]) => {
    const alone = ingressOf({ ports: [port] });
    const beside = ingressOf({ ports: [port, { protocol: "UDP", port: 53 }] });

    expect(alone.ingress).toEqual([]);
    expect(alone.problems).toHaveLength(1);
    expect(alone.problems[0]).toContain("spec.ingress[0].ports[0].");
    expect(alone.problems[0]).toContain(problem);
    expect(beside.ingress).toEqual([{ peers: any, traffic: [{ protocol: "udp", ports: [53] }] }]);
  });
});

describe("what cannot be read in the policy itself", () => {
  const open = [{ peers: [], ports: [] }];

  it("closes all whom the rest of podSelector selects, and allows them nothing", () => {
    const model = translated({
      podSelector: selector({ app: "web" }, [{ key: "size", operator: "Gt", values: ["3"] }]),
      policyTypes: ["Ingress", "Egress"],
      ingress: open,
      egress: open,
      hasEgress: true,
    });

    expect(model).toMatchObject({
      targets: [{ kind: "pods", pods: webPods }],
      isolates: ["ingress", "egress"],
      ingress: [],
      egress: [],
    });
    expect(model.problems.map(({ place }) => place)).toEqual(["spec.podSelector.matchExpressions[0]"]);
  });

  it("closes both directions for a word in policyTypes that it does not know, and keeps the rules of those it knows", () => {
    const model = translated({
      policyTypes: ["Ingress", "Sideways"],
      ingress: open,
      egress: open,
      hasEgress: true,
    });

    expect(model).toMatchObject({
      isolates: ["ingress", "egress"],
      ingress: [{ peers: any, traffic: anyTraffic }],
      egress: [],
    });
    expect(model.problems.map(({ place }) => place)).toEqual(["spec.policyTypes[1]"]);
  });

  it("lists every problem with its place, in the manifest's order", () => {
    const bad: NetworkPolicyPort = { protocol: "QUIC", port: 1 };
    const rule = { peers: [{}], ports: [bad] };

    const { problems } = translated({ ingress: [rule], egress: [rule], hasEgress: true });

    expect(problems.map(({ place }) => place)).toEqual([
      "spec.ingress[0].from[0]",
      "spec.ingress[0].ports[0].protocol",
      "spec.egress[0].to[0]",
      "spec.egress[0].ports[0].protocol",
    ]);
  });
});

it("closes the whole namespace for a policy that is not kept", () => {
  const { model } = translateNetworkPolicy(
    networkPolicy({ podSelector: web, ingress: [{ peers: [], ports: [] }] }),
  );

  expect(closedInstead(model, "shop")).toEqual({ ...model, targets: everything, ingress: [] });
});

// Cases for properties: a small world, so that rules often meet somebody.
const key = fc.constantFrom("app", "tier");
const value = fc.constantFrom("web", "db");
const labels = fc.dictionary(key, value, { noNullPrototype: true });
const goodExpression = fc.oneof(
  fc.record({
    key,
    operator: fc.constantFrom("In", "NotIn"),
    values: fc.array(value, { minLength: 1, maxLength: 2 }),
  }),
  fc.record({ key, operator: fc.constantFrom("Exists", "DoesNotExist"), values: fc.constant([]) }),
);
const goodSelector = fc
  .tuple(labels, fc.array(goodExpression, { maxLength: 2 }))
  .map(([matchLabels, expressions]) => selector(matchLabels, expressions));
const goodBlock = fc.constantFrom(
  { cidr: "10.0.0.0/8", except: ["10.1.0.0/16"] },
  { cidr: "0.0.0.0/0", except: ["10.1.0.0/16", "10.0.0.0/9"] },
  { cidr: "10.1.0.3/24", except: [] },
);
const goodPeer: fc.Arbitrary<NetworkPolicyPeer> = fc.oneof(
  fc.record({ podSelector: goodSelector }),
  fc.record({ namespaceSelector: goodSelector }),
  fc.record({ podSelector: goodSelector, namespaceSelector: goodSelector }),
  fc.record({ ipBlock: goodBlock }),
);
const protocol = fc.constantFrom("TCP", "UDP", "SCTP");
const goodPort: fc.Arbitrary<NetworkPolicyPort> = fc.oneof(
  fc.record({ protocol }),
  fc.record({ protocol, port: fc.oneof(fc.integer({ min: 78, max: 84 }), fc.constantFrom("http", "dns")) }),
  fc.record({ protocol, port: fc.integer({ min: 78, max: 80 }), endPort: fc.integer({ min: 80, max: 84 }) }),
);
const badPeer: fc.Arbitrary<NetworkPolicyPeer> = fc.constantFrom<NetworkPolicyPeer>(
  {},
  { ipBlock: { cidr: "::/0", except: [] } },
  { ipBlock: { cidr: "0.0.0.0/0", except: ["nowhere"] } },
  { podSelector: selector({}, [{ key: "app", operator: "Like", values: ["web"] }]) },
);
const badPort = fc.constantFrom<NetworkPolicyPort>(
  { protocol: "QUIC" },
  { protocol: "TCP", port: 84, endPort: 78 },
);

const rulesOf = (peer: fc.Arbitrary<NetworkPolicyPeer>, port: fc.Arbitrary<NetworkPolicyPort>) =>
  fc.array(fc.record({ peers: fc.array(peer, { maxLength: 3 }), ports: fc.array(port, { maxLength: 3 }) }), {
    maxLength: 3,
  });
const types = fc.constantFrom([], ["Ingress"], ["Egress"], ["Ingress", "Egress"]);
const policyOf = (peer: fc.Arbitrary<NetworkPolicyPeer>, port: fc.Arbitrary<NetworkPolicyPort>) =>
  fc
    .record({
      podSelector: goodSelector,
      policyTypes: types,
      ingress: rulesOf(peer, port),
      egress: rulesOf(peer, port),
      hasEgress: fc.boolean(),
    })
    .map(networkPolicy);
const goodPolicy = policyOf(goodPeer, goodPort);
const anyPolicy = policyOf(fc.oneof(goodPeer, badPeer), fc.oneof(goodPort, badPort));

const address = fc.constantFrom("10.1.0.3", "10.1.0.200", "10.2.0.1", "10.200.0.1", "192.0.2.1");
const pod: fc.Arbitrary<Party> = fc.record({
  ip: address,
  namespace: fc.constantFrom("shop", "other"),
  namespaceLabels: labels,
  labels,
  namedPorts: fc.array(
    fc.record({ name: fc.constantFrom("http", "dns"), port: fc.integer({ min: 78, max: 84 }), protocol }),
    { maxLength: 1 },
  ),
});
const packet = fc.record({
  protocol: fc.constantFrom("TCP", "UDP", "SCTP", "ICMP"),
  port: fc.integer({ min: 78, max: 84 }),
});
const meeting = fc.record({ own: pod, other: fc.oneof(pod, fc.record({ ip: address })), packet });

describe("properties", () => {
  it("means what the manifest says, in both directions", () => {
    let allowed = 0;
    fc.assert(
      fc.property(goodPolicy, fc.array(meeting, { minLength: 10, maxLength: 20 }), (policy, meetings) => {
        const { model, problems } = translateNetworkPolicy(policy);
        expect(problems).toEqual([]);
        const judged = (
          judge: (direction: "ingress" | "egress", each: (typeof meetings)[number]) => unknown,
        ) => meetings.flatMap((each) => [judge("ingress", each), judge("egress", each)]);
        const written = judged((direction, each) => [
          writtenCloses(policy, direction, each.own),
          writtenAllows(policy, direction, each),
        ]);
        expect(
          judged((direction, each) => [
            modelCloses(model, direction, each.own),
            modelAllows(model, direction, each),
          ]),
        ).toEqual(written);
        allowed += written.filter((item) => JSON.stringify(item) === "[true,true]").length;
      }),
      { numRuns: 300 },
    );
    expect(allowed).toBeGreaterThan(50);
  });

  it("allows no more than without what it cannot express, and closes no less", () => {
    fc.assert(
      fc.property(anyPolicy, meeting, (policy, each) => {
        const { model } = translateNetworkPolicy(policy);
        for (const direction of ["ingress", "egress"] as const) {
          const rules = policy[direction].flatMap((rule) => {
            const peers = rule.peers.filter((peer) => peerIsGood(peer));
            const ports = rule.ports.filter((port) => portIsGood(port));
            const isEmptied =
              peers.length < Math.min(1, rule.peers.length) || ports.length < Math.min(1, rule.ports.length);
            return isEmptied ? [] : [{ peers, ports }];
          });
          const sound = { ...policy, [direction]: rules };
          expect(modelAllows(model, direction, each)).toBe(writtenAllows(sound, direction, each));
          expect(modelCloses(model, direction, each.own)).toBe(writtenCloses(policy, direction, each.own));
        }
      }),
      { numRuns: 500 },
    );
  });

  it("gives the same text whatever the order of rules, peers, ports and labels, and however often each is said", () => {
    fc.assert(
      fc.property(anyPolicy, fc.infiniteStream(fc.nat()), (policy, numbers) => {
        const mix = <T>(items: readonly T[]): readonly T[] =>
          [...items, ...items.slice(0, (numbers.next().value ?? 0) % 2)]
            .map((item) => ({ item, at: numbers.next().value ?? 0 }))
            .toSorted((a, b) => a.at - b.at)
            .map(({ item }) => item);
        const mixRules = (rules: ClusterNetworkPolicy["ingress"]) =>
          mix(rules.map(({ peers, ports }) => ({ peers: mix(peers), ports: mix(ports) })));
        const mixed = {
          ...policy,
          podSelector: selector(
            Object.fromEntries(Object.entries(policy.podSelector.matchLabels).toReversed()),
            mix(policy.podSelector.matchExpressions),
          ),
          policyTypes: mix(policy.policyTypes),
          ingress: mixRules(policy.ingress),
          egress: mixRules(policy.egress),
        };

        expect(JSON.stringify(translateNetworkPolicy(mixed).model)).toBe(
          JSON.stringify(translateNetworkPolicy(policy).model),
        );
      }),
    );
  });

  it("is canonical already, and reads back as it was written", () => {
    fc.assert(
      fc.property(anyPolicy, (policy) => {
        const { model } = translateNetworkPolicy(policy);
        const text = JSON.stringify(model);

        expect(JSON.stringify(canonicalModel(model))).toBe(text);
        expect(JSON.stringify(readModel(JSON.parse(text)))).toBe(text);
      }),
    );
  });
});

function peerIsGood({ podSelector, namespaceSelector, ipBlock }: NetworkPolicyPeer): boolean {
  const operators = [podSelector, namespaceSelector].flatMap(
    (of) => of?.matchExpressions.map(({ operator }) => operator) ?? [],
  );
  const isEmpty = podSelector === undefined && namespaceSelector === undefined && ipBlock === undefined;
  const texts = ipBlock === undefined ? [] : [ipBlock.cidr, ...ipBlock.except];
  return !isEmpty && !operators.includes("Like") && texts.every((text) => /^[\d./]+$/.test(text));
}

function portIsGood({ protocol: name, port, endPort }: NetworkPolicyPort): boolean {
  return name !== "QUIC" && !(typeof port === "number" && endPort !== undefined && endPort < port);
}
