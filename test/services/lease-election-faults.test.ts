import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { MemoryStore } from "../../src/adapters/memory/memory-store.ts";
import { SeededRandom } from "../../src/adapters/simulation/seeded-random.ts";
import { VirtualClock } from "../../src/adapters/simulation/virtual-clock.ts";
import { NetworkError } from "../../src/core/errors.ts";
import type { Clock, Timer } from "../../src/ports/clock.ts";
import type { LeaseLock } from "../../src/ports/cluster.ts";
import type { Leadership } from "../../src/ports/election.ts";
import type { Store } from "../../src/ports/store.ts";
import { LeaseElection } from "../../src/services/lease-election.ts";
import { StoreFollower } from "../../src/services/store-follower.ts";
import { MemoryLease } from "../support/memory-lease.ts";
import { silentLog } from "../support/silent-log.ts";

const never = new AbortController().signal;
const TTL_MS = 2_000;

/** A clock that runs at its own rate, from its own zero, with a wall clock that is wrong. */
class OwnClock implements Clock {
  readonly #clock: VirtualClock;
  readonly #rate: number;
  readonly #zeroMs: number;

  constructor(clock: VirtualClock, rate: number, zeroMs: number) {
    this.#clock = clock;
    this.#rate = rate;
    this.#zeroMs = zeroMs;
  }

  now(): number {
    return this.#clock.now() + 10 * this.#zeroMs;
  }

  monotonic(): number {
    return this.#zeroMs + this.#clock.monotonic() * this.#rate;
  }

  setTimer(delayMs: number, callback: () => void | Promise<void>): Timer {
    return this.#clock.setTimer(delayMs / this.#rate, callback);
  }

  sleep(delayMs: number, signal: AbortSignal): Promise<void> {
    return this.#clock.sleep(delayMs / this.#rate, signal);
  }
}

/** What a network does to calls. Chances are of 1. */
interface Weather {
  readonly longestDelayMs: number;
  readonly lost: number;
  readonly lostAnswer: number;
}

/** A way to a server on which calls are late or lost, and answers too. What was given up by its caller may arrive all the same. */
class BadLine {
  weather: Weather;
  /** Nothing goes through any more. */
  isCut = false;
  readonly #clock: VirtualClock;
  readonly #random: SeededRandom;

  constructor(clock: VirtualClock, random: SeededRandom, weather: Weather) {
    this.#clock = clock;
    this.#random = random;
    this.weather = weather;
  }

  async call<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const { longestDelayMs, lost, lostAnswer } = this.weather;
    const delay = (): Promise<void> => this.#clock.sleep(longestDelayMs * this.#random.next() ** 3, never);
    const arrives = async (): Promise<T> => {
      await delay();
      if (this.isCut || this.#random.next() < lost) {
        return this.#silence();
      }
      const answer = await work();
      await delay();
      return this.isCut || this.#random.next() < lostAnswer ? this.#silence() : answer;
    };
    const given = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
    });
    return Promise.race([arrives(), given]);
  }

  /** Changes come late, and wait while nothing goes through. */
  async *watch(batches: ReturnType<Store["watch"]>): ReturnType<Store["watch"]> {
    for await (const batch of batches) {
      do {
        await this.#clock.sleep(this.weather.longestDelayMs * this.#random.next(), never);
      } while (this.isCut && (await this.#clock.sleep(20, never).then(() => true)));
      yield batch;
    }
  }

  /** Silence, or at once the end of the connection. */
  async #silence(): Promise<never> {
    if (this.#random.next() < 0.5) {
      throw new NetworkError("transient", "CLUSTER_UNAVAILABLE", "the connection broke");
    }
    return new Promise<never>(() => undefined);
  }
}

function badStore(store: Store, line: BadLine): Store {
  return {
    limits: store.limits,
    isShared: true,
    get: (key, signal) => line.call(signal, () => store.get(key, never)),
    list: (prefix, signal) => line.call(signal, () => store.list(prefix, never)),
    commit: (transaction, signal) => line.call(signal, () => store.commit(transaction, never)),
    watch: (prefix, after, signal) => line.watch(store.watch(prefix, after, signal)),
    grantLease: (ttlMs, signal) => store.grantLease(ttlMs, signal),
    keepAlive: (lease, signal) => store.keepAlive(lease, signal),
    revokeLease: (lease, signal) => store.revokeLease(lease, signal),
    close: () => Promise.resolve(),
  };
}

function badLease(lease: LeaseLock, line: BadLine): LeaseLock {
  return {
    read: (signal) => line.call(signal, () => lease.read(never)),
    create: (state, signal) => line.call(signal, () => lease.create(state, never)),
    update: (state, signal) => line.call(signal, () => lease.update(state, never)),
  };
}

const CALM: Weather = { longestDelayMs: 5, lost: 0, lostAnswer: 0 };

const weather = fc.oneof(
  { weight: 2, arbitrary: fc.constant(CALM) },
  {
    weight: 1,
    arbitrary: fc.record({
      longestDelayMs: fc.constantFrom(0, 50, 500, 3_000),
      lost: fc.constantFrom(0, 0.1, 0.5),
      lostAnswer: fc.constantFrom(0, 0.1, 0.5),
    }),
  },
);

/** What happens to the Lease, and to leaders, at some moment. */
const happening = fc.record({
  atMs: fc.integer({ min: 0, max: 20_000 }),
  what: fc.constantFrom(
    "cut the leader off",
    "cut the leader off from the store",
    "cut the leader off from the cluster",
    "heal",
    "delete the Lease",
    "empty the Lease",
    "take the Lease",
    "label the Lease",
    "resign",
  ),
});

describe("elections on a Lease under faults", () => {
  it("never has two leaders who may act, and has one again when all is well", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer(),
        fc.array(
          fc.record({
            // The tenth that a term is shorter is for this.
            rate: fc.double({ min: 0.95, max: 1.05, noNaN: true }),
            zeroMs: fc.integer({ min: 0, max: 1_000_000 }),
            toStore: weather,
            toCluster: weather,
          }),
          { minLength: 2, maxLength: 4 },
        ),
        fc.array(happening, { minLength: 3, maxLength: 12 }),
        async (seed, machines, happenings) => {
          const random = new SeededRandom(seed);
          const clock = new VirtualClock({ turnEveryMs: 1 });
          const store = new MemoryStore({ clock });
          const lease = new MemoryLease();
          const stop = new AbortController();
          const terms: Leadership[] = [];
          const owners = new Map<Leadership, Machine>();
          const all: Machine[] = [];
          const elections: LeaseElection[] = [];
          for (const [index, { rate, zeroMs, toStore, toCluster }] of machines.entries()) {
            const own = new OwnClock(clock, rate, zeroMs);
            const storeLine = new BadLine(clock, random, CALM);
            const clusterLine = new BadLine(clock, random, toCluster);
            const machine = { toStore: storeLine, toCluster: clusterLine };
            all.push(machine);
            const followed = {
              store: badStore(store, storeLine),
              clock: own,
              log: silentLog,
              prefix: "/romana",
            };
            const follower = await clock.runUntilSettled(StoreFollower.open(followed, never));
            storeLine.weather = toStore;

            const election = new LeaseElection({
              lock: badLease(lease, clusterLine),
              store: badStore(store, storeLine),
              clock: own,
              log: silentLog,
              prefix: "/romana",
              id: `replica-${index}`,
              url: "",
              ttlMs: TTL_MS,
              random: () => random.next(),
            });
            follower.add(election);
            follower.start();
            elections.push(election);
            void stands(election, stop.signal, (term) => {
              terms.push(term);
              owners.set(term, machine);
            });
          }
          const acting = (): readonly Leadership[] => terms.filter((term) => term.remainingMs() > 0);
          const holding = async (): Promise<number> => {
            const entry = await store.get("/romana/leader", never);
            return acting().filter(({ guard }) => guard.modRevision === entry?.modRevision).length;
          };
          for (let nowMs = 0; nowMs < 20_000; nowMs += 25) {
            for (const { what } of happenings.filter(({ atMs }) => atMs >= nowMs && atMs < nowMs + 25)) {
              const [leader] = acting();
              happens(what, lease, leader, leader === undefined ? undefined : owners.get(leader), all);
            }
            await clock.runFor(25);
            expect(acting().length, `leaders at ${nowMs} ms`).toBeLessThanOrEqual(1);
            expect(await holding()).toBeLessThanOrEqual(1);
          }
          heal(all);
          for (const { toStore, toCluster } of all) {
            toStore.weather = CALM;
            toCluster.weather = CALM;
          }
          await clock.runFor(12 * TTL_MS);

          expect(acting()).toHaveLength(1);
          expect(await holding()).toBe(1);
          const epochs = elections.map((election) => election.leader()?.epoch);
          expect(epochs).toEqual(elections.map(() => acting()[0]?.epoch));
          stop.abort(new Error("the test is over"));
        },
      ),
      { numRuns: 20 },
    );
  }, 60_000);
});

interface Machine {
  readonly toStore: BadLine;
  readonly toCluster: BadLine;
}

/** Stands again after each term, as a replica does. */
async function stands(
  election: LeaseElection,
  signal: AbortSignal,
  onTerm: (term: Leadership) => void,
): Promise<void> {
  while (!signal.aborted) {
    const term = await election.campaign(signal).catch(() => undefined);
    if (term !== undefined) {
      onTerm(term);
      await new Promise<void>((resolve) => {
        if (term.ended.aborted) {
          resolve();
        }
        term.ended.addEventListener("abort", () => resolve(), { once: true });
      });
      await term.resign();
    }
  }
}

function heal(all: readonly Machine[]): void {
  for (const { toStore, toCluster } of all) {
    toStore.isCut = false;
    toCluster.isCut = false;
  }
}

function cut(line: BadLine | undefined): void {
  if (line !== undefined) {
    line.isCut = true;
  }
}

function happens(
  what: string,
  lease: MemoryLease,
  leader: Leadership | undefined,
  machine: Machine | undefined,
  all: readonly Machine[],
): void {
  switch (what) {
    case "cut the leader off":
      cut(machine?.toStore);
      cut(machine?.toCluster);
      break;
    case "cut the leader off from the store":
      cut(machine?.toStore);
      break;
    case "cut the leader off from the cluster":
      cut(machine?.toCluster);
      break;
    case "heal":
      heal(all);
      break;
    case "delete the Lease":
      lease.edit(undefined);
      break;
    case "empty the Lease":
      lease.edit({ holder: "" });
      break;
    case "take the Lease":
      lease.edit({ holder: "somebody", durationMs: TTL_MS });
      break;
    case "label the Lease":
      lease.edit({});
      break;
    default:
      void leader?.resign();
  }
}
