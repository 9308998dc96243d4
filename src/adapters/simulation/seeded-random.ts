/**
 * Random numbers that are the same for the same seed on every machine (sfc32, 128 bits of state). Streams made by `fork` are independent:
 * one more draw in one of them leaves the others as they were.
 */
export class SeededRandom {
  readonly #seed: string;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number | string) {
    this.#seed = String(seed);
    this.#a = hash(this.#seed, 0x9e3779b9);
    this.#b = hash(this.#seed, 0x243f6a88);
    this.#c = hash(this.#seed, 0xb7e15162);
    for (let round = 0; round < 12; round += 1) {
      this.next();
    }
  }

  /** A stream of its own, named by `label`; the same label gives the same stream. */
  fork(label: string): SeededRandom {
    return new SeededRandom(`${this.#seed}/${label}`);
  }

  /** 0 ≤ x < 1. */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (this.#c << 21) | (this.#c >>> 11);
    this.#c = (this.#c + sum) | 0;
    return (sum >>> 0) / 4_294_967_296;
  }

  /** A whole number, 0 ≤ n < `below`. */
  integer(below: number): number {
    return Math.floor(this.next() * below);
  }

  /** Exponentially distributed with this mean; 0 when the mean is 0. */
  exponential(mean: number): number {
    return mean === 0 ? 0 : -mean * Math.log(1 - this.next());
  }

  /** One of the items; `undefined` of none. */
  pick<T>(items: readonly T[]): T | undefined {
    return items[this.integer(items.length)];
  }
}

/** FNV-1a over UTF-16 units, with a final mix. */
function hash(text: string, basis: number): number {
  let value = basis | 0;
  for (let index = 0; index < text.length; index += 1) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  }
  value ^= value >>> 16;
  value = Math.imul(value, 0x85ebca6b);
  value ^= value >>> 13;
  value = Math.imul(value, 0xc2b2ae35);
  return value ^ (value >>> 16);
}
