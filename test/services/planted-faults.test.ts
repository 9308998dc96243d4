import { describe, expect, it } from "vitest";

import { MemoryStore } from "../../src/adapters/memory/memory-store.ts";
import { SeededRandom } from "../../src/adapters/simulation/seeded-random.ts";
import { VirtualClock } from "../../src/adapters/simulation/virtual-clock.ts";
import { NetworkError } from "../../src/core/errors.ts";
import type { CommitResult, Compare, Store, Transaction } from "../../src/ports/store.ts";
import { AddressingService } from "../../src/services/addressing-service.ts";
import { StoreFollower } from "../../src/services/store-follower.ts";
import { checkAddresses, type AddressRequest, type Answer } from "../support/address-history.ts";
import { loadTopology } from "../support/replica-lab.ts";
import { silentLog } from "../support/silent-log.ts";

const never = new AbortController().signal;
const REPLICAS = 3;
const CLIENTS = 8;
const REQUESTS = 60;
const HOSTS = 3;
const PATIENCE_MS = 3000;

/** How a transaction is done; the honest way is `store.commit(transaction)`. */
type Commit = (store: Store, transaction: Transaction, random: SeededRandom) => Promise<CommitResult>;

const honest: Commit = (store, transaction) => store.commit(transaction, never);

const isAddress = (key: string): boolean => key.includes("/addresses/");

/** Faults as they were seen in such programs; the checker must find each. */
const PLANTED: readonly (readonly [string, Commit])[] = [
  [
    "an answer before the commit, which a crash then lost",
    async (store, transaction, random) => {
      const { revision } = await store.list("/romana/generation", never);
      const own = transaction.operations.some(({ key }) => isAddress(key));
      return own && random.next() < 0.05
        ? { ok: true, revision: revision + 1 }
        : honest(store, transaction, random);
    },
  ],
  [
    "a retry after a lost compare that writes all the same",
    async (store, transaction, random) => {
      const result = await honest(store, transaction, random);
      return result.ok ? result : store.commit({ ...transaction, compare: [] }, never);
    },
  ],
  [
    "a release that is acknowledged and not done",
    (store, transaction, random) => {
      const kept = transaction.operations.filter(
        ({ kind, key }) => !(kind === "delete" && isAddress(key) && random.next() < 0.1),
      );
      return store.commit({ ...transaction, operations: kept }, never);
    },
  ],
  [
    "a compare with the revision of now instead of the decision's",
    async (store, transaction) => {
      const compare: Compare[] = [];
      for (const item of transaction.compare) {
        const found = "key" in item && !isAddress(item.key) ? await store.get(item.key, never) : undefined;
        compare.push(
          "key" in item && found !== undefined ? { ...item, modRevision: found.modRevision } : item,
        );
      }
      return store.commit({ ...transaction, compare }, never);
    },
  ],
];

/** The store as a replica far away sees it: each way takes up to 5 ms, and one answer in 25 is lost. */
function farStore(shared: MemoryStore, clock: VirtualClock, random: SeededRandom, commit: Commit): Store {
  const way = (signal: AbortSignal): Promise<void> => clock.sleep(random.next() * 5, signal);
  return {
    isShared: true,
    limits: { operations: 128, bytes: 1_500_000 },
    get: async (key, signal) => {
      await way(signal);
      return shared.get(key, signal);
    },
    list: (prefix, signal) => shared.list(prefix, signal),
    commit: async (transaction, signal) => {
      await way(signal);
      const result = await commit(shared, transaction, random);
      await way(signal);
      if (random.next() < 0.04) {
        throw new NetworkError("transient", "STORE_UNAVAILABLE", "the answer was lost");
      }
      return result;
    },
    async *watch(prefix, after, signal) {
      for await (const batch of shared.watch(prefix, after, signal)) {
        await way(signal);
        yield batch;
      }
    },
    grantLease: (ttlMs, signal) => shared.grantLease(ttlMs, signal),
    keepAlive: (lease, signal) => shared.keepAlive(lease, signal),
    revokeLease: (lease, signal) => shared.revokeLease(lease, signal),
    close: () => Promise.resolve(),
  };
}

/** Replicas on one store, clients that allocate and release over them, and what a checker says of it. */
async function run(seed: number, commit: Commit): Promise<readonly string[]> {
  const clock = new VirtualClock();
  const random = new SeededRandom(seed);
  const shared = new MemoryStore({ clock });
  const common = { clock, log: silentLog, prefix: "/romana" };
  const open = async (store: Store): Promise<AddressingService> => {
    const follower = await StoreFollower.open({ ...common, store }, never);
    const service = await AddressingService.open(
      { ...common, store, follower, random: () => random.next() },
      never,
    );
    follower.start();
    return service;
  };
  const first = await open(shared);
  await clock.runUntilSettled(first.updateTopology(loadTopology(1, 30), never));
  for (let index = 0; index < HOSTS; index += 1) {
    const host = {
      name: `host-${index}`,
      ip: `192.168.0.${index + 1}`,
      tags: { group: "0" },
      origin: "api",
    } as const;
    await clock.runUntilSettled(first.addHost(host as never, never));
  }
  const replicas: AddressingService[] = [];
  for (let index = 0; index < REPLICAS; index += 1) {
    replicas.push(await open(farStore(shared, clock, random, commit)));
  }

  const requests: AddressRequest[] = [];
  const client = async (id: number): Promise<void> => {
    const held: string[] = [];
    for (let count = 0; count < REQUESTS; count += 1) {
      const shares = random.next() < 0.1;
      const gives = random.next() < 0.45;
      const own = gives
        ? held.splice(Math.floor(random.next() * held.length), 1)[0]
        : `client-${id}-${count}`;
      const name = shares ? `shared-${Math.floor(random.next() * 3)}` : own;
      const replica = replicas[Math.floor(random.next() * REPLICAS)];
      if (name === undefined || replica === undefined) {
        continue;
      }
      const start = clock.monotonic();
      const answer = await ask(clock, replica, gives, name, `host-${Math.floor(random.next() * HOSTS)}`);
      requests.push({ kind: gives ? "release" : "allocate", name, start, end: clock.monotonic(), answer });
      if (answer.kind === "allocated" && !shares) {
        held.push(name);
      }
    }
  };
  await clock.runUntilSettled(Promise.all(Array.from({ length: CLIENTS }, (_, id) => client(id))));
  await clock.runFor(10_000);
  const { entries } = await shared.list("/romana/addresses/", never);
  return checkAddresses(
    requests,
    entries.map(({ value }) => JSON.parse(value) as { name: string; address: string }),
  );
}

async function ask(
  clock: VirtualClock,
  replica: AddressingService,
  gives: boolean,
  name: string,
  host: string,
): Promise<Answer> {
  const patience = new AbortController();
  const timer = clock.setTimer(PATIENCE_MS, () => patience.abort(new Error("no answer")));
  const gaveUp = new Promise<never>((_, reject) => {
    patience.signal.addEventListener("abort", () => reject(patience.signal.reason as Error), { once: true });
  });
  try {
    if (gives) {
      await Promise.race([replica.release(name, patience.signal), gaveUp]);
      return { kind: "released" };
    }
    const request = { name, host, tenant: "t", segment: "" };
    return {
      kind: "allocated",
      address: await Promise.race([replica.allocate(request, patience.signal), gaveUp]),
    };
  } catch (error) {
    return answerOf(error);
  } finally {
    timer.cancel();
  }
}

function answerOf(error: unknown): Answer {
  if (error instanceof NetworkError) {
    const { address } = error.details;
    if (error.code === "ADDRESS_EXISTS" && typeof address === "string") {
      return { kind: "exists", address };
    }
    if (error.code === "ADDRESS_NOT_FOUND") {
      return { kind: "not-found" };
    }
  }
  return { kind: "unknown", why: String(error) };
}

/** On a busy machine; each run computes for a second or so. */
const RUNS_MS = 60_000;

describe("addresses on several replicas", () => {
  it(
    "are given and taken back as if one after another",
    async () => {
      for (let seed = 1; seed <= 5; seed += 1) {
        expect(await run(seed, honest)).toEqual([]);
      }
    },
    RUNS_MS,
  );

  it.for(PLANTED)("the checker finds %s", { timeout: RUNS_MS }, async ([, commit]) => {
    let found = 0;
    for (let seed = 1; seed <= 5 && found === 0; seed += 1) {
      found += (await run(seed, commit)).length;
    }

    expect(found).toBeGreaterThan(0);
  });
});
