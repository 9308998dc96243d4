import type { NetworkError } from "../core/errors.ts";

/** A thing that failed, and when it may be tried again. */
export interface Setback {
  readonly subject: string;
  /** What was tried, so that something else may be tried at once: the target of a route; "" where there is nothing to choose. */
  readonly tried: string;
  readonly error: NetworkError;
  readonly attempts: number;
  /** Monotonic milliseconds. */
  readonly retryAt: number;
}

/**
 * Failures by subject, each with its own doubling delay: one bad object never blocks the others and is never asked about in a loop.
 * A transient failure waits from one second up to half a minute, any other from five seconds up to five minutes.
 */
export class Setbacks {
  readonly #bySubject = new Map<string, Setback>();

  /** Notes a failure at `now`; answers the setback with its next try. */
  failed(subject: string, error: NetworkError, now: number, tried = ""): Setback {
    const attempts = (this.#bySubject.get(subject)?.attempts ?? 0) + 1;
    const [firstMs, mostMs] = error.kind === "transient" ? [1000, 30_000] : [5000, 300_000];
    const setback = {
      subject,
      tried,
      error,
      attempts,
      retryAt: now + Math.min(mostMs, firstMs * 2 ** Math.min(attempts - 1, 20)),
    };
    this.#bySubject.set(subject, setback);
    return setback;
  }

  succeeded(subject: string): void {
    this.#bySubject.delete(subject);
  }

  /** True when the subject may not be tried yet; what was not tried last time may. */
  waits(subject: string, now: number, tries = ""): boolean {
    const setback = this.#bySubject.get(subject);
    return setback !== undefined && setback.retryAt > now && setback.tried === tries;
  }

  get(subject: string): Setback | undefined {
    return this.#bySubject.get(subject);
  }

  /** Drops subjects that are no longer of interest. */
  keep(subjects: ReadonlySet<string>): void {
    for (const subject of this.#bySubject.keys()) {
      if (!subjects.has(subject)) {
        this.#bySubject.delete(subject);
      }
    }
  }

  all(): readonly Setback[] {
    return [...this.#bySubject.values()].toSorted((a, b) => (a.subject < b.subject ? -1 : 1));
  }

  /** Milliseconds until the next subject may be tried; `undefined` when nothing waits. */
  nextRetryMs(now: number): number | undefined {
    let next: number | undefined;
    for (const { retryAt } of this.#bySubject.values()) {
      next = Math.min(next ?? Infinity, Math.max(0, retryAt - now));
    }
    return next;
  }
}
