import type { Clock, Timer } from "../../src/ports/clock.ts";

interface PendingTimer {
  readonly dueMs: number;
  readonly callback: () => void | Promise<void>;
}

/** Turns of the event loop that a callback's promise gets to settle. Work that only awaits promises needs one. */
const TURNS = 10;

/**
 * A clock that stands still until a test moves it. Timers fire in the order of their due times (equal ones in the order in which they were set), each
 * sees its own due time, and after each one the event loop turns until its work has settled or waits for time itself.
 */
export class FakeClock implements Clock {
  readonly #startMs: number;
  readonly #timers = new Set<PendingTimer>();
  #elapsedMs = 0;

  /** `startMs`: the wall clock at the start. */
  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#startMs = startMs;
  }

  /** Timers that are set and have not fired; sleepers included. */
  get pendingTimers(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#startMs + this.#elapsedMs;
  }

  monotonic(): number {
    return this.#elapsedMs;
  }

  setTimer(delayMs: number, callback: () => void | Promise<void>): Timer {
    if (!(delayMs >= 0)) {
      throw new RangeError(`a timer cannot wait ${delayMs} ms`);
    }
    const timer = { dueMs: this.#elapsedMs + delayMs, callback };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  sleep(delayMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const abort = (): void => {
        timer.cancel();
        reject(signal.reason as Error);
      };
      const timer = this.setTimer(delayMs, () => {
        signal.removeEventListener("abort", abort);
        resolve();
      });
      signal.addEventListener("abort", abort, { once: true });
    });
  }

  /** Lets `ms` pass: fires what falls due on the way, timers set on the way included. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#elapsedMs + ms;
    await turn();
    for (let next = this.#next(untilMs); next !== undefined; next = this.#next(untilMs)) {
      this.#timers.delete(next);
      this.#elapsedMs = Math.max(this.#elapsedMs, next.dueMs);
      await settle(next.callback());
    }
    this.#elapsedMs = untilMs;
  }

  #next(untilMs: number): PendingTimer | undefined {
    let next: PendingTimer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs <= untilMs && (next === undefined || timer.dueMs < next.dueMs)) {
        next = timer;
      }
    }
    return next;
  }
}

async function settle(work: void | Promise<void>): Promise<void> {
  await turn();
  if (work === undefined) {
    return;
  }
  const settled = work.then(() => true);
  for (let turns = 1; turns < TURNS; turns += 1) {
    if (await Promise.race([settled, turn().then(() => false)])) {
      return;
    }
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
