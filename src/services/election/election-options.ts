import type { Clock } from "../../ports/clock.ts";
import type { Logger } from "../../ports/logger.ts";
import type { Store } from "../../ports/store.ts";

/** What a replica stands for election with, wherever that is held. */
export interface ElectionOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  /** Root of all keys, `/romana`; the leader's key is `<prefix>/leader`. */
  readonly prefix: string;
  /** Name of this replica, unique among those that run. */
  readonly id: string;
  /** Where its REST API is reached; "" when that is not known. */
  readonly url: string;
  /** How long a leader that fell silent is waited for, 1,000 ms or more; at most 60,000 by a Lease, in whole seconds, rounded up. */
  readonly ttlMs: number;
  /** From 0 (included) to 1 (excluded); spreads the candidates, and makes holders of a Lease unique. */
  readonly random: () => number;
  /** Milliseconds since the machine started, those in which it was suspended included; the monotonic clock may stand still meanwhile. */
  readonly uptimeMs?: () => number;
}
