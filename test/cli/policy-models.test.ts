import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { allowedText, partyText } from "../../src/cli/model-text.ts";
import type { PolicyModel } from "../../src/core/policy/model.ts";
import { translateNetworkPolicy } from "../../src/core/policy/translate-network-policy.ts";
import { networkPolicy, selector } from "../support/policy-world.ts";
import { romanaHere } from "./in-process.ts";
import { servedRomana } from "./romana.ts";

const never = new AbortController().signal;

describe("romana policy models", () => {
  let server: Awaited<ReturnType<typeof servedRomana>>;

  beforeEach(async () => {
    server = await servedRomana();
  });

  afterEach(async () => {
    await server.close();
  });

  const run = (...args: readonly string[]) =>
    romanaHere(["policy", "models", ...args], { env: { ROMANA_URL: server.url } });

  /** Stores one of the cluster's, and one of Romana's own. */
  async function fill(): Promise<PolicyModel> {
    const { model } = translateNetworkPolicy(
      networkPolicy({
        podSelector: selector({ app: "web" }),
        ingress: [{ peers: [], ports: [{ protocol: "TCP", port: 80 }] }],
      }),
    );
    const leader = { kind: "put", key: "/romana/election/one", value: "{}" } as const;
    const { revision } = await server.store.commit({ compare: [], operations: [leader] }, never);
    const guard = { key: leader.key, modRevision: revision };
    await server.clusterPolicies.write({ put: [model], remove: [] }, guard, never);
    const document = {
      id: "db",
      direction: "egress",
      applied_to: [{ tenant_id: "shop", segment_id: "db" }],
      ingress: [{ peers: [{ cidr: "10.0.0.0/8" }], rules: [{ protocol: "icmp", icmp_type: 8 }] }],
    };
    await server.policies.save(document, never);
    return model;
  }

  it("lists what all policies come to, for people", async () => {
    await fill();

    const { code, stdout } = await run();

    expect(code).toBe(0);
    expect(stdout.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
      ["SOURCE", "TARGETS", "CLOSES", "ALLOWS"],
      ["policy db", "tenant shop, segment db", "egress", "to 10.0.0.0/8: icmp type 8"],
      ["networkpolicy shop/p", "pods app=web of shop", "ingress", "from anybody: tcp 80"],
      [""],
    ]);
  });

  it("gives programs the models as they are", async () => {
    const model = await fill();

    const [json, names] = [await run("-o", "json"), await run("-o", "name")];

    expect((JSON.parse(json.stdout) as readonly unknown[])[1]).toEqual(model);
    expect(names.stdout).toBe("policymodel/romana.db\npolicymodel/kube.shop.p.u\n");
  });

  it("says what no policy means", async () => {
    expect(await run()).toMatchObject({
      code: 0,
      stderr: "No policies: everything may talk to everything.\n",
    });
  });
});

const named = { kind: "named", name: "shop" } as const;

it.for([
  [{ kind: "any" }, "anybody"],
  [{ kind: "local" }, "its own endpoints"],
  [{ kind: "host" }, "the hosts"],
  [{ kind: "cidr", cidr: "10.0.0.0/8" }, "10.0.0.0/8"],
  [{ kind: "cidr", cidr: "10.0.0.0/8", except: ["10.1.0.0/16"] }, "10.0.0.0/8 but 10.1.0.0/16"],
  [{ kind: "tenant", tenant: "shop" }, "tenant shop"],
  [{ kind: "pods", namespaces: named, pods: [] }, "all pods of shop"],
  [{ kind: "pods", namespaces: { kind: "labelled", selector: [] }, pods: [] }, "all pods of all namespaces"],
  [
    {
      kind: "pods",
      namespaces: { kind: "labelled", selector: [{ key: "team", operator: "in", values: ["a", "b"] }] },
      pods: [
        { key: "app", operator: "not-in", values: ["web"] },
        { key: "old", operator: "not-exists" },
        { key: "tier", operator: "exists" },
      ],
    },
    "pods app notin (web),!old,tier of namespaces team in (a,b)",
  ],
] as const)("writes %j as %s", ([party, text]) => {
  expect(partyText(JSON.parse(JSON.stringify(party)) as Parameters<typeof partyText>[0])).toBe(text);
});

it("writes all that is allowed, and when it is nothing", () => {
  const from = { peers: [{ kind: "any" }, { kind: "tenant", tenant: "shop" }] } as const;
  const ports = { protocol: "tcp", ports: [80, [90, 99], "http"] } as const;

  expect(
    allowedText({
      ingress: [{ ...from, traffic: [ports, { protocol: "udp", ports: "all" }] }],
      egress: [
        { ...from, traffic: [{ protocol: "any" }] },
        { ...from, traffic: [{ protocol: "icmp", type: 3, code: 4 }] },
      ],
    }),
  ).toBe(
    "from anybody or tenant shop: tcp 80,90-99,http or udp; to anybody or tenant shop: everything; to anybody or tenant shop: icmp type 3 code 4",
  );
  expect(allowedText({ ingress: [], egress: [] })).toBe("nothing");
});
