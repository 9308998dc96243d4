import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { SimulatedCloud } from "../../src/adapters/simulation/simulated-cloud.ts";
import type { RemovalOutcome } from "../../src/cli/commands/uninstall.ts";
import { NetworkError } from "../../src/core/errors.ts";
import { parseCidr } from "../../src/core/net/cidr.ts";
import type { RemovalPlan } from "../../src/core/routing/plan-removal.ts";
import { removeRoutes, type UninstallParts } from "../../src/main/uninstall.ts";
import type { LeaseLock } from "../../src/ports/cluster.ts";
import { LeaseElection } from "../../src/services/lease-election.ts";
import { StoreElection } from "../../src/services/store-election.ts";
import { StoreFollower } from "../../src/services/store-follower.ts";
import { MemoryLease } from "../support/memory-lease.ts";
import { SmallRegion } from "../support/region.ts";
import { silentLog } from "../support/silent-log.ts";

const never = new AbortController().signal;

describe("taking Romana's routes away", () => {
  let region: SmallRegion;
  beforeEach(async () => {
    region = new SmallRegion();
    const { passes } = await region.controller();
    passes.start();
    await region.clock.runFor(10_000);
    await region.clock.runUntilSettled(passes.stop());
    await region.clock.runFor(10_000);
  });

  let ended: (() => Promise<void>) | undefined;
  afterEach(async () => {
    await ended?.();
    ended = undefined;
  });

  function parts(config: Partial<UninstallParts["config"]> = {}): UninstallParts {
    const { clock, store, ec2, random } = region;
    return {
      config: {
        dryRun: false,
        ignoreRoutes: [],
        leaderTtlMs: 5000,
        routeQuota: 500,
        ec2: { burst: 50, ratePerSecond: 5, failoverReserve: 20, concurrency: 8, timeoutMs: 2000 },
        ...config,
      },
      clock,
      log: silentLog,
      store,
      prefix: "/romana",
      cloud: new SimulatedCloud({ region: region.region, ec2, clock, random, attempts: 2 }),
    };
  }

  async function remove(
    config: Partial<UninstallParts["config"]> = {},
    confirm: (plan: RemovalPlan) => Promise<void> = () => Promise.resolve(),
    lock?: LeaseLock,
  ): Promise<RemovalOutcome> {
    const work = removeRoutes({ ...parts(config), lock }, confirm, never);
    await region.clock.runUntilSettled(work.then(noValue, noValue));
    return work;
  }

  async function journal(): Promise<number> {
    return (await region.store.list("/romana/journal/", never)).entries.length;
  }

  const tables = () => region.tables.map((id) => region.prefixes(id).length);

  it("deletes each with one call, forgets it, and leaves the checks as they are", async () => {
    const checks = region.checksOn();
    const before = [tables(), await journal()];

    const { plan, remaining } = await remove();

    expect(before).toEqual([[4, 4], 8]);
    expect(plan.remove).toHaveLength(8);
    expect(remaining).toEqual([]);
    expect([tables(), await journal()]).toEqual([[0, 0], 0]);
    expect(region.ec2.calls()["DeleteRoute"]).toBe(8);
    expect(region.checksOn()).toEqual(checks);
  });

  it("changes nothing in a dry run, not even in the store, and shows the same plan", async () => {
    const before = await region.store.list("/romana/", never);

    const dry = await remove({ dryRun: true });

    expect(dry.isUnchanged).toBe(true);
    expect(await region.store.list("/romana/", never)).toEqual(before);
    expect(tables()).toEqual([4, 4]);
    expect((await remove()).plan).toEqual(dry.plan);
  });

  it("has nothing to do the second time", async () => {
    await remove();
    const writes = region.writes();

    const again = await remove({}, () => Promise.reject(new Error("nobody is asked")));

    expect(again).toMatchObject({ isUnchanged: true, plan: { remove: [], forget: [] } });
    expect(region.writes()).toBe(writes);
  });

  it("leaves somebody else's route alone, and tells of nothing outside the networks", async () => {
    const [table = ""] = region.tables;
    const eni = region.instances.get("a1")?.eni ?? "";
    region.region.createRoute(table, parseCidr("192.168.0.0/16"), { kind: "interface", id: eni });

    await remove();

    expect(region.prefixes(table)).toEqual(["192.168.0.0/16"]);
  });

  it("keeps everything when the answer is no, and lets go of the lead at once", async () => {
    const refusal = new NetworkError("conflict", "ROUTES_KEPT", "no");

    await expect(remove({}, () => Promise.reject(refusal))).rejects.toBe(refusal);

    expect([tables(), await journal()]).toEqual([[4, 4], 8]);
    expect(await region.store.get("/romana/leader", never)).toBeUndefined();
  });

  it("refuses while a controller leads, within seconds, and changes nothing", async () => {
    const { clock, store } = region;
    const follower = await StoreFollower.open({ store, clock, log: silentLog, prefix: "/romana" }, never);
    const election = new StoreElection({
      store,
      clock,
      log: silentLog,
      prefix: "/romana",
      ttlMs: 5000,
      random: () => 0.5,
      id: "controller-1",
      url: "https://10.0.0.5:9600",
    });
    follower.add(election);
    follower.start();
    const campaign = election.campaign(never);
    await clock.runUntilSettled(campaign);
    const leadership = await campaign;
    ended = async () => {
      await leadership.resign();
      await follower.stop();
    };
    const started = clock.monotonic();

    const error: unknown = await remove().catch((reason: unknown) => reason);

    expect(error).toMatchObject({ kind: "conflict", code: "UNINSTALL_LED" });
    expect(String(error)).toContain("controller-1 at https://10.0.0.5:9600");
    expect(clock.monotonic() - started).toBeLessThanOrEqual(10_000);
    expect([tables(), await journal()]).toEqual([[4, 4], 8]);
  });

  describe("where a Lease of the cluster chooses the leader", () => {
    let lock: MemoryLease;

    /** A controller that leads; what ends its process as SIGKILL does, and what ends its term. */
    async function controller() {
      const { clock, store } = region;
      const follower = await StoreFollower.open({ store, clock, log: silentLog, prefix: "/romana" }, never);
      const election = new LeaseElection({
        lock,
        store,
        clock,
        log: silentLog,
        prefix: "/romana",
        ttlMs: 5000,
        random: () => 0.5,
        id: "controller-1",
        url: "",
      });
      follower.add(election);
      follower.start();
      const campaign = election.campaign(never);
      await clock.runUntilSettled(campaign);
      const leadership = await campaign;
      ended = async () => {
        await leadership.resign();
        await follower.stop();
      };
      return leadership;
    }

    beforeEach(() => {
      lock = new MemoryLease();
    });

    it("refuses while a controller holds it", async () => {
      await controller();

      await expect(remove({}, undefined, lock)).rejects.toMatchObject({ code: "UNINSTALL_LED" });
      expect([tables(), await journal()]).toEqual([[4, 4], 8]);
    });

    it("begins at once when the controller gave it back, and gives it back itself", async () => {
      await (await controller()).resign();

      const { remaining } = await remove({}, undefined, lock);

      expect(remaining).toEqual([]);
      expect([tables(), await journal()]).toEqual([[0, 0], 0]);
      expect(lock.state?.holder).toBe("");
      expect(await region.store.get("/romana/leader", never)).toBeUndefined();
    });

    it("waits for one that was killed, whose key and Lease still stand", async () => {
      await (await controller()).resign();
      const { clock, store } = region;
      const now = clock.now();
      lock.edit({ holder: "controller-1_x", durationMs: 5000, acquireMs: now, renewMs: now });
      const value = JSON.stringify({
        id: "controller-1",
        url: "",
        since: now,
        holder: "controller-1_x",
        durationMs: 5000,
      });
      await store.commit({ compare: [], operations: [{ kind: "put", key: "/romana/leader", value }] }, never);

      expect((await remove({}, undefined, lock)).remaining).toEqual([]);
      expect([tables(), await journal()]).toEqual([[0, 0], 0]);
    });
  });

  it("tells what EC2 would not delete, keeps its record, and finishes the next time", async () => {
    const [table = ""] = region.tables;
    region.ec2.deny("DeleteRoute", table);

    const first = await remove();

    expect(first.remaining.map(({ routeTableId }) => routeTableId)).toEqual([table, table, table, table]);
    expect(first.remaining[0]?.problem).toContain("UnauthorizedOperation");
    expect([tables(), await journal()]).toEqual([[4, 0], 4]);
    region.ec2.allow("DeleteRoute");
    expect((await remove()).remaining).toEqual([]);
    expect([tables(), await journal()]).toEqual([[0, 0], 0]);
  });

  it("goes on by itself where EC2 throttles for a while", async () => {
    region.ec2.failNext("DeleteRoute", "throttled", 12);

    expect((await remove()).remaining).toEqual([]);
    expect([tables(), await journal()]).toEqual([[0, 0], 0]);
  });

  it("sends nothing more once somebody else was elected", async () => {
    const { clock, store } = region;

    const work = removeRoutes(
      parts(),
      async () => {
        // As a store does whose lease ran out, and another replica.
        await store.commit(
          {
            compare: [],
            operations: [{ kind: "put", key: "/romana/leader", value: '{"id":"other","url":"","since":0}' }],
          },
          never,
        );
      },
      never,
    );
    await clock.runUntilSettled(work.then(noValue, noValue));

    await expect(work).rejects.toMatchObject({ code: "LEADERSHIP_LOST" });
    expect([tables(), await journal()]).toEqual([[4, 4], 8]);
    expect(region.ec2.calls()["DeleteRoute"] ?? 0).toBe(0);
  });
});

const noValue = (): undefined => undefined;
