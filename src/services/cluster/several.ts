/**
 * Several values for a key, where nearly every key has one: that one takes no list. Values are compared by identity, and are no arrays.
 */
export class Several<K, V extends string | number | object> {
  readonly #map = new Map<K, V | V[]>();

  /** Keys that have a value. */
  get size(): number {
    return this.#map.size;
  }

  of(key: K): readonly V[] {
    const found = this.#map.get(key);
    return found === undefined ? NONE : Array.isArray(found) ? found : [found];
  }

  /** Adding what is there changes nothing. */
  add(key: K, value: V): void {
    const found = this.#map.get(key);
    if (found === undefined) {
      this.#map.set(key, value);
    } else if (Array.isArray(found)) {
      if (!found.includes(value)) {
        found.push(value);
      }
    } else if (found !== value) {
      this.#map.set(key, [found, value]);
    }
  }

  delete(key: K, value: V): void {
    const left = this.of(key).filter((other) => other !== value);
    const [first] = left;
    if (first === undefined) {
      this.#map.delete(key);
    } else {
      this.#map.set(key, left.length === 1 ? first : left);
    }
  }

  clear(): void {
    this.#map.clear();
  }
}

const NONE: readonly never[] = [];
