import { TokenBucket, type TokenBucketOptions } from "../core/cloud/token-bucket.ts";
import { NetworkError } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { Admit, Cloud, CloudAction, RouteWrite } from "../ports/cloud.ts";
import type { Meter } from "../ports/meter.ts";

/**
 * What became of one write. `superseded`: it was never sent, for a later decision about the same route took its place, or because its signal was
 * aborted, as at the end: whoever leads next plans it anew.
 */
export type WriteResult =
  | { readonly kind: "done" }
  | { readonly kind: "superseded" }
  | { readonly kind: "failed"; readonly error: NetworkError };

export interface RouteWriterOptions {
  readonly cloud: Cloud;
  readonly clock: Clock;
  /** One bucket of this size per EC2 action. */
  readonly bucket: TokenBucketOptions;
  /** Bulk writes in flight at once; failover has three times as many of its own. */
  readonly concurrency: number;
  /**
   * Called before every attempt: milliseconds that it may take at most (`Infinity`: any time). Throws when we may not write any more (we no longer lead, we shut
   * down).
   */
  readonly mayWrite: () => number;
  readonly meter?: Meter | undefined;
}

interface Job {
  readonly key: string;
  readonly epoch: number;
  readonly urgent: boolean;
  readonly perform: (admit: Admit, signal: AbortSignal) => Promise<void>;
  readonly signal: AbortSignal;
  readonly settle: (result: WriteResult) => void;
}

/** A failover is short and urgent: a node's routes in all tables shall go out in one wave. The token bucket bounds it. */
const URGENT_FACTOR = 3;
/**
 * Decisions whose writes may still come: passes follow one another and a failover submits within 200 ms, so nothing older than this many is under way. What is
 * remembered of older ones goes.
 */
const REMEMBERED_DECISIONS = 1000;
/** Routes and interfaces that are remembered at least, so that forgetting costs nothing where there is little to forget. */
const REMEMBERED_AT_LEAST = 1000;

const actions = { create: "CreateRoute", replace: "ReplaceRoute", delete: "DeleteRoute" } as const;

const SUPERSEDED = new NetworkError(
  "conflict",
  "WRITE_SUPERSEDED",
  "a later decision about the same route came first",
);

/**
 * Sends writes to EC2 within a budget: a token bucket per action, of which bulk work leaves a reserve to failover; failover ahead of everything that waits,
 * in slots of its own; at most one write per route in flight, the latest decision wins.
 *
 *     pass ──► bulk queue ────► 8 slots ──► token (leaves 20) ─┐
 *                                                              ├─► EC2
 *     failover ──► urgent queue ► 24 slots ─► token (any) ─────┘
 */
export class RouteWriter {
  readonly #options: RouteWriterOptions;
  readonly #buckets = new Map<CloudAction, TokenBucket>();
  readonly #urgent: Job[] = [];
  readonly #bulk: Job[] = [];
  readonly #inFlight = new Map<string, Job>();
  readonly #latest = new Map<string, number>();
  #newestEpoch = -1;
  #yieldedEpoch = -1;
  #forgetAt = REMEMBERED_AT_LEAST;
  #urgentActive = 0;
  #bulkActive = 0;

  constructor(options: RouteWriterOptions) {
    this.#options = options;
  }

  /** Writes one route. `epoch` orders decisions: a write of an older one than was already asked for about the same route is superseded. Never rejects. */
  write(write: RouteWrite, urgent: boolean, epoch: number, signal: AbortSignal): Promise<WriteResult> {
    const key = `${write.routeTableId} ${write.destination}`;
    return this.#submit(key, actions[write.kind], urgent, epoch, signal, (admit, abort) =>
      this.#options.cloud.writeRoute(write, admit, abort),
    );
  }

  /** Turns an interface's Source/Dest check off. Never rejects. */
  disableSourceDestCheck(interfaceId: string, epoch: number, signal: AbortSignal): Promise<WriteResult> {
    const action = "ModifyNetworkInterfaceAttribute";
    return this.#submit(interfaceId, action, false, epoch, signal, (admit, abort) =>
      this.#options.cloud.disableSourceDestCheck(interfaceId, admit, abort),
    );
  }

  /** Gives up the bulk writes of all decisions so far that were not sent yet, as superseded: the next pass plans them anew. */
  yieldBulk(): void {
    this.#yieldedEpoch = this.#newestEpoch;
    this.#bulk.splice(0).forEach((job) => job.settle({ kind: "superseded" }));
  }

  /** Writes that wait or are in flight. */
  get pending(): number {
    return this.#urgent.length + this.#bulk.length + this.#inFlight.size;
  }

  /** Routes and interfaces whose last decision is remembered. */
  get remembered(): number {
    return this.#latest.size;
  }

  #submit(
    key: string,
    action: CloudAction,
    urgent: boolean,
    epoch: number,
    signal: AbortSignal,
    perform: Job["perform"],
  ): Promise<WriteResult> {
    const { promise, resolve } = Promise.withResolvers<WriteResult>();
    const settle = (result: WriteResult): void => {
      this.#options.meter?.write(action, result.kind);
      resolve(result);
    };
    if ((this.#latest.get(key) ?? -1) > epoch) {
      settle({ kind: "superseded" });
      return promise;
    }
    this.#latest.set(key, epoch);
    this.#newestEpoch = Math.max(this.#newestEpoch, epoch);
    this.#forgetOld();
    for (const queue of [this.#urgent, this.#bulk]) {
      const index = queue.findIndex((job) => job.key === key);
      if (index >= 0) {
        queue.splice(index, 1).forEach((job) => job.settle({ kind: "superseded" }));
      }
    }
    (urgent ? this.#urgent : this.#bulk).push({ key, epoch, urgent, perform, signal, settle });
    this.#pump();
    return promise;
  }

  #forgetOld(): void {
    if (this.#latest.size < this.#forgetAt) {
      return;
    }
    for (const [key, epoch] of this.#latest) {
      if (epoch < this.#newestEpoch - REMEMBERED_DECISIONS) {
        this.#latest.delete(key);
      }
    }
    this.#forgetAt = Math.max(REMEMBERED_AT_LEAST, 2 * this.#latest.size);
  }

  #pump(): void {
    const { concurrency } = this.#options;
    for (;;) {
      const job =
        (this.#urgentActive < URGENT_FACTOR * concurrency ? this.#next(this.#urgent) : undefined) ??
        (this.#bulkActive < concurrency && this.#urgent.length === 0 ? this.#next(this.#bulk) : undefined);
      if (job === undefined) {
        return;
      }
      void this.#run(job);
    }
  }

  /** The first that waits whose route has no write in flight. */
  #next(queue: Job[]): Job | undefined {
    const index = queue.findIndex(({ key }) => !this.#inFlight.has(key));
    return index < 0 ? undefined : queue.splice(index, 1)[0];
  }

  async #run(job: Job): Promise<void> {
    this.#inFlight.set(job.key, job);
    this.#count(job, 1);
    let admitted = false;
    const admit: Admit = async (action) => {
      const allowedMs = await this.#admit(job, action);
      admitted = true;
      return allowedMs;
    };
    try {
      await job.perform(admit, job.signal);
      job.settle({ kind: "done" });
    } catch (error) {
      const givenUp = !admitted && job.signal.aborted;
      job.settle(
        givenUp || error === SUPERSEDED
          ? { kind: "superseded" }
          : { kind: "failed", error: asNetworkError(error) },
      );
    } finally {
      this.#inFlight.delete(job.key);
      this.#count(job, -1);
      this.#pump();
    }
  }

  async #admit(job: Job, action: CloudAction): Promise<number> {
    const { clock, bucket: size, mayWrite } = this.#options;
    const bucket = this.#buckets.get(action) ?? new TokenBucket(size);
    this.#buckets.set(action, bucket);
    for (;;) {
      job.signal.throwIfAborted();
      const yielded = !job.urgent && job.epoch <= this.#yieldedEpoch;
      if (yielded || (this.#latest.get(job.key) ?? job.epoch) > job.epoch) {
        throw SUPERSEDED;
      }
      const allowedMs = mayWrite();
      const waitMs = bucket.take(clock.monotonic(), job.urgent);
      if (waitMs === 0) {
        return allowedMs;
      }
      await clock.sleep(waitMs, job.signal);
    }
  }

  #count(job: Job, step: 1 | -1): void {
    if (job.urgent) {
      this.#urgentActive += step;
    } else {
      this.#bulkActive += step;
    }
  }
}

function asNetworkError(error: unknown): NetworkError {
  if (error instanceof NetworkError) {
    return error;
  }
  const message = error instanceof Error ? error.message : String(error);
  return new NetworkError("transient", "WRITE_FAILED", `the write did not end: ${message}`, {}, error);
}
