import type { IRangeResponse } from "etcd3";

import { NetworkError } from "../../core/errors.ts";
import type { CommitResult, Store, StoreBatch, StoreEntry, Transaction } from "../../ports/store.ts";
import { checkTransaction } from "../memory/transactions.ts";
import { leaseNotFound } from "./classify-error.ts";
import { EtcdConnections } from "./connections.ts";
import { CredentialsWatch, readCredentials } from "./credentials.ts";
import { EtcdLeases } from "./leases.ts";
import type { EtcdStoreOptions } from "./options.ts";
import {
  checkSize,
  decodeEntry,
  decodeResult,
  encodeTransaction,
  isLeaseId,
  LIMITS,
  prefixRange,
} from "./transactions.ts";
import { EtcdWatch } from "./watch.ts";

/** A list that a compaction overtakes begins anew, so many times at most. */
const LIST_ATTEMPTS = 3;

/**
 * A store in etcd v3 (3.4 or newer), for any number of processes. `etcd3` carries the calls and nothing more: each is sent once, with a bound in time.
 * Reads are repeated at the next endpoint. A commit is repeated only when it surely was not sent; when its outcome may be unknown it rejects with
 * `STORE_UNAVAILABLE`, and the caller reads before it answers. Revisions are etcd's own: they begin at 1 and others who use the same etcd take some.
 *
 * A watch goes on by itself after a lost connection; see `EtcdWatch`. Leases last whole seconds; see `EtcdLeases`.
 */
export class EtcdStore implements Store {
  readonly limits = LIMITS;
  readonly isShared = true;
  readonly #options: EtcdStoreOptions;
  readonly #requestTimeoutMs: number;
  readonly #connections: EtcdConnections;
  readonly #leases: EtcdLeases;
  readonly #credentials: CredentialsWatch | undefined;

  /** Reads the files of credentials, and throws `STORE_CREDENTIALS_INVALID`; connects to nothing yet. */
  constructor(options: EtcdStoreOptions) {
    const { endpoints, tls, login, clock, log, requestTimeoutMs = 5_000 } = options;
    this.#options = options;
    this.#requestTimeoutMs = requestTimeoutMs;
    const read = () => readCredentials(tls, login);
    const current = read();
    this.#connections = new EtcdConnections(
      {
        endpoints,
        clock,
        requestTimeoutMs,
        keepaliveMs: options.keepaliveMs ?? 5_000,
        keepaliveTimeoutMs: options.keepaliveTimeoutMs ?? 2_000,
      },
      current,
    );
    this.#leases = new EtcdLeases(this.#connections);
    if (tls !== undefined || login !== undefined) {
      const changed = this.#connections.renew.bind(this.#connections);
      const intervalMs = options.reloadMs ?? 5_000;
      this.#credentials = new CredentialsWatch({ read, current, intervalMs, clock, log, changed });
    }
  }

  async get(key: string, signal: AbortSignal): Promise<StoreEntry | undefined> {
    const answer = await this.#connections.call("read", "always", signal, ({ kv }) =>
      kv.range({ key: Buffer.from(key === "" ? "\0" : key) }),
    );
    const [found] = answer.kvs.map(decodeEntry);
    // A lone surrogate is sent as U+FFFD, and that is another key.
    return found?.key === key ? found : undefined;
  }

  async list(
    prefix: string,
    signal: AbortSignal,
  ): Promise<{ readonly entries: readonly StoreEntry[]; readonly revision: number }> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#listOnce(prefix, signal);
      } catch (error) {
        const overtaken = error instanceof NetworkError && error.code === "STORE_COMPACTED";
        if (!overtaken || attempt === LIST_ATTEMPTS) {
          throw error;
        }
      }
    }
  }

  async commit(transaction: Transaction, signal: AbortSignal): Promise<CommitResult> {
    signal.throwIfAborted();
    this.#connections.closed.throwIfAborted();
    checkTransaction(transaction);
    checkSize(transaction);
    const { compare, operations } = transaction;
    const unknownLease = operations
      .map((operation) => (operation.kind === "put" ? operation.lease : undefined))
      .find((lease) => lease !== undefined && !isLeaseId(lease));
    // What is no id of etcd's cannot be sent; the compares are judged first all the same.
    const sent = unknownLease === undefined ? transaction : { compare, operations: [] };
    const answer = await this.#connections.call("write", "if-not-sent", signal, (client) =>
      client.txn(encodeTransaction(sent)),
    );
    const result = decodeResult(compare, answer);
    if (result.ok && unknownLease !== undefined) {
      throw leaseNotFound(unknownLease);
    }
    return result;
  }

  watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncIterable<StoreBatch> {
    const { clock, log } = this.#options;
    const options = {
      connections: this.#connections,
      clock,
      log,
      requestTimeoutMs: this.#requestTimeoutMs,
    };
    return {
      [Symbol.asyncIterator]: () => new EtcdWatch(options, prefix, afterRevision, signal).batches(),
    };
  }

  grantLease(ttlMs: number, signal: AbortSignal): Promise<string> {
    return this.#leases.grant(ttlMs, signal);
  }

  keepAlive(lease: string, signal: AbortSignal): Promise<void> {
    return this.#leases.keepAlive(lease, signal);
  }

  revokeLease(lease: string, signal: AbortSignal): Promise<void> {
    return this.#leases.revoke(lease, signal);
  }

  async close(): Promise<void> {
    this.#credentials?.stop();
    this.#connections.close();
  }

  /** Page after page, all at the revision of the first. */
  async #listOnce(
    prefix: string,
    signal: AbortSignal,
  ): Promise<{ readonly entries: readonly StoreEntry[]; readonly revision: number }> {
    const limit = this.#options.pageSize ?? 10_000;
    const { key: start, range_end } = prefixRange(prefix);
    const entries: StoreEntry[] = [];
    let key = start;
    let revision = 0;
    for (;;) {
      const request = { key, range_end, limit, revision };
      const page: IRangeResponse = await this.#connections.call("list", "always", signal, ({ kv }) =>
        kv.range(request),
      );
      revision ||= Number(page.header.revision);
      for (const kv of page.kvs) {
        entries.push(decodeEntry(kv));
      }
      const last = page.kvs.at(-1);
      if (!page.more || last === undefined) {
        return { entries, revision };
      }
      key = Buffer.concat([last.key, Buffer.from([0])]);
    }
  }
}
