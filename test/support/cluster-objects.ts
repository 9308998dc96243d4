import type { ClusterNode } from "../../src/core/cluster/objects.ts";

/** A Node that is ready, on instance `i-1` at 172.16.0.1 in zone a, but for what is said otherwise. */
export function clusterNode(over: Partial<ClusterNode> = {}): ClusterNode {
  return {
    uid: "uid-1",
    namespace: "",
    name: "node-1",
    resourceVersion: "1",
    deleting: false,
    labels: { zone: "a" },
    internalIps: ["172.16.0.1"],
    providerId: "aws:///us-west-2a/i-1",
    ready: "true",
    networkUnavailable: "unknown",
    unschedulable: false,
    taints: [],
    ...over,
  };
}
