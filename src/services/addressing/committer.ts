import { NetworkError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Compare, CommitResult, Store, StoreEntry, Transaction } from "../../ports/store.ts";
import type { StoreFollower } from "../store-follower.ts";
import type { AddressingCache } from "./cache.ts";

/** How often a change is planned again after somebody else was faster. */
export const MAX_ATTEMPTS = 20;

/** How long the outcome of a commit, and its arrival in the cache, is waited for. */
const COMMIT_MS = 10_000;
/** For reading what became of a commit whose outcome is unknown. */
const READ_MS = 3_000;
/** For the cache to have the change that a lost compare met. */
const BEHIND_MS = 2_000;

/** What `Committer` needs. */
export interface CommitterOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly follower: StoreFollower;
  readonly cache: AddressingCache;
}

/** The ways to the store that all changes share, each bounded in time: once a transaction is sent, its outcome is awaited whoever asked for it. */
export class Committer {
  readonly #options: CommitterOptions;

  constructor(options: CommitterOptions) {
    this.#options = options;
  }

  /** Commits; resolves when the cache has it, or what a lost compare met. Rejects with `STORE_UNAVAILABLE` when the outcome is unknown, and with what the store throws. */
  commit(transaction: Transaction): Promise<CommitResult> {
    const { follower } = this.#options;
    return this.within(COMMIT_MS, (signal) => follower.commit(transaction, signal));
  }

  /** Resolves when decisions can be made from the cache. */
  ready(): Promise<void> {
    const { cache } = this.#options;
    return cache.isReady ? Promise.resolve() : this.within(COMMIT_MS, (signal) => cache.ready(signal));
  }

  /** Resolves when the cache has all that the store had when this was called. */
  sync(): Promise<void> {
    return this.#options.follower.sync();
  }

  get(key: string): Promise<StoreEntry | undefined> {
    return this.within(READ_MS, (signal) => this.#options.store.get(key, signal));
  }

  /** Resolves when the cache stands at `revision`. */
  reached(revision: number): Promise<void> {
    return this.within(COMMIT_MS, (signal) => this.#options.follower.reached(revision, signal));
  }

  /** After a lost compare: resolves when the cache no longer has what the decision was made from, or when that took too long. Never rejects. */
  async caughtUp(transaction: Transaction, failed: readonly Compare[]): Promise<void> {
    const { cache } = this.#options;
    const gone = failed.flatMap((item) => ("key" in item && item.modRevision === 0 ? [item.key] : []));
    const expected = new Map(
      transaction.compare.flatMap((item) => ("key" in item ? [[item.key, item.modRevision] as const] : [])),
    );
    await this.holds(() =>
      gone.every((key) => {
        const known = cache.current.revisions.get(key) ?? 0;
        return known !== expected.get(key) || known === 0;
      }),
    );
  }

  /** Resolves when `condition` holds for the cache, or when that took too long. Never rejects. */
  async holds(condition: () => boolean): Promise<void> {
    const { follower } = this.#options;
    try {
      await this.within(BEHIND_MS, async (signal) => {
        while (!condition()) {
          await follower.changedSince(follower.revision, signal);
        }
      });
    } catch (error) {
      if (!(error instanceof NetworkError)) {
        throw error;
      }
    }
  }

  async within<T>(timeoutMs: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const attempt = new AbortController();
    const timer = this.#options.clock.setTimer(timeoutMs, () =>
      attempt.abort(
        new NetworkError("transient", "STORE_UNAVAILABLE", `the store did not answer within ${timeoutMs} ms`),
      ),
    );
    try {
      return await work(attempt.signal);
    } finally {
      timer.cancel();
    }
  }
}

/** True when the transaction may have been taken all the same. */
export function isUnknown(failure: unknown): boolean {
  return !(failure instanceof NetworkError) || failure.kind === "transient" || isFull(failure);
}

/** What its caller is told of a failed transaction that the store, asked again, does not show to have been taken. */
export function notTaken(what: string, failure: unknown): unknown {
  return isFull(failure) ? failure : outcomeUnknown(what, [failure]);
}

/**
 * etcd looks at its quota twice: before it takes a transaction, and again when it has applied it. The second look may say that there is no space although the transaction
 * stands (`quotaApplierV3.Txn`, 3.4). Its answer comes after that, so what is read then is the outcome.
 */
function isFull(failure: unknown): boolean {
  return failure instanceof NetworkError && failure.code === "STORE_FULL";
}

/** For a caller who cannot be told what became of his change. */
export function outcomeUnknown(what: string, causes: readonly unknown[]): NetworkError {
  return new NetworkError(
    "transient",
    "STORE_UNAVAILABLE",
    `the store did not answer, and it is unknown whether it took ${what}; look, or try again in a moment`,
    {},
    new AggregateError(causes),
  );
}

/** For a change that lost its compare too often. */
export function contended(): NetworkError {
  return new NetworkError(
    "transient",
    "ADDRESSING_CONTENDED",
    `others changed the same addresses or hosts first, ${MAX_ATTEMPTS} times; try again in a moment`,
  );
}
