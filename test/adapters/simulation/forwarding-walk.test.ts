import { describe, expect, it } from "vitest";

import {
  ForwardingWalk,
  type WalkMachine,
  type WalkResult,
} from "../../../src/adapters/simulation/forwarding-walk.ts";
import { planHostTables, type HostView } from "../../../src/adapters/simulation/host-routes.ts";
import type { RouteTarget } from "../../../src/core/cloud/facts.ts";
import { parseCidr } from "../../../src/core/net/cidr.ts";
import { ipv4Value, parseIpv4 } from "../../../src/core/net/ipv4.ts";

/**
 *     zone a, subnet-a, 10.0.0.0/24              zone b, subnet-b, 10.0.1.0/24
 *     a1 10.0.0.4  100.64.0.0/29  (gateway)      b1 10.0.1.4  100.65.0.0/29  (gateway)
 *     a2 10.0.0.5  100.64.0.8/29                 b2 10.0.1.5  100.65.0.8/29
 *     nat 10.0.0.9, a machine that is no node of ours
 *
 * Each host has one pod, at the first address of its block. Both tables: 100.64.0.0/16 → a1, 100.65.0.0/16 → b1.
 */
const HOSTS = [
  { name: "a1", address: "10.0.0.4", subnetId: "subnet-a", block: "100.64.0.0/29", pod: "100.64.0.0" },
  { name: "a2", address: "10.0.0.5", subnetId: "subnet-a", block: "100.64.0.8/29", pod: "100.64.0.8" },
  { name: "b1", address: "10.0.1.4", subnetId: "subnet-b", block: "100.65.0.0/29", pod: "100.65.0.0" },
  { name: "b2", address: "10.0.1.5", subnetId: "subnet-b", block: "100.65.0.8/29", pod: "100.65.0.8" },
] as const;
const POD_OF_B2 = "100.65.0.8";

interface Change {
  readonly dead?: string;
  readonly checkOn?: string;
  readonly target?: RouteTarget | undefined;
  readonly noRoute?: true;
  readonly desired?: HostView["routes"];
  readonly extraRoute?: readonly [string, RouteTarget];
  readonly unsynced?: true;
}

const to = (name: string): RouteTarget => ({ kind: "interface", id: `eni-${name}` });

function walkOf(change: Change = {}): ForwardingWalk {
  const view: HostView = {
    hosts: HOSTS.map(({ name, address, subnetId }) => ({ name, address: parseIpv4(address), subnetId })),
    blocks: HOSTS.map(({ name, block }) => ({ cidr: parseCidr(block), host: name })),
    pods: HOSTS.map(({ name, pod }) => ({ name: `pod-${name}`, address: parseIpv4(pod), host: name })),
    routes: change.desired ?? [
      { destination: parseCidr("100.64.0.0/16"), gateway: "a1" },
      { destination: parseCidr("100.65.0.0/16"), gateway: "b1" },
    ],
  };
  const tables = planHostTables(change.unsynced ? { ...view, routes: [] } : view);
  const machines: WalkMachine[] = [...HOSTS, { name: "nat", address: "10.0.0.9", subnetId: "subnet-a" }].map(
    ({ name, address, subnetId }) => ({
      name,
      alive: change.dead !== name,
      primary: `eni-${name}`,
      interfaces: [
        {
          id: `eni-${name}`,
          subnetId,
          addresses: [ipv4Value(parseIpv4(address))],
          sourceDestCheck: change.checkOn === name,
        },
      ],
      tables: tables.get(name),
    }),
  );
  const target = "target" in change ? change.target : to("b1");
  const routes: [string, RouteTarget][] = [
    ["10.0.0.0/16", { kind: "local" }],
    ["100.64.0.0/16", to("a1")],
    ...(target === undefined ? [] : [["100.65.0.0/16", target] as [string, RouteTarget]]),
    ...(change.extraRoute === undefined ? [] : [[...change.extraRoute] as [string, RouteTarget]]),
  ];
  const written = routes.map(([destination, found]) => ({
    destination: parseCidr(destination),
    target: found,
  }));
  return new ForwardingWalk({
    machines,
    routeTables: [
      { id: "rtb-a", routes: written },
      { id: "rtb-b", routes: written },
    ],
    tableOfSubnet: new Map([
      ["subnet-a", "rtb-a"],
      ["subnet-b", "rtb-b"],
    ]),
  });
}

const send = (walk: ForwardingWalk, from: string, destination: string): WalkResult =>
  walk.send(from, ipv4Value(parseIpv4(destination)));
const show = (result: WalkResult): string =>
  result.kind === "delivered" ? "delivered" : `${result.cause} at ${result.where}`;

describe("a packet that arrives", () => {
  it.for([
    ["stays on its host", "a1", "100.64.0.0", ["a1"]],
    ["goes to its neighbour in the subnet without the VPC router", "a1", "100.64.0.8", ["a1", "a2"]],
    ["goes by the gateway of its group to another zone", "a2", POD_OF_B2, ["a2", "rtb-a", "b1", "b2"]],
    ["ends on the gateway when the pod is there", "a2", "100.65.0.0", ["a2", "rtb-a", "b1"]],
  ] as const)("%s", ([, from, destination, hops]) => {
    expect(send(walkOf(), from, destination)).toEqual({ kind: "delivered", hops });
  });
});

describe("a packet from a2 to the pod of b2 that dies", () => {
  const cases: readonly [string, Change, string, string][] = [
    ["its own node is dead", { dead: "a2" }, "sender-dead at a2", "a2 is not alive"],
    [
      "the check of the sender is on",
      { checkOn: "a2" },
      "source-dest-check at a2",
      "does not come from its own address",
    ],
    [
      "the check of the gateway is on",
      { checkOn: "b1" },
      "source-dest-check at b1",
      "is not for its own address",
    ],
    [
      "the check of the last host is on",
      { checkOn: "b2" },
      "source-dest-check at b2",
      "its source/dest check is on",
    ],
    ["the gateway is dead", { dead: "b1" }, "target-dead at b1", "b1 gets it and is dead"],
    ["the last host is dead", { dead: "b2" }, "target-dead at b2", "b2 gets it and is dead"],
    ["the table has no route", { target: undefined }, "no-route at rtb-a", "rtb-a has no route for it"],
    [
      "the target is gone",
      { target: { kind: "interface", id: "eni-gone" } },
      "target-gone at rtb-a",
      "eni-gone, which is gone (a blackhole)",
    ],
    [
      "the route leaves the VPC",
      { target: { kind: "other", id: "nat-1" } },
      "left-vpc at rtb-a",
      "out of the VPC by nat-1",
    ],
    [
      "somebody took the prefix for local",
      { target: { kind: "local" } },
      "nobody-at-address at rtb-a",
      "nobody in the VPC has 100.65.0.8",
    ],
    [
      "the target is no node",
      { target: to("nat") },
      "not-forwarding at nat",
      "nat is no node of the cluster",
    ],
    [
      "the target cannot reach it and knows nothing of the prefix: it comes back",
      { target: to("a1") },
      "loop at a1",
      "the packet came back to a1",
    ],
    [
      "the target cannot reach it and has the prefix as unreachable",
      { target: to("a1"), desired: [{ destination: parseCidr("100.65.0.0/16"), gateway: "a1" }] },
      "host-unreachable at a1",
      "no block of the group 100.65.0.0/16 has the address",
    ],
    [
      "a more specific route of somebody else leads astray",
      { extraRoute: ["100.65.0.8/29", { kind: "other", id: "pcx-1" }] },
      "left-vpc at rtb-a",
      "pcx-1",
    ],
  ];

  it.for(cases)("because %s", ([, change, cause, why]) => {
    const result = send(walkOf(change), "a2", POD_OF_B2);

    expect(show(result)).toBe(cause);
    expect(result.kind === "dead" ? result.why : "").toContain(why);
  });
});

describe("a packet for an address that nobody holds", () => {
  const strangers = ["100.64.0.7", "100.64.0.15", "100.64.200.1", "100.65.0.1", "100.65.99.9"];

  it.for(strangers)("%s dies in one place, wherever it comes from", (address) => {
    const walk = walkOf();

    const ends = HOSTS.map(({ name }) => send(walk, name, address));

    expect(new Set(ends.map(show)).size).toBe(1);
    expect(ends[0]).toMatchObject({ kind: "dead", cause: "host-unreachable" });
  });

  it("runs in a circle while the gateway has no unreachable route for its prefix", () => {
    expect(show(send(walkOf({ unsynced: true }), "a2", "100.65.99.9"))).toBe("loop at b1");
  });

  it("leaves the cluster's prefixes by no route at all", () => {
    expect(show(send(walkOf(), "a1", "100.80.0.1"))).toBe("no-route at rtb-a");
  });
});

it("passes through a gateway of a wide prefix to a part of it that is routed elsewhere", () => {
  const walk = walkOf({
    target: to("b1"),
    desired: [
      { destination: parseCidr("100.64.0.0/15"), gateway: "a1" },
      { destination: parseCidr("100.65.0.0/16"), gateway: "b1" },
    ],
  });

  expect(send(walk, "a1", POD_OF_B2)).toEqual({ kind: "delivered", hops: ["a1", "rtb-a", "b1", "b2"] });
});

it("delivers to a pod whose block has only its own address", () => {
  const tables = planHostTables({
    hosts: [{ name: "a", address: parseIpv4("10.0.0.4"), subnetId: "s" }],
    blocks: [{ cidr: parseCidr("100.64.0.0/32"), host: "a" }],
    pods: [{ name: "p", address: parseIpv4("100.64.0.0"), host: "a" }],
    routes: [],
  });
  const own = {
    id: "e",
    subnetId: "s",
    addresses: [ipv4Value(parseIpv4("10.0.0.4"))],
    sourceDestCheck: true,
  };
  const walk = new ForwardingWalk({
    machines: [{ name: "a", alive: true, primary: "e", interfaces: [own], tables: tables.get("a") }],
    routeTables: [],
    tableOfSubnet: new Map(),
  });

  expect(send(walk, "a", "100.64.0.0").kind).toBe("delivered");
});
