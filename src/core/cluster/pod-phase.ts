import type { ClusterPod } from "./objects.ts";

/** Whether the containers of a Pod have all ended, for good. */
export function isTerminal({ phase }: Pick<ClusterPod, "phase">): boolean {
  return phase === "Succeeded" || phase === "Failed";
}
