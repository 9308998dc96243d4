import { NetworkError } from "../core/errors.ts";
import type { LeaseLock, LeaseState } from "../ports/cluster.ts";
import type { Election, Leadership, LeaderView } from "../ports/election.ts";
import type { Logger } from "../ports/logger.ts";
import type { StoreEntry } from "../ports/store.ts";
import type { ElectionOptions } from "./election/election-options.ts";
import { readLeader } from "./election/leader-record.ts";
import { LeaderSight } from "./election/leader-sight.ts";
import { LeaseSight, longestDuration } from "./election/lease-sight.ts";
import { LeaseTerm, letGo } from "./election/lease-term.ts";
import { TermClock, type Moment } from "./election/term-clock.ts";
import { clusterBound, storeBound, within } from "./election/within.ts";
import { writeLeader } from "./election/write-leader.ts";
import type { FollowedBatch, StoreCache } from "./store-follower.ts";
import { Troubles } from "./troubles.ts";

export interface LeaseElectionOptions extends ElectionOptions {
  readonly lock: LeaseLock;
}

/** Looks at the Lease per time to live, of whoever does not lead. */
const LOOKS = 5;
/** Between two tries at least. */
const SHORTEST_PAUSE_MS = 20;

/**
 * Why a candidate may take the Lease:
 *
 * - `free`: nobody holds it and nobody has written the leader's key since, so the last leader said itself that it is over, or there was none;
 * - `abandoned`: it was seen unchanged, held or not, for as long as any leader may act.
 */
type Chance = "free" | "abandoned";

type Step = "read the Lease" | "read the leader's key" | "take the Lease" | "write the leader's key";

const GOES_ON = "this replica can stand for election again";

/**
 * Elects a leader by a Lease of Kubernetes, and fences it in the store (decision 29, ADR 0022).
 *
 *     look at the Lease ─┬─ held ─► look again, until it was unchanged for its duration by the own clock ─┐
 *                        └─ free ────────────────────────────────────────────────────────────────────────┤
 *                                                                                                        ▼
 *     read the leader's key ─► take the Lease (resourceVersion) ─► put the key (compare with what was read) ─► leads; its revision is the epoch
 *
 *     <prefix>/leader = {"id","url","since","holder","durationMs"}
 *
 * The Lease alone says who may stand; the key alone says whose transactions hold. Whoever cannot reach the store does not ask for the Lease.
 */
export class LeaseElection implements Election, StoreCache {
  readonly #options: LeaseElectionOptions;
  readonly #key: string;
  readonly #holder: string;
  readonly #durationMs: number;
  readonly #log: Logger;
  readonly #time: TermClock;
  readonly #troubles: Troubles<Step>;
  readonly #listeners = new Set<() => void>();
  readonly #lease = new LeaseSight();
  readonly #leader = new LeaderSight();
  #term: LeaseTerm | undefined;
  /** How we last asked for the Lease, should it turn out that we got it. */
  #asked: Chance = "abandoned";
  #standsAgainMs = Number.NEGATIVE_INFINITY;
  #told: number | undefined;
  #wake = Promise.withResolvers<void>();

  constructor(options: LeaseElectionOptions) {
    this.#options = options;
    this.#key = `${options.prefix}/leader`;
    // A process that is started again under the same name is somebody else: what the earlier one holds is waited for.
    this.#holder = `${options.id}_${[options.random(), options.random()].map(nonce).join("")}`;
    this.#durationMs = Math.ceil(options.ttlMs / 1000) * 1000;
    this.#log = options.log.child({ component: "election" });
    this.#time = new TermClock(options);
    this.#troubles = new Troubles(this.#log);
  }

  /**
   * Who leads as far as is known here: whom the key names, while his Lease was renewed, as seen from here, within its duration. So a leader that died is named for
   * that long and a look more. Never this replica unless its own term may still act. Looks are part of `campaign`: without one, nobody is believed for longer than that.
   */
  leader(): LeaderView | undefined {
    const { record } = this.#leader;
    if (record === undefined) {
      return undefined;
    }
    const { id, url, epoch, since } = record;
    const isLeading =
      id === this.#options.id
        ? this.#term?.epoch === epoch && this.#term.remainingMs() > 0
        : this.#leader.isAlive(this.#options.clock.monotonic(), this.#patienceMs());
    return isLeading ? { id, url, epoch, since } : undefined;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  reset(entries: readonly StoreEntry[], revision: number): void {
    const entry = entries.find(({ key }) => key === this.#key);
    this.#see(entry?.value, entry?.modRevision ?? revision, undefined);
  }

  apply({ events }: FollowedBatch): void {
    for (const event of events) {
      if (event.key === this.#key) {
        const value = event.kind === "put" ? event.value : undefined;
        this.#see(value, event.modRevision, this.#options.clock.monotonic());
      }
    }
  }

  async campaign(signal: AbortSignal): Promise<Leadership> {
    for (;;) {
      signal.throwIfAborted();
      const term = await this.#try(signal);
      if (term !== undefined) {
        return term;
      }
      await this.#pause(signal);
    }
  }

  /** The key stands, or is gone, since `revision`, and was seen to change at `seenMs`. */
  #see(value: string | undefined, revision: number, seenMs: number | undefined): void {
    const record = value === undefined ? undefined : readLeader(value, revision);
    if (this.#leader.see(record, revision, seenMs, this.#lease)) {
      this.#wake.resolve();
    }
    this.#endWhenPassed();
    this.#tell();
  }

  #endWhenPassed(): void {
    if (this.#term !== undefined && this.#leader.revision > this.#term.epoch) {
      this.#term.end(
        this.#leader.record === undefined
          ? "the leader's key is gone from the store"
          : "another replica wrote the leader's key",
      );
    }
  }

  #tell(): void {
    const epoch = this.leader()?.epoch;
    if (epoch !== this.#told) {
      this.#told = epoch;
      for (const listener of this.#listeners) {
        listener();
      }
    }
  }

  /** Until the key changes, until the Lease will have been still for long enough, or for a fifth of the time to live, whichever comes first. */
  async #pause(signal: AbortSignal): Promise<void> {
    if (signal.aborted) {
      return;
    }
    const { clock, ttlMs, random } = this.#options;
    const lookMs = (ttlMs / LOOKS) * (0.8 + 0.4 * random());
    const { sinceMs } = this.#lease;
    const stillMs = sinceMs === undefined ? 0 : sinceMs + this.#patienceMs() - clock.monotonic();
    // A moment apart from the others, who wait for the same.
    const untilStillMs = stillMs > 0 ? stillMs + random() * SHORTEST_PAUSE_MS : Infinity;
    const wake = (): void => this.#wake.resolve();
    const timer = clock.setTimer(Math.max(SHORTEST_PAUSE_MS, Math.min(lookMs, untilStillMs)), wake);
    signal.addEventListener("abort", wake, { once: true });
    await this.#wake.promise;
    this.#wake = Promise.withResolvers();
    timer.cancel();
    signal.removeEventListener("abort", wake);
  }

  /** One look, and one attempt to be elected if that may be. */
  async #try(signal: AbortSignal): Promise<LeaseTerm | undefined> {
    let step: Step = "read the Lease";
    try {
      await this.#look(signal);
      this.#troubles.went(step, GOES_ON);
      const chance = this.#chance();
      if (chance === undefined) {
        return undefined;
      }
      step = "read the leader's key";
      const { store, ttlMs } = this.#options;
      const read = await within(storeBound(this.#options, ttlMs / 2, signal), (abort) =>
        store.get(this.#key, abort),
      );
      const mayReplace = this.#mayReplace(chance, read);
      this.#troubles.went(step, GOES_ON);
      if (!mayReplace) {
        return undefined;
      }
      step = "take the Lease";
      const sent = this.#time.moment();
      const lease = await this.#take(chance, signal);
      this.#troubles.went(step, GOES_ON);
      if (lease === undefined) {
        return undefined;
      }
      step = "write the leader's key";
      const term = await this.#fence(chance, read, lease, sent, signal);
      this.#troubles.went(step, GOES_ON);
      return term;
    } catch (error) {
      signal.throwIfAborted();
      this.#troubles.failed(
        step,
        error,
        "this replica cannot stand for election; it is tried again and again",
      );
      return undefined;
    } finally {
      this.#tell();
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { lock, clock, ttlMs } = this.#options;
    const sentMs = clock.monotonic();
    const state = await within(clusterBound(this.#options, ttlMs / 2, signal), (abort) => lock.read(abort));
    this.#lease.see(state, clock.monotonic());
    this.#leader.compare(this.#lease, sentMs);
  }

  /** Why we may stand now, as far as Lease and cache say; `undefined` when we may not. */
  #chance(): Chance | undefined {
    const nowMs = this.#options.clock.monotonic();
    if (nowMs < this.#standsAgainMs) {
      return undefined;
    }
    if (this.#lease.isStill(this.#patienceMs(), nowMs)) {
      return "abandoned";
    }
    const holder = this.#lease.state?.holder ?? "";
    if (holder === this.#holder) {
      // The answer was lost by which we got it.
      return this.#asked;
    }
    const others = this.#leader.record !== undefined && this.#leader.record.holder !== this.#holder;
    return holder === "" && !others ? "free" : undefined;
  }

  /** How long a leader may act at most that we hear nothing of. */
  #patienceMs(): number {
    return longestDuration([
      this.#durationMs,
      this.#lease.state?.durationMs,
      this.#leader.record?.durationMs,
    ]);
  }

  /** Whether the key, as it is in the store, may be written over. Throws when another kind of election wrote it. */
  #mayReplace(chance: Chance, entry: StoreEntry | undefined): boolean {
    if (entry === undefined) {
      return true;
    }
    const { holder } = readLeader(entry.value, entry.modRevision);
    if (holder === "") {
      throw new NetworkError(
        "conflict",
        "LEADER_KEY_FOREIGN",
        `cannot be elected by the Lease: the key ${this.#key} was written by an election without one; it goes when the replicas that elect by the store have ended; if there are none, delete it`,
        { key: this.#key },
      );
    }
    // If it is free, and another one's key stands that the watch has not shown yet: he leads, and his Lease was taken away.
    return chance === "abandoned" || holder === this.#holder;
  }

  /** Takes the Lease as it was seen; `undefined` when somebody was faster. */
  async #take(chance: Chance, signal: AbortSignal): Promise<LeaseState | undefined> {
    const { lock, clock, url, ttlMs } = this.#options;
    const { state } = this.#lease;
    const now = clock.now();
    const wanted = {
      holder: this.#holder,
      durationMs: this.#durationMs,
      acquireMs: now,
      renewMs: now,
      transitions: state === undefined ? 0 : state.transitions + 1,
      url,
    };
    this.#asked = chance;
    try {
      return await within(clusterBound(this.#options, ttlMs / 2, signal), (abort) =>
        state === undefined
          ? lock.create(wanted, abort)
          : lock.update({ ...wanted, resourceVersion: state.resourceVersion }, abort),
      );
    } catch (error) {
      if (error instanceof NetworkError && (error.kind === "conflict" || error.kind === "not-found")) {
        return undefined;
      }
      throw error;
    }
  }

  /** Begins the term by writing the key. When that cannot be, the Lease is given back, and another one may have better luck with the store. */
  async #fence(
    chance: Chance,
    read: StoreEntry | undefined,
    lease: LeaseState,
    sent: Moment,
    signal: AbortSignal,
  ): Promise<LeaseTerm | undefined> {
    const { store, clock, id, url, ttlMs } = this.#options;
    const { holder, durationMs, acquireMs: since, transitions } = lease;
    const parts = {
      ...this.#options,
      time: this.#time,
      log: this.#log,
      holder: this.#holder,
      onEnd: () => this.#tell(),
    };
    let term: LeaseTerm | undefined;
    try {
      const write = {
        store,
        clock,
        key: this.#key,
        value: JSON.stringify({ id, url, since, holder, durationMs, transitions }),
        read,
        mayReplace: (entry: StoreEntry | undefined) => this.#mayReplace(chance, entry),
        remainingMs: () => this.#time.remainingMs(sent),
        attemptMs: ttlMs / 2,
      };
      const epoch = await writeLeader(write, signal);
      if (epoch !== undefined) {
        term = new LeaseTerm(parts, { key: this.#key, epoch, lease, sent });
        this.#term = term;
        this.#endWhenPassed();
      }
    } finally {
      if (term === undefined) {
        this.#standsAgainMs = clock.monotonic() + ttlMs;
        await letGo(parts, lease, undefined);
      }
    }
    return term;
  }
}

/** Some letters and digits for a random number. */
function nonce(random: number): string {
  return Math.floor(random * 36 ** 5)
    .toString(36)
    .padStart(5, "0");
}
