import type { Clock } from "../../ports/clock.ts";
import type {
  CommitResult,
  Store,
  StoreBatch,
  StoreEntry,
  StoreEvent,
  StoreOperation,
  Transaction,
} from "../../ports/store.ts";
import { Leases } from "./leases.ts";
import { SortedKeys } from "./sorted-keys.ts";
import { checkTransaction, failedCompares, storeClosed, UNLIMITED } from "./transactions.ts";
import { WatchHistory } from "./watch-history.ts";

/** What a `MemoryStore` needs. `historyLimit`: batches kept for watches (10,000). */
export interface MemoryStoreOptions {
  readonly clock: Clock;
  readonly historyLimit?: number;
}

/** A store that lives as long as its process. For tests, the simulation and `--store memory`. */
export class MemoryStore implements Store {
  readonly limits = UNLIMITED;
  readonly isShared = false;
  readonly #entries = new Map<string, StoreEntry>();
  readonly #keys = new SortedKeys();
  readonly #history: WatchHistory;
  readonly #leases: Leases;
  #leasesGranted = 0;
  #closed = false;

  constructor({ clock, historyLimit = 10_000 }: MemoryStoreOptions) {
    this.#history = new WatchHistory(historyLimit, 0);
    this.#leases = new Leases(clock, (keys) => this.#apply(keys.map((key) => ({ kind: "delete", key }))));
  }

  async get(key: string, signal: AbortSignal): Promise<StoreEntry | undefined> {
    this.#check(signal);
    return this.#entries.get(key);
  }

  async list(
    prefix: string,
    signal: AbortSignal,
  ): Promise<{ readonly entries: readonly StoreEntry[]; readonly revision: number }> {
    this.#check(signal);
    const entries: StoreEntry[] = [];
    for (const key of this.#keys.withPrefix(prefix)) {
      const entry = this.#entries.get(key);
      if (entry !== undefined) {
        entries.push(entry);
      }
    }
    return { entries, revision: this.#history.revision };
  }

  async commit(transaction: Transaction, signal: AbortSignal): Promise<CommitResult> {
    this.#check(signal);
    checkTransaction(transaction);
    const failed = failedCompares(
      transaction.compare,
      (key) => this.#entries.get(key)?.modRevision ?? 0,
      (prefix) => this.#latestUnder(prefix),
    );
    if (failed.length > 0) {
      return { ok: false, revision: this.#history.revision, failed };
    }
    for (const operation of transaction.operations) {
      if (operation.kind === "put" && operation.lease !== undefined) {
        this.#leases.check(operation.lease);
      }
    }
    this.#apply(transaction.operations);
    return { ok: true, revision: this.#history.revision };
  }

  watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncIterable<StoreBatch> {
    return this.#history.watch(prefix, afterRevision, signal);
  }

  async grantLease(ttlMs: number, signal: AbortSignal): Promise<string> {
    this.#check(signal);
    const id = `lease-${this.#leasesGranted + 1}`;
    this.#leases.grant(id, ttlMs);
    this.#leasesGranted += 1;
    return id;
  }

  async keepAlive(lease: string, signal: AbortSignal): Promise<void> {
    this.#check(signal);
    this.#leases.keepAlive(lease);
  }

  async revokeLease(lease: string, signal: AbortSignal): Promise<void> {
    this.#check(signal);
    this.#leases.revoke(lease);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#leases.close();
    this.#history.close(storeClosed());
  }

  #latestUnder(prefix: string): number {
    let latest = 0;
    for (const key of this.#keys.withPrefix(prefix)) {
      latest = Math.max(latest, this.#entries.get(key)?.modRevision ?? 0);
    }
    return latest;
  }

  #check(signal: AbortSignal): void {
    signal.throwIfAborted();
    if (this.#closed) {
      throw storeClosed();
    }
  }

  #apply(operations: readonly StoreOperation[]): void {
    const revision = this.#history.revision + 1;
    const events: StoreEvent[] = [];
    for (const operation of operations) {
      const { key } = operation;
      const before = this.#entries.get(key);
      if (operation.kind === "put") {
        const createRevision = before?.createRevision ?? revision;
        const entry = { key, value: operation.value, createRevision, modRevision: revision };
        this.#entries.set(key, entry);
        this.#keys.add(key);
        this.#leases.attach(key, operation.lease);
        events.push({ kind: "put", entry });
      } else if (before !== undefined) {
        this.#entries.delete(key);
        this.#keys.delete(key);
        this.#leases.attach(key, undefined);
        events.push({ kind: "delete", key, modRevision: revision });
      }
    }
    if (events.length > 0) {
      this.#history.append({ revision, events });
    }
  }
}
