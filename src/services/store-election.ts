import { NetworkError } from "../core/errors.ts";
import type { Timer } from "../ports/clock.ts";
import type { Election, Leadership, LeaderView } from "../ports/election.ts";
import type { Logger } from "../ports/logger.ts";
import type { KeyCompare, StoreEntry } from "../ports/store.ts";
import type { ElectionOptions } from "./election/election-options.ts";
import { readLeader } from "./election/leader-record.ts";
import { TermClock, type Moment } from "./election/term-clock.ts";
import { storeBound, within } from "./election/within.ts";
import type { FollowedBatch, StoreCache } from "./store-follower.ts";

/** Keep-alives per time to live. */
const KEEP_ALIVES = 3;
/** Why a term ended that its replica gave up itself, which is nothing to worry about. */
const RESIGNED = "it gave the lead up";
/** The longest wait for the store to let a lease go. */
const REVOKE_MS = 1_000;

/**
 * Elects a leader by one key of the store, written with a lease and the compare that it did not exist (decision 29).
 *
 *     <prefix>/leader = {"id","url","since"}      its create revision is the epoch
 *
 *     grant lease ─► put if absent ─┬─ lost ─► wait until the key goes
 *                                   └─ won  ─► keep alive each TTL/3 ─► the key went, or no answer in time: over
 *
 * The deadline of a term is counted from the moment *before* a grant or keep-alive was sent, and a tenth shorter than the lease: it has passed here before anybody
 * else can be elected.
 */
export class StoreElection implements Election, StoreCache {
  readonly #options: ElectionOptions;
  readonly #key: string;
  readonly #log: Logger;
  readonly #time: TermClock;
  readonly #listeners = new Set<() => void>();
  #leader: LeaderView | undefined;
  #term: Term | undefined;

  constructor(options: ElectionOptions) {
    this.#options = options;
    this.#key = `${options.prefix}/leader`;
    this.#log = options.log.child({ component: "election" });
    this.#time = new TermClock(options);
  }

  /**
   * Who leads as far as is known here. Never this replica unless its own term may still act: not after the lease was not renewed in time, though its key may still stand,
   * and not on account of the key that a process of the same id left behind.
   */
  leader(): LeaderView | undefined {
    const leader = this.#leader;
    if (leader?.id !== this.#options.id) {
      return leader;
    }
    const term = this.#term;
    return term?.epoch === leader.epoch && term.remainingMs() > 0 ? leader : undefined;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  reset(entries: readonly StoreEntry[], revision: number): void {
    const entry = entries.find(({ key }) => key === this.#key);
    this.#see(entry === undefined ? undefined : readLeader(entry.value, entry.modRevision));
    if (this.#term !== undefined && revision >= this.#term.epoch && entry?.modRevision !== this.#term.epoch) {
      this.#term.end("another replica was elected");
    }
  }

  apply({ events }: FollowedBatch): void {
    for (const event of events) {
      if (event.key === this.#key) {
        this.#see(event.kind === "put" ? readLeader(event.value, event.modRevision) : undefined);
        if (this.#term !== undefined && event.modRevision > this.#term.epoch) {
          this.#term.end("the leader's key is gone from the store");
        }
      }
    }
  }

  async campaign(signal: AbortSignal): Promise<Leadership> {
    const { clock, ttlMs, random } = this.#options;
    for (let attempt = 0; ; attempt += 1) {
      signal.throwIfAborted();
      if (attempt > 0) {
        await clock.sleep(20 + random() * 180, signal);
      }
      if (this.#leader !== undefined) {
        await this.#change(ttlMs, signal);
      }
      if (this.#leader === undefined || attempt > 0) {
        const term = await this.#stand(signal);
        if (term !== undefined) {
          return term;
        }
      }
    }
  }

  #see(leader: LeaderView | undefined): void {
    if (leader?.epoch === this.#leader?.epoch) {
      return;
    }
    this.#leader = leader;
    for (const listener of this.#listeners) {
      listener();
    }
  }

  /** Resolves when the leader changed, or after `timeoutMs`. */
  async #change(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const forget = this.onChange(resolve);
    const timer = this.#options.clock.setTimer(timeoutMs, resolve);
    signal.addEventListener("abort", () => resolve(), { once: true });
    try {
      await promise;
      signal.throwIfAborted();
    } finally {
      timer.cancel();
      forget();
    }
  }

  /** One attempt to be elected; `undefined` when somebody else leads or the store did not answer. */
  async #stand(signal: AbortSignal): Promise<Term | undefined> {
    const { store, clock, id, url, ttlMs } = this.#options;
    const sent = this.#time.moment();
    let lease: string | undefined;
    try {
      lease = await this.#within(ttlMs / 2, signal, (abort) => store.grantLease(ttlMs, abort));
      const granted = lease;
      const value = JSON.stringify({ id, url, since: clock.now() });
      const result = await this.#within(ttlMs / 2, signal, (abort) =>
        store.commit(
          {
            compare: [{ key: this.#key, modRevision: 0 }],
            operations: [{ kind: "put", key: this.#key, value, lease: granted }],
          },
          abort,
        ),
      );
      if (result.ok) {
        this.#term = new Term(
          this.#options,
          { key: this.#key, epoch: result.revision, lease, sent },
          this.#log,
        );
        return this.#term;
      }
    } catch (error) {
      signal.throwIfAborted();
      this.#log.warn({ err: error }, "the store did not answer a candidate; it is tried again");
    }
    if (lease !== undefined) {
      // Whether our key was written or not, it goes with the lease.
      await revoke(this.#options, lease, this.#log);
    }
    return undefined;
  }

  async #within<T>(
    timeoutMs: number,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    return within(storeBound(this.#options, timeoutMs, signal), work);
  }
}

interface TermStart {
  readonly key: string;
  readonly epoch: number;
  readonly lease: string;
  /** Taken before the grant was sent. */
  readonly sent: Moment;
}

class Term implements Leadership {
  readonly epoch: number;
  readonly guard: KeyCompare;
  readonly #options: ElectionOptions;
  readonly #lease: string;
  readonly #log: Logger;
  readonly #time: TermClock;
  readonly #over = new AbortController();
  #sent: Moment;
  #deadline: Timer | undefined;

  constructor(options: ElectionOptions, start: TermStart, log: Logger) {
    this.#options = options;
    this.#log = log;
    this.#time = new TermClock(options);
    this.#lease = start.lease;
    this.#sent = start.sent;
    this.epoch = start.epoch;
    this.guard = { key: start.key, modRevision: start.epoch };
    this.#watchDeadline();
    void this.#keepAlive();
  }

  get ended(): AbortSignal {
    return this.#over.signal;
  }

  remainingMs(): number {
    return this.#over.signal.aborted ? 0 : this.#time.remainingMs(this.#sent);
  }

  /** Ends the term on this side; the lease is left to whoever calls `resign`. */
  end(reason: string): void {
    if (this.#over.signal.aborted) {
      return;
    }
    this.#deadline?.cancel();
    this.#log[reason === RESIGNED ? "info" : "warn"](
      { epoch: this.epoch, reason },
      "this replica leads no longer",
    );
    this.#over.abort(
      new NetworkError("transient", "LEADERSHIP_LOST", `this replica leads no longer: ${reason}; ask again`, {
        epoch: this.epoch,
      }),
    );
  }

  async resign(): Promise<void> {
    this.end(RESIGNED);
    await revoke(this.#options, this.#lease, this.#log);
  }

  #watchDeadline(): void {
    this.#deadline?.cancel();
    const remaining = this.remainingMs();
    // What is left of a millisecond is rounding: a timer for it may fire before any time has passed.
    if (remaining < 1) {
      this.end("the store did not renew the lease in time");
    } else {
      this.#deadline = this.#options.clock.setTimer(remaining, () => this.#watchDeadline());
    }
  }

  /** Never rejects. */
  async #keepAlive(): Promise<void> {
    const { store, clock, ttlMs } = this.#options;
    let pauseMs = ttlMs / KEEP_ALIVES;
    for (;;) {
      try {
        await clock.sleep(pauseMs, this.ended);
        const sent = this.#time.moment();
        await within(storeBound(this.#options, ttlMs / KEEP_ALIVES, this.ended), (abort) =>
          store.keepAlive(this.#lease, abort),
        );
        this.#sent = sent;
        this.#watchDeadline();
        pauseMs = ttlMs / KEEP_ALIVES;
      } catch (error) {
        if (this.ended.aborted) {
          return;
        }
        if (error instanceof NetworkError && error.kind !== "transient") {
          this.end(`the store refused to renew the lease: ${error.message}`);
          return;
        }
        this.#log.warn(
          { err: error, remainingMs: this.remainingMs() },
          "the lease was not renewed; it is tried again",
        );
        pauseMs = ttlMs / 25;
      }
    }
  }
}

/** Lets a lease go, with its keys. A store that does not answer lets it go by itself when its time is over. */
async function revoke(options: ElectionOptions, lease: string, log: Logger): Promise<void> {
  try {
    await within(storeBound(options, REVOKE_MS), (signal) => options.store.revokeLease(lease, signal));
  } catch (error) {
    log.debug({ err: error }, "the lease was not let go; it ends by itself");
  }
}
