import { expect, it, vi } from "vitest";

import { MemoryStore } from "../../src/adapters/memory/memory-store.ts";
import { loadControllerConfig } from "../../src/config/load.ts";
import type { ClusterKind, ClusterObjects } from "../../src/core/cluster/objects.ts";
import { NetworkError } from "../../src/core/errors.ts";
import type { ClusterParts } from "../../src/main/create-cluster.ts";
import { createControlPlane } from "../../src/main/create-control-plane.ts";
import type { ClusterSource, ClusterWriter, LeaseLock, ObjectSink } from "../../src/ports/cluster.ts";
import { twoZones } from "../services/support.ts";
import { clusterNode } from "../support/cluster-objects.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { MemoryLease } from "../support/memory-lease.ts";
import { networkPolicy } from "../support/policy-world.ts";
import { silentLog } from "../support/silent-log.ts";

const never = new AbortController().signal;
const unreached = new NetworkError("transient", "CLUSTER_UNAVAILABLE", "nobody answers");

/** A cluster with these objects; without any, one that does not answer. */
class FakeSource implements ClusterSource {
  readonly #objects: Partial<{ readonly [K in ClusterKind]: readonly ClusterObjects[K][] }> | undefined;

  constructor(objects?: Partial<{ readonly [K in ClusterKind]: readonly ClusterObjects[K][] }>) {
    this.#objects = objects;
  }

  follow<K extends ClusterKind>(
    kind: K,
    sink: ObjectSink<ClusterObjects[K]>,
    signal: AbortSignal,
  ): Promise<void> {
    if (this.#objects !== undefined) {
      sink.replace(this.#objects[kind] ?? []);
    }
    return new Promise((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }

  state() {
    const problem = this.#objects === undefined ? "list: nobody answers" : "";
    return { problem, missingVerb: "", lists: 1, watches: 0, read: 0, unreadable: 0 };
  }
}

const noLease: LeaseLock = {
  read: () => Promise.reject(unreached),
  create: () => Promise.reject(unreached),
  update: () => Promise.reject(unreached),
};
const writer: ClusterWriter = {
  removeTaint: () => Promise.reject(unreached),
  setCondition: () => Promise.reject(unreached),
  createEvent: () => Promise.reject(unreached),
  repeatEvent: () => Promise.reject(unreached),
};

async function plane(store: MemoryStore, clock: FakeClock, source: FakeSource, lease: LeaseLock) {
  const config = loadControllerConfig({ flags: { cloud: "none" }, environment: {} });
  const cluster: ClusterParts = { source, writer, lease, config: config.kubernetes };
  const made = await createControlPlane(
    {
      clock,
      log: silentLog,
      store,
      prefix: "/romana",
      replica: { id: "one", url: "" },
      random: () => 0.5,
      cloud: undefined,
      prober: undefined,
      config,
      initialTopology: twoZones,
      cluster,
      version: "0",
      cloudName: "none",
      storeName: "memory",
    },
    never,
  );
  made.start();
  return made;
}

/** Lets time pass until it is so. */
async function until(clock: FakeClock, isSo: () => boolean): Promise<void> {
  await vi.waitUntil(
    async () => {
      await clock.advance(1000);
      return isSo();
    },
    { interval: 0, timeout: 10_000 },
  );
}

/** Ends it, with the time that this takes. */
async function stopped(clock: FakeClock, made: { stop(): Promise<void> }): Promise<void> {
  let isOver = false;
  const work = made.stop().then(() => (isOver = true));
  await until(clock, () => isOver);
  await work;
}

it("serves what the store holds and gives addresses when no API server answers from the start", async () => {
  const clock = new FakeClock();
  const store = new MemoryStore({ clock });
  const cluster = new FakeSource({
    nodes: [clusterNode({ name: "node-1", labels: { zone: "a" } })],
    networkpolicies: [networkPolicy({ name: "deny", uid: "u-deny" })],
  });
  const before = await plane(store, clock, cluster, new MemoryLease());
  await until(
    clock,
    () => before.addressing.host("node-1")?.placed === true && before.clusterPolicies.size === 1,
  );
  await stopped(clock, before);

  const after = await plane(store, clock, new FakeSource(), noLease);
  await until(clock, () => after.clusterPolicies.size === 1);
  // Longer than any grace time: absence means nothing while nobody answers.
  await clock.advance(3_600_000);
  const address = await after.addressing.allocate(
    { name: "p", host: "node-1", tenant: "shop", segment: "s" },
    never,
  );

  expect(after.leads()).toBe(false);
  expect(after.addressing.hosts().hosts.map(({ name }) => name)).toEqual(["node-1"]);
  expect(after.clusterPolicies.ids()).toEqual(["kube.shop.deny.u-deny"]);
  expect(after.stuck()).toEqual([]);
  expect(after.addressing.addresses()).toMatchObject([{ address, name: "p" }]);
  await stopped(clock, after);
  expect(clock.pendingTimers).toBe(0);
});
