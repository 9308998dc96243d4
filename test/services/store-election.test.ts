import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { MemoryStore } from "../../src/adapters/memory/memory-store.ts";
import { SeededRandom } from "../../src/adapters/simulation/seeded-random.ts";
import { VirtualClock } from "../../src/adapters/simulation/virtual-clock.ts";
import type { Leadership } from "../../src/ports/election.ts";
import type { Store } from "../../src/ports/store.ts";
import { StoreElection } from "../../src/services/store-election.ts";
import { StoreFollower } from "../../src/services/store-follower.ts";
import { silentLog } from "../support/silent-log.ts";

const never = new AbortController().signal;
const TTL_MS = 5000;

/** A store that can be cut off from one replica: its calls then wait until they are given up. */
class CutStore implements Store {
  readonly limits;
  readonly isShared = true;
  cut = false;
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
    this.limits = store.limits;
  }

  get: Store["get"] = (key, signal) => this.#through(signal, () => this.#store.get(key, signal));
  list: Store["list"] = (prefix, signal) => this.#through(signal, () => this.#store.list(prefix, signal));
  commit: Store["commit"] = (transaction, signal) =>
    this.#through(signal, () => this.#store.commit(transaction, signal));
  grantLease: Store["grantLease"] = (ttlMs, signal) =>
    this.#through(signal, () => this.#store.grantLease(ttlMs, signal));
  keepAlive: Store["keepAlive"] = (lease, signal) =>
    this.#through(signal, () => this.#store.keepAlive(lease, signal));
  revokeLease: Store["revokeLease"] = (lease, signal) =>
    this.#through(signal, () => this.#store.revokeLease(lease, signal));
  close: Store["close"] = () => Promise.resolve();

  async *watch(prefix: string, after: number, signal: AbortSignal): ReturnType<Store["watch"]> {
    for await (const batch of this.#store.watch(prefix, after, signal)) {
      await this.#through(signal, () => Promise.resolve());
      yield batch;
    }
  }

  #through<T>(signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    return this.cut
      ? new Promise((_, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
        })
      : call();
  }
}

interface Replica {
  readonly store: CutStore;
  readonly election: StoreElection;
  readonly terms: Leadership[];
  readonly stop: AbortController;
  stands(): void;
}

async function replicas(count: number, clock = new VirtualClock(), shared = new MemoryStore({ clock })) {
  const random = new SeededRandom(11);
  const made: Replica[] = [];
  for (let index = 0; index < count; index += 1) {
    const store = new CutStore(shared);
    const log = silentLog;
    const follower = await StoreFollower.open({ store, clock, log, prefix: "/romana" }, never);
    const election = new StoreElection({
      store,
      clock,
      log,
      prefix: "/romana",
      id: `replica-${index}`,
      url: `https://10.0.0.${index}:9600`,
      ttlMs: TTL_MS,
      random: () => random.next(),
    });
    follower.add(election);
    follower.start();
    const stop = new AbortController();
    const terms: Leadership[] = [];
    made.push({
      store,
      election,
      terms,
      stop,
      stands: () => {
        election.campaign(stop.signal).then(
          (term) => terms.push(term),
          () => undefined,
        );
      },
    });
  }
  return { clock, shared, made };
}

const leading = (made: readonly Replica[]) =>
  made.flatMap(({ terms }) => terms).filter((term) => term.remainingMs() > 0);

describe("an election on the store", () => {
  it("elects one of several candidates, and tells all of them who it is", async () => {
    const { clock, made } = await replicas(3);
    made.forEach((replica) => replica.stands());
    await clock.runFor(300);

    expect(leading(made)).toHaveLength(1);
    const [term] = leading(made);
    expect(made.map(({ election }) => election.leader()?.epoch)).toEqual(made.map(() => term?.epoch));
    expect(made[0]?.election.leader()?.url).toMatch(/^https:\/\/10\.0\.0\.\d:9600$/);
  });

  it("keeps the leader as long as it renews its lease", async () => {
    const { clock, made } = await replicas(2);
    made.forEach((replica) => replica.stands());
    await clock.runFor(300);
    const [term] = leading(made);
    await clock.runFor(10 * 60_000);

    expect(leading(made)).toEqual([term]);
    expect(term?.ended.aborted).toBe(false);
  });

  it("hands over at once when the leader resigns", async () => {
    const { clock, made } = await replicas(3);
    made.forEach((replica) => replica.stands());
    await clock.runFor(300);
    const [first] = leading(made);
    await first?.resign();
    await clock.runFor(100);

    const [second] = leading(made);
    expect(first?.ended.aborted).toBe(true);
    expect(second?.epoch).toBeGreaterThan(first?.epoch ?? Infinity);
  });

  it("ends the term of a leader that is cut off before anybody else is elected", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 20_000 }), async (cutAt) => {
        const { clock, made } = await replicas(2);
        made.forEach((replica) => replica.stands());
        await clock.runFor(300 + cutAt);
        const cut = made.find(({ terms }) => terms.length > 0);
        if (cut !== undefined) {
          cut.store.cut = true;
        }
        let together = 0;
        for (let step = 0; step < 160; step += 1) {
          await clock.runFor(50);
          together += leading(made).length > 1 ? 1 : 0;
        }

        expect(together).toBe(0);
        expect(cut?.terms[0]?.ended.aborted).toBe(true);
        expect(leading(made)).toHaveLength(1);
        expect(leading(made)[0]).not.toBe(cut?.terms[0]);
      }),
      { numRuns: 40 },
    );
  });

  it("says of itself that it leads only while its own term may act, however long its key still stands", async () => {
    const { clock, made } = await replicas(2);
    made[0]?.stands();
    await clock.runFor(300);
    const [first] = made;
    expect(first?.election.leader()?.id).toBe("replica-0");
    if (first !== undefined) {
      first.store.cut = true;
    }
    await clock.runFor(4_600);

    expect(first?.terms[0]?.remainingMs()).toBeLessThanOrEqual(0);
    expect(first?.election.leader()).toBeUndefined();
    // The others cannot know yet.
    expect(made[1]?.election.leader()?.id).toBe("replica-0");
  });

  it("does not take the key that an earlier process of its name left behind for a term of its own", async () => {
    const { clock, shared, made } = await replicas(1);
    made[0]?.stands();
    await clock.runFor(300);
    const again = await replicas(1, clock, shared);

    expect(made[0]?.election.leader()?.id).toBe("replica-0");
    expect(again.made[0]?.election.leader()).toBeUndefined();
  });

  it("lets no transaction of an earlier term through", async () => {
    const { clock, made, shared } = await replicas(2);
    made.forEach((replica) => replica.stands());
    await clock.runFor(300);
    const [first] = leading(made);
    const write = (term: Leadership | undefined) =>
      shared.commit(
        {
          compare: term === undefined ? [] : [term.guard],
          operations: [{ kind: "put", key: "/romana/journal/x", value: "1" }],
        },
        never,
      );
    expect((await write(first)).ok).toBe(true);
    await first?.resign();
    await clock.runFor(300);

    expect((await write(first)).ok).toBe(false);
    expect((await write(leading(made)[0])).ok).toBe(true);
  });

  it("counts time in which the machine was suspended, if it is told of it", async () => {
    const clock = new VirtualClock();
    const store = new MemoryStore({ clock });
    let suspendedMs = 0;
    const election = new StoreElection({
      store,
      clock,
      log: silentLog,
      prefix: "/romana",
      id: "one",
      url: "",
      ttlMs: TTL_MS,
      random: () => 0,
      uptimeMs: () => clock.monotonic() + suspendedMs,
    });
    const term = await election.campaign(never);
    expect(term.remainingMs()).toBeCloseTo(4500, -2);
    suspendedMs = 4600;

    expect(term.remainingMs()).toBeLessThanOrEqual(0);
    await term.resign();
  });

  it("gives a candidacy up when it is told to", async () => {
    const { clock, made } = await replicas(2);
    made[0]?.stands();
    await clock.runFor(300);
    const second = made[1];
    const candidacy = second?.election.campaign(second.stop.signal);
    second?.stop.abort(new Error("enough"));

    await expect(candidacy).rejects.toThrow("enough");
  });
});
