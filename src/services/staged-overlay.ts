import { NetworkError } from "../core/errors.ts";
import type { StoreEntry } from "../ports/store.ts";
import type { AddressingKeys } from "./keys.ts";
import type { FollowedBatch, FollowedEvent, StoreCache } from "./store-follower.ts";
import { NO_GENERATION, readChunk, readGeneration, type Generation } from "./stored-records.ts";

export interface StagedOverlayOptions {
  readonly keys: AddressingKeys;
  /** Below it stand the objects of the cache; others it does not look at. */
  readonly prefix: string;
  readonly cache: StoreCache;
}

/**
 * Stands before a cache and shows it a staged change as done from the revision on that makes it valid, all of it at once: what is written under the keys one by one
 * afterwards says the same again. Records that cannot be read are left to addressing, which names them.
 *
 *     marker, parts ──► kept here          generation names them ──► one batch with all operations below the prefix
 */
export class StagedOverlay implements StoreCache {
  readonly #options: StagedOverlayOptions;
  /** How the prefix looks inside a part, which is JSON. */
  readonly #needle: string;
  /** Parts that have something below the prefix, by key. */
  readonly #parts = new Map<string, string>();
  #generation: Generation = NO_GENERATION;
  #generationRevision = 0;

  constructor(options: StagedOverlayOptions) {
    this.#options = options;
    this.#needle = JSON.stringify(options.prefix).slice(1, -1);
  }

  /** The last staged change that was valid; every change compares its key's revision, so that none is written over. */
  get generation(): Generation {
    return this.#generation;
  }

  /** Store revision of the generation's key, 0 when there is none. */
  get generationRevision(): number {
    return this.#generationRevision;
  }

  /** True while a staged change is valid and not yet under its keys. */
  get isPending(): boolean {
    return this.#generation.staged !== undefined;
  }

  reset(entries: readonly StoreEntry[], revision: number): void {
    const { keys, cache, prefix } = this.#options;
    this.#parts.clear();
    for (const { key, value } of entries) {
      this.#keep(key, value);
    }
    const marked = entries.find(({ key }) => key === keys.generation);
    this.#setGeneration(marked?.value, marked?.modRevision ?? 0);
    const staged = new Map(this.#stagedEvents(revision).map((event) => [event.key, event]));
    const kept = entries.filter(({ key }) => key.startsWith(prefix) && !staged.has(key));
    const put = [...staged.values()].flatMap((event): StoreEntry[] =>
      event.kind === "put"
        ? [{ key: event.key, value: event.value, createRevision: revision, modRevision: revision }]
        : [],
    );
    cache.reset([...kept, ...put], revision);
  }

  apply(batch: FollowedBatch): void {
    const { keys, cache, prefix } = this.#options;
    const events = batch.events.filter(({ key }) => key.startsWith(prefix));
    for (const event of batch.events) {
      if (event.key === keys.generation) {
        const before = this.#generation.staged;
        this.#setGeneration(event.kind === "put" ? event.value : undefined, event.modRevision);
        if (this.#generation.staged !== before) {
          events.push(...this.#stagedEvents(batch.revision));
        }
      } else if (event.kind === "put") {
        this.#keep(event.key, event.value);
      } else {
        this.#parts.delete(event.key);
      }
    }
    cache.apply({ revision: batch.revision, events });
  }

  #keep(key: string, value: string): void {
    if (key.startsWith(this.#options.keys.staged) && value.includes(this.#needle)) {
      this.#parts.set(key, value);
    }
  }

  #setGeneration(value: string | undefined, revision: number): void {
    const { keys } = this.#options;
    this.#generationRevision = value === undefined ? 0 : revision;
    this.#generation =
      value === undefined
        ? NO_GENERATION
        : (unlessUnreadable(() => readGeneration(keys.generation, value)) ?? NO_GENERATION);
  }

  /** What the valid change does below the prefix, in its order. */
  #stagedEvents(modRevision: number): readonly FollowedEvent[] {
    const { keys, prefix } = this.#options;
    const id = this.#generation.staged;
    if (id === undefined) {
      return [];
    }
    const under = keys.stagedUnder(id);
    return [...this.#parts]
      .filter(([key]) => key.startsWith(under))
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([key, value]) => unlessUnreadable(() => readChunk(key, value)) ?? [])
      .filter(({ key }) => key.startsWith(prefix))
      .map((operation): FollowedEvent =>
        operation.kind === "put"
          ? { kind: "put", key: operation.key, value: operation.value, modRevision }
          : { kind: "delete", key: operation.key, modRevision },
      );
  }
}

/** What `read` gives; `undefined` for a record that is damaged, which addressing refuses with its place. */
function unlessUnreadable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof NetworkError) {
      return undefined;
    }
    throw error;
  }
}
