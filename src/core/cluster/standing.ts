import type { ClusterNode } from "./objects.ts";

/** What Kubernetes says of a node as a gateway; see `Standing` in `core/routing/gateway.ts`. */
export type NodeStanding = "ready" | "not-ready" | "leaving";

/**
 * Taints of a node that is about to go, by key: cordoned (Kubernetes), shut down by the cloud (its cloud provider), out of service (an operator), scaled down (cluster-autoscaler),
 * disrupted (karpenter, today's and the former key).
 */
const LEAVING_TAINTS: ReadonlySet<string> = new Set([
  "node.kubernetes.io/unschedulable",
  "node.kubernetes.io/out-of-service",
  "node.cloudprovider.kubernetes.io/shutdown",
  "ToBeDeletedByClusterAutoscaler",
  "karpenter.sh/disrupted",
  "karpenter.sh/disruption",
]);

/** Taints that say what the condition Ready says. */
const NOT_READY_TAINTS: ReadonlySet<string> = new Set([
  "node.kubernetes.io/not-ready",
  "node.kubernetes.io/unreachable",
]);

/**
 * How much a node wants to be a gateway (decision 22); the first row that fits counts:
 *
 *     deletionTimestamp                                       leaving
 *     spec.unschedulable (cordoned, draining)                 leaving
 *     a taint of a node that is about to go                   leaving
 *     Ready is false, unknown, or not there                   not-ready
 *     taint node.kubernetes.io/not-ready or unreachable       not-ready
 *     anything else                                           ready
 *
 * `leaving` hands its routes over while somebody can take them; `not-ready` is chosen last, and keeps what it has while it answers probes.
 */
export function standingOf(
  node: Pick<ClusterNode, "deleting" | "unschedulable" | "taints" | "ready">,
): NodeStanding {
  if (node.deleting || node.unschedulable || node.taints.some(({ key }) => LEAVING_TAINTS.has(key))) {
    return "leaving";
  }
  return node.ready !== "true" || node.taints.some(({ key }) => NOT_READY_TAINTS.has(key))
    ? "not-ready"
    : "ready";
}
