import { describe, expect, it } from "vitest";

import type { CloudInstance, InstanceState } from "../../../src/core/cloud/facts.ts";
import type { Fate } from "../../../src/core/cluster/instance-fate.ts";
import type { ClusterNode } from "../../../src/core/cluster/objects.ts";
import {
  holdOf,
  planNodes,
  type KnownHost,
  type NodePlan,
  type NodeWorld,
} from "../../../src/core/cluster/plan-nodes.ts";
import { parseIpv4 } from "../../../src/core/net/ipv4.ts";
import { clusterNode } from "../../support/cluster-objects.ts";

const ip = parseIpv4("172.16.0.1");

function instance(id = "i-1", state: InstanceState = "running", address = ip): CloudInstance {
  const interfaces = [{ id: "eni-1", subnetId: "subnet-1", addresses: [address], sourceDestCheck: true }];
  return { id, state, zone: "us-west-2a", tags: {}, interfaces };
}

const host = (over: Partial<KnownHost> = {}): KnownHost => ({
  name: "node-1",
  ip,
  tags: { zone: "a" },
  origin: "kubernetes",
  node: { uid: "uid-1", instanceId: "i-1" },
  ...over,
});

interface Scene {
  readonly nodes?: readonly ClusterNode[];
  readonly hosts?: readonly KnownHost[];
  readonly instances?: readonly (CloudInstance | null)[];
  readonly fate?: Fate;
  readonly goneMs?: number;
  readonly cloud?: boolean;
  readonly hold?: string;
}

function plan(scene: Scene): NodePlan {
  const { nodes = [], hosts = [], cloud = true } = scene;
  const world: NodeWorld = {
    cloud,
    region: "us-west-2",
    hostGraceMs: 900_000,
    node: (name) => nodes.find((node) => node.name === name),
    host: (name) => hosts.find((each) => each.name === name),
    hostAt: (address) => hosts.find((each) => each.ip === address),
    instance: (id) => {
      const found = scene.instances?.find((each) => each?.id === id);
      return scene.instances?.includes(null) === true ? null : found;
    },
    fate: () => scene.fate ?? "unknown",
    goneMs: () => scene.goneMs,
    hold: () => scene.hold ?? "",
  };
  return planNodes(
    [...nodes, ...hosts].map(({ name }) => name),
    world,
  );
}

/** What a plan does, a line for each step. */
function show({ removals, register, waits, events }: NodePlan): readonly string[] {
  return [
    ...removals.map(({ name, uid }) => `remove ${name} of ${uid}`),
    ...register.map(({ change, name, node }) => `${change} ${name} ${node.uid} ${node.instanceId}`),
    ...waits.map((wait) => `wait ${wait.kind} ${wait.name}`),
    ...events.map(({ name, reason }) => `event ${name} ${reason}`),
  ];
}

const again = clusterNode({ uid: "uid-2" });
const replaced = clusterNode({ uid: "uid-2", providerId: "aws:///us-west-2a/i-2" });

describe("a Node without a host, on AWS", () => {
  it.for([
    ["is added once EC2 told of its instance", { instances: [instance()] }, ["add node-1 uid-1 i-1"]],
    ["waits for EC2", {}, ["wait instance node-1"]],
    [
      "is said to be unknown",
      { instances: [null] },
      ["wait instance node-1", "event node-1 InstanceUnknown"],
    ],
    [
      "is not added when its instance ends",
      { instances: [instance("i-1", "shutting-down")] },
      ["wait instance node-1", "event node-1 InstanceUnknown"],
    ],
    [
      "is not added when its instance has another address",
      { instances: [instance("i-1", "running", parseIpv4("172.16.0.9"))] },
      ["wait instance node-1", "event node-1 InstanceUnknown"],
    ],
    [
      "is incomplete without an IPv4 address",
      { nodes: [clusterNode({ internalIps: ["fd00::1"] })] },
      ["wait place node-1", "event node-1 NodeIncomplete"],
    ],
    [
      "is incomplete without a providerID",
      { nodes: [clusterNode({ providerId: "" })] },
      ["wait place node-1", "event node-1 NodeIncomplete"],
    ],
    [
      "is incomplete when its providerID names no instance",
      { nodes: [clusterNode({ providerId: "aws:///us-west-2a/x/fargate-1" })] },
      ["wait place node-1", "event node-1 NodeIncomplete"],
    ],
    ["is left alone when it is being deleted", { nodes: [clusterNode({ deleting: true })] }, []],
    [
      "waits for an address that another host has",
      { hosts: [host({ name: "other", origin: "api", node: undefined })], instances: [instance()] },
      ["wait place node-1", "event node-1 HostAddressTaken"],
    ],
    [
      "waits for a name that the document has at another address",
      {
        hosts: [host({ ip: parseIpv4("172.16.0.7"), origin: "document", node: undefined })],
        instances: [instance()],
      },
      ["wait place node-1", "event node-1 HostNameHeld"],
    ],
    [
      "is served by the host of the document that has its name and address",
      { hosts: [host({ origin: "document", node: undefined })] },
      [],
    ],
    [
      "becomes that of what EC2 showed under its name and address",
      { hosts: [host({ origin: "cloud", node: undefined })], instances: [instance()] },
      ["add node-1 uid-1 i-1"],
    ],
    [
      "takes the place of what EC2 showed under its address",
      { hosts: [host({ name: "ip-172-16-0-1", origin: "cloud", node: undefined })], instances: [instance()] },
      ["add node-1 uid-1 i-1"],
    ],
  ] as const)("%s", ([, scene, expected]) => {
    expect(show(plan({ nodes: [clusterNode()], ...scene }))).toEqual(expected);
  });

  it("is labelled with what EC2 knows", () => {
    expect(plan({ nodes: [clusterNode()], instances: [instance()] }).register[0]?.tags).toEqual({
      zone: "a",
      "topology.kubernetes.io/region": "us-west-2",
      "failure-domain.beta.kubernetes.io/region": "us-west-2",
      "topology.kubernetes.io/zone": "us-west-2a",
      "failure-domain.beta.kubernetes.io/zone": "us-west-2a",
      "romana.io/subnet-id": "subnet-1",
    });
  });
});

describe("two Nodes with one address", () => {
  it("that come together: the first by name has it, the other is told", () => {
    const second = clusterNode({ name: "node-2", uid: "uid-2" });

    expect(show(plan({ nodes: [second, clusterNode()], instances: [instance()] }))).toEqual([
      "add node-1 uid-1 i-1",
      "wait place node-2",
      "event node-2 HostAddressTaken",
    ]);
  });

  it("of which one is a host: it keeps it", () => {
    const first = clusterNode({ name: "a", uid: "uid-2" });

    expect(show(plan({ nodes: [first, clusterNode()], hosts: [host()], instances: [instance()] }))).toEqual([
      "wait place a",
      "event a HostAddressTaken",
    ]);
  });
});

describe("a Node with its host", () => {
  it("needs nothing when nothing changed", () => {
    expect(show(plan({ nodes: [clusterNode()], hosts: [host()] }))).toEqual([]);
  });

  it("keeps it whatever EC2 says", () => {
    expect(show(plan({ nodes: [clusterNode({ deleting: true })], hosts: [host()], fate: "gone" }))).toEqual(
      [],
    );
  });

  it("has its labels followed, and what EC2 filled in kept", () => {
    const filled = { zone: "a", rack: "1", "romana.io/subnet-id": "subnet-1" };
    const wanted = plan({ nodes: [clusterNode()], hosts: [host({ tags: filled })] });

    expect(show(wanted)).toEqual(["relabel node-1 uid-1 i-1"]);
    expect(wanted.register[0]?.tags).toEqual({ zone: "a", "romana.io/subnet-id": "subnet-1" });
  });

  it("is told when its address changed, and keeps it", () => {
    const moved = clusterNode({ internalIps: ["172.16.0.9"] });

    expect(show(plan({ nodes: [moved], hosts: [host()] }))).toEqual(["event node-1 HostAddressChanged"]);
  });

  it("is not told of a second address, or of none for a while", () => {
    expect(
      show(plan({ nodes: [clusterNode({ internalIps: ["172.16.0.9", ip] })], hosts: [host()] })),
    ).toEqual([]);
    expect(show(plan({ nodes: [clusterNode({ internalIps: [] })], hosts: [host()] }))).toEqual([]);
  });

  it("gives it the instance that it did not know", () => {
    const before = host({ node: { uid: "uid-1", instanceId: "" } });

    expect(show(plan({ nodes: [clusterNode()], hosts: [before] }))).toEqual(["adopt node-1 uid-1 i-1"]);
  });

  it("is known by its address where the host is older than the identity", () => {
    expect(show(plan({ nodes: [clusterNode()], hosts: [host({ node: undefined })] }))).toEqual([
      "adopt node-1 uid-1 i-1",
    ]);
  });
});

describe("a Node that was created again under its name, on AWS", () => {
  it("by the same instance takes its host over, whatever EC2 says", () => {
    expect(show(plan({ nodes: [again], hosts: [host()], fate: "gone" }))).toEqual(["adopt node-1 uid-2 i-1"]);
  });

  it.for(["alive", "unknown"] as const)("by another instance waits while the former one is %s", (fate) => {
    expect(show(plan({ nodes: [replaced], hosts: [host()], instances: [instance("i-2")], fate }))).toEqual([
      "wait gone node-1",
      "wait place node-1",
      "event node-1 HostNameHeld",
    ]);
  });

  it("by another instance has EC2 asked about a former one that went missing", () => {
    expect(show(plan({ nodes: [replaced], hosts: [host()], fate: "absent" }))).toEqual([
      "wait confirm node-1",
      "wait gone node-1",
      "wait place node-1",
      "event node-1 HostNameHeld",
    ]);
  });

  it("by another instance replaces the host of one that is gone, at the same address too", () => {
    const elsewhere = clusterNode({ ...replaced, internalIps: ["172.16.0.2"] });
    const address = parseIpv4("172.16.0.2");
    const expected = ["remove node-1 of uid-1", "add node-1 uid-2 i-2"];

    expect(
      show(plan({ nodes: [replaced], hosts: [host()], instances: [instance("i-2")], fate: "gone" })),
    ).toEqual(expected);
    expect(
      show(
        plan({
          nodes: [elsewhere],
          hosts: [host()],
          instances: [instance("i-2", "running", address)],
          fate: "gone",
        }),
      ),
    ).toEqual(expected);
  });

  it("waits for its providerID before it is taken for the former one", () => {
    const unnamed = clusterNode({ uid: "uid-2", providerId: "" });

    expect(show(plan({ nodes: [unnamed], hosts: [host()], fate: "alive" }))).toEqual([
      "wait gone node-1",
      "wait place node-1",
      "event node-1 HostNameHeld",
    ]);
  });

  it("replaces one host while another Node takes the address that is free then", () => {
    const taker = clusterNode({ name: "a", uid: "uid-3", providerId: "aws:///us-west-2a/i-3" });

    expect(
      show(plan({ nodes: [taker], hosts: [host()], instances: [instance("i-3")], fate: "gone" })),
    ).toEqual(["remove node-1 of uid-1", "add a uid-3 i-3"]);
  });
});

describe("a host whose Node is gone, on AWS", () => {
  it.for([
    ["alive", ["wait gone node-1"]],
    ["unknown", ["wait gone node-1"]],
    ["absent", ["wait confirm node-1", "wait gone node-1"]],
    ["gone", ["remove node-1 of uid-1"]],
  ] as const)("and its instance %s", ([fate, expected]) => {
    expect(show(plan({ hosts: [host()], fate }))).toEqual(expected);
  });

  it("stays while nothing may be removed", () => {
    expect(show(plan({ hosts: [host()], fate: "gone", hold: "no Node at all" }))).toEqual([
      "wait gone node-1",
    ]);
  });

  it.for(["document", "api", "cloud"] as const)("stays when its origin is %s", (origin) => {
    expect(show(plan({ hosts: [host({ origin })], fate: "gone" }))).toEqual([]);
  });
});

describe("without a cloud", () => {
  const plain = clusterNode({ providerId: "" });
  const known = host({ node: { uid: "uid-1", instanceId: "" } });

  it("a Node is added with its own labels, and needs no providerID", () => {
    const { register } = plan({ nodes: [plain], cloud: false });

    expect(register).toMatchObject([
      { change: "add", tags: { zone: "a" }, node: { uid: "uid-1", instanceId: "" } },
    ]);
  });

  it("a Node created again at the same address takes its host over", () => {
    const anew = clusterNode({ uid: "uid-2", providerId: "" });

    expect(show(plan({ nodes: [anew], hosts: [known], cloud: false }))).toEqual(["adopt node-1 uid-2 "]);
  });

  it.for([
    ["not noted yet", undefined, ["wait gone node-1"]],
    ["gone for less than the grace time", 899_999, ["wait gone node-1"]],
    ["gone for the grace time", 900_000, ["remove node-1 of uid-1"]],
  ] as const)("a host whose Node is %s", ([, goneMs, expected]) => {
    expect(show(plan({ hosts: [known], cloud: false, ...(goneMs === undefined ? {} : { goneMs }) }))).toEqual(
      expected,
    );
  });

  it("says when the grace time of a host is over", () => {
    expect(plan({ hosts: [known], cloud: false, goneMs: 1000 }).waits).toMatchObject([{ dueMs: 899_000 }]);
    expect(plan({ hosts: [known], cloud: false }).waits).toMatchObject([{ dueMs: undefined }]);
  });

  it("a Node created again on another machine waits for the grace time, and is told for how long", () => {
    const anew = clusterNode({ uid: "uid-2", providerId: "", internalIps: ["172.16.0.2"] });
    const waiting = plan({ nodes: [anew], hosts: [known], cloud: false, goneMs: 890_000 });

    expect(show(waiting)).toEqual(["wait gone node-1", "wait place node-1", "event node-1 HostNameHeld"]);
    expect(waiting.events[0]?.note).toContain("less than 900 s");
    expect(show(plan({ nodes: [anew], hosts: [known], cloud: false, goneMs: 900_000 }))).toEqual([
      "remove node-1 of uid-1",
      "add node-1 uid-2 ",
    ]);
  });
});

describe("removal is held", () => {
  const world = (nodes: readonly ClusterNode[]) => ({
    cloud: true,
    node: (name: string) => nodes.find((node) => node.name === name),
  });
  const second = host({
    name: "node-2",
    ip: parseIpv4("172.16.0.2"),
    node: { uid: "uid-9", instanceId: "i-9" },
  });

  it.for([
    ["while no Node is shown", [], [host()], true],
    [
      "while none of several learned hosts has its Node",
      [clusterNode({ name: "x" })],
      [host(), second],
      true,
    ],
    ["not while one of them has its Node", [clusterNode()], [host(), second], false],
    ["not while one of them has its machine's Node", [again], [host(), second], false],
    ["not for the only host", [clusterNode({ name: "x" })], [host()], false],
  ] as const)("%s", ([, nodes, hosts, held]) => {
    expect(holdOf({ size: nodes.length }, hosts, world(nodes)) !== "").toBe(held);
  });
});
