import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { MemoryStore } from "../../src/adapters/memory/memory-store.ts";
import { containsCidr, parseCidr } from "../../src/core/net/cidr.ts";
import { SmallRegion } from "../support/region.ts";

const LEAVES = ["100.104.0.0/16", "100.105.0.0/16", "100.96.0.0/16", "100.97.0.0/16"];
const never = new AbortController().signal;

describe("a controller on a region", () => {
  let region: SmallRegion;
  beforeEach(() => {
    region = new SmallRegion();
  });
  afterEach(async () => {
    await region.stop();
  });

  async function settled() {
    const controller = await region.controller();
    controller.passes.start();
    await region.clock.runFor(10_000);
    return controller;
  }

  it("writes each group's prefix into every table, with one call each, and turns every check off", async () => {
    await settled();

    expect(region.tables.map((table) => region.prefixes(table))).toEqual([LEAVES, LEAVES]);
    expect(region.writes()).toBe(8);
    expect(region.ec2.calls()["ModifyNetworkInterfaceAttribute"]).toBe(6);
    expect(region.checksOn()).toEqual([]);
  });

  it("writes nothing more once all is right, and then describes with three calls a pass or less", async () => {
    await settled();
    const before = region.ec2.calls();
    await region.clock.runFor(300_000);
    const after = region.ec2.calls();
    const describes = Object.keys(after)
      .filter((action) => action.startsWith("Describe"))
      .reduce((sum, action) => sum + (after[action] ?? 0) - (before[action] ?? 0), 0);

    const passes = (after["DescribeInstances"] ?? 0) - (before["DescribeInstances"] ?? 0);

    expect(region.writes()).toBe(8);
    expect(passes).toBeGreaterThanOrEqual(9);
    expect(describes).toBeLessThanOrEqual(3 * passes);
  });

  it("puts back within one pass what somebody deletes, changes or turns on", async () => {
    await settled();
    const table = region.tables[0] ?? "";
    const right = region.routes(table);
    await region.clock.runFor(60_000);
    region.region.deleteRoute(table, parseCidr("100.96.0.0/16"));
    region.region.replaceRoute(table, parseCidr("100.97.0.0/16"), {
      kind: "interface",
      id: region.instances.get("b3")?.eni ?? "",
    });
    region.region.setSourceDestCheck(region.instances.get("a2")?.eni ?? "", true);
    await region.clock.runFor(33_000);

    expect(region.routes(table)).toEqual(right);
    expect(region.checksOn()).toEqual([]);
  });

  it("moves a dead node's routes in every table at once, without asking EC2 first", async () => {
    const controller = await settled();
    const dead = region.gatewayOf("100.96.0.0/16") ?? "";
    const standIn = dead === "a1" ? "a2" : "a1";
    const describes = region.ec2.calls()["DescribeInstances"];
    region.health.states.set(dead, "down");
    const started = region.clock.monotonic();
    await region.clock.runUntilSettled(controller.failover.failOver(dead, new Set([standIn])));

    expect(region.clock.monotonic() - started).toBeLessThan(300);
    expect(region.ec2.calls()["DescribeInstances"]).toBe(describes);
    expect(region.tables.map((table) => region.gatewayOf("100.96.0.0/16", table))).toEqual([
      standIn,
      standIn,
    ]);
    expect(controller.failover.records()).toMatchObject([{ host: dead, moved: 2, failed: 0, stranded: 0 }]);
  });

  it("counts every pass, write and failover", async () => {
    const controller = await settled();
    const dead = region.gatewayOf("100.96.0.0/16") ?? "";
    const { meter } = region;
    const creates = meter.writes.filter((line) => line === "CreateRoute done");
    const checks = meter.writes.filter((line) => line === "ModifyNetworkInterfaceAttribute done");

    region.health.states.set(dead, "down");
    const standIn = dead === "a1" ? "a2" : "a1";
    await region.clock.runUntilSettled(controller.failover.failOver(dead, new Set([standIn])));

    expect([creates.length, checks.length]).toEqual([8, 6]);
    expect(meter.writes.slice(-2)).toEqual(["ReplaceRoute done", "ReplaceRoute done"]);
    expect(new Set(meter.passes)).toEqual(new Set(["ok"]));
    expect(meter.failovers).toMatchObject([{ moved: 2, failed: 0, stranded: 0 }]);
    expect(controller.passes.stuck()).toEqual([]);
  });

  it("is stuck when a pass has not ended for ten minutes", async () => {
    const controller = await region.controller();
    const unanswered = Promise.withResolvers<void>();
    region.health.whenMeasured = () => unanswered.promise;
    controller.passes.start();
    await region.clock.runFor(599_000);
    const before = controller.passes.stuck();
    await region.clock.runFor(2000);
    const after = controller.passes.stuck();
    unanswered.resolve();

    expect(before).toEqual([]);
    expect(after).toEqual(["no pass over the cloud has ended for 10 min"]);
  });

  it("moves nothing to a stand-in that did not answer the burst", async () => {
    const controller = await settled();
    const dead = region.gatewayOf("100.96.0.0/16") ?? "";
    region.health.states.set(dead, "down");
    const before = region.routes();
    await region.clock.runUntilSettled(controller.failover.failOver(dead, new Set(["b1", "b2"])));

    expect(region.routes()).toEqual(before);
    expect(controller.passes.alarms().map(({ kind, subject }) => `${kind} ${subject}`)).toEqual([
      "no-stand-in 100.96.0.0/16",
    ]);
  });

  it("calls no stand-in missing before the probes had their first word, and then moves a dead node's routes with the first pass", async () => {
    const former = await settled();
    await region.clock.runUntilSettled(former.passes.stop());
    const dead = region.gatewayOf("100.96.0.0/16") ?? "";
    const standIn = dead === "a1" ? "a2" : "a1";
    const measured = Promise.withResolvers<void>();
    region.health.whenMeasured = () => measured.promise;
    region.health.states.set(dead, "down").set(standIn, "rising");
    const controller = await region.controller();
    controller.passes.start();
    await region.clock.runFor(1_000);
    await region.clock.runUntilSettled(controller.failover.failOver(dead, new Set([standIn])));
    expect(controller.passes.alarms()).toEqual([]);

    region.health.states.set(standIn, "up");
    measured.resolve();
    await region.clock.runFor(1_000);
    expect(region.gatewayOf("100.96.0.0/16")).toBe(standIn);
  });

  it.for(["before", "after"])(
    "does not wait for another node's first verdict with the routes of a node that went down %s the first look",
    async (when) => {
      const former = await settled();
      await region.clock.runUntilSettled(former.passes.stop());
      const dead = region.gatewayOf("100.96.0.0/16") ?? "";
      const standIn = dead === "a1" ? "a2" : "a1";
      const writes = region.writes();
      const measured = Promise.withResolvers<void>();
      region.health.whenMeasured = () => measured.promise;
      const controller = await region.controller();
      const goDown = async (): Promise<void> => {
        region.health.states.set(dead, "down").set(standIn, "rising");
        await region.clock.runUntilSettled(controller.failover.failOver(dead, new Set(["b1"])));
      };
      if (when === "before") {
        await goDown();
      }
      controller.passes.start();
      await region.clock.runFor(1_000);
      if (when === "after") {
        await goDown();
      }
      expect(region.writes()).toBe(writes);

      region.health.states.set(standIn, "up");
      await region.clock.runUntilSettled(controller.failover.failOverEarly());
      expect(region.tables.map((table) => region.gatewayOf("100.96.0.0/16", table))).toEqual([
        standIn,
        standIn,
      ]);
      expect(region.writes()).toBe(writes + 2);
      measured.resolve();
      await region.clock.runFor(5_000);
      expect(region.writes()).toBe(writes + 2);
      expect(controller.failover.records()).toMatchObject([{ host: dead, moved: 2, stranded: 0 }]);
    },
  );

  it("tries a third node at once when the stand-in's interface vanished before the write", async () => {
    region.groups["100.96.0.0/16"] = ["a1", "a2", "a3"];
    delete region.groups["100.97.0.0/16"];
    const controller = await settled();
    await region.clock.runFor(60_000);
    const dead = region.gatewayOf("100.96.0.0/16") ?? "";
    const [standIn = "", third = ""] = ["a1", "a2", "a3"].filter((node) => node !== dead);
    region.health.states.set(dead, "down");
    region.region.terminate(region.instances.get(standIn)?.id ?? "");
    await region.clock.runUntilSettled(controller.failover.failOver(dead, new Set([standIn])));
    region.health.states.set(standIn, "down");
    controller.passes.trigger();
    await region.clock.runFor(2500);

    expect(region.tables.map((table) => region.gatewayOf("100.96.0.0/16", table))).toEqual([third, third]);
  });

  it("leaves the routes of a group of one where they are, and raises an alarm", async () => {
    const controller = await settled();
    region.health.states.set("a3", "down");
    await region.clock.runUntilSettled(controller.failover.failOver("a3", new Set(["a1", "a2"])));
    await region.clock.runFor(5000);

    expect(region.gatewayOf("100.97.0.0/16")).toBe("a3");
    expect(controller.passes.alarms().map(({ kind, subject }) => `${kind} ${subject}`)).toEqual([
      "no-stand-in 100.97.0.0/16",
    ]);
  });

  it("gives a recovered node nothing back until a rebalance", async () => {
    const controller = await settled();
    const dead = region.gatewayOf("100.96.0.0/16") ?? "";
    const standIn = dead === "a1" ? "a2" : "a1";
    region.health.states.set(dead, "down");
    await region.clock.runUntilSettled(controller.failover.failOver(dead, new Set([standIn])));
    region.health.states.set(dead, "up");
    await region.clock.runFor(120_000);
    expect(region.gatewayOf("100.96.0.0/16")).toBe(standIn);

    await region.clock.runUntilSettled(controller.passes.rebalance(never));
    await region.clock.runFor(5000);
    expect(region.gatewayOf("100.96.0.0/16")).toBe(dead);
  });

  it("refuses to rebalance while nobody answers", async () => {
    const controller = await settled();
    region.health.blind = true;

    await expect(controller.passes.rebalance(never)).rejects.toMatchObject({ code: "REBALANCE_BLIND" });
    region.health.blind = false;
  });

  it("follows an instance that was replaced under the same address", async () => {
    await settled();
    const former = region.instances.get("b3");
    region.region.terminate(former?.id ?? "");
    region.launch("b3", former?.subnetId ?? "", former?.ip);
    await region.clock.runFor(33_000);

    expect(region.tables.map((table) => region.gatewayOf("100.105.0.0/16", table))).toEqual(["b3", "b3"]);
    expect(region.checksOn()).toEqual([]);
  });

  it("moves the routes of an instance that EC2 says is terminated", async () => {
    await settled();
    const dead = region.gatewayOf("100.104.0.0/16") ?? "";
    region.region.terminate(region.instances.get(dead)?.id ?? "");
    await region.clock.runFor(35_000);

    expect(region.gatewayOf("100.104.0.0/16")).toBe(dead === "b1" ? "b2" : "b1");
  });

  it("changes nothing under dry-run, and still shows its plan", async () => {
    const controller = await region.controller({ dryRun: true });
    controller.passes.start();
    await region.clock.runFor(60_000);
    const plan = await region.clock.runUntilSettled(controller.passes.plan(never));

    expect(region.writes()).toBe(0);
    expect(region.ec2.calls()["ModifyNetworkInterfaceAttribute"]).toBeUndefined();
    expect(plan.operations).toHaveLength(8);
    expect(plan.sourceDestCheck).toHaveLength(6);
  });

  it("leaves a foreign route alone and says so", async () => {
    const table = region.tables[0] ?? "";
    region.region.createRoute(table, parseCidr("100.96.0.0/16"), { kind: "other", id: "nat-1" });
    const controller = await settled();
    await region.clock.runFor(60_000);

    expect(region.routes(table)).toContain("100.96.0.0/16 nat-1");
    expect(controller.passes.alarms().map(({ kind }) => kind)).toEqual(["foreign-route"]);
    expect(region.prefixes(region.tables[1])).toEqual(LEAVES);
  });

  it("leaves alone a foreign route that came between the look and the write", async () => {
    const [table = ""] = region.tables;
    let came = false;
    const controller = await region.controller({
      onFacts: async ({ instances }) => {
        if (!came && instances.length === region.instances.size) {
          came = true;
          region.region.createRoute(table, parseCidr("100.96.0.0/16"), { kind: "other", id: "nat-1" });
        }
      },
    });
    controller.passes.start();
    await region.clock.runFor(60_000);

    expect(region.routes(table)).toContain("100.96.0.0/16 nat-1");
    expect(controller.passes.alarms().map(({ kind }) => kind)).toEqual(["foreign-route"]);
  });

  it("deletes nothing from a table that a few looks show without its subnet", async () => {
    await settled();
    await region.clock.runFor(60_000);
    const subnets = region.region.routeTables.get(region.tables[1] ?? "")?.subnetIds;
    const subnet = region.instances.get("b1")?.subnetId ?? "";
    subnets?.delete(subnet);
    await region.clock.runFor(45_000);
    subnets?.add(subnet);
    await region.clock.runFor(300_000);

    expect(region.prefixes(region.tables[1])).toEqual(LEAVES);
    const main = [...region.region.routeTables.values()].find((each) => each.main);
    expect(region.prefixes(main?.id)).toEqual([]);
    expect(region.ec2.calls()["DeleteRoute"]).toBe(4);
  });

  it("takes its routes out of a table that no node's subnet uses any more", async () => {
    await settled();
    const [kept = "", left = ""] = region.tables;
    const tables = region.region.routeTables;
    tables.get(left)?.subnetIds.forEach((subnetId) => tables.get(kept)?.subnetIds.add(subnetId));
    tables.get(left)?.subnetIds.clear();
    await region.clock.runFor(120_000);

    expect(region.prefixes(left)).toEqual([]);
    expect(region.prefixes(kept)).toEqual(LEAVES);
  });

  it("adopts after a lost store what the tables lead to different nodes of a group, and leads it to one of them", async () => {
    const id = (name: string) => region.instances.get(name)?.eni ?? "";
    const [first = "", second = ""] = region.tables;
    const destination = parseCidr("100.96.0.0/16");
    region.region.createRoute(first, destination, { kind: "interface", id: id("a1") });
    region.region.createRoute(second, destination, { kind: "interface", id: id("a2") });
    await region.clock.runFor(10_000);
    const controller = await settled();

    expect(controller.passes.failures).toBe(0);
    expect(region.gatewayOf(destination, first)).toBe(region.gatewayOf(destination, second));
  });

  it("adopts standing routes after a lost store, without one write", async () => {
    const first = await settled();
    await region.clock.runUntilSettled(first.passes.stop());
    const before = region.routes();
    const second = await region.controller({}, new MemoryStore({ clock: region.clock }));
    second.passes.start();
    await region.clock.runFor(35_000);

    expect(region.routes()).toEqual(before);
    expect(region.writes()).toBe(8);
    delete region.groups["100.97.0.0/16"];
    await region.clock.runUntilSettled(second.passes.reconcile(never));
    expect(region.prefixes()).toEqual(LEAVES.filter((cidr) => cidr !== "100.97.0.0/16"));
  });

  it.for([0, 1, 2, 3, 5, 8])(
    "finishes what a crash after %i writes left behind, and owns it",
    async (writes) => {
      const first = await region.controller();
      first.passes.start();
      await region.clock.runUntilTrue(() => region.writes() >= writes, 10_000);
      await region.clock.runUntilSettled(first.passes.stop());
      const second = await region.controller();
      second.passes.start();
      await region.clock.runFor(20_000);
      expect(region.tables.map((table) => region.prefixes(table))).toEqual([LEAVES, LEAVES]);

      delete region.groups["100.97.0.0/16"];
      await region.clock.runUntilSettled(second.passes.reconcile(never));
      expect(region.tables.map((table) => region.prefixes(table).includes("100.97.0.0/16"))).toEqual([
        false,
        false,
      ]);
    },
  );
});

describe("two of a group's three nodes that die 10 ms apart", () => {
  it.for([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])(
    "lose their routes to the third, whatever pass is under way and however old its look is (%i)",
    async (number) => {
      const region = new SmallRegion({ lagMs: 5000 });
      region.groups["100.96.0.0/16"] = ["a1", "a2", "a3"];
      delete region.groups["100.97.0.0/16"];
      const controller = await region.controller();
      controller.passes.start();
      await region.clock.runFor(60_000);
      const first = region.gatewayOf("100.96.0.0/16") ?? "";
      const [second = "", third = ""] = ["a1", "a2", "a3"].filter((node) => node !== first);
      const { passes, failover } = controller;
      const pass = number % 2 === 0 ? passes.reconcile(never) : passes.rebalance(never);
      await region.clock.runFor(number * 20);
      region.health.states.set(first, "down");
      const moves = [failover.failOver(first, new Set([second]))];
      await region.clock.runFor(10);
      region.health.states.set(second, "down");
      moves.push(failover.failOver(second, new Set([third])));
      await region.clock.runUntilSettled(Promise.all([...moves, pass]));
      const gateways = () => region.tables.map((table) => region.gatewayOf("100.96.0.0/16", table));

      expect(gateways()).toEqual([third, third]);
      await region.clock.runFor(60_000);
      expect(gateways()).toEqual([third, third]);
      await region.stop();
    },
  );
});

describe("when EC2 says no", () => {
  let region: SmallRegion;
  afterEach(async () => {
    await region.stop();
  });

  it("waits in its own bucket instead of being throttled, and still writes everything", async () => {
    region = new SmallRegion();
    const controller = await region.controller();
    for (let index = 0; index < 40; index += 1) {
      region.groups[`100.${98 + (index % 4)}.${Math.floor(index / 4) * 8}.0/21`] = ["a1"];
    }
    controller.passes.start();
    await region.clock.runFor(60_000);

    expect(region.prefixes()).toHaveLength(44);
    expect(region.writes()).toBe(88);
  });

  it("sends a failover ahead of queued bulk work and leaves it tokens", async () => {
    region = new SmallRegion({ write: { minMs: 100, restMs: 0 } });
    const controller = await region.controller();
    controller.passes.start();
    await region.clock.runFor(10_000);
    for (let index = 0; index < 90; index += 1) {
      region.groups[`100.${98 + (index % 4)}.${Math.floor(index / 4) * 8}.0/21`] = ["a1"];
    }
    controller.passes.trigger();
    await region.clock.runUntilTrue(() => region.prefixes().length > 10, 10_000);
    const dead = region.gatewayOf("100.104.0.0/16") ?? "";
    const standIn = dead === "b1" ? "b2" : "b1";
    region.health.states.set(dead, "down");
    const started = region.clock.monotonic();
    await region.clock.runUntilSettled(controller.failover.failOver(dead, new Set([standIn])));

    expect(region.prefixes().length).toBeLessThan(90);
    expect(region.clock.monotonic() - started).toBeLessThan(200);
    expect(region.gatewayOf("100.104.0.0/16", region.tables[1])).toBe(standIn);
  });

  it("tries a failover that EC2 refused again before the bulk work is done", async () => {
    region = new SmallRegion();
    const controller = await region.controller();
    controller.passes.start();
    await region.clock.runFor(10_000);
    for (let index = 0; index < 90; index += 1) {
      region.groups[`100.${98 + (index % 4)}.${Math.floor(index / 4) * 8}.0/21`] = ["a1"];
    }
    controller.passes.trigger();
    await region.clock.runUntilTrue(() => region.prefixes().length > 10, 10_000);
    const dead = region.gatewayOf("100.104.0.0/16") ?? "";
    const standIn = dead === "b1" ? "b2" : "b1";
    region.health.states.set(dead, "down");
    region.ec2.failNext("ReplaceRoute", "throttled", 4);
    await region.clock.runUntilSettled(controller.failover.failOver(dead, new Set([standIn])));
    controller.passes.trigger();
    await region.clock.runFor(5000);

    expect(region.prefixes().length).toBeLessThan(90);
    expect(region.tables.map((table) => region.gatewayOf("100.104.0.0/16", table))).toEqual([
      standIn,
      standIn,
    ]);
    await region.clock.runFor(60_000);
    expect(region.prefixes()).toHaveLength(94);
  });

  it("looks again every half minute while it writes for longer", async () => {
    region = new SmallRegion();
    const controller = await region.controller();
    for (let index = 0; index < 120; index += 1) {
      region.groups[`100.${98 + (index % 4)}.${Math.floor(index / 4) * 8}.0/21`] = ["a1"];
    }
    controller.passes.start();
    await region.clock.runFor(10_000);
    const table = region.tables[0] ?? "";
    region.region.deleteRoute(table, parseCidr("100.96.0.0/16"));
    await region.clock.runUntilTrue(() => region.gatewayOf("100.96.0.0/16", table) !== undefined, 34_000);
    expect(region.prefixes(region.tables[1]).length).toBeLessThan(124);
    await region.clock.runFor(60_000);

    expect(region.prefixes(region.tables[1])).toHaveLength(124);
    expect(region.writes()).toBe(2 * 124 + 1);
  });

  it("leaves no group without a route at any write while foreign routes come and go", async () => {
    region = new SmallRegion();
    region.region.routeQuota = 10;
    const controller = await region.controller({ quota: 10 });
    controller.passes.start();
    await region.clock.runFor(30_000);
    const groups = LEAVES.map(parseCidr);
    const gaps: string[] = [];
    region.region.watchRoutes(({ routeTableId, at }) => {
      if (region.tables.includes(routeTableId)) {
        const served = region.prefixes(routeTableId).map(parseCidr);
        groups
          .filter((group) => !served.some((cidr) => containsCidr(cidr, group)))
          .forEach((group) => gaps.push(`${group} in ${routeTableId} at ${at}`));
      }
    });
    const foreign = Array.from({ length: 6 }, (_, index) => parseCidr(`192.0.2.${index * 8}/29`));
    const shapes: number[] = [];
    for (const change of [...foreign, ...foreign.toReversed()]) {
      const [table = ""] = region.tables;
      const stands = region.prefixes(table).includes(change);
      if (stands) {
        region.region.deleteRoute(table, change);
      } else {
        region.region.createRoute(table, change, { kind: "other", id: "nat-1" });
      }
      await region.clock.runFor(70_000);
      shapes.push(region.prefixes(region.tables[1]).length);
    }

    expect(shapes).toEqual([4, 4, 4, 4, 3, 2, 3, 4, 4, 4, 4, 4]);
    expect(gaps).toEqual([]);
  });

  it("plans coarser when a table is full, and does not loop", async () => {
    region = new SmallRegion();
    region.region.routeQuota = 3;
    const controller = await region.controller({ reserve: 0 });
    controller.passes.start();
    await region.clock.runFor(30_000);
    const writes = region.writes();
    await region.clock.runFor(120_000);

    expect(region.prefixes()).toEqual(["100.104.0.0/16", "100.105.0.0/16", "100.96.0.0/13"]);
    expect(region.writes()).toBe(writes);
  });

  it("writes the routes although the checks may not be turned off, and turns them off once it may", async () => {
    region = new SmallRegion();
    region.ec2.deny("ModifyNetworkInterfaceAttribute");
    const controller = await region.controller();
    controller.passes.start();
    await region.clock.runFor(60_000);
    expect(region.prefixes()).toEqual(LEAVES);
    expect(region.ec2.calls()["ModifyNetworkInterfaceAttribute"]).toBeLessThan(6 * 6);
    expect(controller.state.setbacks.all().map(({ error }) => error.code)).toEqual(
      Array(6).fill("CLOUD_UNAUTHORIZED"),
    );

    region.ec2.allow("ModifyNetworkInterfaceAttribute");
    await region.clock.runFor(320_000);
    expect(region.checksOn()).toEqual([]);
    expect(controller.state.setbacks.all()).toEqual([]);
  });

  it("goes on with the other tables when one is refused", async () => {
    region = new SmallRegion();
    region.ec2.deny("CreateRoute", region.tables[0]);
    const controller = await region.controller();
    controller.passes.start();
    await region.clock.runFor(20_000);

    expect(region.prefixes(region.tables[0])).toEqual([]);
    expect(region.prefixes(region.tables[1])).toEqual(LEAVES);
  });

  it("keeps everything as it is while EC2 cannot be described", async () => {
    region = new SmallRegion();
    const controller = await region.controller();
    controller.passes.start();
    await region.clock.runFor(10_000);
    const before = region.routes();
    region.ec2.deny("DescribeInstances");
    await region.clock.runFor(120_000);

    expect(region.routes()).toEqual(before);
    expect(controller.passes.lastPass()?.outcome).toBe("failed");
    region.ec2.allow("DescribeInstances");
    await region.clock.runFor(60_000);
    expect(controller.passes.lastPass()?.outcome).toBe("ok");
  });
});
