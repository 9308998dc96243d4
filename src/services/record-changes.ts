import { NetworkError } from "../core/errors.ts";
import type { Logger } from "../ports/logger.ts";
import type { CommitResult, Compare, Store, StoreOperation, Transaction } from "../ports/store.ts";
import { commitStaged, fits, rollForward, storedGeneration } from "./addressing/staging.ts";
import type { AddressingKeys } from "./keys.ts";
import { StagedOverlay } from "./staged-overlay.ts";
import type { StoreCache, StoreFollower } from "./store-follower.ts";

/** What a change of records needs of the follower. */
export type RecordFollower = Pick<
  StoreFollower,
  "add" | "commit" | "changedSince" | "reached" | "revision" | "sync"
>;

/** A cache whose decisions compare the revisions of its keys. */
export interface RecordCache extends StoreCache {
  /** Revision at which the key's object was last changed, 0 when there is none. */
  revisionOf(key: string): number;
}

export interface RecordChangesOptions {
  readonly store: Store;
  readonly follower: RecordFollower;
  readonly cache: RecordCache;
  readonly keys: AddressingKeys;
  /** All keys that are written stand below it. */
  readonly prefix: string;
  readonly log: Logger;
  /** From 0 to below 1: names staged changes. */
  readonly random: () => number;
}

/** What a decision about records comes to. */
export interface RecordDecision {
  readonly compare: readonly Compare[];
  readonly operations: readonly StoreOperation[];
}

/** How often a change is decided again after somebody else was faster. */
export const MAX_ATTEMPTS = 5;

/**
 * Changes of records that stand beside addressing's (policies, tenants). A decision that is lost to somebody faster is made again; one that says no is made again with all
 * that the store has, so that nobody is told no on account of what this replica does not know yet. Every transaction compares the generation: none comes between a
 * staged change and its keys. What does not fit a transaction is staged itself.
 */
export class RecordChanges {
  readonly #options: RecordChangesOptions;
  readonly #overlay: StagedOverlay;

  /** Adds the cache to the follower, so before that starts. */
  constructor(options: RecordChangesOptions) {
    this.#options = options;
    this.#overlay = new StagedOverlay(options);
    options.follower.add(this.#overlay);
  }

  /**
   * Decides, commits and answers with the store's revision; `undefined` when others were faster five times. `knowing` everything: with all that the store had when this
   * was called, for a decision that depends on more than the keys which it compares. Throws what `decide` and the store throw.
   */
  async run(
    decide: () => RecordDecision,
    signal: AbortSignal,
    { knowing }: { readonly knowing?: "everything" } = {},
  ): Promise<number | undefined> {
    let isSure = false;
    if (knowing === "everything") {
      await this.#options.follower.sync();
    }
    for (let attempt = 1; attempt <= MAX_ATTEMPTS;) {
      await this.#settled(signal);
      const decision = this.#attempt(decide, isSure);
      if (decision === undefined) {
        await this.#options.follower.sync();
        isSure = true;
        continue;
      }
      const result = await this.#commit(decision, signal);
      if (result.ok) {
        return result.revision;
      }
      await this.#caughtUp(decision, result.failed, signal);
      isSure = false;
      attempt += 1;
    }
    return undefined;
  }

  /** `undefined` for a no that is to be asked again. */
  #attempt(decide: () => RecordDecision, isSure: boolean): RecordDecision | undefined {
    try {
      return decide();
    } catch (error) {
      if (!isSure && this.#options.store.isShared && isDoubtful(error)) {
        return undefined;
      }
      throw error;
    }
  }

  async #settled(signal: AbortSignal): Promise<void> {
    const { follower } = this.#options;
    while (this.#overlay.isPending) {
      await follower.changedSince(follower.revision, signal);
    }
  }

  #commit({ compare, operations }: RecordDecision, signal: AbortSignal): Promise<CommitResult> {
    const { store, follower, keys } = this.#options;
    const generation = { key: keys.generation, modRevision: this.#overlay.generationRevision };
    const transaction = { compare: [...compare, generation], operations };
    return fits(store, transaction)
      ? follower.commit(transaction, signal)
      : this.#commitStaged(transaction, signal);
  }

  async #commitStaged(transaction: Transaction, signal: AbortSignal): Promise<CommitResult> {
    const { store, follower, keys, log, random } = this.#options;
    const id = [random(), random()].map((part) => Math.floor(part * 2 ** 40).toString(36)).join("");
    const change = { id, transaction, before: this.#overlay.generation };
    const result = await commitStaged(store, keys, change, signal).catch((failure: unknown) =>
      this.#findOut(id, failure, signal),
    );
    if (!result.ok) {
      const met = result.failed.map((item) => ("key" in item ? item.modRevision : item.maxRevision));
      await follower.reached(Math.max(0, ...met), signal);
      return result;
    }
    try {
      await rollForward(store, keys, signal);
    } catch (error) {
      log.warn({ err: error, staged: id }, "a large change is valid, and goes on to its keys in a moment");
    }
    await follower.reached(result.revision, signal);
    return result;
  }

  /** Whether a staged change whose answer was lost is valid. */
  async #findOut(id: string, failure: unknown, signal: AbortSignal): Promise<CommitResult> {
    const { store, keys } = this.#options;
    if (failure instanceof NetworkError && failure.kind === "transient") {
      const { generation, modRevision } = await storedGeneration(store, keys, signal);
      if (generation.last === id) {
        return { ok: true, revision: modRevision };
      }
    }
    throw failure;
  }

  /** Waits until the cache no longer shows what lost its compare: a key that is gone has no revision that the store could name. */
  async #caughtUp(
    { compare }: RecordDecision,
    failed: readonly Compare[],
    signal: AbortSignal,
  ): Promise<void> {
    const { follower, cache } = this.#options;
    const gone = new Set(
      failed.flatMap((item) => ("key" in item && item.modRevision === 0 ? [item.key] : [])),
    );
    for (const item of compare) {
      if ("key" in item && gone.has(item.key)) {
        while (cache.revisionOf(item.key) === item.modRevision) {
          await follower.changedSince(follower.revision, signal);
        }
      }
    }
  }
}

/** A no on account of what there is or is not, which may have changed. */
function isDoubtful(error: unknown): boolean {
  return error instanceof NetworkError && ["conflict", "not-found", "exhausted"].includes(error.kind);
}
