/** The past of a value is kept for so long (milliseconds); a look further back sees the oldest value that is left. */
const KEPT_MS = 3_600_000;

/** A value with its past, and with changes that are already due later. Times are monotonic milliseconds. */
export class Timeline<T> {
  #entries: { readonly from: number; readonly value: T }[] = [];

  constructor(from: number, value: T) {
    this.#entries.push({ from, value });
  }

  /** The value holds `from` this moment on; what was due later is dropped. */
  set(from: number, value: T): void {
    const before = this.#entries.filter((entry) => entry.from < from);
    const horizon = before.findLastIndex((entry) => entry.from <= from - KEPT_MS);
    this.#entries = [...before.slice(Math.max(0, horizon)), { from, value }];
  }

  /** A change in the future, after those that are already known. */
  schedule(from: number, value: T): void {
    this.#entries.push({ from, value });
  }

  /** The value at a moment; the first one when that lies before all of them. */
  at(time: number): T {
    const entries = this.#entries;
    let index = entries.length - 1;
    while (index > 0 && (entries[index]?.from ?? 0) > time) {
      index -= 1;
    }
    return (entries[index] as { readonly value: T }).value;
  }
}
