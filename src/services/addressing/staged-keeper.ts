import type { Clock, Timer } from "../../ports/clock.ts";
import type { Logger } from "../../ports/logger.ts";
import type { Store } from "../../ports/store.ts";
import type { AddressingKeys } from "../keys.ts";
import type { AddressingCache } from "./cache.ts";
import { rollForward, sweep } from "./staging.ts";

/** A valid change at which nobody was seen to work for so long is taken over. */
const STALLED_MS = 2_000;
/** What was staged so long ago, and named by no generation, has lost its writer. */
const LEFT_OVER_MS = 300_000;
/** For one attempt at either. */
const WORK_MS = 120_000;

/** What `StagedKeeper` needs. */
export interface StagedKeeperOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly keys: AddressingKeys;
  readonly cache: AddressingCache;
}

/** Ends what the writer of a large change left behind: brings a valid one to its keys, deletes parts that never became valid. Idle while nothing is staged. */
export class StagedKeeper {
  readonly #options: StagedKeeperOptions;
  readonly #stopping = new AbortController();
  #timer: Timer | undefined;
  /** The valid change that the timer is for; `undefined`: what is staged only. */
  #awaited: string | undefined;
  #isWorking = false;

  constructor(options: StagedKeeperOptions) {
    this.#options = options;
  }

  /** Something staged came or went. */
  look(): void {
    const { cache, clock } = this.#options;
    const isIdle = cache.pending === undefined && cache.staged.size === 0;
    if (isIdle) {
      this.#timer?.cancel();
      this.#timer = undefined;
      return;
    }
    const { pending, progress } = cache;
    if (pending?.staged !== this.#awaited) {
      // What became valid is not waited for as long as what was only staged.
      this.#timer?.cancel();
      this.#timer = undefined;
    }
    if (this.#timer !== undefined || this.#isWorking || this.#stopping.signal.aborted) {
      return;
    }
    this.#awaited = pending?.staged;
    const delayMs = pending === undefined ? LEFT_OVER_MS : STALLED_MS;
    this.#timer = clock.setTimer(delayMs, () => this.#onTimer(pending?.staged, progress));
  }

  stop(): void {
    this.#stopping.abort(new Error("addresses are no longer kept"));
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Never rejects. */
  async #onTimer(pending: string | undefined, progress: number): Promise<void> {
    const { store, keys, cache, log } = this.#options;
    this.#timer = undefined;
    this.#isWorking = true;
    try {
      const now = cache.pending?.staged;
      if (now !== undefined && now === pending && cache.progress === progress) {
        log.warn({ staged: now }, "nobody works at a large change that is valid; it is brought to its keys");
        await this.#within((signal) => rollForward(store, keys, signal));
      }
      for (const { id } of cache.staged.olderThan(LEFT_OVER_MS)) {
        if (cache.pending?.staged !== id) {
          log.warn({ staged: id }, "parts of a change that never became valid are deleted");
          await this.#within((signal) => sweep(store, keys, id, signal));
        }
      }
    } catch (error) {
      log.warn({ err: error }, "what is staged cannot be cleared up yet; it is tried again");
    } finally {
      this.#isWorking = false;
    }
    this.look();
  }

  async #within(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const attempt = new AbortController();
    const timer = this.#options.clock.setTimer(WORK_MS, () =>
      attempt.abort(new Error(`clearing up took longer than ${WORK_MS} ms`)),
    );
    try {
      await work(AbortSignal.any([attempt.signal, this.#stopping.signal]));
    } finally {
      timer.cancel();
    }
  }
}
