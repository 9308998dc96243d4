import type { IRangeResponse } from "etcd3";

import { NetworkError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Logger } from "../../ports/logger.ts";
import type { StoreBatch, StoreEvent } from "../../ports/store.ts";
import { classifyError, compacted, unavailable } from "./classify-error.ts";
import type { EtcdConnections, EtcdPlace } from "./connections.ts";
import { EVENT_DELETE, toNumber, type EventMessage, type WatchAnswer } from "./messages.ts";
import { decodeEntry } from "./transactions.ts";
import { WatchStream } from "./watch-stream.ts";

export interface EtcdWatchOptions {
  readonly connections: EtcdConnections;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long etcd may take to confirm a new watch. */
  readonly requestTimeoutMs: number;
}

/** Between attempts, doubled each time, with the last as the bound. */
const FIRST_RETRY_MS = 50;
const LONGEST_RETRY_MS = 2_000;

type Outcome =
  | { readonly kind: "left" | "moved" }
  | { readonly kind: "answer"; readonly answer: WatchAnswer };

/**
 * One reader of `Store.watch`. It lives through lost connections, ended streams, members without a leader and new credentials: each time it opens
 * another stream right after the last revision that it has *delivered* (never the revision of etcd's header, which is ahead of the changes during a
 * catch-up), with a growing pause between failures. It ends only when its signal is aborted, or with an error that waiting does not heal:
 * `STORE_COMPACTED`, `STORE_CLOSED`, `STORE_DENIED`.
 *
 * Before each stream linearizable reads are made, now and as of the last delivered revision. They take a new token where the old one ran out (a watch
 * cannot), they find an endpoint that answers, and they close two holes: a stream that begins exactly at the compacted revision would be served, though
 * a deletion of that revision is gone; and an etcd that was restored from an older backup would let us wait for revisions that we know already.
 */
export class EtcdWatch {
  readonly #options: EtcdWatchOptions;
  readonly #prefix: string;
  readonly #signal: AbortSignal;
  #delivered: number;
  /** False until the store is known to have reached `#delivered`: a caller may wait for revisions that are still to come. */
  #reached = false;
  #retryMs = 0;

  constructor(options: EtcdWatchOptions, prefix: string, afterRevision: number, signal: AbortSignal) {
    this.#options = options;
    this.#prefix = prefix;
    this.#delivered = afterRevision;
    this.#signal = signal;
  }

  async *batches(): AsyncGenerator<StoreBatch, void, undefined> {
    const { connections, log } = this.#options;
    while (!this.#signal.aborted) {
      connections.closed.throwIfAborted();
      try {
        await this.#checkHistory();
        yield* this.#oneStream();
      } catch (error) {
        if (this.#signal.aborted) {
          return;
        }
        connections.closed.throwIfAborted();
        if (!(error instanceof NetworkError && error.kind === "transient")) {
          throw error;
        }
        log.info(
          { reason: error.message, revision: this.#delivered },
          "a watch of etcd was interrupted; it goes on from its last revision",
        );
        await this.#pause();
      }
    }
  }

  /** Throws `STORE_COMPACTED` when the changes after the last delivered revision are no longer all there. */
  async #checkHistory(): Promise<void> {
    const { connections } = this.#options;
    const key = Buffer.from(this.#prefix === "" ? "\0" : this.#prefix);
    const readAt = (revision: number): Promise<IRangeResponse> =>
      connections.call("watch", "always", this.#signal, ({ kv }) =>
        kv.range({ key, revision, count_only: true }),
      );
    const now = Number((await readAt(0)).header.revision);
    if (now >= this.#delivered) {
      this.#reached = true;
      // Refused when the compaction took this revision; what comes after it may lack deletions then.
      await (this.#delivered > 0 && readAt(this.#delivered));
    } else if (this.#reached) {
      throw compacted(
        connections.endpoint,
        "watch",
        `etcd stands at revision ${now}, before ${this.#delivered} that was seen: it was restored from a backup`,
      );
    }
  }

  /** Delivers until the stream ends; returns when it has to be opened again at once. */
  async *#oneStream(): AsyncGenerator<StoreBatch, void, undefined> {
    const { connections } = this.#options;
    const place = connections.place();
    const stream = await this.#failing(
      place,
      WatchStream.open(place.client, this.#prefix, this.#delivered + 1),
    );
    try {
      await this.#confirmed(stream, place);
      for (;;) {
        const outcome = await this.#next(stream, place);
        if (outcome.kind !== "answer") {
          return;
        }
        this.#retryMs = 0;
        this.#refuseCancelled(outcome.answer, place);
        for (const batch of batchesOf(outcome.answer)) {
          if (this.#signal.aborted) {
            return;
          }
          this.#delivered = batch.revision;
          this.#reached = true;
          yield batch;
          connections.closed.throwIfAborted();
        }
      }
    } finally {
      stream.close();
    }
  }

  /** Waits for etcd's word that the watch stands, no longer than a request may take. */
  async #confirmed(stream: WatchStream, place: EtcdPlace): Promise<void> {
    const { clock, requestTimeoutMs, connections } = this.#options;
    const late = Promise.withResolvers<never>();
    const timer = clock.setTimer(requestTimeoutMs, () => {
      connections.leave(place.endpoint);
      late.reject(unavailable(place.endpoint, "watch", `not confirmed within ${requestTimeoutMs} ms`));
    });
    try {
      const outcome = await Promise.race([this.#next(stream, place), late.promise]);
      if (outcome.kind === "answer") {
        this.#refuseCancelled(outcome.answer, place);
      }
    } finally {
      timer.cancel();
    }
  }

  async #next(stream: WatchStream, place: EtcdPlace): Promise<Outcome> {
    const { connections } = this.#options;
    const ended = Promise.withResolvers<Outcome>();
    const end = (): void => {
      if (!this.#signal.aborted && connections.closed.aborted) {
        ended.reject(connections.closed.reason);
      } else {
        ended.resolve({ kind: this.#signal.aborted ? "left" : "moved" });
      }
    };
    const signals = [this.#signal, connections.closed, place.retired];
    signals.forEach((signal) => signal.addEventListener("abort", end, { once: true }));
    if (signals.some(({ aborted }) => aborted)) {
      end();
    }
    try {
      const answer = this.#failing(place, stream.next()).then((found): Outcome =>
        found === undefined ? { kind: "moved" } : { kind: "answer", answer: found },
      );
      return await Promise.race([ended.promise, answer]);
    } finally {
      signals.forEach((signal) => signal.removeEventListener("abort", end));
    }
  }

  #refuseCancelled(
    { canceled, compact_revision: compactRevision, cancel_reason: reason }: WatchAnswer,
    place: EtcdPlace,
  ): void {
    if (!canceled) {
      return;
    }
    if (toNumber(compactRevision) > 0) {
      throw compacted(
        place.endpoint,
        "watch",
        `etcd was compacted to revision ${toNumber(compactRevision)}, and revision ${this.#delivered} is the last that was seen`,
      );
    }
    throw unavailable(
      place.endpoint,
      "watch",
      `it ended the watch (${reason === "" ? "no reason given" : reason})`,
    );
  }

  /** Says what a failure of a stream means, and has other calls avoid the endpoint. */
  async #failing<T>(place: EtcdPlace, work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      const { connections } = this.#options;
      const failure = classifyError(error, place.endpoint, "watch");
      if (failure.elsewhere) {
        connections.leave(place.endpoint);
      }
      throw failure.loginStale
        ? unavailable(place.endpoint, "watch", "the login ran out", error)
        : failure.error;
    }
  }

  async #pause(): Promise<void> {
    const { clock, connections } = this.#options;
    this.#retryMs = Math.min(LONGEST_RETRY_MS, Math.max(FIRST_RETRY_MS, this.#retryMs * 2));
    try {
      await clock.sleep(this.#retryMs, AbortSignal.any([this.#signal, connections.closed]));
    } catch (error) {
      if (!this.#signal.aborted && !connections.closed.aborted) {
        throw error;
      }
    }
  }
}

/**
 * etcd sends all events of a revision in one answer, in the order of the transaction's operations; one answer may hold many revisions. They are decoded for whoever looks at
 * them: a follower has its own changes already.
 */
function batchesOf({ events }: WatchAnswer): readonly StoreBatch[] {
  const batches: StoreBatch[] = [];
  for (let start = 0; start < events.length;) {
    const revision = revisionOf(events[start]);
    let end = start + 1;
    while (end < events.length && revisionOf(events[end]) === revision) {
      end += 1;
    }
    const own = events.slice(start, end);
    let decoded: readonly StoreEvent[] | undefined;
    batches.push({
      revision,
      get events() {
        decoded ??= own.map((event) => decodeEvent(event, revision));
        return decoded;
      },
    });
    start = end;
  }
  return batches;
}

function revisionOf(event: EventMessage | undefined): number {
  return toNumber(event?.kv.mod_revision ?? 0);
}

function decodeEvent({ type, kv }: EventMessage, modRevision: number): StoreEvent {
  return type === EVENT_DELETE
    ? { kind: "delete", key: kv.key.toString(), modRevision }
    : { kind: "put", entry: decodeEntry(kv) };
}
