import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { canonicalModel } from "../../../src/core/policy/canonical-model.ts";
import { readModel } from "../../../src/core/policy/read-model.ts";
import { readPolicies } from "../../../src/core/policy/read-policies.ts";
import { translateRomanaPolicy } from "../../../src/core/policy/translate-romana-policy.ts";

function translated(document: unknown) {
  const [policy] = readPolicies(document).policies;
  if (policy === undefined) {
    throw new TypeError("the document holds a policy");
  }
  return translateRomanaPolicy(policy);
}

const tcp = { protocol: "tcp", ports: [80] };

it("translates the manual's example", () => {
  const model = translated({
    securitypolicies: [
      {
        name: "policy1",
        description: "Opening SSH, HTTP and HTTPS ports as well as ICMP",
        direction: "ingress",
        applied_to: [{ tenant: "admin", segment: "default" }],
        peers: [{ peer: "any" }],
        rules: [{ protocol: "tcp", ports: [443, 22, 80] }, { protocol: "icmp" }],
      },
    ],
  });

  expect(model).toEqual({
    id: "romana.name.policy1",
    source: { kind: "romana", id: "name.policy1", name: "policy1" },
    targets: [{ kind: "tenant", tenant: "admin", segment: "default" }],
    isolates: ["ingress"],
    ingress: [
      {
        peers: [{ kind: "any" }],
        traffic: [{ protocol: "icmp" }, { protocol: "tcp", ports: [22, 80, 443] }],
      },
    ],
    egress: [],
  });
});

it("takes an egress policy as one that closes egress and allows what it names", () => {
  const model = translated({
    id: "out",
    direction: "egress",
    applied_to: [{ tenant_id: "shop" }, { cidr: "10.0.0.9" }],
    ingress: [{ peers: [{ cidr: "192.0.2.0/24" }, { tenant_id: "db" }], rules: [tcp] }],
  });

  expect(model).toMatchObject({
    isolates: ["egress"],
    targets: [
      { kind: "cidr", cidr: "10.0.0.9/32" },
      { kind: "tenant", tenant: "shop" },
    ],
    ingress: [],
    egress: [
      {
        peers: [
          { kind: "cidr", cidr: "192.0.2.0/24", except: [] },
          { kind: "tenant", tenant: "db" },
        ],
        traffic: [{ protocol: "tcp", ports: [80] }],
      },
    ],
  });
});

it("keeps the host as a target and its own endpoints as a peer", () => {
  const model = translated({
    id: "host",
    direction: "ingress",
    applied_to: [{ dest: "host" }],
    ingress: [{ peers: [{ peer: "local" }, { tenant_id: "ops" }], rules: [tcp] }],
  });

  expect(model.targets).toEqual([{ kind: "host" }]);
  expect(model.ingress[0]?.peers).toEqual([{ kind: "local" }, { kind: "tenant", tenant: "ops" }]);
});

describe("traffic", () => {
  it.for([
    [[{ protocol: "tcp" }], [{ protocol: "tcp", ports: "all" }]],
    [
      [
        {
          protocol: "udp",
          ports: [53],
          port_ranges: [
            [54, 60],
            [100, 100],
          ],
        },
      ],
      [{ protocol: "udp", ports: [[53, 60], 100] }],
    ],
    [[{ protocol: "any" }, { protocol: "tcp" }], [{ protocol: "any" }]],
    [[{ protocol: "tcp", ports: [0] }], [{ protocol: "tcp", ports: [0] }]],
    [
      [
        { protocol: "icmp", icmp_type: 8 },
        { protocol: "icmp", icmp_type: 3, icmp_code: 4 },
        { protocol: "icmp", icmp_type: 8, icmp_code: 0 },
      ],
      [
        { protocol: "icmp", type: 3, code: 4 },
        { protocol: "icmp", type: 8 },
      ],
    ],
    [[{ protocol: "icmp", icmp_type: 8 }, { protocol: "icmp" }], [{ protocol: "icmp" }]],
  ] as const)("reads %j", ([rules, traffic]) => {
    const model = translated({
      id: "p",
      direction: "ingress",
      applied_to: [{ tenant_id: "t" }],
      ingress: [{ peers: [{ peer: "any" }], rules }],
    });

    expect(model.ingress).toEqual([{ peers: [{ kind: "any" }], traffic }]);
  });
});

it("lets anybody cover all other peers", () => {
  const model = translated({
    id: "p",
    direction: "ingress",
    applied_to: [{ tenant_id: "t" }],
    ingress: [{ peers: [{ cidr: "10.0.0.0/8" }, { peer: "any" }], rules: [tcp] }],
  });

  expect(model.ingress[0]?.peers).toEqual([{ kind: "any" }]);
});

it("gives models that are canonical, read back as they were written, and do not depend on the order of lists", () => {
  const endpoint = fc.oneof(
    fc.record({ tenant_id: fc.constantFrom("a", "b") }),
    fc.record({ tenant_id: fc.constantFrom("a", "b"), segment_id: fc.constantFrom("x", "y") }),
    fc.record({ cidr: fc.constantFrom("10.0.0.0/8", "192.0.2.1/32") }),
  );
  const rule = fc.oneof(
    fc.record({ protocol: fc.constant("icmp"), icmp_type: fc.constantFrom(0, 3, 8) }),
    fc.record({
      protocol: fc.constantFrom("tcp", "udp"),
      ports: fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 3 }),
    }),
  );
  const some = { minLength: 1, maxLength: 3 };
  const document = fc.record({
    id: fc.constantFrom("p", "kube.shop.p.u"),
    direction: fc.constantFrom("ingress", "egress"),
    applied_to: fc.array(endpoint, some),
    ingress: fc.array(fc.record({ peers: fc.array(endpoint, some), rules: fc.array(rule, some) }), some),
  });
  fc.assert(
    fc.property(document, (given) => {
      const model = translated(given);
      const text = JSON.stringify(model);
      const turned = {
        ...given,
        applied_to: given.applied_to.toReversed(),
        ingress: given.ingress.toReversed().map(({ peers, rules }) => ({
          peers: [...peers.toReversed(), ...peers],
          rules: rules.toReversed(),
        })),
      };

      expect(JSON.stringify(canonicalModel(model))).toBe(text);
      expect(JSON.stringify(readModel(JSON.parse(text)))).toBe(text);
      expect(JSON.stringify(translated(turned))).toBe(text);
    }),
  );
});
