import { rangeOf, type Cidr } from "../../core/net/cidr.ts";

/** Longest-prefix match: one map per prefix length in use, the longest first. A later entry of the same network replaces the earlier. */
export class PrefixTable<T> {
  readonly #levels: readonly { readonly size: number; readonly values: ReadonlyMap<number, T> }[];

  constructor(entries: Iterable<readonly [Cidr, T]>) {
    const levels = new Map<number, Map<number, T>>();
    for (const [cidr, value] of entries) {
      const { first, size } = rangeOf(cidr);
      const level = levels.get(size) ?? new Map<number, T>();
      level.set(first / size, value);
      levels.set(size, level);
    }
    this.#levels = [...levels]
      .map(([size, values]) => ({ size, values }))
      .toSorted((a, b) => a.size - b.size);
  }

  /** The value of the longest network that holds the address (unsigned value), or `undefined`. */
  lookup(address: number): T | undefined {
    for (const { size, values } of this.#levels) {
      const value = values.get(Math.floor(address / size));
      if (value !== undefined) {
        return value;
      }
    }
    return undefined;
  }
}
