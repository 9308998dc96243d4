import { NetworkError } from "../../core/errors.ts";
import type { Clock, Timer } from "../../ports/clock.ts";

export interface VirtualClockOptions {
  /** Wall clock at virtual time 0, milliseconds since 1970. */
  readonly startsAt?: number;
  /**
   * Work that a timer started without returning its promise gets its turn at the latest after so much virtual time (milliseconds). A
   * turn of the event loop costs about 2 µs.
   */
  readonly turnEveryMs?: number;
}

interface Entry {
  readonly at: number;
  readonly order: number;
  callback: (() => void | Promise<void>) | undefined;
}

const START_OF_2026 = 1_767_225_600_000;
/** Turns granted to work that neither ends nor waits for a timer: chains that pass through the event loop themselves. */
const MAX_TURNS = 8;

/**
 * Time that passes only when `runFor` or `runUntil` is called. Timers fire in order of their time, and in the order in which they were
 * set when that is the same. Nothing real is waited for: a simulated day costs what its callbacks cost.
 *
 * A callback that returns nothing costs one step of a heap. After one that returned a promise, and after a `sleep` that ended, the event
 * loop turns until that work is done or waits for time itself; only then does the next timer fire. A promise that rejects, or a callback
 * that throws, ends the run with that error.
 */
export class VirtualClock implements Clock {
  readonly #startsAt: number;
  readonly #turnEveryMs: number;
  #now = 0;
  #heap: Entry[] = [];
  #order = 0;
  #cancelled = 0;
  #running = false;
  #lastTurn = 0;
  /** Work started since the last turn that has not settled. */
  readonly #fresh = new Set<Promise<void>>();
  #wantsTurn = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(options: VirtualClockOptions = {}) {
    this.#startsAt = options.startsAt ?? START_OF_2026;
    this.#turnEveryMs = options.turnEveryMs ?? 100;
  }

  now(): number {
    return this.#startsAt + this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  setTimer(delayMs: number, callback: () => void | Promise<void>): Timer {
    if (!(delayMs >= 0)) {
      throw new NetworkError(
        "invalid",
        "TIMER_INVALID",
        `a timer was set to ${delayMs} ms; a delay is 0 or more milliseconds`,
        {},
      );
    }
    const entry: Entry = { at: this.#now + delayMs, order: this.#order, callback };
    this.#order += 1;
    this.#push(entry);
    return {
      cancel: () => {
        if (entry.callback !== undefined) {
          entry.callback = undefined;
          this.#cancelled += 1;
          this.#compact();
        }
      },
    };
  }

  sleep(delayMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(reasonOf(signal));
        return;
      }
      const onAbort = () => {
        timer.cancel();
        this.#wantsTurn = true;
        reject(reasonOf(signal));
      };
      const timer = this.setTimer(delayMs, () => {
        signal.removeEventListener("abort", onAbort);
        this.#wantsTurn = true;
        resolve();
      });
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Timers that are set and not cancelled. */
  pending(): number {
    return this.#heap.length - this.#cancelled;
  }

  /** Lets `durationMs` pass. See `runUntil`. */
  runFor(durationMs: number): Promise<void> {
    return this.runUntil(this.#now + durationMs);
  }

  /** Fires every timer due at or before `monotonicMs`, then stands at that time. */
  async runUntil(monotonicMs: number): Promise<void> {
    await this.#run(monotonicMs, () => false);
    this.#now = Math.max(this.#now, monotonicMs);
  }

  /**
   * Lets time pass until `condition` holds, at most `withinMs`. Resolves to the virtual milliseconds that it took. Rejects with
   * `CLOCK_TIMED_OUT` when it did not come true. The condition is looked at after each timer and each turn.
   */
  async runUntilTrue(condition: () => boolean, withinMs: number): Promise<number> {
    const start = this.#now;
    if (!(await this.#run(start + withinMs, condition))) {
      throw new NetworkError(
        "transient",
        "CLOCK_TIMED_OUT",
        `waited ${withinMs} ms of virtual time for a condition that did not come true (${this.pending()} timers are still set)`,
        { withinMs },
      );
    }
    return this.#now - start;
  }

  /** Lets time pass until `promise` settles, at most `withinMs`, and passes on its result. Rejects with `CLOCK_TIMED_OUT` when it does not. */
  async runUntilSettled<T>(promise: Promise<T>, withinMs = 3_600_000): Promise<T> {
    let settled = false;
    const watched = promise.finally(() => {
      settled = true;
    });
    // The run may end first, with an error of its own: this one is reported below or not at all.
    watched.catch(() => undefined);
    await this.runUntilTrue(() => settled, withinMs);
    return watched;
  }

  async #run(until: number, isDone: () => boolean): Promise<boolean> {
    if (this.#running) {
      throw new NetworkError(
        "conflict",
        "CLOCK_RUNNING",
        "the virtual clock is already running; a timer's callback must not run it again",
        {},
      );
    }
    this.#running = true;
    try {
      await this.#turn();
      while (!isDone()) {
        const entry = this.#heap[0];
        if (entry === undefined || entry.at > until) {
          return await this.#lastLook(isDone);
        }
        this.#pop();
        if (entry.callback === undefined) {
          this.#cancelled -= 1;
          continue;
        }
        this.#now = Math.max(this.#now, entry.at);
        this.#fire(entry);
        if (this.#wantsTurn || this.#now - this.#lastTurn >= this.#turnEveryMs) {
          await this.#turn();
        }
      }
      return true;
    } finally {
      this.#running = false;
    }
  }

  /** Callbacks without a promise may have started work: give it its turn before saying that nothing more happens. */
  async #lastLook(isDone: () => boolean): Promise<boolean> {
    await this.#turn();
    return isDone();
  }

  #fire(entry: Entry): void {
    const { callback } = entry;
    entry.callback = undefined;
    const work = callback?.();
    if (work !== undefined) {
      this.#wantsTurn = true;
      this.#fresh.add(work);
      work.then(
        () => this.#fresh.delete(work),
        (error: unknown) => {
          this.#fresh.delete(work);
          this.#failure ??= { error };
        },
      );
    }
  }

  /**
   * One turn of the event loop runs every chain of promises to its end or to its next wait. Work that still has not settled may have gone
   * through the event loop itself; it gets a few more turns, unless it set a timer.
   */
  async #turn(): Promise<void> {
    for (let turn = 0; turn < MAX_TURNS; turn += 1) {
      const order = this.#order;
      this.#wantsTurn = false;
      await new Promise<void>((resolve) => {
        setImmediate(resolve);
      });
      if (this.#failure !== undefined) {
        const { error } = this.#failure;
        this.#failure = undefined;
        throw error;
      }
      if (!this.#wantsTurn && (this.#fresh.size === 0 || this.#order !== order)) {
        break;
      }
    }
    this.#fresh.clear();
    this.#lastTurn = this.#now;
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(entry);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || isBefore(above, entry)) {
        break;
      }
      heap[index] = above;
      index = parent;
    }
    heap[index] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) {
      return;
    }
    this.#sink(0, last);
  }

  #sink(from: number, entry: Entry): void {
    const heap = this.#heap;
    let index = from;
    for (;;) {
      const left = 2 * index + 1;
      const a = heap[left];
      if (a === undefined) {
        break;
      }
      const b = heap[left + 1];
      const [child, smaller] = b !== undefined && isBefore(b, a) ? [left + 1, b] : [left, a];
      if (isBefore(entry, smaller)) {
        break;
      }
      heap[index] = smaller;
      index = child;
    }
    heap[index] = entry;
  }

  /** Cancelled timers are dropped when they are more than half of the heap. */
  #compact(): void {
    if (this.#cancelled < 1_024 || this.#cancelled * 2 < this.#heap.length) {
      return;
    }
    this.#heap = this.#heap.filter((entry) => entry.callback !== undefined);
    this.#cancelled = 0;
    for (let index = (this.#heap.length >> 1) - 1; index >= 0; index -= 1) {
      const entry = this.#heap[index];
      if (entry !== undefined) {
        this.#sink(index, entry);
      }
    }
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

function reasonOf(signal: AbortSignal): Error {
  const { reason }: { readonly reason: unknown } = signal;
  return reason instanceof Error ? reason : new Error("aborted", { cause: reason });
}
