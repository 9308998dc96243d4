import { NetworkError } from "../core/errors.ts";

/** Runs one piece of work at a time, in the order in which they were asked for. */
export class WorkQueue {
  readonly #limit: number;
  #waiting = 0;
  #tail: Promise<unknown> = Promise.resolve();

  /** `limit`: pieces of work that may wait or run. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Work that waits or runs. */
  get length(): number {
    return this.#waiting;
  }

  /**
   * Runs `work` after all that was asked for before; its outcome is the caller's. Rejects with `ADDRESSING_BUSY` (transient) at once when the queue is full, and with the signal's
   * reason when it is aborted before the work's turn came.
   */
  async run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    if (this.#waiting >= this.#limit) {
      throw new NetworkError(
        "transient",
        "ADDRESSING_BUSY",
        `${this.#limit} changes of addresses and hosts wait already; try again in a moment`,
        { waiting: this.#waiting },
      );
    }
    this.#waiting += 1;
    const turn = this.#tail;
    const done = this.#inTurn(turn, work, signal);
    this.#tail = done.then(
      () => undefined,
      () => undefined,
    );
    try {
      return await done;
    } finally {
      this.#waiting -= 1;
    }
  }

  async #inTurn<T>(turn: Promise<unknown>, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    await turn;
    signal.throwIfAborted();
    return work();
  }
}
