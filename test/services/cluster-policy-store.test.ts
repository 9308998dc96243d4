import { expect, it } from "vitest";

import { MemoryStore } from "../../src/adapters/memory/memory-store.ts";
import type { PolicyModel } from "../../src/core/policy/model.ts";
import { translateNetworkPolicy } from "../../src/core/policy/translate-network-policy.ts";
import type { KeyCompare, Store } from "../../src/ports/store.ts";
import { ClusterPolicyStore } from "../../src/services/cluster-policy-store.ts";
import type { ObjectBatch } from "../../src/services/object-batch.ts";
import { StateService } from "../../src/services/state-service.ts";
import { StoreFollower } from "../../src/services/store-follower.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { networkPolicy } from "../support/policy-world.ts";
import { createLog, createStore, FaultyStore, LaggingStore, type LogLine } from "./support.ts";
import { openReplica, policy } from "./watch-support.ts";

const signal = new AbortController().signal;

/** A model whose text has about `length` more characters than it needs. */
function model(name: string, length = 0): PolicyModel {
  const matchLabels = length === 0 ? {} : { note: "x".repeat(length) };
  const podSelector = { matchLabels, matchExpressions: [] };
  return translateNetworkPolicy(networkPolicy({ name, podSelector })).model;
}

async function open(store: Store) {
  const lines: LogLine[] = [];
  const common = { store, clock: new FakeClock(), log: createLog(lines), prefix: "/romana" };
  const follower = await StoreFollower.open(common, signal);
  const policies = new ClusterPolicyStore({ ...common, follower });
  follower.start();
  return { policies, follower, lines };
}

/** A key of a leader, and the compare that holds while it leads. */
async function elect(store: Store): Promise<KeyCompare> {
  const key = "/romana/election/one";
  const { revision } = await store.commit(
    { compare: [], operations: [{ kind: "put", key, value: "{}" }] },
    signal,
  );
  return { key, modRevision: revision };
}

const idsOf = (policies: ClusterPolicyStore) => policies.list().map(({ id }) => id);

it("keeps each model under its percent-encoded id, in its canonical form", async () => {
  const store = createStore();
  const { policies } = await open(store);
  const guard = await elect(store);

  await policies.write({ put: [model("a/b")], remove: [] }, guard, signal);

  const { entries } = await store.list("/romana/cluster-policies/", signal);
  expect(entries.map(({ key, value }) => [key, value])).toEqual([
    ["/romana/cluster-policies/kube.shop.a%2Fb.u", JSON.stringify(model("a/b"))],
  ]);
  expect(policies.byId("kube.shop.a/b.u")).toEqual(model("a/b"));
  expect(policies.has("kube.shop.a/b.u")).toBe(true);
  expect(policies.has("kube.shop.a.u")).toBe(false);
});

it("puts, replaces and removes, tells which, and stands at the revision of the store", async () => {
  const store = createStore();
  const { policies } = await open(store);
  const guard = await elect(store);
  const told: ObjectBatch[] = [];
  policies.onBatch((batch) => told.push(batch));

  await policies.write({ put: [model("a"), model("b")], remove: [] }, guard, signal);
  await policies.write(
    { put: [model("a", 5)], remove: ["kube.shop.b.u", "kube.shop.never.u"] },
    guard,
    signal,
  );

  expect(policies.list()).toEqual([model("a", 5)]);
  expect(told.map(({ keys, reset }) => [reset, ...keys])).toEqual([
    [false, "kube.shop.a.u", "kube.shop.b.u"],
    [false, "kube.shop.a.u", "kube.shop.b.u"],
  ]);
  expect(policies.revision()).toBe(told.at(-1)?.revision);
});

it("writes nothing when there is nothing to write", async () => {
  const store = createStore();
  const { policies } = await open(store);
  const guard = await elect(store);
  const before = store.transactions.length;

  await policies.write({ put: [], remove: ["kube.shop.never.u"] }, guard, signal);

  expect(store.transactions).toHaveLength(before);
});

it("changes nothing once somebody else leads", async () => {
  const store = createStore();
  const { policies } = await open(store);
  const guard = await elect(store);
  await policies.write({ put: [model("a")], remove: [] }, guard, signal);
  await elect(store);

  await expect(
    policies.write({ put: [model("b")], remove: ["kube.shop.a.u"] }, guard, signal),
  ).rejects.toMatchObject({ kind: "transient", code: "LEADERSHIP_LOST" });

  expect(idsOf(policies)).toEqual(["kube.shop.a.u"]);
});

it("says so when somebody else, whom it has not heard of, removed what it removes", async () => {
  const shared = new MemoryStore({ clock: new FakeClock() });
  const lagging = new LaggingStore(shared);
  const { policies } = await open(lagging);
  const guard = await elect(shared);
  await policies.write({ put: [model("a")], remove: [] }, guard, signal);
  lagging.hold();
  const gone = { kind: "delete", key: "/romana/cluster-policies/kube.shop.a.u" } as const;
  await shared.commit({ compare: [], operations: [gone] }, signal);

  await expect(policies.write({ put: [], remove: ["kube.shop.a.u"] }, guard, signal)).rejects.toMatchObject({
    kind: "transient",
    code: "CLUSTER_POLICIES_CONTENDED",
  });
});

it("keeps within the bounds of the store's transactions, each under the guard", async () => {
  class SmallStore extends FaultyStore {
    override readonly limits = { operations: 4, bytes: 5000 };
  }
  const store = new SmallStore(new FakeClock());
  const { policies } = await open(store);
  const guard = await elect(store);
  const many = Array.from({ length: 8 }, (_, index) => model(`p${index}`));
  const large = [model("large-1", 1600), model("large-2", 1600), model("large-3", 1600)];

  await policies.write({ put: [...many, ...large], remove: [] }, guard, signal);
  await policies.write({ put: [], remove: many.map(({ id }) => id) }, guard, signal);

  const own = store.transactions.slice(1);
  expect(own.map(({ operations }) => operations.length)).toEqual([3, 3, 3, 2, 3, 3, 2]);
  expect(own.every(({ compare }) => compare[0] === guard && compare.length <= 4)).toBe(true);
  expect(idsOf(policies)).toEqual(large.map(({ id }) => id));
  expect(policies.fits(model("p", 3000))).toBe(true);
  expect(policies.fits(model("p", 4000))).toBe(false);
});

it("leaves out a damaged record and names it, and can still remove it", async () => {
  const store = createStore();
  const guard = await elect(store);
  const damaged = [
    ["kube.shop.a.u", "{"],
    ["kube.shop.b.u", JSON.stringify(model("another"))],
    ["kube.shop.c.u", JSON.stringify({ ...model("c"), isolates: ["sideways"] })],
  ];
  const operations = damaged.map(([id = "", value = ""]) => ({
    kind: "put" as const,
    key: `/romana/cluster-policies/${id}`,
    value,
  }));
  await store.commit({ compare: [], operations }, signal);
  const { policies, lines } = await open(store);

  expect(policies.list()).toEqual([]);
  expect(policies.ids().toSorted()).toEqual(damaged.map(([id]) => id));
  expect(policies.has("kube.shop.b.u")).toBe(true);
  expect(lines.filter(({ level }) => level === "error")).toHaveLength(3);

  await policies.write({ put: [model("c")], remove: ["kube.shop.a.u", "kube.shop.b.u"] }, guard, signal);

  expect(policies.ids()).toEqual(["kube.shop.c.u"]);
  const { entries } = await store.list("/romana/cluster-policies/", signal);
  expect(entries).toHaveLength(1);
});

it("is no part of an exported state, and an import leaves it alone", async () => {
  const store = createStore();
  const { addressing, policies, tenants, clusterPolicies } = await openReplica(store);
  const guard = await elect(store);
  await clusterPolicies.write({ put: [model("a")], remove: [] }, guard, signal);
  await policies.save(policy("romana"), signal);
  const state = new StateService({
    keeper: addressing,
    tenants,
    policies,
    clock: new FakeClock(),
    log: createLog(),
  });
  const document: unknown = JSON.parse([...(await state.export(signal))].join(""));
  await policies.remove("romana", signal);

  await state.import(document, { repair: false, dryRun: false }, signal);

  expect(document).toMatchObject({ policies: [{ id: "romana" }] });
  expect(JSON.stringify(document)).not.toContain("kube.shop");
  expect(policies.list()).toEqual([policy("romana")]);
  expect(idsOf(clusterPolicies)).toEqual(["kube.shop.a.u"]);
});
