import { NetworkError } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";
import type {
  CommitResult,
  Store,
  StoreBatch,
  StoreEntry,
  StoreEvent,
  StoreOperation,
  Transaction,
} from "../ports/store.ts";

/** One object's change as a cache needs it. */
export type FollowedEvent =
  | { readonly kind: "put"; readonly key: string; readonly value: string; readonly modRevision: number }
  | { readonly kind: "delete"; readonly key: string; readonly modRevision: number };

/** All that one revision changed under the prefix. */
export interface FollowedBatch {
  readonly revision: number;
  readonly events: readonly FollowedEvent[];
}

/** A cache of what the store holds. Both calls must not throw; they see every revision once and in order, or a `reset` in between. */
export interface StoreCache {
  /** Everything under the prefix as of `revision`: at the start, and when the history did not reach back. */
  reset(entries: readonly StoreEntry[], revision: number): void;
  apply(batch: FollowedBatch): void;
}

export interface FollowerOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  /** Root of all keys, `/romana`. */
  readonly prefix: string;
}

/** How long the store may be silent before it is asked for a sign of life. */
const ASK_AFTER_MS = 2_000;
/** One attempt to ask, list or watch again. */
const ATTEMPT_MS = 5_000;
/** Between attempts, doubled each time, with the last as the bound. */
const FIRST_RETRY_MS = 50;
const LONGEST_RETRY_MS = 2_000;

/**
 * Keeps the caches of one process in step with the store: one list at the start, then one watch of everything under the prefix, each revision handed to every cache in
 * turn. What this process commits through it is applied as soon as it is acknowledged when nothing else came in between, and by the watch otherwise; in both
 * cases `commit` resolves after the caches have it, so that whoever wrote reads what he wrote.
 *
 *     store ──watch──► follower ──batch──► addressing, policies, tenants, leader
 *       ▲                 │
 *       └─────commit──────┘
 *
 * A watch that fails is started again after the last applied revision; only if the history no longer reaches back is all listed again (`reset`).
 */
export class StoreFollower {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #root: string;
  readonly #caches = new Set<StoreCache>();
  readonly #waiting: { readonly revision: number; readonly resolve: () => void }[] = [];
  readonly #ending = new AbortController();
  /** What the store acknowledged and the watch has not delivered yet, by revision. */
  readonly #acknowledged = new Map<number, FollowedBatch>();
  #revision: number;
  #entries: readonly StoreEntry[] | undefined;
  #answeredMs: number;
  #lastSync: Promise<void> = Promise.resolve();
  #nextSync: Promise<void> | undefined;
  #failure: string | undefined;
  #work: Promise<void> = Promise.resolve();

  private constructor(
    { store, clock, log, prefix }: FollowerOptions,
    entries: readonly StoreEntry[],
    revision: number,
  ) {
    this.#store = store;
    this.#clock = clock;
    this.#log = log.child({ component: "store" });
    this.#root = `${prefix}/`;
    this.#entries = entries;
    this.#revision = revision;
    this.#answeredMs = clock.monotonic();
  }

  /** Lists everything under the prefix. Throws what `Store.list` throws. */
  static async open(options: FollowerOptions, signal: AbortSignal): Promise<StoreFollower> {
    const { entries, revision } = await options.store.list(`${options.prefix}/`, signal);
    return new StoreFollower(options, entries, revision);
  }

  /** Hands what was listed to the cache, and every change from then on. Before `start`. */
  add(cache: StoreCache): void {
    if (this.#entries === undefined) {
      throw new TypeError("caches are added before the store is followed");
    }
    this.#caches.add(cache);
    cache.reset(this.#entries, this.#revision);
  }

  /** Begins to watch; the list of the start is let go. */
  start(): void {
    this.#entries = undefined;
    this.#work = Promise.all([this.#follow(), this.#askForLife()]).then(
      () => undefined,
      (error: unknown) => {
        this.#failure = error instanceof Error ? error.message : String(error);
        this.#log.error({ err: error }, "the store is followed no longer");
      },
    );
  }

  /** Revision that the caches stand at. */
  get revision(): number {
    return this.#revision;
  }

  /** Milliseconds since the store last answered anything. */
  silentMs(): number {
    return this.#clock.monotonic() - this.#answeredMs;
  }

  /** Resolves when the caches stand at `revision` or later. */
  async reached(revision: number, signal: AbortSignal): Promise<void> {
    if (this.#revision >= revision) {
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const entry = { revision, resolve };
    this.#waiting.push(entry);
    const abort = (): void => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    try {
      signal.throwIfAborted();
      await promise;
    } finally {
      signal.removeEventListener("abort", abort);
      const index = this.#waiting.indexOf(entry);
      if (index >= 0) {
        this.#waiting.splice(index, 1);
      }
    }
  }

  /** Resolves when the caches have seen a revision after `revision`. */
  changedSince(revision: number, signal: AbortSignal): Promise<void> {
    return this.reached(revision + 1, signal);
  }

  /**
   * `Store.commit` for a transaction with at least one put, all of it under the prefix. Resolves after the caches have it; when a compare failed, after they have the
   * changes that it met (a key that was deleted shows no revision: wait for that with `changedSince`). An abort of `signal` once the store answered is an
   * error although the transaction stands.
   */
  async commit(transaction: Transaction, signal: AbortSignal): Promise<CommitResult> {
    const result = await this.#store.commit(transaction, signal);
    this.#answered();
    if (!result.ok) {
      // Not `result.revision`: others may use the same store, and what they write is never delivered here.
      const met = result.failed.map((item) => ("key" in item ? item.modRevision : item.maxRevision));
      await this.reached(Math.max(0, ...met), signal);
    } else if (result.revision > this.#revision) {
      this.#acknowledged.set(result.revision, batchOf(result.revision, transaction.operations));
      this.#applyAcknowledged();
      await this.reached(result.revision, signal);
    }
    return result;
  }

  /**
   * Resolves when the caches have all that the store had taken when this was called, whoever wrote it: before somebody is told no on account of what a cache has. Costs a write
   * where others write too, which all calls share that wait. Rejects with `STORE_UNAVAILABLE`.
   */
  sync(): Promise<void> {
    if (!this.#store.isShared) {
      return Promise.resolve();
    }
    if (this.#nextSync === undefined) {
      const next = this.#lastSync.then(() => {
        // Whoever calls from here on came too late for this write.
        this.#nextSync = undefined;
        return this.#within(ATTEMPT_MS, (signal) => this.#mark(signal));
      });
      this.#nextSync = next;
      this.#lastSync = next.catch(() => undefined);
    }
    return this.#nextSync;
  }

  async #mark(signal: AbortSignal): Promise<void> {
    const put = { kind: "put", key: `${this.#root}mark`, value: "{}" } as const;
    await this.commit({ compare: [], operations: [put] }, signal);
  }

  /** What has ended and should not have, one phrase each. */
  stuck(): readonly string[] {
    return this.#failure === undefined ? [] : [`the store is followed no longer: ${this.#failure}`];
  }

  /** Ends the watch. The store stays open. */
  async stop(): Promise<void> {
    this.#ending.abort(new Error("the store is no longer followed"));
    await this.#work;
  }

  #answered(): void {
    this.#answeredMs = this.#clock.monotonic();
  }

  #deliver(batch: FollowedBatch): void {
    this.#revision = batch.revision;
    for (const cache of this.#caches) {
      cache.apply(batch);
    }
    for (const { revision, resolve } of this.#waiting) {
      if (revision <= batch.revision) {
        resolve();
      }
    }
  }

  /** Applies what follows directly on what the caches have: nothing else can have come in between. */
  #applyAcknowledged(): void {
    for (;;) {
      const next = this.#acknowledged.get(this.#revision + 1);
      if (next === undefined) {
        return;
      }
      this.#acknowledged.delete(next.revision);
      this.#deliver(next);
    }
  }

  async #follow(): Promise<void> {
    const { signal } = this.#ending;
    let retryMs = FIRST_RETRY_MS;
    while (!signal.aborted) {
      try {
        for await (const batch of this.#store.watch(this.#root, this.#revision, signal)) {
          this.#answered();
          this.#watched(batch);
          retryMs = FIRST_RETRY_MS;
        }
      } catch (error) {
        if (codeOf(error) === "STORE_CLOSED") {
          return;
        }
        this.#log.warn(
          { err: error, revision: this.#revision },
          "the watch of the store ended; it is started again",
        );
        await this.#recover(error, retryMs);
        retryMs = Math.min(LONGEST_RETRY_MS, retryMs * 2);
      }
    }
  }

  #watched(batch: StoreBatch): void {
    const { revision } = batch;
    if (revision <= this.#revision) {
      return;
    }
    for (const known of this.#acknowledged.keys()) {
      if (known <= revision) {
        this.#acknowledged.delete(known);
      }
    }
    this.#deliver({ revision, events: batch.events.map(followed) });
    this.#applyAcknowledged();
  }

  /** Lists again when the history has a gap; else waits a little, so that the watch can be started where it ended. Never rejects. */
  async #recover(failure: unknown, retryMs: number): Promise<void> {
    try {
      if (codeOf(failure) === "STORE_COMPACTED") {
        await this.#within(ATTEMPT_MS * 12, (signal) => this.#listAgain(signal));
      } else {
        await this.#clock.sleep(retryMs, this.#ending.signal);
      }
    } catch (error) {
      if (!this.#ending.signal.aborted) {
        this.#log.warn({ err: error }, "the store cannot be listed; it is tried again");
        await this.#pause(retryMs);
      }
    }
  }

  async #listAgain(signal: AbortSignal): Promise<void> {
    const { entries, revision } = await this.#store.list(this.#root, signal);
    this.#answered();
    this.#acknowledged.clear();
    this.#revision = revision;
    for (const cache of this.#caches) {
      cache.reset(entries, revision);
    }
    this.#waiting.filter((item) => item.revision <= revision).forEach(({ resolve }) => resolve());
    this.#log.info({ revision, entries: entries.length }, "everything was read again from the store");
  }

  /** Asks the store for anything when nothing was heard of it for a while, so that `silentMs` grows only when it does not answer. */
  async #askForLife(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      await this.#pause(Math.max(ASK_AFTER_MS / 4, ASK_AFTER_MS - this.silentMs()));
      if (signal.aborted || this.silentMs() < ASK_AFTER_MS) {
        continue;
      }
      try {
        await this.#within(ATTEMPT_MS, (attempt) => this.#store.get(`${this.#root}schema`, attempt));
        this.#answered();
      } catch (error) {
        this.#log.debug({ err: error, silentMs: this.silentMs() }, "the store does not answer");
      }
    }
  }

  async #within<T>(timeoutMs: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const attempt = new AbortController();
    const timer = this.#clock.setTimer(timeoutMs, () =>
      attempt.abort(
        new NetworkError("transient", "STORE_UNAVAILABLE", `the store did not answer within ${timeoutMs} ms`),
      ),
    );
    try {
      return await work(AbortSignal.any([attempt.signal, this.#ending.signal]));
    } finally {
      timer.cancel();
    }
  }

  /** `Clock.sleep` that ends early, without an error, when the follower is stopped. */
  #pause(delayMs: number): Promise<void> {
    const { signal } = this.#ending;
    return this.#clock.sleep(delayMs, signal).catch((error: unknown) => {
      if (!signal.aborted) {
        throw error;
      }
    });
  }
}

function followed(event: StoreEvent): FollowedEvent {
  if (event.kind === "delete") {
    return event;
  }
  const { key, value, modRevision } = event.entry;
  return { kind: "put", key, value, modRevision };
}

function batchOf(revision: number, operations: readonly StoreOperation[]): FollowedBatch {
  return {
    revision,
    events: operations.map((operation) =>
      operation.kind === "put"
        ? { kind: "put", key: operation.key, value: operation.value, modRevision: revision }
        : { kind: "delete", key: operation.key, modRevision: revision },
    ),
  };
}

function codeOf(error: unknown): string {
  return error instanceof NetworkError ? error.code : "";
}
