import type fc from "fast-check";

import { MemoryStore } from "../../src/adapters/memory/memory-store.ts";
import { NetworkError } from "../../src/core/errors.ts";
import type { CommitResult, Store, StoreBatch, Transaction } from "../../src/ports/store.ts";
import { AddressingService } from "../../src/services/addressing-service.ts";
import { StoreFollower } from "../../src/services/store-follower.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { silentLog } from "../support/silent-log.ts";
import { hostIn, openService, signal, twoZones } from "./support.ts";

/** How a wrapped store commits: `direct` is the store's own way. */
export type CommitFault = (
  transaction: Transaction,
  direct: (transaction: Transaction) => Promise<CommitResult>,
  store: MemoryStore,
) => Promise<CommitResult>;

/** One replica's connection: every request, answer and watched batch is held until the scheduler lets it go, so replicas meet in any order. */
export class ScheduledStore implements Store {
  readonly limits;
  readonly isShared = true;
  readonly #store: MemoryStore;
  readonly #scheduler: fc.Scheduler;
  readonly #fault: CommitFault;
  /** Commits whose answer is lost, by their number. */
  readonly #lost: ReadonlySet<number>;
  #commits = 0;

  constructor(
    store: MemoryStore,
    scheduler: fc.Scheduler,
    {
      fault = (transaction, direct) => direct(transaction),
      lost = new Set<number>(),
    }: {
      readonly fault?: CommitFault;
      readonly lost?: ReadonlySet<number>;
    } = {},
  ) {
    this.#store = store;
    this.#scheduler = scheduler;
    this.#fault = fault;
    this.#lost = lost;
    this.limits = store.limits;
  }

  async get(key: string, abort: AbortSignal): ReturnType<Store["get"]> {
    await this.#turn("get");
    return this.#store.get(key, abort);
  }

  async list(prefix: string, abort: AbortSignal): ReturnType<Store["list"]> {
    await this.#turn("list");
    const listed = await this.#store.list(prefix, abort);
    await this.#turn("listed");
    return listed;
  }

  async commit(transaction: Transaction, abort: AbortSignal): Promise<CommitResult> {
    this.#commits += 1;
    const isLost = this.#lost.has(this.#commits);
    await this.#turn("commit");
    const result = await this.#fault(
      transaction,
      (changed) => this.#store.commit(changed, abort),
      this.#store,
    );
    await this.#turn("answer");
    if (isLost) {
      throw new NetworkError("transient", "STORE_UNAVAILABLE", "the answer was lost");
    }
    return result;
  }

  async *watch(prefix: string, afterRevision: number, abort: AbortSignal): AsyncIterable<StoreBatch> {
    for await (const batch of this.#store.watch(prefix, afterRevision, abort)) {
      await this.#turn("batch");
      yield batch;
    }
  }

  grantLease(ttlMs: number, abort: AbortSignal): Promise<string> {
    return this.#store.grantLease(ttlMs, abort);
  }
  keepAlive(lease: string, abort: AbortSignal): Promise<void> {
    return this.#store.keepAlive(lease, abort);
  }
  revokeLease(lease: string, abort: AbortSignal): Promise<void> {
    return this.#store.revokeLease(lease, abort);
  }
  close(): Promise<void> {
    return this.#store.close();
  }

  #turn(label: string): Promise<void> {
    return this.#scheduler.schedule(Promise.resolve(), label);
  }
}

/** A replica whose calls go through `store`. */
export async function openReplica(store: Store, random: () => number) {
  const common = { store, clock: new FakeClock(), log: silentLog, prefix: "/romana" };
  const follower = await StoreFollower.open(common, signal);
  const service = await AddressingService.open({ ...common, follower, random }, signal);
  follower.start();
  return { service, follower };
}

/** A store with two zones and hosts h1, h2 (zone a) and h3 (zone b). */
export async function prepared(): Promise<MemoryStore> {
  const store = new MemoryStore({ clock: new FakeClock() });
  const service = await openService(store);
  await service.updateTopology(twoZones, signal);
  for (const [zone, name, last] of [
    ["a", "h1", 1],
    ["a", "h2", 2],
    ["b", "h3", 3],
  ] as const) {
    await service.addHost(hostIn(zone, name, last), signal);
  }
  return store;
}

/** Numbers from 0 to below 1, the same ones each time. */
export function countingRandom(seed: number): () => number {
  let state = seed + 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}
