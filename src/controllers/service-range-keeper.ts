import type { ClusterService, ClusterServiceCidr } from "../core/cluster/objects.ts";
import { keyOf } from "../core/cluster/objects.ts";
import { API_SERVICE, findServiceRanges, type ServiceRangeFinding } from "../core/cluster/service-range.ts";
import type { Cidr } from "../core/net/cidr.ts";
import type { ReservedRange } from "../core/topology/check-topology.ts";
import type { Clock } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";
import type { ObjectReader } from "../services/cluster/object-view.ts";

export interface ServiceRangeKeeperOptions {
  readonly serviceCidrs: ObjectReader<ClusterServiceCidr>;
  readonly services: ObjectReader<ClusterService>;
  /** `--service-range`. */
  readonly flag: Cidr | undefined;
  /** Called with every range of service addresses, at the start and after each change; it must not throw. */
  readonly onRange: (ranges: readonly ReservedRange[]) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** How long ServiceCIDRs are waited for when Services are known. */
const PATIENCE_MS = 10_000;

/** Follows the ranges of service addresses, on every replica: whoever takes a topology must know them, and a ServiceCIDR may be added at any time. */
export class ServiceRangeKeeper {
  readonly #options: ServiceRangeKeeperOptions;
  readonly #ends: (() => void)[] = [];
  #finding: ServiceRangeFinding = { ranges: [], warnings: [] };

  constructor(options: ServiceRangeKeeperOptions) {
    this.#options = options;
  }

  /** What is known now. */
  finding(): ServiceRangeFinding {
    return this.#finding;
  }

  /**
   * Resolves once the API server has told both kinds, `start` called: what is known then is all that the cluster says, and a topology can be held against it. ServiceCIDRs that do not come within
   * 10 s of the Services (the role may lack them) are not waited for. Rejects with the signal's reason.
   */
  async whenTold(signal: AbortSignal): Promise<void> {
    const { serviceCidrs, services, clock } = this.#options;
    await told(services, signal);
    const patience = new AbortController();
    const timer = clock.setTimer(PATIENCE_MS, () => patience.abort(new Error("they do not come")));
    try {
      await told(serviceCidrs, AbortSignal.any([signal, patience.signal]));
    } catch (error) {
      signal.throwIfAborted();
      this.#options.log.warn({ err: error }, "a topology is chosen without the ServiceCIDRs of the cluster");
    } finally {
      timer.cancel();
    }
  }

  start(): void {
    const { serviceCidrs, services } = this.#options;
    const look = (): void => this.#look();
    this.#ends.push(
      serviceCidrs.onSynced(look),
      serviceCidrs.onChange(look),
      services.onSynced(look),
      services.onChange(({ object }) => {
        if (keyOf(object) === API_SERVICE) {
          look();
        }
      }),
    );
    look();
  }

  stop(): Promise<void> {
    this.#ends.splice(0).forEach((end) => end());
    return Promise.resolve();
  }

  #look(): void {
    const { serviceCidrs, services, flag, onRange, log } = this.#options;
    const finding = findServiceRanges({
      serviceCidrs: serviceCidrs.synced ? [...serviceCidrs.values()] : undefined,
      apiServiceIps: services.synced ? (services.get(API_SERVICE)?.clusterIps ?? []) : undefined,
      flag,
    });
    const { ranges, warnings } = this.#finding;
    this.#finding = finding;
    for (const warning of finding.warnings.filter((each) => !warnings.includes(each))) {
      log.warn({ warning }, "the service range wants a look");
    }
    if (JSON.stringify(finding.ranges) !== JSON.stringify(ranges)) {
      log.info(
        { ranges: finding.ranges.map(({ cidr, learned }) => `${cidr} (${learned.replace(/,$/, "")})`) },
        "no network may overlap the service range",
      );
      onRange(finding.ranges.map(({ cidr, learned }) => ({ cidr, what: `the service range ${learned}` })));
    }
  }
}

/** Resolves once all objects of a kind were listed. Rejects with the signal's reason. */
async function told(view: ObjectReader<unknown>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const giveUp = (): void => reject(signal.reason as Error);
  signal.addEventListener("abort", giveUp, { once: true });
  const end = view.onSynced(resolve);
  try {
    await promise;
  } finally {
    end();
    signal.removeEventListener("abort", giveUp);
  }
}
