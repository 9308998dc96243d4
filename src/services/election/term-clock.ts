import type { Clock } from "../../ports/clock.ts";

/** The part of a term in which it is safe to act: clocks of two machines may run apart by that much. */
const SAFE_PART = 0.9;

export interface TermClockOptions {
  readonly clock: Clock;
  /** Time to live of what a term is held by, in milliseconds. */
  readonly ttlMs: number;
  /** Milliseconds since the machine started, those in which it was suspended included; the monotonic clock may stand still meanwhile. */
  readonly uptimeMs?: () => number;
}

/** A moment by both clocks. */
export interface Moment {
  readonly monotonic: number;
  readonly uptime: number | undefined;
}

/** Says how long a term may still act (decision 29): nine tenths of its time to live, counted from the moment before its last renewal was sent. */
export class TermClock {
  readonly #options: TermClockOptions;

  constructor(options: TermClockOptions) {
    this.#options = options;
  }

  moment(): Moment {
    const { clock, uptimeMs } = this.#options;
    return { monotonic: clock.monotonic(), uptime: uptimeMs?.() };
  }

  /** What is left, in milliseconds, of a term that was renewed by a call sent after `sent`. By the clock that has gone further. */
  remainingMs({ monotonic, uptime }: Moment): number {
    const { clock, ttlMs, uptimeMs } = this.#options;
    const passed = clock.monotonic() - monotonic;
    const passedOutside = uptime === undefined || uptimeMs === undefined ? 0 : uptimeMs() - uptime;
    return SAFE_PART * ttlMs - Math.max(passed, passedOutside);
  }
}
