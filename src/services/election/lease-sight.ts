import type { LeaseState } from "../../ports/cluster.ts";

/** Above it a duration is no replica's (`--leader-ttl` ends at a minute), and is not waited for. */
const LONGEST_MS = 60_000;

/**
 * What one replica has seen of the Lease, by its own clock alone. What another machine's clock says is compared for equality and never with ours: a Lease counts as abandoned
 * when it was seen here, unchanged, for as long as its holder may act.
 */
export class LeaseSight {
  #state: LeaseState | undefined;
  #sinceMs: number | undefined;

  /** What was read last; `undefined` while there is no Lease, and before the first look. */
  get state(): LeaseState | undefined {
    return this.#state;
  }

  /** Whether somebody holds it. */
  get isHeld(): boolean {
    return (this.#state?.holder ?? "") !== "";
  }

  /** Since when it was seen as it is; `undefined` before the first look. */
  get sinceMs(): number | undefined {
    return this.#sinceMs;
  }

  /** Takes down what was read. `nowMs` is monotonic, taken after the answer. */
  see(state: LeaseState | undefined, nowMs: number): void {
    if (this.#sinceMs === undefined || !isSame(state, this.#state)) {
      this.#sinceMs = nowMs;
    }
    this.#state = state;
  }

  /** Whether it has been as it is for `patienceMs`. */
  isStill(patienceMs: number, nowMs: number): boolean {
    return this.#sinceMs !== undefined && nowMs - this.#sinceMs >= patienceMs;
  }
}

/** The longest of some durations, those left out that cannot be one. */
export function longestDuration(durationsMs: readonly (number | undefined)[]): number {
  const sane = durationsMs.filter((each) => each !== undefined && each > 0 && each <= LONGEST_MS);
  return Math.max(...sane.map(Number));
}

/** Whether nobody has renewed, taken or released it. What else is written on a Lease (labels, say) is no sign of life. */
function isSame(a: LeaseState | undefined, b: LeaseState | undefined): boolean {
  return (
    a?.holder === b?.holder &&
    Object.is(a?.acquireMs, b?.acquireMs) &&
    Object.is(a?.renewMs, b?.renewMs) &&
    Object.is(a?.transitions, b?.transitions)
  );
}
