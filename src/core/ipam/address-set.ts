/**
 * Which addresses of a block are in use, by offset from its first address. A block of up to 32 addresses is one word; a larger one has a bit per
 * address and a bit per full word, so that the lowest free address of a /16 is found in at most 64 steps. Changed by `commit` alone.
 */
export interface AddressSet {
  /** Addresses of the block, a power of two. */
  readonly size: number;
  /** Addresses in use. */
  count: number;
  /** The bits of a block of up to 32 addresses. */
  bits: number;
  /** The bits of a larger block, 32 to a word. */
  readonly words: Uint32Array | undefined;
  /** One bit per word of `words`: set while all its addresses are in use. */
  readonly full: Uint32Array | undefined;
}

const ALL = 0xffffffff;

/** A set of `size` addresses (a power of two) of which none is in use. */
export function createAddressSet(size: number): AddressSet {
  const words = size > 32 ? new Uint32Array(size / 32) : undefined;
  const full = words === undefined ? undefined : new Uint32Array(Math.ceil(words.length / 32));
  return { size, count: 0, bits: 0, words, full };
}

/** Marks the address at `offset`, which must be free, as used. */
export function addOffset(set: AddressSet, offset: number): void {
  const bit = 1 << (offset & 31);
  set.count += 1;
  if (set.words === undefined || set.full === undefined) {
    set.bits |= bit;
    return;
  }
  const index = offset >>> 5;
  const word = (at(set.words, index) | bit) >>> 0;
  set.words[index] = word;
  if (word === ALL) {
    set.full[index >>> 5] = at(set.full, index >>> 5) | (1 << (index & 31));
  }
}

/** Marks the address at `offset`, which must be in use, as free. */
export function deleteOffset(set: AddressSet, offset: number): void {
  const bit = 1 << (offset & 31);
  set.count -= 1;
  if (set.words === undefined || set.full === undefined) {
    set.bits &= ~bit;
    return;
  }
  const index = offset >>> 5;
  set.words[index] = at(set.words, index) & ~bit;
  set.full[index >>> 5] = at(set.full, index >>> 5) & ~(1 << (index & 31));
}

/** The lowest offset from `from` on that is not in use, or -1. */
export function firstFree(set: AddressSet, from: number): number {
  if (set.count === set.size || from >= set.size) {
    return -1;
  }
  const { words, full } = set;
  if (words === undefined || full === undefined) {
    return offsetIn(set, ~set.bits & (-1 << from), 0);
  }
  let index = from >>> 5;
  const here = ~at(words, index) & (-1 << (from & 31));
  if (here !== 0) {
    return offsetIn(set, here, index);
  }
  index += 1;
  for (let group = index >>> 5; group < full.length; group += 1) {
    const open = ~at(full, group) & (group === index >>> 5 ? -1 << (index & 31) : -1);
    const word = open === 0 ? words.length : group * 32 + lowestBit(open);
    if (word < words.length) {
      return offsetIn(set, ~at(words, word), word);
    }
  }
  return -1;
}

/** The offset of the lowest bit of `free`, the free bits of word `index`, or -1 where the set ends before it. */
function offsetIn(set: AddressSet, free: number, index: number): number {
  const offset = free === 0 ? set.size : index * 32 + lowestBit(free);
  return offset < set.size ? offset : -1;
}

function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}

function at(words: Uint32Array, index: number): number {
  return words[index] ?? 0;
}
