import { rangeOf, type Cidr } from "../net/cidr.ts";

/** A blacked-out range: addresses `first` to `end - 1` are never handed out. */
export interface BlackoutRange {
  readonly cidr: Cidr;
  readonly first: number;
  readonly end: number;
}

/** The range of a blackout. */
export function blackoutRange(cidr: Cidr): BlackoutRange {
  const { first, size } = rangeOf(cidr);
  return { cidr, first, end: first + size };
}

/** The lowest address from `address` on that lies in none of `ranges`, which are sorted and disjoint. */
export function skipBlackouts(ranges: readonly BlackoutRange[], address: number): number {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ranges[middle]?.end ?? 0) <= address) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  let candidate = address;
  for (let index = low; index < ranges.length; index += 1) {
    const range = ranges[index];
    if (range === undefined || range.first > candidate) {
      break;
    }
    candidate = range.end;
  }
  return candidate;
}
