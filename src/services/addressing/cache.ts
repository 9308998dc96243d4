import { NetworkError } from "../../core/errors.ts";
import type { KnownSubnet } from "../../core/ipam/state.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Logger } from "../../ports/logger.ts";
import type { Store, StoreEntry } from "../../ports/store.ts";
import type { AddressingKeys } from "../keys.ts";
import { loadAddressing, loadInSteps, type Addressing } from "../load-addressing.ts";
import { nextTurn } from "../next-turn.ts";
import type { FollowedBatch, FollowedEvent, StoreCache } from "../store-follower.ts";
import { readChunk, readGeneration, type Generation } from "../stored-records.ts";
import { applyEvents, noteRevisions, type Applied, type ReleasedAddress } from "./apply-events.ts";
import { StagedParts } from "./staged-parts.ts";
import type { WrittenRecords } from "./transaction.ts";

/** What one revision changed, by name (blocks by CIDR): put or gone. `reset`: everything may differ. */
export interface AddressingBatch {
  readonly revision: number;
  readonly reset: boolean;
  readonly hosts: readonly string[];
  readonly blocks: readonly string[];
  readonly addresses: readonly string[];
  /** Of `addresses`, those that were held before: as they were. A name that was given anew is among them too. */
  readonly released: readonly ReleasedAddress[];
}

/** What the cache needs. `onBatch` is called after each change, `onStaged` when something staged came or went; neither may throw. */
export interface CacheOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly keys: AddressingKeys;
  readonly onBatch: (batch: AddressingBatch, applied: Applied | undefined) => void;
  readonly onStaged: () => void;
}

/** Between attempts to read everything again, doubled each time, with the last as the bound. */
const FIRST_RETRY_MS = 50;
const LONGEST_RETRY_MS = 2_000;
/** Changes kept while everything is read; more of them, and it is read once more. */
const MAX_KEPT = 20_000;

/**
 * The indexed state, kept in step with the store by its follower. A revision's events are applied one by one. What changes the topology, or does not fit, is a reason to read
 * everything from the store again: until that is done the last state answers, and decisions wait (`ready`).
 *
 *     current ──topology, misfit──► reading ──list──► current
 *        │                            ▲                  │
 *        └──generation names staged───┴─► pending ──generation names none──┘
 *
 * While a staged change is pending, the state has it already (as a whole), and what is written under the keys one by one is not looked at but for its revision.
 */
export class AddressingCache implements StoreCache {
  readonly #options: CacheOptions;
  readonly staged: StagedParts;
  #current: Addressing | undefined;
  #failure: unknown;
  #revision = 0;
  #subnets: readonly KnownSubnet[] = [];
  /** Batches that came while everything is read. */
  #kept: FollowedBatch[] | undefined;
  #waiting: PromiseWithResolvers<void>[] = [];
  #progress = 0;
  readonly #expected = new Set<WrittenRecords>();

  constructor(options: CacheOptions) {
    this.#options = options;
    this.staged = new StagedParts(options.keys, options.clock);
  }

  /** The last good state; whoever opened the cache has seen that there is one. */
  get current(): Addressing {
    return this.#requireCurrent();
  }

  /** Throws what made the first load fail. */
  requireLoaded(): void {
    this.#requireCurrent();
  }

  /** Store revision that the state stands at. */
  get revision(): number {
    return this.#revision;
  }

  /** A staged change that is valid and not yet under its keys. */
  get pending(): Generation | undefined {
    const generation = this.#current?.generation;
    return generation?.staged === undefined ? undefined : generation;
  }

  /** Grows with every batch: whoever waits for a pending change sees whether somebody is at it. */
  get progress(): number {
    return this.#progress;
  }

  /** Decisions can be made from `current`: it has everything that was delivered, and no staged change is pending. */
  get isReady(): boolean {
    return this.#kept === undefined && this.pending === undefined && this.#current !== undefined;
  }

  /** Resolves when `isReady`; rejects when reading everything failed, which is tried again by itself, or with the signal's reason. */
  async ready(signal: AbortSignal): Promise<void> {
    while (!this.isReady) {
      const turn = Promise.withResolvers<void>();
      this.#waiting.push(turn);
      const abort = (): void => turn.reject(signal.reason);
      signal.addEventListener("abort", abort, { once: true });
      try {
        signal.throwIfAborted();
        await turn.promise;
      } finally {
        signal.removeEventListener("abort", abort);
      }
    }
  }

  /** What this process is about to write: not read again when it arrives. Returns what ends that. */
  expect(written: WrittenRecords): () => void {
    this.#expected.add(written);
    return () => {
      this.#expected.delete(written);
    };
  }

  /** See `AddressingService.setSubnets`. */
  set subnets(list: readonly KnownSubnet[]) {
    this.#subnets = list;
    if (this.#current !== undefined) {
      this.#current.state.subnets = list;
    }
  }

  reset(entries: readonly StoreEntry[], revision: number): void {
    this.#kept = undefined;
    try {
      this.#take(loadAddressing(this.#options.keys, entries), entries, revision);
    } catch (error) {
      this.#failure = error;
      if (this.#current !== undefined) {
        this.#readAgain(error);
      }
    }
    this.#tell();
  }

  apply(batch: FollowedBatch): void {
    this.#progress += 1;
    this.staged.apply(batch.events);
    if (this.#kept !== undefined) {
      this.#kept.push(batch);
    } else {
      this.#apply(batch);
    }
    this.#tell();
    const { staged, generation } = this.#options.keys;
    if (batch.events.some(({ key }) => key.startsWith(staged) || key === generation)) {
      this.#options.onStaged();
    }
  }

  #requireCurrent(): Addressing {
    if (this.#current === undefined) {
      throw this.#failure;
    }
    return this.#current;
  }

  #take(loaded: Addressing, entries: readonly StoreEntry[], revision: number): void {
    loaded.state.subnets = this.#subnets;
    this.staged.reset(entries);
    this.#current = loaded;
    this.#revision = revision;
    this.#emit(undefined);
    this.#options.onStaged();
  }

  #apply(batch: FollowedBatch): void {
    const { keys } = this.#options;
    const { current } = this;
    if (batch.revision <= this.#revision) {
      // What was read anew has it already: the watch is behind.
      return;
    }
    const events = batch.events.filter((event) => isOurs(keys, event.key));
    const before = this.#revision;
    this.#revision = batch.revision;
    if (events.length === 0) {
      return;
    }
    try {
      const marked = events.find(({ key }) => key === keys.generation);
      if (marked?.kind === "put") {
        this.#setGeneration(readGeneration(marked.key, marked.value), batch.revision, events);
      } else if (this.pending !== undefined) {
        noteRevisions(keys, current, events);
      } else if (needsReading(keys, events)) {
        this.#readAgain(undefined);
      } else {
        this.#emit(applyEvents(keys, current, events, this.#expected));
      }
    } catch (error) {
      this.#readAgain(error);
    }
    if (this.#kept !== undefined) {
      // The state does not have the batch yet: whoever notes the revision with what he reads would never miss it.
      this.#revision = before;
    }
  }

  /** A staged change that became valid counts as done from here on; it is applied from its parts unless it changes the topology. */
  #setGeneration(generation: Generation, revision: number, events: readonly FollowedEvent[]): void {
    const { keys } = this.#options;
    const { current } = this;
    const wasPending = current.generation.staged;
    noteRevisions(keys, current, events);
    current.generation = generation;
    if (generation.staged === undefined || generation.staged === wasPending) {
      return;
    }
    const parts = this.staged.partsOf(generation.staged);
    const operations = parts.flatMap(({ key, value }) => readChunk(key, value));
    const staged = operations.map((operation): FollowedEvent =>
      operation.kind === "put"
        ? { kind: "put", key: operation.key, value: operation.value, modRevision: revision }
        : { kind: "delete", key: operation.key, modRevision: revision },
    );
    if (parts.length !== generation.chunks || needsReading(keys, staged)) {
      this.#readAgain(undefined);
    } else {
      this.#emit(applyEvents(keys, current, staged));
    }
  }

  /** Begins to read everything from the store, unless that is under way. */
  #readAgain(cause: unknown): void {
    if (cause !== undefined) {
      this.#options.log.error({ err: cause }, "what the store has does not fit; everything is read again");
    }
    if (this.#kept === undefined) {
      this.#kept = [];
      void this.#read(this.#kept);
    }
  }

  /** Never rejects. Ends early when a reset came in between. */
  async #read(kept: FollowedBatch[]): Promise<void> {
    const { store, keys, clock, log } = this.#options;
    const { signal } = new AbortController();
    for (let retryMs = FIRST_RETRY_MS; ; retryMs = Math.min(LONGEST_RETRY_MS, retryMs * 2)) {
      kept.length = 0;
      try {
        const { entries, revision } = await store.list(keys.root, signal);
        if (this.#kept !== kept) {
          return;
        }
        const loaded = await inTurns(loadInSteps(keys, entries));
        if (this.#kept !== kept) {
          return;
        }
        if (kept.length <= MAX_KEPT) {
          this.#finishReading(loaded, entries, revision, kept);
          return;
        }
      } catch (error) {
        if (this.#kept !== kept || isClosed(error)) {
          return;
        }
        log.warn({ err: error }, "addresses and hosts cannot be read from the store; it is tried again");
        this.#fail(error);
      }
      await clock.sleep(retryMs, signal);
      if (this.#kept !== kept) {
        return;
      }
    }
  }

  #finishReading(
    loaded: Addressing,
    entries: readonly StoreEntry[],
    revision: number,
    kept: readonly FollowedBatch[],
  ): void {
    this.#take(loaded, entries, revision);
    const later = kept.filter((batch) => batch.revision > revision);
    this.#kept = undefined;
    for (const batch of later) {
      this.apply(batch);
    }
    this.#tell();
  }

  #emit(applied: Applied | undefined): void {
    const { hosts = [], blocks = [], addresses = [], released = [] } = applied ?? {};
    this.#options.onBatch(
      { revision: this.#revision, reset: applied === undefined, hosts, blocks, addresses, released },
      applied,
    );
  }

  #tell(): void {
    if (this.isReady) {
      this.#waiting.splice(0).forEach(({ resolve }) => resolve());
    }
  }

  #fail(error: unknown): void {
    this.#waiting.splice(0).forEach(({ reject }) => reject(error));
  }
}

/** Gives other work of this process its turn between two steps. */
async function inTurns<T>(steps: Iterator<undefined, T, void>): Promise<T> {
  for (;;) {
    const step = steps.next();
    if (step.done === true) {
      return step.value;
    }
    await nextTurn();
  }
}

/** True for what others do not store: policies, tenants, the leader and the journal stand below the same root. */
function isOurs(keys: AddressingKeys, key: string): boolean {
  return (
    key.startsWith(keys.addresses) ||
    key.startsWith(keys.blocks) ||
    key.startsWith(keys.hosts) ||
    key.startsWith(keys.blackouts) ||
    key === keys.topology ||
    key === keys.topologyRevision ||
    key === keys.generation
  );
}

/** A topology makes other networks and groups; blocks go with a topology only. */
function needsReading(keys: AddressingKeys, events: readonly FollowedEvent[]): boolean {
  return events.some(
    ({ kind, key }) => key === keys.topology || (kind === "delete" && key.startsWith(keys.blocks)),
  );
}

function isClosed(error: unknown): boolean {
  return error instanceof NetworkError && error.code === "STORE_CLOSED";
}
