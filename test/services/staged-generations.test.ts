import { describe, expect, it } from "vitest";

import { MemoryStore } from "../../src/adapters/memory/memory-store.ts";
import { NetworkError } from "../../src/core/errors.ts";
import { parseCidr } from "../../src/core/net/cidr.ts";
import type { CommitResult, Store, StoreBatch, Transaction } from "../../src/ports/store.ts";
import { AddressingService, type ImportedState } from "../../src/services/addressing-service.ts";
import { prepareStore } from "../../src/services/addressing/schema.ts";
import { PolicyService } from "../../src/services/policy-service.ts";
import { StoreFollower } from "../../src/services/store-follower.ts";
import { TenantService } from "../../src/services/tenant-service.ts";
import { together } from "../../src/services/together.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { silentLog } from "../support/silent-log.ts";
import { answersOf, hostIn, signal, twoZones } from "./support.ts";
import { policy } from "./watch-support.ts";

/** As little as etcd would take, so that small changes have to be staged. */
const LIMITS = { operations: 12, bytes: 4_000 };

/** A connection that dies at its `k`-th commit: before it, or after the store took it and before the answer came. Nothing answers from then on. */
class MortalStore implements Store {
  readonly limits = LIMITS;
  readonly isShared = true;
  readonly #store: MemoryStore;
  readonly #death: { readonly at: number; readonly after: boolean };
  readonly #dying = new AbortController();
  commits = 0;
  largest = 0;

  constructor(store: MemoryStore, death: { readonly at: number; readonly after: boolean }) {
    this.#store = store;
    this.#death = death;
  }

  get isDead(): boolean {
    return this.#dying.signal.aborted;
  }

  async get(key: string, abort: AbortSignal): ReturnType<Store["get"]> {
    this.#check();
    return this.#store.get(key, abort);
  }

  async list(prefix: string, abort: AbortSignal): ReturnType<Store["list"]> {
    this.#check();
    return this.#store.list(prefix, abort);
  }

  async commit(transaction: Transaction, abort: AbortSignal): Promise<CommitResult> {
    this.#check();
    this.commits += 1;
    this.largest = Math.max(this.largest, transaction.operations.length, transaction.compare.length);
    const dies = this.commits === this.#death.at;
    if (dies && !this.#death.after) {
      this.#dying.abort();
    }
    this.#check();
    const result = await this.#store.commit(transaction, abort);
    if (dies) {
      this.#dying.abort();
    }
    this.#check();
    return result;
  }

  watch(prefix: string, afterRevision: number, abort: AbortSignal): AsyncIterable<StoreBatch> {
    this.#check();
    return this.#store.watch(prefix, afterRevision, AbortSignal.any([abort, this.#dying.signal]));
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

  #check(): void {
    if (this.isDead) {
      throw new NetworkError("transient", "STORE_UNAVAILABLE", "this process is dead");
    }
  }
}

const IMMORTAL = { at: 0, after: false };

async function open(store: Store, clock = new FakeClock()) {
  const common = { store, clock, log: silentLog, prefix: "/romana" };
  const follower = await StoreFollower.open(common, signal);
  const service = await AddressingService.open({ ...common, follower, random: () => 0.5 }, signal);
  const policies = new PolicyService({ ...common, follower });
  const tenants = new TenantService({ ...common, follower, usage: service });
  follower.start();
  return { service, follower, clock, policies, tenants };
}

type Opened = Awaited<ReturnType<typeof open>>;

/** Everything that a replica says, policies and tenants with it. */
function everything({ service, policies, tenants }: Opened): unknown {
  return { addressing: answersOf(service), policies: policies.list(), tenants: tenants.list() };
}

/** What an import brings besides: more than one transaction takes, and none of what was there. */
const broughtPolicies = Array.from({ length: 20 }, (_, index) => policy(`p${index}`, "imported"));
const broughtTenants = [
  { name: "t", segments: ["s"] },
  { name: "new", segments: [] },
];

function replace({ service, policies, tenants }: Opened): Promise<void> {
  const others = [...tenants.operations(broughtTenants), ...policies.operations(broughtPolicies)];
  return service.replaceState(imported, others, signal);
}

const pod = (name: string, host: string) => ({ name, host, tenant: "t", segment: "s" });

/** Two hosts, 40 addresses on one of them and two on the other, one empty block, a blackout. */
async function furnished(): Promise<MemoryStore> {
  const store = new MemoryStore({ clock: new FakeClock() });
  const { service, follower, policies, tenants } = await open(store);
  await policies.save([policy("old"), policy("p1", "old")], signal);
  await tenants.createTenant("gone", signal);
  await service.updateTopology(twoZones, signal);
  await service.addHost(hostIn("a", "h1", 1), signal);
  await service.addHost(hostIn("b", "h2", 2), signal);
  await service.addBlackout("pods", parseCidr("10.0.128.0/30"), signal);
  await Promise.all(
    Array.from({ length: 40 }, (_, index) => service.allocate(pod(`p${index}`, "h1"), signal)),
  );
  await Promise.all(["q0", "q1"].map((name) => service.allocate(pod(name, "h2"), signal)));
  await follower.stop();
  return store;
}

/** The same without addresses in use. */
async function emptied(): Promise<MemoryStore> {
  const store = await furnished();
  const { service, follower } = await open(store);
  for (const { name } of service.addresses()) {
    await service.release(name, signal);
  }
  await follower.stop();
  return store;
}

const imported: ImportedState = {
  document: {
    ...twoZones,
    networks: [{ name: "other", cidr: "10.8.0.0/16", block_mask: 28 }],
    topologies: [{ networks: ["other"], map: [{ name: "all" }] }],
  },
  revisionBase: { total: 5, networks: { other: 5 } },
  topologyRevision: 77,
  hosts: Array.from({ length: 3 }, (_, index) => ({
    ...hostIn("a", `i${index}`, 40 + index),
    agentPort: 9604,
    sequence: index + 1,
    groups: [{ network: "other", cidr: parseCidr("10.8.0.0/16"), subnet: "" }],
    misplaced: false,
  })),
  blocks: Array.from({ length: 10 }, (_, index) => ({
    network: "other",
    first: 0x0a080000 + index * 16,
    owner: { host: `i${index % 3}`, tenant: "t", segment: "s" },
    revision: 2,
    sequence: 10 + index,
  })),
  addresses: Array.from({ length: 20 }, (_, index) => ({
    name: `imported-${index}`,
    address: 0x0a080000 + Math.floor(index / 2) * 16 + (index % 2),
  })),
  blackouts: [],
};

/** What became of a change, whose process waits for as long as it has to. */
async function outcomeOf(change: Promise<void>, clock: FakeClock): Promise<string> {
  const settled = change.then(
    () => "acknowledged",
    (error: unknown) => (error instanceof NetworkError ? error.code : String(error)),
  );
  for (let second = 0; second < 300; second += 1) {
    const outcome = await Promise.race([settled, clock.advance(1_000).then(() => undefined)]);
    if (outcome !== undefined) {
      return outcome;
    }
  }
  return settled;
}

const changes = [
  {
    what: "the removal of a host with many addresses",
    world: furnished,
    run: ({ service }: Opened) => service.removeHost("h1", signal),
    host: "h2",
  },
  {
    what: "a topology update",
    world: furnished,
    run: ({ service }: Opened) =>
      service.updateTopology(
        {
          ...twoZones,
          networks: [{ name: "renamed", cidr: "10.0.0.0/16", block_mask: 29 }],
          topologies: [{ ...twoZones.topologies[0], networks: ["renamed"] }],
        },
        signal,
      ),
    host: "h2",
  },
  {
    what: "an import",
    world: emptied,
    run: replace,
    host: "i1",
  },
] as const;

describe.each(changes)("$what, which fits no transaction", ({ world, run, host }) => {
  it("is done, within what the store takes at once, and leaves nothing staged", async () => {
    const store = await world();
    const mortal = new MortalStore(store, IMMORTAL);
    const opened = await open(mortal);
    const { service } = opened;

    await run(opened);

    expect(mortal.largest).toBeLessThanOrEqual(LIMITS.operations);
    expect(mortal.commits).toBeGreaterThan(4);
    expect((await store.list("/romana/staged/", signal)).entries).toEqual([]);
    expect(everything(await open(store))).toEqual(everything(opened));
    await service.allocate(pod("next", host), signal);
    expect(everything(await open(store))).toEqual(everything(opened));
  });

  it("is all done or not at all for every reader, wherever the process that made it died", async () => {
    const reference = await world();
    const before = everything(await open(reference));
    const alive = new MortalStore(reference, IMMORTAL);
    await run(await open(alive));
    const after = everything(await open(reference));
    const outcomes = new Set<string>();
    for (let at = 1; at <= alive.commits; at += 1) {
      for (const dead of [false, true]) {
        const store = await world();
        const watching = await open(store);
        const seen: unknown[] = [];
        watching.service.onBatch(() => {
          // Once every cache has the revision, and not while one is behind: then an export waits.
          void together(watching.service, watching.follower, signal).then(() =>
            seen.push(everything(watching)),
          );
        });
        const mortal = new MortalStore(store, { at, after: dead });
        const dying = await open(mortal);
        const outcome = await outcomeOf(run(dying), dying.clock);
        dying.service.stop();
        expect(mortal.isDead).toBe(true);

        const reader = everything(await open(store));
        const isDone = JSON.stringify(reader) === JSON.stringify(after);
        expect(reader).toEqual(isDone ? after : before);
        expect(outcome === "acknowledged" && !isDone).toBe(false);
        outcomes.add(`${outcome} ${isDone}`);

        await prepareStore(store, "/romana", signal);
        const again = await open(store);
        expect(everything(again)).toEqual(reader);
        const survivor = isDone ? host : "h2";
        await again.service.allocate(pod("next", survivor), signal);
        expect(everything(await open(store))).toEqual(everything(again));
        // What the other replica saw: the state before, the state after, and the address of "next".
        const next = JSON.stringify(everything(again));
        const known = new Set([JSON.stringify(before), JSON.stringify(after), next]);
        expect(seen.map((one) => JSON.stringify(one)).filter((one) => !known.has(one))).toEqual([]);
      }
    }
    expect(outcomes).toContain("STORE_UNAVAILABLE false");
    expect([...outcomes].some((outcome) => outcome.endsWith("true"))).toBe(true);
  }, 60_000);

  it("is finished by another replica that sees nobody at it", async () => {
    const alive = new MortalStore(await world(), IMMORTAL);
    await run(await open(alive));
    for (let at = alive.commits; at > 1; at -= 1) {
      const trial = await world();
      const dying = await open(new MortalStore(trial, { at, after: true }));
      await outcomeOf(run(dying), dying.clock);
      dying.service.stop();
      const { entries } = await trial.list("/romana/generation", signal);
      if (entries.every(({ value }) => value.includes(`"staged":null`))) {
        continue;
      }
      const watching = await open(new MortalStore(trial, IMMORTAL));
      const allocated = watching.service.allocate(pod("waits", host), signal);
      await watching.clock.advance(2_500);
      await allocated;
      expect((await trial.list("/romana/staged/", signal)).entries).toEqual([]);
      expect(everything(await open(trial))).toEqual(everything(watching));
    }
  }, 60_000);

  it("is finished as soon by a replica that saw its parts come", async () => {
    const alive = new MortalStore(await world(), IMMORTAL);
    await run(await open(alive));
    let stalled = 0;
    for (let at = alive.commits; at > 1; at -= 1) {
      const trial = await world();
      const watching = await open(new MortalStore(trial, IMMORTAL));
      const dying = await open(new MortalStore(trial, { at, after: true }));
      await outcomeOf(run(dying), dying.clock);
      dying.service.stop();
      const { entries } = await trial.list("/romana/generation", signal);
      if (entries.every(({ value }) => value.includes(`"staged":null`))) {
        continue;
      }
      stalled += 1;
      const allocated = watching.service.allocate(pod("waits", host), signal);
      // Seen at work until the end of the first 2 s, and not in the next.
      await watching.clock.advance(4_500);
      await allocated;
      expect((await trial.list("/romana/staged/", signal)).entries).toEqual([]);
    }
    expect(stalled).toBeGreaterThan(0);
  }, 20_000);
});

it("a change whose parts another replica has seen come is finished by it as soon as one that it has not", async () => {
  const store = await furnished();
  const watching = await open(new MortalStore(store, IMMORTAL));
  const alive = new MortalStore(await furnished(), IMMORTAL);
  await (await open(alive)).service.removeHost("h1", signal);
  // Dies after the change became valid, and before it is under its keys.
  const dying = await open(new MortalStore(store, { at: alive.commits - 2, after: true }));
  await outcomeOf(dying.service.removeHost("h1", signal), dying.clock);
  dying.service.stop();
  const left = (await store.list("/romana/generation", signal)).entries[0]?.value;

  const allocated = watching.service.allocate(pod("waits", "h2"), signal);
  // The first time it sees that somebody was at it; the second time nobody was.
  await watching.clock.advance(2_500);
  await watching.clock.advance(2_500);
  await allocated;

  expect(left).not.toContain('"staged":null');
  expect((await store.list("/romana/staged/", signal)).entries).toEqual([]);
});

describe("What was staged and never became valid", () => {
  it("is deleted when it is old, and its writer can no longer make it valid", async () => {
    const store = await furnished();
    const mortal = new MortalStore(store, { at: 3, after: true });
    const dying = await open(mortal);
    expect(await outcomeOf(dying.service.removeHost("h1", signal), dying.clock)).toBe("STORE_UNAVAILABLE");
    dying.service.stop();
    expect((await store.list("/romana/staged/", signal)).entries).not.toEqual([]);

    const other = await open(store);
    await other.clock.advance(299_000);
    expect((await store.list("/romana/staged/", signal)).entries).not.toEqual([]);
    await other.clock.advance(2_000);

    expect((await store.list("/romana/staged/", signal)).entries).toEqual([]);
    expect(other.service.addresses()).toHaveLength(42);
    other.service.stop();
  });

  it("does not hide a host's addresses from another replica's allocations meanwhile", async () => {
    const store = await furnished();
    const mortal = new MortalStore(store, IMMORTAL);
    const { service } = await open(mortal);
    const other = await open(store);

    const [removed, allocated] = await Promise.allSettled([
      service.removeHost("h1", signal),
      other.service.allocate(pod("late", "h1"), signal),
    ]);

    expect(removed.status).toBe("fulfilled");
    const fresh = (await open(store)).service;
    expect(fresh.hosts().hosts.map(({ name }) => name)).toEqual(["h2"]);
    expect(fresh.addresses().map(({ name }) => name)).not.toContain("late");
    expect(["fulfilled", "rejected"]).toContain(allocated.status);
    expect(answersOf(fresh)).toEqual(answersOf(service));
  });
});

describe("replaceState", () => {
  it("is refused while addresses are in use, and for parts that do not fit together", async () => {
    const { service } = await open(await furnished());
    const before = answersOf(service);
    await expect(service.replaceState(imported, [], signal)).rejects.toMatchObject({
      kind: "conflict",
      code: "STATE_IN_USE",
    });
    expect(answersOf(service)).toEqual(before);

    const empty = (await open(await emptied())).service;
    await expect(empty.replaceState({ ...imported, blocks: [] }, [], signal)).rejects.toMatchObject({
      code: "STATE_INCONSISTENT",
    });
    await empty.replaceState(imported, [], signal);
    expect(empty.topologyStatus().revision).toBe(77);
    expect(empty.blocks()?.revision).toBe(25);
    expect(empty.addresses()).toHaveLength(20);
    expect(empty.address("imported-3")).toMatchObject({ address: "10.8.0.17", host: "i1" });
    expect(empty.block("10.8.0.16/28")).toMatchObject({ allocated_ip_count: 2, host: "i1" });
    expect(empty.block("10.8.0.16/27")).toBeUndefined();
    expect(empty.host("i2")).toMatchObject({ name: "i2", placed: true });
    expect(empty.host("h1")).toBeUndefined();
  });
});
