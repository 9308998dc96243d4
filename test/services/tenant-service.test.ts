import { expect, it } from "vitest";

import type { Store } from "../../src/ports/store.ts";
import { AddressingService } from "../../src/services/addressing-service.ts";
import { StoreFollower } from "../../src/services/store-follower.ts";
import { TenantService, type TenantUsage } from "../../src/services/tenant-service.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { createLog, createStore, hostIn, LaggingStore, twoZones } from "./support.ts";

const signal = new AbortController().signal;

type Block = NonNullable<ReturnType<TenantUsage["blocks"]>>["blocks"][number];

/** What addressing says, as a test sets it. */
class Usage implements TenantUsage {
  list: readonly Block[] = [];
  networks: readonly { readonly name: string; readonly tenants: readonly string[] }[] = [];

  blocks() {
    return { blocks: this.list };
  }

  layout() {
    return this.networks.map((network) => ({ network }));
  }
}

function block(tenant: string, segment: string, used: number, host = "h"): Block {
  return { tenant, segment, host, allocated_ip_count: used };
}

async function openService<S extends Store>(store: S) {
  const usage = new Usage();
  const common = { store, clock: new FakeClock(), log: createLog(), prefix: "/romana" };
  const follower = await StoreFollower.open(common, signal);
  const tenants = new TenantService({ ...common, follower, usage });
  follower.start();
  return { store, follower, usage, tenants };
}

it("lists tenants and segments that are only seen, and removes none of them", async () => {
  const store = createStore();
  const usage = new Usage();
  const common = { store, clock: new FakeClock(), log: createLog(), prefix: "/romana" };
  const follower = await StoreFollower.open(common, signal);
  const seen = [
    { tenant: "shop", segment: undefined },
    { tenant: "shop", segment: "web" },
    { tenant: "shop", segment: "web" },
    { tenant: "empty", segment: undefined },
  ];
  const tenants = new TenantService({
    ...common,
    follower,
    usage,
    observed: (only) => seen.filter(({ tenant }) => only === undefined || tenant === only),
  });
  follower.start();
  usage.list = [block("shop", "db", 2)];

  expect(tenants.tenants()).toEqual([
    { name: "empty", declared: false, segments: [], networks: [], addresses: 0, blocks: 0 },
    { name: "shop", declared: false, segments: ["db", "web"], networks: [], addresses: 2, blocks: 1 },
  ]);
  expect(tenants.segments("shop")).toEqual([
    { name: "db", declared: false, addresses: 2, blocks: 1 },
    { name: "web", declared: false, addresses: 0, blocks: 0 },
  ]);
  await tenants.createTenant("empty", signal);
  expect(tenants.tenant("empty").declared).toBe(true);
  await tenants.deleteTenant("empty", signal);
  expect(tenants.tenant("empty").declared).toBe(false);
});

it("lists declared tenants and those that own blocks, with what they use", async () => {
  const { tenants, usage } = await openService(createStore());
  await tenants.createTenant("shop", signal);
  await tenants.createSegment("shop", "web", signal);
  await tenants.createTenant("empty", signal);
  usage.list = [
    block("shop", "web", 3),
    block("shop", "db", 1),
    block("shop", "", 1),
    block("other", "default", 2),
    block("other", "default", 0, ""),
    block("", "", 4),
  ];

  expect(tenants.tenants()).toEqual([
    { name: "empty", declared: true, segments: [], networks: [], addresses: 0, blocks: 0 },
    { name: "other", declared: false, segments: ["default"], networks: [], addresses: 2, blocks: 1 },
    { name: "shop", declared: true, segments: ["db", "web"], networks: [], addresses: 5, blocks: 3 },
  ]);
  expect(tenants.tenant("other")).toEqual(tenants.tenants()[1]);
  expect(tenants.segments("shop")).toEqual([
    { name: "db", declared: false, addresses: 1, blocks: 1 },
    { name: "web", declared: true, addresses: 3, blocks: 1 },
  ]);
  expect(tenants.segment("shop", "web")).toEqual(tenants.segments("shop")[1]);
});

it("gives a tenant the networks that name it, else those for any tenant", async () => {
  const { tenants, usage } = await openService(createStore());
  usage.networks = [
    { name: "any-1", tenants: [] },
    { name: "own", tenants: ["a", "b"] },
    { name: "any-2", tenants: [] },
  ];
  await tenants.createTenant("a", signal);
  await tenants.createTenant("z", signal);

  expect(tenants.tenants().map(({ networks }) => networks)).toEqual([["own"], ["any-1", "any-2"]]);
});

it("keeps a tenant with its segments in one record", async () => {
  const { store, tenants } = await openService(createStore());
  await tenants.createTenant("a/b", signal);
  await tenants.createSegment("a/b", "z", signal);
  await tenants.createSegment("a/b", "y", signal);

  const { entries } = await store.list("/romana/", signal);
  expect(entries.map(({ key, value }) => [key, value])).toEqual([
    ["/romana/tenants/a%2Fb", '{"name":"a/b","segments":["y","z"]}'],
  ]);
  expect((await openService(store)).tenants.tenants()).toMatchObject([{ name: "a/b", segments: ["y", "z"] }]);
});

it("declares a tenant that was known as an owner only, with its first segment", async () => {
  const { tenants, usage } = await openService(createStore());
  usage.list = [block("owner", "old", 1)];

  await tenants.createSegment("owner", "new", signal);

  expect(tenants.tenant("owner")).toMatchObject({ declared: true, segments: ["new", "old"] });
});

it.for([
  ["TENANT_EXISTS", (tenants: TenantService) => tenants.createTenant("shop", signal)],
  ["SEGMENT_EXISTS", (tenants: TenantService) => tenants.createSegment("shop", "web", signal)],
  ["TENANT_IN_USE", (tenants: TenantService) => tenants.deleteTenant("shop", signal)],
  ["SEGMENT_IN_USE", (tenants: TenantService) => tenants.deleteSegment("shop", "web", signal)],
  ["TENANT_IN_USE", (tenants: TenantService) => tenants.deleteTenant("owner", signal)],
  ["TENANT_NOT_FOUND", (tenants: TenantService) => tenants.deleteTenant("idle", signal)],
  ["TENANT_NOT_FOUND", (tenants: TenantService) => tenants.deleteTenant("nobody", signal)],
  ["TENANT_NOT_FOUND", (tenants: TenantService) => tenants.createSegment("nobody", "s", signal)],
  ["TENANT_NOT_FOUND", (tenants: TenantService) => tenants.deleteSegment("nobody", "s", signal)],
  ["SEGMENT_NOT_FOUND", (tenants: TenantService) => tenants.deleteSegment("shop", "nothing", signal)],
  ["SEGMENT_NOT_FOUND", (tenants: TenantService) => tenants.deleteSegment("idle", "s", signal)],
  ["TENANT_INVALID", (tenants: TenantService) => tenants.createTenant("", signal)],
  ["TENANT_INVALID", (tenants: TenantService) => tenants.createTenant("..", signal)],
  ["TENANT_INVALID", (tenants: TenantService) => tenants.createTenant("\ud800", signal)],
  ["SEGMENT_INVALID", (tenants: TenantService) => tenants.createSegment("shop", "s".repeat(254), signal)],
] as const)("refuses with %s, and changes nothing", async ([code, attempt]) => {
  const { tenants, usage, store } = await openService(createStore());
  await tenants.createTenant("shop", signal);
  await tenants.createSegment("shop", "web", signal);
  usage.list = [block("shop", "web", 1), block("owner", "s", 1), block("idle", "s", 0)];
  const before = await store.list("/", signal);

  await expect(attempt(tenants)).rejects.toMatchObject({ code });

  expect(await store.list("/", signal)).toEqual(before);
});

it("takes back what holds no addresses", async () => {
  const { tenants, usage } = await openService(createStore());
  await tenants.createTenant("shop", signal);
  await tenants.createSegment("shop", "web", signal);
  await tenants.createSegment("shop", "db", signal);
  usage.list = [block("shop", "web", 0)];

  await tenants.deleteSegment("shop", "db", signal);
  const segments = tenants.segments("shop").map(({ name }) => name);
  await tenants.deleteTenant("shop", signal);

  expect(segments).toEqual(["web"]);
  expect(tenants.tenant("shop").declared).toBe(false);
});

it("loses no segment that two replicas declare at once", async () => {
  const store = createStore();
  const [one, two] = [await openService(store), await openService(store)];
  await one.tenants.createTenant("t", signal);
  await two.follower.reached(one.follower.revision, signal);

  await Promise.all(
    Array.from({ length: 4 }, (_, index) =>
      (index % 2 === 0 ? one : two).tenants.createSegment("t", `s${index}`, signal),
    ),
  );

  await Promise.all(
    [one, two].map(({ follower }) =>
      follower.reached(Math.max(one.follower.revision, two.follower.revision), signal),
    ),
  );
  expect(one.tenants.tenant("t").segments).toEqual(["s0", "s1", "s2", "s3"]);
  expect(two.tenants.tenants()).toEqual(one.tenants.tenants());
});

it("declares a segment anew when another replica deleted the tenant in the same moment and it owns blocks", async () => {
  const store = createStore();
  const [one, two] = [await openService(store), await openService(store)];
  await one.tenants.createTenant("t", signal);
  await two.follower.reached(one.follower.revision, signal);
  two.usage.list = [block("t", "s", 1)];
  store.failNext(async (run) => {
    await one.tenants.deleteTenant("t", signal);
    return run();
  });

  await two.tenants.createSegment("t", "new", signal);

  expect(two.tenants.tenant("t")).toMatchObject({ declared: true, segments: ["new", "s"] });
});

it("gives up after others changed the tenant five times", async () => {
  const store = createStore();
  const [one, two] = [await openService(store), await openService(store)];
  await one.tenants.createTenant("t", signal);
  await two.follower.reached(one.follower.revision, signal);
  for (let attempt = 0; attempt < 5; attempt += 1) {
    store.failNext(async (run) => {
      await one.tenants.createSegment("t", `s${attempt}`, signal);
      return run();
    });
    store.failNext((run) => run());
  }

  await expect(two.tenants.createSegment("t", "mine", signal)).rejects.toMatchObject({
    kind: "transient",
    code: "TENANT_CONTENDED",
  });
});

it.for([
  ["TENANT_IN_USE", (tenants: TenantService) => tenants.deleteTenant("t", signal)],
  ["SEGMENT_IN_USE", (tenants: TenantService) => tenants.deleteSegment("t", "s", signal)],
] as const)(
  "refuses with %s an address that another replica has given out and this one has not heard of yet",
  async ([code, remove]) => {
    const store = createStore();
    const openBoth = async (shared: Store) => {
      const common = { store: shared, clock: new FakeClock(), log: createLog(), prefix: "/romana" };
      const follower = await StoreFollower.open(common, signal);
      const addressing = await AddressingService.open({ ...common, follower }, signal);
      const tenants = new TenantService({ ...common, follower, usage: addressing });
      follower.start();
      return { addressing, tenants, follower };
    };
    const lagging = new LaggingStore(store);
    const one = await openBoth(store);
    await one.addressing.updateTopology(twoZones, signal);
    await one.addressing.addHost(hostIn("a", "h1", 1), signal);
    const two = await openBoth(lagging);
    await two.tenants.createTenant("t", signal);
    await two.tenants.createSegment("t", "s", signal);
    await one.follower.reached(two.follower.revision, signal);
    lagging.hold();
    await one.addressing.allocate({ name: "p", host: "h1", tenant: "t", segment: "s" }, signal);

    await expect(remove(two.tenants)).rejects.toMatchObject({ kind: "conflict", code });

    expect(two.tenants.tenant("t")).toMatchObject({ declared: true, segments: ["s"], addresses: 1 });
  },
);

it("does not say no on account of what another replica has just declared or released", async () => {
  const store = createStore();
  const shared = new LaggingStore(store);
  const [one, two] = [await openService(store), await openService(shared)];
  await one.tenants.createTenant("t", signal);

  await two.tenants.createSegment("t", "s", signal);
  await one.follower.reached(two.follower.revision, signal);
  shared.hold();
  await one.tenants.deleteTenant("t", signal);
  await two.tenants.createTenant("t", signal);

  expect(two.tenants.tenants()).toMatchObject([{ name: "t", declared: true, segments: [] }]);
});
