import { NetworkError } from "../../core/errors.ts";
import type { Clock, Timer } from "../../ports/clock.ts";
import type { LeaseLock, LeaseState } from "../../ports/cluster.ts";
import type { Leadership } from "../../ports/election.ts";
import type { Logger } from "../../ports/logger.ts";
import type { KeyCompare, Store } from "../../ports/store.ts";
import type { Moment, TermClock } from "./term-clock.ts";
import { clusterBound, storeBound, within } from "./within.ts";

/** What a term works with; the same for all terms of a replica. */
export interface LeaseTermParts {
  readonly lock: LeaseLock;
  readonly store: Store;
  readonly clock: Clock;
  readonly time: TermClock;
  readonly log: Logger;
  readonly ttlMs: number;
  /** Who we are in the Lease: unique among all processes that ever were. */
  readonly holder: string;
  /** Called once, when the term is over. */
  readonly onEnd: () => void;
}

export interface LeaseTermStart {
  /** The leader's key, and the revision at which this term wrote it. */
  readonly key: string;
  readonly epoch: number;
  /** The Lease as it was won. */
  readonly lease: LeaseState;
  /** Taken before the Lease was asked for. */
  readonly sent: Moment;
}

/** Renewals per time to live. */
const RENEWALS = 3;
/** Parts of the time to live after which a renewal that failed is tried again. */
const RETRIES = 20;
/** Why a term ended that its replica gave up itself, which is nothing to worry about. */
const RESIGNED = "it gave the lead up";
/** The longest wait, each, for the API server and the store to take a resignation. */
const RESIGN_MS = 1_000;
/** How long a leader goes on without the store. A shorter absence of it is nobody's fault; after a longer one, another replica may reach it. */
const STORE_PATIENCE_MS = 120_000;

/** A term that is held by a Lease and fenced by the leader's key. See `LeaseElection`. */
export class LeaseTerm implements Leadership {
  readonly epoch: number;
  readonly guard: KeyCompare;
  readonly #parts: LeaseTermParts;
  readonly #over = new AbortController();
  #lease: LeaseState;
  #sent: Moment;
  #deadline: Timer | undefined;
  #storeSeenMs: number;
  #asksStore = false;
  #resigning: Promise<void> | undefined;

  constructor(parts: LeaseTermParts, { key, epoch, lease, sent }: LeaseTermStart) {
    this.#parts = parts;
    this.#lease = lease;
    this.#sent = sent;
    this.#storeSeenMs = parts.clock.monotonic();
    this.epoch = epoch;
    this.guard = { key, modRevision: epoch };
    this.#watchDeadline();
    void this.#keep();
  }

  get ended(): AbortSignal {
    return this.#over.signal;
  }

  remainingMs(): number {
    return this.ended.aborted ? 0 : this.#parts.time.remainingMs(this.#sent);
  }

  /** Ends the term on this side; Lease and key are left to whoever calls `resign`. */
  end(reason: string): void {
    if (this.ended.aborted) {
      return;
    }
    const { log, onEnd } = this.#parts;
    this.#deadline?.cancel();
    log[reason === RESIGNED ? "info" : "warn"]({ epoch: this.epoch, reason }, "this replica leads no longer");
    this.#over.abort(
      new NetworkError("transient", "LEADERSHIP_LOST", `this replica leads no longer: ${reason}; ask again`, {
        epoch: this.epoch,
      }),
    );
    onEnd();
  }

  async resign(): Promise<void> {
    this.end(RESIGNED);
    this.#resigning ??= letGo(this.#parts, this.#lease, this.guard);
    await this.#resigning;
  }

  #watchDeadline(): void {
    this.#deadline?.cancel();
    const remaining = this.remainingMs();
    // What is left of a millisecond is rounding: a timer for it may fire before any time has passed.
    if (remaining < 1) {
      this.end("the Lease was not renewed in time");
    } else {
      this.#deadline = this.#parts.clock.setTimer(remaining, () => this.#watchDeadline());
    }
  }

  /** Renews the Lease until the term is over. Never rejects. */
  async #keep(): Promise<void> {
    const { clock, ttlMs, log, time } = this.#parts;
    let failures = 0;
    // The Lease was asked for some time ago: what has passed since counts.
    let pauseMs = Math.max(0, ttlMs / RENEWALS - (clock.monotonic() - this.#sent.monotonic));
    for (;;) {
      try {
        await clock.sleep(pauseMs, this.ended);
        const sent = time.moment();
        await this.#renew();
        this.#sent = sent;
        this.#watchDeadline();
        void this.#askStore();
        pauseMs = ttlMs / RENEWALS;
        failures = 0;
      } catch (error) {
        if (this.ended.aborted) {
          return;
        }
        log[failures === 0 ? "warn" : "debug"](
          { err: error, remainingMs: this.remainingMs() },
          "the Lease was not renewed; it is tried again until the term is over",
        );
        failures += 1;
        pauseMs = ttlMs / RETRIES;
      }
    }
  }

  /** Throws when the Lease was not renewed; ends the term when it is somebody else's. */
  async #renew(): Promise<void> {
    const { lock, clock } = this.#parts;
    // Others compare it: it changes with every renewal, also when the wall clock goes back.
    const renewMs = Math.max(clock.now(), this.#lease.renewMs + 1);
    const next = { ...this.#lease, renewMs };
    try {
      this.#lease = await this.#ask((signal) => lock.update(next, signal));
    } catch (error) {
      if (!(error instanceof NetworkError) || (error.kind !== "conflict" && error.kind !== "not-found")) {
        throw error;
      }
      const found = await this.#ask((signal) => lock.read(signal));
      if (found === undefined) {
        // Deleted under us. Nobody else takes it at once, because the leader's key stands.
        this.#lease = await this.#ask((signal) => lock.create(next, signal));
        return;
      }
      if (found.holder === this.#parts.holder) {
        // A renewal of ours whose answer was lost, or an edit that changed something else.
        this.#lease = { ...found, renewMs: Math.max(found.renewMs, renewMs) };
      } else {
        this.end(found.holder === "" ? "the Lease was taken from it" : `"${found.holder}" holds the Lease`);
      }
      throw error;
    }
  }

  /** Looks whether the store is there and the key still ours. Never rejects. */
  async #askStore(): Promise<void> {
    if (this.#asksStore) {
      return;
    }
    const { store, clock, ttlMs, log } = this.#parts;
    this.#asksStore = true;
    try {
      const bound = storeBound(this.#parts, ttlMs / 2, this.ended);
      const entry = await within(bound, (signal) => store.get(this.guard.key, signal));
      this.#storeSeenMs = clock.monotonic();
      if (entry?.modRevision !== this.epoch) {
        this.end("the leader's key in the store is no longer its own");
      }
    } catch (error) {
      log.debug({ err: error }, "the store did not answer the leader");
      if (clock.monotonic() - this.#storeSeenMs > STORE_PATIENCE_MS) {
        this.end("the store has not answered it for two minutes; another replica may reach it");
      }
    } finally {
      this.#asksStore = false;
    }
  }

  #ask<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return within(clusterBound(this.#parts, this.#parts.ttlMs / RENEWALS, this.ended), work);
  }
}

/**
 * Gives the Lease back and deletes the key, so that the next term begins at once. What does not answer is left: then the next one waits for the Lease's time.
 * Never rejects.
 */
export async function letGo(
  parts: Omit<LeaseTermParts, "onEnd">,
  lease: LeaseState,
  guard: KeyCompare | undefined,
): Promise<void> {
  const { lock, store, clock, holder, log } = parts;
  const steps = [
    () => within(clusterBound(parts, RESIGN_MS), (signal) => release(lock, clock, holder, lease, signal)),
    () =>
      within(storeBound(parts, RESIGN_MS), async (signal) => {
        if (guard !== undefined) {
          await store.commit({ compare: [guard], operations: [{ kind: "delete", key: guard.key }] }, signal);
        }
      }),
  ];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      log.debug(
        { err: error },
        "a term was not given back in full; the next one begins when its time is over",
      );
    }
  }
}

async function release(
  lock: LeaseLock,
  clock: Clock,
  holder: string,
  lease: LeaseState,
  signal: AbortSignal,
): Promise<void> {
  const free = (held: LeaseState): LeaseState => ({
    ...held,
    holder: "",
    url: "",
    renewMs: Math.max(clock.now(), held.renewMs + 1),
  });
  try {
    await lock.update(free(lease), signal);
  } catch (error) {
    if (!(error instanceof NetworkError) || error.kind !== "conflict") {
      throw error;
    }
    const found = await lock.read(signal);
    if (found?.holder === holder) {
      await lock.update(free(found), signal);
    }
  }
}
