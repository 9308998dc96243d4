/** What one revision of the store changed among objects of one kind: names of what was put or is gone. After a `reset` everything may differ. */
export interface ObjectBatch {
  readonly revision: number;
  readonly reset: boolean;
  readonly keys: readonly string[];
}

/** Listeners that are called one after another; they must not throw. */
export class Listeners<T> {
  readonly #listeners = new Set<(value: T) => void>();

  /** Returns what ends it. */
  add(listener: (value: T) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  call(value: T): void {
    for (const listener of this.#listeners) {
      listener(value);
    }
  }
}
