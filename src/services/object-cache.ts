import type { Logger } from "../ports/logger.ts";
import type { StoreEntry } from "../ports/store.ts";
import { Listeners, type ObjectBatch } from "./object-batch.ts";
import type { FollowedBatch, StoreCache } from "./store-follower.ts";

export interface ObjectCacheOptions<T> {
  /** Where the objects stand: everything below is one, its name percent-encoded. `/romana/policies/` */
  readonly prefix: string;
  /** Reads a stored value; what it throws makes the record an unreadable one. */
  readonly read: (name: string, value: string) => T;
  readonly log: Logger;
}

/** An object with the revision that it was last changed at. */
export interface CachedObject<T> {
  readonly object: T;
  readonly modRevision: number;
}

/**
 * The objects of one kind that a store holds, one key each, in memory. A record that cannot be read is left out and named, at level error: it was damaged
 * from outside, and the others still count.
 */
export class ObjectCache<T> implements StoreCache {
  readonly #options: ObjectCacheOptions<T>;
  readonly #objects = new Map<string, CachedObject<T>>();
  readonly #unreadable = new Map<string, string>();
  readonly #listeners = new Listeners<ObjectBatch>();
  #sorted: readonly T[] | undefined;
  #revision = 0;

  constructor(options: ObjectCacheOptions<T>) {
    this.#options = options;
  }

  /** Revision of the store that this stands at. */
  get revision(): number {
    return this.#revision;
  }

  get size(): number {
    return this.#objects.size;
  }

  /** Keys that cannot be read, with the reason. */
  unreadable(): ReadonlyMap<string, string> {
    return this.#unreadable;
  }

  get(name: string): CachedObject<T> | undefined {
    return this.#objects.get(name);
  }

  /** Revision at which the key's object was last changed, 0 when there is none that can be read. */
  revisionOf(key: string): number {
    const name = this.#nameOf(key);
    return (name === undefined ? undefined : this.#objects.get(name))?.modRevision ?? 0;
  }

  /** Sorted by key, as a store sorts: by the bytes of the encoded names. */
  list(): readonly T[] {
    this.#sorted ??= [...this.#objects]
      .map(([name, { object }]) => ({ key: encodeURIComponent(name), object }))
      .toSorted((a, b) => (a.key < b.key ? -1 : 1))
      .map(({ object }) => object);
    return this.#sorted;
  }

  /** The key of an object. The name must be well-formed text. */
  keyOf(name: string): string {
    return `${this.#options.prefix}${encodeURIComponent(name)}`;
  }

  /** Calls the listener after each revision that changed one of the objects, and after a reset. It must not throw. */
  onBatch(listener: (batch: ObjectBatch) => void): () => void {
    return this.#listeners.add(listener);
  }

  reset(entries: readonly StoreEntry[], revision: number): void {
    this.#objects.clear();
    this.#unreadable.clear();
    for (const { key, value, modRevision } of entries) {
      if (key.startsWith(this.#options.prefix)) {
        this.#put(key, value, modRevision);
      }
    }
    this.#sorted = undefined;
    this.#revision = revision;
    this.#listeners.call({ revision, reset: true, keys: [] });
  }

  apply({ revision, events }: FollowedBatch): void {
    const keys: string[] = [];
    for (const event of events) {
      if (!event.key.startsWith(this.#options.prefix)) {
        continue;
      }
      const name = this.#nameOf(event.key);
      if (event.kind === "put") {
        this.#put(event.key, event.value, event.modRevision);
      } else if (name !== undefined) {
        this.#objects.delete(name);
        this.#unreadable.delete(event.key);
      }
      if (name !== undefined) {
        keys.push(name);
      }
    }
    this.#revision = revision;
    if (keys.length > 0) {
      this.#sorted = undefined;
      this.#listeners.call({ revision, reset: false, keys });
    }
  }

  #put(key: string, value: string, modRevision: number): void {
    const name = this.#nameOf(key);
    try {
      if (name === undefined) {
        throw new TypeError("its name is not percent-encoded as names are");
      }
      this.#objects.set(name, { object: this.#options.read(name, value), modRevision });
      this.#unreadable.delete(key);
    } catch (error) {
      if (name !== undefined) {
        this.#objects.delete(name);
      }
      this.#unreadable.set(key, error instanceof Error ? error.message : String(error));
      this.#options.log.error({ err: error, key }, "a stored record cannot be read and is left out");
    }
  }

  #nameOf(key: string): string | undefined {
    const encoded = key.slice(this.#options.prefix.length);
    try {
      const name = decodeURIComponent(encoded);
      return name !== "" && encodeURIComponent(name) === encoded ? name : undefined;
    } catch {
      // Not percent-encoding at all: the caller names the key.
      return undefined;
    }
  }
}
