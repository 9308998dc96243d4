import type { Clock, Timer } from "../../ports/clock.ts";

/** `setTimeout` waits 1 ms instead when it is asked for more than a signed 32-bit number of milliseconds (about 24.8 days). */
const LONGEST_MS = 2 ** 31 - 1;

/** The machine's own clock. A timer that is set keeps the process alive until it fires or is cancelled. */
export class SystemClock implements Clock {
  now(): number {
    return Date.now();
  }

  monotonic(): number {
    return performance.now();
  }

  /** Throws a `RangeError` unless `delayMs` is 0 or more; `Infinity` never fires. */
  setTimer(delayMs: number, callback: () => void | Promise<void>): Timer {
    if (!(delayMs >= 0)) {
      throw new RangeError(`a timer cannot wait ${delayMs} ms`);
    }
    const due = this.monotonic() + delayMs;
    // Node counts whole milliseconds from the start of the turn of its loop, and may call up to one early.
    const tick = (): void => {
      const leftMs = due - this.monotonic();
      if (leftMs > 0) {
        timeout = setTimeout(tick, wait(leftMs));
      } else {
        void callback();
      }
    };
    let timeout = setTimeout(tick, wait(delayMs));
    return { cancel: () => clearTimeout(timeout) };
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
}

function wait(delayMs: number): number {
  return Math.min(Math.ceil(delayMs), LONGEST_MS);
}
