import fc from "fast-check";
import { describe, expect, it } from "vitest";

import type { ClusterNode } from "../../../src/core/cluster/objects.ts";
import { standingOf } from "../../../src/core/cluster/standing.ts";
import { clusterNode } from "../../support/cluster-objects.ts";

const taint = (key: string): Partial<ClusterNode> => ({ taints: [{ key, value: "", effect: "NoSchedule" }] });

describe("the standing of a node", () => {
  it.for([
    ["ready", {}, "ready"],
    ["being deleted", { deleting: true }, "leaving"],
    ["cordoned or draining", { unschedulable: true }, "leaving"],
    ["tainted as cordoned", taint("node.kubernetes.io/unschedulable"), "leaving"],
    ["out of service", taint("node.kubernetes.io/out-of-service"), "leaving"],
    ["shut down by its cloud", taint("node.cloudprovider.kubernetes.io/shutdown"), "leaving"],
    ["scaled down by the autoscaler", taint("ToBeDeletedByClusterAutoscaler"), "leaving"],
    ["disrupted by karpenter", taint("karpenter.sh/disrupted"), "leaving"],
    ["disrupted by a former karpenter", taint("karpenter.sh/disruption"), "leaving"],
    ["only a candidate of the autoscaler", taint("DeletionCandidateOfClusterAutoscaler"), "ready"],
    ["not ready", { ready: "false" }, "not-ready"],
    ["not heard of", { ready: "unknown" }, "not-ready"],
    ["tainted as not ready", taint("node.kubernetes.io/not-ready"), "not-ready"],
    ["tainted as unreachable", taint("node.kubernetes.io/unreachable"), "not-ready"],
    ["waiting for its agent", taint("romana.io/agent-not-ready"), "ready"],
    ["under disk pressure", taint("node.kubernetes.io/disk-pressure"), "ready"],
    ["tainted by somebody", taint("example.com/gpu"), "ready"],
  ] as const)("that is %s", ([, over, expected]) => {
    expect(standingOf(clusterNode(over as Partial<ClusterNode>))).toBe(expected);
  });

  it("is leaving when it is cordoned, whatever else is said of it", () => {
    fc.assert(
      fc.property(fc.constantFrom("true", "false", "unknown"), fc.array(fc.string()), (ready, keys) => {
        const taints = keys.map((key) => ({ key, value: "", effect: "NoExecute" }));
        expect(standingOf({ ready, taints, deleting: false, unschedulable: true })).toBe("leaving");
      }),
    );
  });
});
