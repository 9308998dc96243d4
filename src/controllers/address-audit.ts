import { NetworkError } from "../core/errors.ts";
import type { IpamCheck, LeakRelease } from "../core/views/ipam-views.ts";
import type { AddressCollector } from "./address-collector.ts";

export interface AddressAuditOptions {
  /** Whether a cluster is followed at all. */
  readonly followsCluster: boolean;
  /** That of the term; `undefined` on a replica whose duties as leader have not begun. */
  readonly collector: () => Pick<AddressCollector, "check" | "releaseLeaked"> | undefined;
}

/** Asks the collector of the term, whichever that is. Throws `CLUSTER_NOT_FOLLOWED` (conflict) and `LEADER_NONE` (transient). */
export class AddressAudit {
  readonly #options: AddressAuditOptions;

  constructor(options: AddressAuditOptions) {
    this.#options = options;
  }

  /** See `AddressCollector.check`. */
  async check(signal: AbortSignal): Promise<IpamCheck> {
    return this.#collector().check(signal);
  }

  /** See `AddressCollector.releaseLeaked`. */
  async releaseLeaked(
    options: Parameters<AddressCollector["releaseLeaked"]>[0],
    signal: AbortSignal,
  ): Promise<LeakRelease> {
    return this.#collector().releaseLeaked(options, signal);
  }

  #collector(): NonNullable<ReturnType<AddressAuditOptions["collector"]>> {
    const { followsCluster, collector } = this.#options;
    if (!followsCluster) {
      throw new NetworkError(
        "conflict",
        "CLUSTER_NOT_FOLLOWED",
        "no cluster is followed, so nobody knows which Pods there are: start the controller with --kubernetes",
      );
    }
    const found = collector();
    if (found === undefined) {
      throw new NetworkError(
        "transient",
        "LEADER_NONE",
        "the leader has not begun its duties yet: try again in a second",
      );
    }
    return found;
  }
}
