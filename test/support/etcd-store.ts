import { setTimeout as sleep } from "node:timers/promises";

import { EtcdStore } from "../../src/adapters/etcd/etcd-store.ts";
import type { EtcdStoreOptions } from "../../src/adapters/etcd/options.ts";
import { SystemClock } from "../../src/adapters/system/system-clock.ts";
import type {
  CommitResult,
  Compare,
  Store,
  StoreBatch,
  StoreEntry,
  StoreEvent,
  StoreLimits,
  Transaction,
} from "../../src/ports/store.ts";
import type { CreateStore } from "../contracts/store.ts";
import { silentLog } from "./silent-log.ts";

/** A store on real endpoints, with a real clock. */
export function openEtcdStore(
  endpoints: readonly string[],
  options: Partial<EtcdStoreOptions> = {},
): EtcdStore {
  return new EtcdStore({ endpoints, clock: new SystemClock(), log: silentLog, ...options });
}

/**
 * Part of a store that others use too, seen as a store of its own: its keys without the prefix `room`, its revisions counted from `base`. What lets one etcd
 * serve all tests of a suite that expects an empty store.
 */
export class StoreRoom implements Store {
  readonly #store: Store;
  readonly #room: string;
  readonly #base: number;
  readonly #committed: (revision: number) => Promise<void>;

  constructor(
    store: Store,
    room: string,
    base: number,
    committed: (revision: number) => Promise<void> = async () => undefined,
  ) {
    this.#store = store;
    this.#room = room;
    this.#base = base;
    this.#committed = committed;
  }

  get limits(): StoreLimits {
    return this.#store.limits;
  }

  async get(key: string, signal: AbortSignal): Promise<StoreEntry | undefined> {
    const found = await this.#store.get(this.#key(key), signal);
    return found && this.#entry(found);
  }

  async list(
    prefix: string,
    signal: AbortSignal,
  ): Promise<{ readonly entries: readonly StoreEntry[]; readonly revision: number }> {
    const { entries, revision } = await this.#store.list(this.#room + prefix, signal);
    return { entries: entries.map((entry) => this.#entry(entry)), revision: revision - this.#base };
  }

  async commit({ compare, operations }: Transaction, signal: AbortSignal): Promise<CommitResult> {
    const result = await this.#store.commit(
      {
        compare: compare.map((item) =>
          "key" in item
            ? { key: this.#key(item.key), modRevision: item.modRevision && item.modRevision + this.#base }
            : { prefix: this.#room + item.prefix, maxRevision: item.maxRevision + this.#base },
        ),
        operations: operations.map((operation) => ({ ...operation, key: this.#key(operation.key) })),
      },
      signal,
    );
    const revision = result.revision - this.#base;
    if (result.ok) {
      await this.#committed(result.revision);
      return { ok: true, revision };
    }
    return { ok: false, revision, failed: result.failed.map((item) => this.#found(item)) };
  }

  async *watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncGenerator<StoreBatch> {
    const watch = this.#store.watch(this.#room + prefix, afterRevision + this.#base, signal);
    for await (const { revision, events } of watch) {
      yield { revision: revision - this.#base, events: events.map((event) => this.#event(event)) };
    }
  }

  grantLease(ttlMs: number, signal: AbortSignal): Promise<string> {
    return this.#store.grantLease(ttlMs, signal);
  }

  keepAlive(lease: string, signal: AbortSignal): Promise<void> {
    return this.#store.keepAlive(lease, signal);
  }

  revokeLease(lease: string, signal: AbortSignal): Promise<void> {
    return this.#store.revokeLease(lease, signal);
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  /** The empty key stays empty: that it is refused is part of the contract. */
  #key(key: string): string {
    return key === "" ? "" : this.#room + key;
  }

  #entry({ key, value, createRevision, modRevision }: StoreEntry): StoreEntry {
    return {
      key: key.slice(this.#room.length),
      value,
      createRevision: createRevision - this.#base,
      modRevision: modRevision - this.#base,
    };
  }

  #event(event: StoreEvent): StoreEvent {
    return event.kind === "put"
      ? { kind: "put", entry: this.#entry(event.entry) }
      : {
          kind: "delete",
          key: event.key.slice(this.#room.length),
          modRevision: event.modRevision - this.#base,
        };
  }

  #found(item: Compare): Compare {
    return "key" in item
      ? {
          key: item.key.slice(this.#room.length),
          modRevision: item.modRevision && item.modRevision - this.#base,
        }
      : { prefix: item.prefix.slice(this.#room.length), maxRevision: item.maxRevision - this.#base };
  }
}

/** For the store's contract suite on a real etcd: a room of its own for every test. `compact` is called to keep the history at its limit. */
export function etcdRooms(
  endpoints: () => readonly string[],
  compact: (revision: number) => Promise<void>,
): CreateStore {
  const never = new AbortController().signal;
  let rooms = 0;
  return async ({ historyLimit }) => {
    rooms += 1;
    const store = openEtcdStore(endpoints());
    const base = (await store.list("/", never)).revision;
    let written = 0;
    const committed = async (revision: number): Promise<void> => {
      written += 1;
      if (written > historyLimit) {
        await compact(revision - historyLimit);
      }
    };
    return {
      store: new StoreRoom(store, `/room-${rooms}:`, base, committed),
      pass: (ms) => sleep(ms),
      // Whole seconds, and etcd looks twice a second for leases that have ended.
      lease: { ttlMs: 1_000, overMs: 2_500 },
      keepsForReaders: true,
    };
  };
}
