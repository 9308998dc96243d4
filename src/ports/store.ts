/** A stored object. `value` is JSON text. Revisions are those of the store: one counter, one step per transaction that changed something. */
export interface StoreEntry {
  readonly key: string;
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
}

/** Holds while the key's last change is `modRevision`; 0 means that the key does not exist. */
export interface KeyCompare {
  readonly key: string;
  readonly modRevision: number;
}

/** Holds while no key that starts with `prefix` has a last change after `maxRevision`. Deleted keys are not seen. */
export interface PrefixCompare {
  readonly prefix: string;
  readonly maxRevision: number;
}

export type Compare = KeyCompare | PrefixCompare;

export type StoreOperation =
  | { readonly kind: "put"; readonly key: string; readonly value: string; readonly lease?: string }
  | { readonly kind: "delete"; readonly key: string };

export interface Transaction {
  readonly compare: readonly Compare[];
  /** At most one operation per key. */
  readonly operations: readonly StoreOperation[];
}

/** `failed` lists the compares that did not hold, with the revision found (of a prefix: the latest change). Nothing was changed then. */
export type CommitResult =
  | { readonly ok: true; readonly revision: number }
  | { readonly ok: false; readonly revision: number; readonly failed: readonly Compare[] };

export type StoreEvent =
  | { readonly kind: "put"; readonly entry: StoreEntry }
  | { readonly kind: "delete"; readonly key: string; readonly modRevision: number };

/** Events of one revision, in the order of the transaction's operations. */
export interface StoreBatch {
  readonly revision: number;
  readonly events: readonly StoreEvent[];
}

/** What one transaction may hold; `Infinity` where nothing bounds it. */
export interface StoreLimits {
  /** Bound of the compares, and of the operations, each. */
  readonly operations: number;
  /** Keys and values of a transaction together, in bytes of UTF-8. */
  readonly bytes: number;
}

/**
 * Where state lives. Implementations: `adapters/memory`, `adapters/sqlite`, `adapters/etcd`, held to one contract suite.
 * Keys are slash-separated text, values JSON text; keys sort by their bytes (UTF-8). Failures are `NetworkError`s: `STORE_UNAVAILABLE` (transient; the outcome of
 * a `commit` is then unknown), `STORE_FULL` (exhausted; etcd may have taken a `commit` at the moment at which it became full: read before you answer), `STORE_COMPACTED` (conflict), `STORE_CLOSED` (invalid), `LEASE_NOT_FOUND` (not-found);
 * and for what can never be asked, kind invalid: `TRANSACTION_INVALID` (two operations on one key), `TRANSACTION_TOO_LARGE` (above `limits`), `STORE_KEY_INVALID` (empty, or not to be written in UTF-8),
 * `LEASE_INVALID` (a time to live that is not above 0). Compares are judged before leases: a transaction that loses says so, whatever its leases.
 */
export interface Store {
  readonly limits: StoreLimits;
  /** Whether other processes may write it too, so that what this one knows of it may be old. */
  readonly isShared: boolean;
  get(key: string, signal: AbortSignal): Promise<StoreEntry | undefined>;
  /** Every entry whose key starts with `prefix`, sorted by key, all as of one `revision`. */
  list(
    prefix: string,
    signal: AbortSignal,
  ): Promise<{ readonly entries: readonly StoreEntry[]; readonly revision: number }>;
  /** All or nothing. Resolves after the transaction is as durable as the store makes it. */
  commit(transaction: Transaction, signal: AbortSignal): Promise<CommitResult>;
  /**
   * Changes under `prefix` with a revision above `afterRevision`, batch by batch, each revision once and in order, without a gap. Ends when `signal` is
   * aborted. Throws `STORE_COMPACTED` when the history no longer reaches back that far: list again.
   */
  watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncIterable<StoreBatch>;
  /** A new lease that ends `ttlMs` after its last keep-alive; then its keys are deleted, in one revision. */
  grantLease(ttlMs: number, signal: AbortSignal): Promise<string>;
  keepAlive(lease: string, signal: AbortSignal): Promise<void>;
  /** Ends a lease at once, deleting its keys. An unknown lease is not an error. */
  revokeLease(lease: string, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}
