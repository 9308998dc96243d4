/**
 * What the probes say of a node.
 *
 * - `unknown`: never measured. `rising`: answers, but not yet `rise` times in a row, or its hold-down still runs.
 * - `up`: may be chosen. `suspect`: `fall` probes lost, the burst is under way. `down`: the burst confirmed it.
 * - `unmeasured`: we cannot send to it; `last` keeps the verdict from before (decision 22).
 */
export type NodeHealth = "unknown" | "rising" | "up" | "suspect" | "down" | "unmeasured";

export interface NodeHealthEntry {
  readonly health: NodeHealth;
  /** The last verdict that was measured; equals `health` unless that is `unmeasured` or `suspect`. */
  readonly last: "unknown" | "rising" | "up" | "down";
  /** Monotonic milliseconds at which the hold-down ends; 0 when there is none. */
  readonly holdDownUntil: number;
}

/** All verdicts at one moment. While `blind`, nobody answers us: no route may move on account of health. */
export interface HealthSnapshot {
  readonly blind: boolean;
  readonly nodes: ReadonlyMap<string, NodeHealthEntry>;
  /**
   * Whether `standIn` has answered a probe since `dead` was last found down, the burst that found it included. Nodes fail together: without this word a
   * stand-in may be as dead as the node it replaces, and only not found yet. Speaks of the moment of the call.
   */
  readonly confirmed: (standIn: string, dead: string) => boolean;
}
