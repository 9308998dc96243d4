/** A timer that has been set; `cancel` is idempotent. */
export interface Timer {
  cancel(): void;
}

/** Time, real or simulated. Everything that waits takes one, so that no test and no simulation sleeps. */
export interface Clock {
  /** Wall clock, milliseconds since 1970. For display and stored times only. */
  now(): number;
  /** Milliseconds that never go back. For deadlines and durations. */
  monotonic(): number;
  /**
   * Calls `callback` once after `delayMs` (0 or more). A callback that starts work returns its promise, so that a simulated clock waits
   * for it to settle or to wait for time itself before the next timer fires; the promise must never reject.
   */
  setTimer(delayMs: number, callback: () => void | Promise<void>): Timer;
  /** Resolves after `delayMs`; rejects with the signal's reason when it is aborted. */
  sleep(delayMs: number, signal: AbortSignal): Promise<void>;
}
