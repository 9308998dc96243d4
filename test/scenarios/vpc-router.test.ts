import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { parseCidr } from "../../src/core/net/cidr.ts";
import { ListedRegion } from "../support/listed-region.ts";

const never = new AbortController().signal;
const A = "172.16.0.0/16";
const B = "172.17.0.0/16";
const ALL = "0.0.0.0/0";

describe("the stand-alone router on a region", () => {
  let region: ListedRegion;
  beforeEach(() => {
    region = new ListedRegion();
  });
  afterEach(async () => {
    await region.stop();
  });

  async function settled(...args: Parameters<ListedRegion["router"]>) {
    const router = await region.router(...args);
    await region.clock.runFor(10_000);
    return router;
  }

  function alarms(router: Awaited<ReturnType<typeof settled>>): string[] {
    return router.routes.status().alarms.map(({ kind, subject }) => `${kind} ${subject}`);
  }

  describe("which routes stand where", () => {
    it("writes each listed destination into the tables of the subnets with listed addresses, by association and by default", async () => {
      await settled({ [A]: ["10.0.0.5"], [B]: ["10.0.1.5"] });

      expect(region.routes(region.tableA)).toEqual([`${A} 10.0.0.5`, `${B} 10.0.1.5`]);
      expect(region.routes(region.main)).toEqual([`${A} 10.0.0.5`, `${B} 10.0.1.5`]);
      expect(region.routes(region.otherTable)).toEqual([]);
    });

    it("leads to the interface of a secondary address", async () => {
      await settled({ [A]: ["10.0.0.107"] });

      expect(region.routes()).toEqual([`${A} 10.0.0.7`]);
    });

    it("turns the Source/Dest check off on the targets and on nobody else, once for an interface with two listed addresses", async () => {
      await settled({ [A]: ["10.0.0.107", "10.0.0.7"], [B]: ["10.0.1.5"] });
      const now = region.clock.monotonic();
      const checked = ["10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.1.5"].filter((address) =>
        region.region.interfaces.get(region.interfaceOf(address))?.sourceDestCheck.at(now),
      );

      expect(checked).toEqual(["10.0.0.5", "10.0.0.6"]);
      expect(region.writes()["ModifyNetworkInterfaceAttribute"]).toBe(2);
    });

    it("keeps overlapping destinations, the default route and a subnet's own CIDR beside one another", async () => {
      const router = await settled({
        [ALL]: ["10.0.0.5"],
        "172.16.0.0/12": ["10.0.0.6"],
        [A]: ["10.0.0.7"],
        "10.0.2.0/24": ["10.0.0.5"],
      });

      expect(region.routes()).toEqual([
        `${ALL} 10.0.0.5`,
        "10.0.2.0/24 10.0.0.5",
        "172.16.0.0/12 10.0.0.6",
        `${A} 10.0.0.7`,
      ]);
      expect(alarms(router)).toEqual([]);
    });

    it("reports a destination inside the VPC that is no subnet, and serves the others", async () => {
      const router = await settled({
        "10.0.2.0/25": ["10.0.0.5"],
        "10.0.0.0/16": ["10.0.0.5"],
        [A]: ["10.0.0.5"],
      });

      expect(region.routes()).toEqual([`${A} 10.0.0.5`]);
      expect(
        router.routes
          .routes()
          .skipped.map(({ destination, reason }) => `${destination} ${reason.split(":")[0]}`),
      ).toEqual(["10.0.0.0/16 inside-vpc", "10.0.2.0/25 inside-vpc"]);
    });

    it("reports an address that no instance has and uses the others of its list", async () => {
      const router = await settled({ [A]: ["192.168.7.7", "10.0.0.6"], [B]: ["10.0.0.99"] });

      expect(region.routes()).toEqual([`${A} 10.0.0.6`]);
      expect(alarms(router)).toEqual([`no-interface ${A}`, `no-interface ${B}`]);
      expect(region.log.lines.filter(({ message }) => message === "an alarm")).toHaveLength(2);
    });

    it("writes what fits into a full table and reports the rest", async () => {
      const router = await settled(
        { [A]: ["10.0.0.5"], [B]: ["10.0.0.5"], [ALL]: ["10.0.0.5"] },
        { routeQuota: "4", routeReserve: "2" },
      );

      expect(region.routes()).toEqual([`${ALL} 10.0.0.5`, `${A} 10.0.0.5`]);
      expect(alarms(router)).toEqual([`over-budget ${B}`]);
    });

    it("spreads several destinations over the addresses that they share", async () => {
      const addresses = ["10.0.0.5", "10.0.0.6", "10.0.0.7"];
      await settled({ [A]: addresses, [B]: addresses, [ALL]: addresses });

      expect(new Set(region.routes().map((text) => text.split(" ")[1])).size).toBe(3);
    });

    it("writes nothing under --dry-run, and says what it would write, in the log once", async () => {
      const router = await settled({ [A]: ["10.0.0.5"] }, { dryRun: true });
      await region.clock.runFor(120_000);
      const said = region.log.lines.filter(({ message }) => message.startsWith("a route would be written"));
      expect(said.map(({ fields }) => fields)).toMatchObject([
        { operation: "create", routeTableId: region.tableA, cidr: A, host: "10.0.0.5" },
      ]);

      expect(region.writes()).toEqual({});
      expect((await region.clock.runUntilSettled(router.routes.plan(never))).operations).toMatchObject([
        { kind: "create", destination: A, host: "10.0.0.5" },
      ]);
    });
  });

  describe("routes that stand before", () => {
    function stands(destination: string, address: string, table = region.tableA): void {
      const id = region.interfaceOf(address);
      region.region.createRoute(table, parseCidr(destination), { kind: "interface", id });
    }

    it("adopts one that leads to a listed address, secondary ones included, and lets it be", async () => {
      stands(A, "10.0.0.6");
      stands(B, "10.0.0.107");
      await settled({ [A]: ["10.0.0.5", "10.0.0.6"], [B]: ["10.0.0.5", "10.0.0.107"] });

      expect(region.routes()).toEqual([`${A} 10.0.0.6`, `${B} 10.0.0.7`]);
      expect(region.writes()["ReplaceRoute"] ?? 0).toBe(0);
    });

    it("tells the addresses of one interface apart by the destination that each is listed for", async () => {
      stands(A, "10.0.0.7");
      stands(B, "10.0.0.7");
      const router = await settled({ [A]: ["10.0.0.7"], [B]: ["10.0.0.107"] });

      expect(region.routes()).toEqual([`${A} 10.0.0.7`, `${B} 10.0.0.7`]);
      expect(alarms(router)).toEqual([]);
      expect(region.writes()["ReplaceRoute"] ?? 0).toBe(0);
    });

    it("reports one that leads elsewhere as a conflict and leaves it alone", async () => {
      stands(A, "10.0.1.5");
      const router = await settled({ [A]: ["10.0.0.5"], [B]: ["10.0.0.5"] });

      expect(region.routes()).toEqual([`${A} 10.0.1.5`, `${B} 10.0.0.5`]);
      expect(alarms(router)).toEqual([`foreign-route ${region.tableA} ${A}`]);
      expect(
        router.routes.routes().routes.map(({ destination, state }) => `${destination} ${state}`),
      ).toEqual([`${A} conflict`, `${B} active`]);
    });

    it("replaces it with --take-over, without a gap, and keeps it as its own", async () => {
      stands(A, "10.0.1.5");
      const router = await settled({ [A]: ["10.0.0.5"], [B]: ["10.0.0.5"] }, { takeOver: true });
      expect(region.routes()).toEqual([`${A} 10.0.0.5`, `${B} 10.0.0.5`]);
      expect(region.writes()["DeleteRoute"] ?? 0).toBe(0);

      await router.routeSpec.take(JSON.stringify({ [B]: ["10.0.0.5"] }), never);
      await region.clock.runFor(5000);
      expect(region.routes()).toEqual([`${B} 10.0.0.5`]);
    });

    it("does not count as its own what EC2 does not let it take over", async () => {
      stands(A, "10.0.1.5");
      region.ec2.deny("ReplaceRoute");
      const router = await settled({ [A]: ["10.0.0.5"], [B]: ["10.0.0.5"] }, { takeOver: true });
      expect(alarms(router)).toContain(`write-failed ${region.tableA} ${A}`);
      await router.routeSpec.take(JSON.stringify({ [B]: ["10.0.0.5"] }), never);
      await region.clock.runFor(30_000);

      expect(region.routes()).toEqual([`${A} 10.0.1.5`, `${B} 10.0.0.5`]);
    });

    it("leaves --ignore-routes and whatever nobody listed alone", async () => {
      stands("192.168.0.0/16", "10.0.1.5");
      await settled({ [A]: ["10.0.0.5"], [B]: ["10.0.0.5"] }, { ignoreRoutes: "172.16.0.0/16" });

      expect(region.routes()).toEqual([`${B} 10.0.0.5`, "192.168.0.0/16 10.0.1.5"]);
    });
  });

  describe("failover", () => {
    it("moves the routes of an address that falls silent to another listed one, in every table, within a second", async () => {
      await settled({ [A]: ["10.0.0.5", "10.0.1.5"], [B]: ["10.0.0.6", "10.0.1.5"] });
      const dead =
        region
          .routes()
          .find((text) => text.startsWith(A))
          ?.split(" ")[1] ?? "";
      const other = dead === "10.0.0.5" ? "10.0.1.5" : "10.0.0.5";
      region.hang(dead);
      await region.clock.runFor(1000);

      for (const table of [region.tableA, region.main]) {
        expect(region.routes(table)).toContain(`${A} ${other}`);
      }
    });

    it("gives a recovered address nothing back while the other serves", async () => {
      await settled({ [A]: ["10.0.0.5", "10.0.0.6"] });
      const before = region.routes();
      const dead = before[0]?.split(" ")[1] ?? "";
      region.hang(dead);
      await region.clock.runFor(5000);
      const after = region.routes();
      region.hang(dead, false);
      await region.clock.runFor(600_000);

      expect(after).not.toEqual(before);
      expect(region.routes()).toEqual(after);
    });

    it("keeps the last good routes when all listed addresses are dead, and moves as soon as one answers", async () => {
      const router = await settled({ [A]: ["10.0.0.5", "10.0.0.6"], [B]: ["10.0.1.5"] });
      const holder = region.routes().find((text) => text.startsWith(A));
      const other = holder === `${A} 10.0.0.5` ? "10.0.0.6" : "10.0.0.5";
      region.hang("10.0.0.5");
      region.hang("10.0.0.6");
      await region.clock.runFor(60_000);
      expect(region.routes()).toContain(holder);
      expect(alarms(router)).toContain(`no-stand-in ${A}`);

      region.hang(other, false);
      await region.clock.runFor(60_000);
      expect(region.routes()).toContain(`${A} ${other}`);
      expect(alarms(router)).toEqual([]);
      expect(region.log.lines.some(({ message }) => message === "an alarm is over")).toBe(true);
    });

    it("moves nothing while nobody at all answers", async () => {
      const router = await settled({ [A]: ["10.0.0.5", "10.0.0.6"], [B]: ["10.0.1.5", "10.0.0.7"] });
      const before = region.routes();
      ["10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.1.5"].forEach((address) => region.hang(address));
      await region.clock.runFor(60_000);

      expect(region.routes()).toEqual(before);
      expect(alarms(router)).toContain("blind probes");
    });

    it("keeps the route on an interface of which another listed address answers", async () => {
      await settled({ [A]: ["10.0.0.7", "10.0.0.107", "10.0.0.5"], [B]: ["10.0.1.5"] });
      const holder = region.routes()[0];
      if (holder !== `${A} 10.0.0.7`) {
        region.hang("10.0.0.5");
        await region.clock.runFor(5000);
      }
      expect(region.routes()[0]).toBe(`${A} 10.0.0.7`);
      region.hang("10.0.0.5", false);
      await region.clock.runFor(120_000);
      const before = region.writes();
      region.silence("10.0.0.7");
      await region.clock.runFor(30_000);

      expect(region.routes()[0]).toBe(`${A} 10.0.0.7`);
      expect(region.writes()).toEqual(before);
    });

    it("takes the routes of a terminated instance away from it, and keeps them where nobody else is listed", async () => {
      await settled({ [A]: ["10.0.0.5", "10.0.0.6"], [B]: ["10.0.0.6"], [ALL]: ["10.0.0.5"] });
      const interfaceId = region.interfaceOf("10.0.0.5");
      region.region.terminate(region.instanceOf("10.0.0.5"));
      await region.clock.runFor(2 * 3_600_000);

      expect(region.routes()).toEqual([`${ALL} ${interfaceId}`, `${A} 10.0.0.6`, `${B} 10.0.0.6`]);
    });

    it("keeps the routes of a table whose subnet holds a listed address, long after EC2 forgot the instance that had it", async () => {
      await settled({ [A]: ["10.0.0.5"], [B]: ["10.0.1.5"] });
      const before = region.routes(region.main);
      const interfaceId = region.interfaceOf("10.0.1.5");
      region.region.terminate(region.instanceOf("10.0.1.5"));
      await region.clock.runFor(2 * 3_600_000);

      expect(before).toEqual([`${A} 10.0.0.5`, `${B} 10.0.1.5`]);
      expect(region.routes(region.main)).toEqual([`${A} 10.0.0.5`, `${B} ${interfaceId}`]);
    });

    it("follows an address to the instance that has it now", async () => {
      await settled({ [A]: ["10.0.0.5"], [B]: ["10.0.0.6"] });
      const subnetId = region.region.interfaceAt("10.0.0.5" as never)?.subnetId ?? "";
      region.region.terminate(region.instanceOf("10.0.0.5"));
      region.launch("10.0.0.5", subnetId);
      await region.clock.runFor(60_000);

      expect(region.routes()).toEqual([`${A} 10.0.0.5`, `${B} 10.0.0.6`]);
    });
  });

  describe("a list that changes", () => {
    it("takes away what is listed no more, and writes what is new, within two seconds", async () => {
      const router = await settled({ [A]: ["10.0.0.5"], [B]: ["10.0.1.5"] });
      await router.routeSpec.take(JSON.stringify({ [B]: ["10.0.0.6"], [ALL]: ["10.0.0.5"] }), never);
      await region.clock.runFor(2000);

      expect(region.routes()).toEqual([`${ALL} 10.0.0.5`, `${B} 10.0.0.6`]);
      // No listed address is in its subnet any more; what nobody wants goes at once, the rest after a minute.
      expect(region.routes(region.main)).toEqual([`${B} 10.0.1.5`]);
      await region.clock.runFor(90_000);
      expect(region.routes(region.main)).toEqual([]);
    });

    it("takes a destination away although a wider one is in conflict", async () => {
      const id = region.interfaceOf("10.0.1.5");
      region.region.createRoute(region.tableA, parseCidr(ALL), { kind: "interface", id });
      const router = await settled({ [A]: ["10.0.0.5"], [ALL]: ["10.0.0.6"] });
      expect(region.routes()).toEqual([`${ALL} 10.0.1.5`, `${A} 10.0.0.5`]);
      await router.routeSpec.take(JSON.stringify({ [ALL]: ["10.0.0.6"] }), never);
      await region.clock.runFor(5000);

      expect(region.routes()).toEqual([`${ALL} 10.0.1.5`]);
    });

    it("takes a destination away although a wider one has no gateway", async () => {
      const router = await settled({ [A]: ["10.0.0.5"], [ALL]: ["10.0.0.5"] });
      await router.routeSpec.take(JSON.stringify({ [ALL]: ["10.0.0.99"] }), never);
      await region.clock.runFor(5000);

      expect(region.routes()).toEqual([`${ALL} 10.0.0.5`]);
    });

    it("moves to another address when the one that serves is taken off the list", async () => {
      const router = await settled({ [A]: ["10.0.0.5"] });
      await router.routeSpec.take(JSON.stringify({ [A]: ["10.0.0.6"] }), never);
      await region.clock.runFor(5000);

      expect(region.routes()).toEqual([`${A} 10.0.0.6`]);
      expect(region.writes()).toMatchObject({ CreateRoute: 1, ReplaceRoute: 1 });
    });

    it("keeps everything when a bad list comes, and says why", async () => {
      const router = await settled({ [A]: ["10.0.0.5"] });
      await expect(router.routeSpec.take('{"10.1.2.3/16": []}', never)).rejects.toMatchObject({
        code: "ROUTE_SPEC_INVALID",
      });
      await region.clock.runFor(60_000);

      expect(region.routes()).toEqual([`${A} 10.0.0.5`]);
      expect(router.routeSpec.status().problem?.message).toMatch(/10\.1\.2\.3\/16/);
    });

    it("empties the tables of what is ours with an empty list that is allowed, and of nothing else", async () => {
      const router = await settled({ [A]: ["10.0.0.5"], [B]: ["10.0.0.5"] }, { allowEmpty: true });
      const id = region.interfaceOf("10.0.0.5");
      region.region.createRoute(region.tableA, parseCidr(ALL), { kind: "interface", id });
      await router.routeSpec.take(JSON.stringify({ [A]: [], [B]: ["10.0.0.5"] }), never);
      await region.clock.runFor(5000);
      expect(region.routes()).toEqual([`${ALL} 10.0.0.5`, `${B} 10.0.0.5`]);

      await router.routeSpec.take("{}", never);
      await region.clock.runFor(5000);
      expect(region.routes()).toEqual([`${ALL} 10.0.0.5`]);
    });
  });

  it("touches and reads nothing before the first list", async () => {
    const router = await settled(undefined);

    expect(region.ec2.calls()).toEqual({});
    await expect(router.routes.plan(never)).rejects.toMatchObject({ code: "ROUTE_SPEC_MISSING" });
    await router.routeSpec.take(JSON.stringify({ [A]: ["10.0.0.5"] }), never);
    await region.clock.runFor(5000);
    expect(region.routes()).toEqual([`${A} 10.0.0.5`]);
  });

  it("goes on with list and record of the run before, and takes away what was dropped in between", async () => {
    const first = await settled({ [A]: ["10.0.0.5"], [B]: ["10.0.0.5"] });
    await region.clock.runUntilSettled(first.stop());
    const second = await settled(undefined);
    expect(Object.keys(second.routeSpec.status().routes)).toEqual([A, B]);
    expect(region.writes()["CreateRoute"]).toBe(2);

    await second.routeSpec.take(JSON.stringify({ [B]: ["10.0.0.5"] }), never);
    await region.clock.runFor(5000);
    expect(region.routes()).toEqual([`${B} 10.0.0.5`]);
  });

  it("looks at the tables only after a change with --recheck 0s", async () => {
    const router = await settled({ [A]: ["10.0.0.5"] }, { recheck: "0s" });
    const before = region.ec2.calls()["DescribeRouteTables"];
    await region.clock.runFor(600_000);
    expect(region.ec2.calls()["DescribeRouteTables"]).toBe(before);

    await router.routeSpec.take(JSON.stringify({ [B]: ["10.0.0.5"] }), never);
    await region.clock.runFor(5000);
    expect(region.routes()).toEqual([`${B} 10.0.0.5`]);
  });
});
