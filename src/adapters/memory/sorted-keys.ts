/** Keys of one chunk at most; a fuller chunk is split in two halves. Small enough that a `splice` is cheap, large enough for few chunks. */
const CHUNK_LIMIT = 1024;

/**
 * A set of keys in the order of their UTF-8 bytes. Adding and deleting cost two binary searches and a move within one chunk; listing a prefix
 * costs two binary searches and what it lists.
 *
 *     chunks   [ a b c ] [ d e ] [ f g h i ]     each sorted, none empty, every key of a chunk before all of the next
 */
export class SortedKeys {
  readonly #chunks: string[][] = [];

  /** Adds a key; false when it was there already. */
  add(key: string): boolean {
    const chunkIndex = Math.max(0, this.#chunkOf(key));
    const chunk = this.#chunks[chunkIndex];
    if (chunk === undefined) {
      this.#chunks.push([key]);
      return true;
    }
    const at = lowerBound(chunk, key);
    if (chunk[at] === key) {
      return false;
    }
    chunk.splice(at, 0, key);
    if (chunk.length > CHUNK_LIMIT) {
      this.#chunks.splice(chunkIndex + 1, 0, chunk.splice(chunk.length >>> 1));
    }
    return true;
  }

  /** Removes a key; false when it was not there. */
  delete(key: string): boolean {
    const chunkIndex = this.#chunkOf(key);
    const chunk = this.#chunks[chunkIndex];
    const at = chunk === undefined ? 0 : lowerBound(chunk, key);
    if (chunk?.[at] !== key) {
      return false;
    }
    chunk.splice(at, 1);
    if (chunk.length === 0) {
      this.#chunks.splice(chunkIndex, 1);
    }
    return true;
  }

  /** The keys that start with `prefix`, in order. The set must not change while they are read. */
  *withPrefix(prefix: string): Generator<string, void, undefined> {
    let chunkIndex = Math.max(0, this.#chunkOf(prefix));
    let at = lowerBound(this.#chunks[chunkIndex] ?? [], prefix);
    for (; chunkIndex < this.#chunks.length; chunkIndex += 1, at = 0) {
      const chunk = this.#chunks[chunkIndex] ?? [];
      for (; at < chunk.length; at += 1) {
        const key = chunk[at] ?? "";
        if (!key.startsWith(prefix)) {
          return;
        }
        yield key;
      }
    }
  }

  /** Index of the last chunk whose first key is not after `key`, -1 when there is none. */
  #chunkOf(key: string): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareKeys(this.#chunks[middle]?.[0] ?? "", key) <= 0) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low - 1;
  }
}

/**
 * Order of two well-formed strings by their UTF-8 bytes, which is the order of their code points. JavaScript's own `<` compares UTF-16 units and
 * puts U+1F600 (a surrogate pair from U+D83D) before U+FFFD.
 */
export function compareKeys(a: string, b: string): number {
  if (a === b) {
    return 0;
  }
  const shared = Math.min(a.length, b.length);
  for (let index = 0; index < shared; index += 1) {
    const x = a.charCodeAt(index);
    const y = b.charCodeAt(index);
    if (x !== y) {
      return unitRank(x) - unitRank(y);
    }
  }
  return a.length - b.length;
}

/** Surrogates stand for code points from U+10000 on, so they sort after U+E000 to U+FFFF. */
function unitRank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareKeys(keys[middle] ?? "", key) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}
