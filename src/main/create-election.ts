import type { LeaseLock } from "../ports/cluster.ts";
import type { Election } from "../ports/election.ts";
import type { ElectionOptions } from "../services/election/election-options.ts";
import { LeaseElection } from "../services/lease-election.ts";
import { StoreElection } from "../services/store-election.ts";
import type { StoreCache } from "../services/store-follower.ts";

/** The election of every process that may lead: by the Lease where there is one, else in the store. To be added to the follower of that store. */
export function createElection(options: ElectionOptions, lock: LeaseLock | undefined): Election & StoreCache {
  return lock === undefined ? new StoreElection(options) : new LeaseElection({ ...options, lock });
}
