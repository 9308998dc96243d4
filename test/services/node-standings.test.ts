import { describe, expect, it } from "vitest";

import type { ClusterNode } from "../../src/core/cluster/objects.ts";
import type { KnownHost } from "../../src/core/cluster/plan-nodes.ts";
import { parseIpv4 } from "../../src/core/net/ipv4.ts";
import { NodeStandings } from "../../src/services/cluster/node-standings.ts";
import { ObjectView } from "../../src/services/cluster/object-view.ts";
import { clusterNode } from "../support/cluster-objects.ts";

const host: KnownHost = {
  name: "node-1",
  ip: parseIpv4("172.16.0.1"),
  tags: {},
  origin: "kubernetes",
  node: { uid: "uid-1", instanceId: "i-1" },
};

function standings(nodes: readonly ClusterNode[] | undefined) {
  const view = new ObjectView<ClusterNode>();
  if (nodes !== undefined) {
    view.replace(nodes);
  }
  return { view, standings: new NodeStandings({ nodes: view, cloud: true }) };
}

describe("the standing of a host", () => {
  it.for([
    ["is ready before the Nodes were listed", undefined, {}, "ready"],
    ["is that of its Node", [clusterNode({ unschedulable: true })], {}, "leaving"],
    ["is that of its machine's new Node", [clusterNode({ uid: "uid-2", ready: "false" })], {}, "not-ready"],
    ["is leaving when its Node is gone", [], {}, "leaving"],
    [
      "is leaving when another machine has its name",
      [clusterNode({ uid: "uid-2", providerId: "aws:///a/i-2" })],
      {},
      "leaving",
    ],
    ["is ready for a host of the document without a Node", [], { origin: "document" }, "ready"],
    [
      "is the Node's for a host of the document",
      [clusterNode({ unschedulable: true })],
      { origin: "document" },
      "leaving",
    ],
  ] as const)("%s", ([, nodes, over, expected]) => {
    expect(standings(nodes).standings.standing({ ...host, ...over })).toBe(expected);
  });

  it("is told when it changes, and not when anything else of a Node does", () => {
    const { view, standings: own } = standings([]);
    const told: string[] = [];
    const end = own.onChange((name) => told.push(`${name} ${own.standing(host)}`));

    view.put(clusterNode());
    view.put(clusterNode({ labels: { a: "b" }, resourceVersion: "2" }));
    view.put(clusterNode({ ready: "unknown", resourceVersion: "3" }));
    view.put(clusterNode({ unschedulable: true, resourceVersion: "4" }));
    view.remove(clusterNode());
    end();
    view.put(clusterNode());

    expect(told).toEqual(["node-1 ready", "node-1 not-ready", "node-1 leaving", "node-1 leaving"]);
  });
});
