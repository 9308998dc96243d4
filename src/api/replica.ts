import type { LeaderView } from "../ports/election.ts";

// What the REST API asks of the process around it: whether it leads, whether its work goes on, whether its store answers.

/** Who leads among the replicas. */
export interface LeaderSource {
  /** `undefined` while nobody leads. */
  leader(): LeaderView | undefined;
  /** Name of this replica: it leads when the leader has this id. */
  readonly selfId: string;
}

/** The work that never ends: loops, watches, timers. */
export interface Liveness {
  /** What has stopped and will not go on by itself, one phrase each; empty while all is well. Answers at once. */
  stuck(): readonly string[];
}

/** The store, as far as an answer depends on it. */
export interface StoreContact {
  /** Milliseconds since the store last answered anything. */
  silentMs(): number;
}
