import type { ClusterKind, ClusterObjects } from "../../core/cluster/objects.ts";
import type { Clock } from "../../ports/clock.ts";
import type { ClusterSource, FollowState, ObjectSink } from "../../ports/cluster.ts";
import type { Logger } from "../../ports/logger.ts";
import { FollowRecord } from "./follow-state.ts";
import { followTimes, Reflector, type FollowTimes } from "./reflector.ts";
import { kindsOfObjects } from "./schema.ts";
import type { Transport } from "./transport.ts";

export interface KubernetesClusterOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly log: Logger;
  /** `Math.random` unless given. */
  readonly random?: () => number;
  readonly times?: Partial<FollowTimes>;
}

const untouched: FollowState = { problem: "", missingVerb: "", lists: 0, watches: 0, read: 0, unreadable: 0 };

/** A cluster of Kubernetes, followed by list and watch of our own (docs/adr/0021-own-list-and-watch.md). */
export class KubernetesCluster implements ClusterSource {
  readonly #options: KubernetesClusterOptions;
  readonly #records = new Map<ClusterKind, FollowRecord>();

  constructor(options: KubernetesClusterOptions) {
    this.#options = options;
  }

  async follow<K extends ClusterKind>(
    kind: K,
    sink: ObjectSink<ClusterObjects[K]>,
    signal: AbortSignal,
  ): Promise<void> {
    const { transport, clock, log, random = Math.random, times = {} } = this.#options;
    const record = new FollowRecord(kind, log);
    this.#records.set(kind, record);
    const how = kindsOfObjects[kind];
    const reflector = new Reflector<K>(
      { kind, how, sink, record, transport, clock, random, times: { ...followTimes, ...times } },
      signal,
    );
    await reflector.run();
  }

  state(kind: ClusterKind): FollowState {
    return this.#records.get(kind)?.state ?? untouched;
  }
}
