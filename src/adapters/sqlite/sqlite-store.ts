import { randomUUID } from "node:crypto";
import type { DatabaseSync, StatementSync } from "node:sqlite";

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
import { Leases } from "../memory/leases.ts";
import { checkTransaction, failedCompares, storeClosed, UNLIMITED } from "../memory/transactions.ts";
import { WatchHistory } from "../memory/watch-history.ts";
import { classifyError } from "./classify-error.ts";
import { openFile, type OpenFile, type Synchronous } from "./open-file.ts";
import { inTransaction } from "./schema.ts";

/** What a `SqliteStore` needs. `historyLimit`: batches kept in memory for watches (1,000; 10,000 allocations would take 20 MB). */
export interface SqliteStoreOptions {
  readonly file: string;
  readonly clock: Clock;
  readonly synchronous?: Synchronous;
  readonly historyLimit?: number;
}

/**
 * A store in one file, for one process at a time. Calls are answered in the order in which they came, after SQLite has done them: with `FULL`, a
 * commit that was acknowledged survives a power cut.
 *
 * Two things live in the process alone, because the process is the store's only user. The history for watches: after a restart, list again. And the
 * leases: their holders went with the process, so their keys are deleted when the file is opened, in one revision.
 */
export class SqliteStore implements Store {
  readonly limits = UNLIMITED;
  readonly isShared = false;
  readonly #file: OpenFile;
  readonly #statements: Statements;
  readonly #history: WatchHistory;
  readonly #leases: Leases;
  #closed = false;

  /** Opens the file; throws as `openFile` says. */
  constructor({ file, clock, synchronous = "FULL", historyLimit = 1_000 }: SqliteStoreOptions) {
    this.#file = openFile(file, synchronous);
    try {
      this.#statements = prepare(this.#file.database);
      this.#history = new WatchHistory(historyLimit, this.#statements.revision());
      this.#leases = new Leases(clock, (keys) => this.#deleteAll(keys));
      this.#deleteAll(this.#statements.leasedKeys());
    } catch (error) {
      this.#closeFile();
      throw classifyError(error, this.#file.path, "open the store");
    }
  }

  async get(key: string, signal: AbortSignal): Promise<StoreEntry | undefined> {
    return this.#do("read", signal, () => this.#statements.get(key));
  }

  async list(
    prefix: string,
    signal: AbortSignal,
  ): Promise<{ readonly entries: readonly StoreEntry[]; readonly revision: number }> {
    return this.#do("list", signal, () => ({
      entries: this.#statements.list(prefix),
      revision: this.#history.revision,
    }));
  }

  async commit(transaction: Transaction, signal: AbortSignal): Promise<CommitResult> {
    return this.#do("write", signal, () => {
      checkTransaction(transaction);
      const failed = failedCompares(
        transaction.compare,
        (key) => this.#statements.get(key)?.modRevision ?? 0,
        (prefix) => this.#statements.latestUnder(prefix),
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
    });
  }

  watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncIterable<StoreBatch> {
    return this.#history.watch(prefix, afterRevision, signal);
  }

  async grantLease(ttlMs: number, signal: AbortSignal): Promise<string> {
    return this.#do("grant a lease", signal, () => {
      const id = randomUUID();
      this.#leases.grant(id, ttlMs);
      return id;
    });
  }

  async keepAlive(lease: string, signal: AbortSignal): Promise<void> {
    this.#do("keep a lease", signal, () => this.#leases.keepAlive(lease));
  }

  async revokeLease(lease: string, signal: AbortSignal): Promise<void> {
    this.#do("end a lease", signal, () => this.#leases.revoke(lease));
  }

  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#leases.close();
      this.#history.close(storeClosed());
      this.#closeFile();
    }
  }

  #do<T>(doing: string, signal: AbortSignal, work: () => T): T {
    signal.throwIfAborted();
    if (this.#closed) {
      throw storeClosed();
    }
    try {
      return work();
    } catch (error) {
      throw classifyError(error, this.#file.path, doing);
    }
  }

  #deleteAll(keys: readonly string[]): void {
    this.#apply(keys.map((key) => ({ kind: "delete", key })));
  }

  /** One transaction of SQLite; what is kept in memory follows once it is on the disk. */
  #apply(operations: readonly StoreOperation[]): void {
    if (operations.length === 0) {
      return;
    }
    const revision = this.#history.revision + 1;
    const events = inTransaction(this.#file.database, () => {
      const changes: StoreEvent[] = [];
      for (const operation of operations) {
        const change = this.#statements.apply(operation, revision);
        if (change !== undefined) {
          changes.push(change);
        }
      }
      if (changes.length > 0) {
        this.#statements.setRevision(revision);
      }
      return changes;
    });
    for (const operation of operations) {
      this.#leases.attach(operation.key, operation.kind === "put" ? operation.lease : undefined);
    }
    if (events.length > 0) {
      this.#history.append({ revision, events });
    }
  }

  #closeFile(): void {
    this.#file.database.close();
    this.#file.lock.close();
  }
}

interface Statements {
  get(key: string): StoreEntry | undefined;
  list(prefix: string): readonly StoreEntry[];
  /** The latest change of a key with this prefix, 0 when there is none. */
  latestUnder(prefix: string): number;
  /** Does one operation inside the open transaction; undefined when there was nothing to delete. */
  apply(operation: StoreOperation, revision: number): StoreEvent | undefined;
  revision(): number;
  setRevision(revision: number): void;
  leasedKeys(): readonly string[];
}

const ENTRY = "key, value, create_revision AS createRevision, mod_revision AS modRevision";

function prepare(database: DatabaseSync): Statements {
  const getEntry = database.prepare(`SELECT ${ENTRY} FROM entries WHERE key = ?`);
  // No upper bound: text that sorts right after every key with the prefix cannot always be written in UTF-8. The reader stops by itself.
  const listEntries = database.prepare(`SELECT ${ENTRY} FROM entries WHERE key >= ? ORDER BY key`);
  const listRevisions = database.prepare(
    "SELECT key, mod_revision AS modRevision FROM entries WHERE key >= ? ORDER BY key",
  );
  const insert = database.prepare("INSERT INTO entries VALUES (?, ?, ?, ?, ?)");
  const update = database.prepare("UPDATE entries SET value = ?, mod_revision = ?, leased = ? WHERE key = ?");
  const remove = database.prepare("DELETE FROM entries WHERE key = ?");
  const getRevision = database.prepare("SELECT revision FROM store");
  const setRevision = database.prepare("UPDATE store SET revision = ?");
  const leased = database.prepare("SELECT key FROM entries WHERE leased = 1 ORDER BY key");
  const get = (key: string): StoreEntry | undefined => readEntry(getEntry.get(key));

  return {
    get,
    list: (prefix) => readPrefix(listEntries, prefix),
    latestUnder: (prefix) => latestRevision(listRevisions, prefix),
    apply(operation, revision) {
      const { key } = operation;
      if (operation.kind === "delete") {
        return remove.run(key).changes === 0 ? undefined : { kind: "delete", key, modRevision: revision };
      }
      const { value } = operation;
      const hangs = operation.lease === undefined ? 0 : 1;
      const before = get(key);
      if (before === undefined) {
        insert.run(key, value, revision, revision, hangs);
      } else {
        update.run(value, revision, hangs, key);
      }
      const createRevision = before?.createRevision ?? revision;
      return { kind: "put", entry: { key, value, createRevision, modRevision: revision } };
    },
    revision: () => Number(getRevision.get()?.["revision"]),
    setRevision: (revision) => void setRevision.run(revision),
    leasedKeys: () => leased.all().map(({ key }) => String(key)),
  };
}

function readPrefix(statement: StatementSync, prefix: string): readonly StoreEntry[] {
  const entries: StoreEntry[] = [];
  for (const row of statement.iterate(prefix)) {
    const entry = readEntry(row);
    if (entry === undefined || !entry.key.startsWith(prefix)) {
      break;
    }
    entries.push(entry);
  }
  return entries;
}

function latestRevision(statement: StatementSync, prefix: string): number {
  let latest = 0;
  for (const row of statement.iterate(prefix)) {
    if (!String(row["key"]).startsWith(prefix)) {
      break;
    }
    latest = Math.max(latest, Number(row["modRevision"]));
  }
  return latest;
}

function readEntry(row: Readonly<Record<string, unknown>> | undefined): StoreEntry | undefined {
  return row === undefined
    ? undefined
    : {
        key: String(row["key"]),
        value: String(row["value"]),
        createRevision: Number(row["createRevision"]),
        modRevision: Number(row["modRevision"]),
      };
}
