import type { ControllerConfig } from "../config/load.ts";
import type { Clock } from "../ports/clock.ts";
import type { Cloud } from "../ports/cloud.ts";
import type { Logger } from "../ports/logger.ts";
import type { Meter } from "../ports/meter.ts";
import type { Prober } from "../ports/prober.ts";
import type { Store } from "../ports/store.ts";
import type { ClusterParts } from "./create-cluster.ts";
import type { RouteEngineConfig } from "./create-route-engine.ts";

/** The part of the configuration that the control plane itself needs; adapters are built by the caller. */
export type ControlPlaneConfig = RouteEngineConfig &
  Pick<ControllerConfig, "serviceRange" | "hostTags" | "leaderTtlMs" | "cloud" | "kubernetes">;

/** A region with its availability zones. */
export interface RegionZones {
  readonly region: string;
  readonly zones: readonly string[];
}

export interface ControlPlaneParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly store: Store;
  /** Root of all keys in the store, `/romana`. */
  readonly prefix: string;
  /** How this process is known to the others: a name of its own, and where its REST API is reached ("" when that is not known). */
  readonly replica: { readonly id: string; readonly url: string };
  /** From 0 (included) to 1 (excluded). */
  readonly random: () => number;
  /** Milliseconds since the machine started, suspended ones included. */
  readonly uptimeMs?: () => number;
  /** Absent with `--cloud none`: addresses are kept, no routes. */
  readonly cloud: Cloud | undefined;
  /** Absent with `--probe none`: nothing moves on account of health. */
  readonly prober: Prober | undefined;
  readonly config: ControlPlaneConfig;
  /** The topology to begin with, parsed JSON, used when the store holds none. */
  readonly initialTopology?: unknown;
  /** The cluster that is followed; absent where there is none. */
  readonly cluster?: ClusterParts | undefined;
  /** The zones of the region, for the topology to begin with; absent without a cloud. */
  readonly zones?: ((signal: AbortSignal) => Promise<RegionZones>) | undefined;
  /** Whether an address is the machine's that we run on; none is in a simulation. */
  readonly isOwn?: (address: string) => boolean;
  /** Counts what the controllers do. */
  readonly meter?: Meter | undefined;
  /** Watch streams that may be open at once; see `ResourceFeed`. */
  readonly maxStreams?: number;
  readonly version: string;
  /** `aws`, `simulation` or `none`. */
  readonly cloudName: string;
  readonly storeName: string;
}
