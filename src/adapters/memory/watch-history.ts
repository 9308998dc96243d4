import { NetworkError } from "../../core/errors.ts";
import type { StoreBatch } from "../../ports/store.ts";

/**
 * The last changes of a store, at most `limit` batches, and whoever waits for the next one. Watches pull from it by revision, so that a slow
 * reader keeps nothing alive: when it falls behind the history it gets `STORE_COMPACTED`.
 *
 *     revision   … 41 42 | 43 44 45 46 47
 *                compacted ┘              └ newest: a watch that has seen it waits
 */
export class WatchHistory {
  readonly #limit: number;
  readonly #ring: (StoreBatch | undefined)[];
  readonly #waiting = new Set<() => void>();
  #newest: number;
  #size = 0;
  #failure: NetworkError | undefined;

  /** `limit`: 1 or more. `revision` is the newest revision of the store: what came before it is not known here. */
  constructor(limit: number, revision: number) {
    this.#limit = limit;
    this.#ring = Array.from({ length: limit });
    this.#newest = revision;
  }

  /** Revision of the last batch, or of the store at the start. */
  get revision(): number {
    return this.#newest;
  }

  /** Adds the batch that follows: its revision is `revision + 1`. Wakes the watches. */
  append(batch: StoreBatch): void {
    this.#newest = batch.revision;
    this.#ring[batch.revision % this.#limit] = batch;
    this.#size = Math.min(this.#limit, this.#size + 1);
    this.#wake();
  }

  /** Ends every watch, now and later, with `failure`. */
  close(failure: NetworkError): void {
    this.#failure = failure;
    this.#wake();
  }

  /** What `Store.watch` promises. */
  async *watch(
    prefix: string,
    afterRevision: number,
    signal: AbortSignal,
  ): AsyncGenerator<StoreBatch, void, undefined> {
    let seen = afterRevision;
    while (!signal.aborted) {
      if (this.#failure !== undefined) {
        throw this.#failure;
      }
      if (seen >= this.#newest) {
        await this.#next(signal);
        continue;
      }
      if (seen < this.#newest - this.#size) {
        throw compacted(seen, this.#newest - this.#size);
      }
      seen += 1;
      const batch = underPrefix(this.#ring[seen % this.#limit], prefix);
      if (batch !== undefined) {
        yield batch;
      }
    }
  }

  /** Resolves at the next batch, at the close and at the abort, whichever comes first. */
  #next(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake);
    });
  }

  #wake(): void {
    for (const wake of this.#waiting) {
      wake();
    }
  }
}

/** The batch with its events under `prefix` alone; undefined when there are none. */
function underPrefix(batch: StoreBatch | undefined, prefix: string): StoreBatch | undefined {
  if (batch === undefined || prefix === "") {
    return batch;
  }
  const events = batch.events.filter((event) =>
    (event.kind === "put" ? event.entry.key : event.key).startsWith(prefix),
  );
  return events.length === 0 ? undefined : { revision: batch.revision, events };
}

function compacted(afterRevision: number, floor: number): NetworkError {
  return new NetworkError(
    "conflict",
    "STORE_COMPACTED",
    `cannot watch from revision ${afterRevision}: the history starts after revision ${floor}; list again and watch from there`,
    { afterRevision, floor },
  );
}
