import type { ClusterNode } from "./objects.ts";

/** The taint with which the kubelet registers a node, so that no pod comes before its agent. */
export const AGENT_TAINT = "romana.io/agent-not-ready";

/** An agent that says for so long that it is not ready means it; until then it may be starting, or updating. */
export const NOT_READY_MS = 300_000;

/** What is known of the agent of a node. */
export interface AgentWord {
  /** `silent`: nothing was heard for more than 90 s, or ever; that proves nothing (law 4). */
  readonly says: "ready" | "not-ready" | "silent";
  /** For how long it has said so without a break, in milliseconds. */
  readonly forMs: number;
}

export type ReadinessStep = "network-available" | "network-unavailable" | "remove-taint";

/**
 * The next write on a node; one at a time, because each changes the node's resourceVersion. `waiting`: the agent is ready, and the routes of its group are not there yet.
 *
 *     host   agent                   routes   NetworkUnavailable   taint   result
 *     -----  ----------------------  -------  -------------------  ------  ---------------------------------
 *     no     any                     any      any                  any     nothing
 *     yes    ready                   open     any                  any     nothing, waiting
 *     yes    ready                   stand    not False            any     NetworkUnavailable=False
 *     yes    ready                   stand    False                there   the taint goes
 *     yes    not ready for 5 min     any      not True             any     NetworkUnavailable=True
 *     yes    not ready for less      any      any                  any     nothing
 *     yes    silent                  any      any                  any     nothing
 *
 * The taint never comes back: it is for nodes that were never ready. NetworkUnavailable=True keeps new pods away (the node lifecycle controller taints the node for it); pods that
 * run are left alone.
 */
export function planReadiness(
  node: Pick<ClusterNode, "networkUnavailable" | "taints">,
  agent: AgentWord,
  isHost: boolean,
  routesStand: () => boolean,
): { readonly step: ReadinessStep | undefined; readonly waiting: boolean } {
  if (
    isHost &&
    agent.says === "not-ready" &&
    agent.forMs >= NOT_READY_MS &&
    node.networkUnavailable !== "true"
  ) {
    return { step: "network-unavailable", waiting: false };
  }
  const isTainted = node.taints.some(({ key }) => key === AGENT_TAINT);
  if (!isHost || agent.says !== "ready" || (node.networkUnavailable === "false" && !isTainted)) {
    return { step: undefined, waiting: false };
  }
  if (!routesStand()) {
    return { step: undefined, waiting: true };
  }
  return { step: node.networkUnavailable === "false" ? "remove-taint" : "network-available", waiting: false };
}
