import { describe, expect, it } from "vitest";

import { SeededRandom } from "../../../src/adapters/simulation/seeded-random.ts";
import { SimulatedCloud } from "../../../src/adapters/simulation/simulated-cloud.ts";
import {
  AWS_SETTINGS,
  SimulatedEc2,
  type Ec2Settings,
} from "../../../src/adapters/simulation/simulated-ec2.ts";
import { SimulatedRegion } from "../../../src/adapters/simulation/simulated-region.ts";
import { VirtualClock } from "../../../src/adapters/simulation/virtual-clock.ts";
import { parseCidr } from "../../../src/core/net/cidr.ts";
import { parseIpv4 } from "../../../src/core/net/ipv4.ts";
import type { CloudAction, RouteWrite } from "../../../src/ports/cloud.ts";

const signal = new AbortController().signal;
const admit = () => Promise.resolve(Infinity);
const prefix = parseCidr("100.96.0.0/16");
const at = (letter: string) => `us-west-2${letter}`;

/** Two zones with a subnet each; the second one is served by the main table. */
function setUp(settings: Partial<Ec2Settings> = {}, routeQuota = 500) {
  const clock = new VirtualClock();
  const region = new SimulatedRegion({ clock, vpcCidrs: [parseCidr("10.0.0.0/16")], routeQuota });
  const a = region.addSubnet(at("a"), parseCidr("10.0.0.0/24"));
  const b = region.addSubnet(at("b"), parseCidr("10.0.1.0/24"));
  const table = region.addRouteTable({ subnetIds: [a.id] });
  const main = region.addRouteTable({ main: true, otherRoutes: 2 });
  const node = region.launch({ subnetId: a.id, tags: { "kubernetes.io/cluster/c": "owned" } });
  const other = region.launch({ subnetId: b.id, tags: { Name: "database" } });
  const quick = { minMs: 0, restMs: 0 };
  const ec2 = new SimulatedEc2({
    region,
    clock,
    random: new SeededRandom("ec2"),
    settings: { ...AWS_SETTINGS, write: quick, describe: quick, lagMs: 0, ...settings },
  });
  const random = new SeededRandom("cloud");
  const cloud = new SimulatedCloud({ region, ec2, clock, random, clusterTag: "kubernetes.io/cluster/c" });
  const card = node.interfaces[0]?.id ?? "";
  const create = (destination = prefix, target = card): RouteWrite => ({
    kind: "create",
    routeTableId: table.id,
    destination,
    target,
  });
  const write = (operation: RouteWrite) => clock.runUntilSettled(cloud.writeRoute(operation, admit, signal));
  const look = () => clock.runUntilSettled(cloud.describe(signal));
  const routesOf = async (id: string) => (await look()).routeTables.find((found) => found.id === id)?.routes;
  return { clock, region, a, b, table, main, node, other, ec2, cloud, card, create, write, look, routesOf };
}

describe("what a simulated VPC reports", () => {
  it("lists the cluster's instances, all subnets and all tables, each local route among them", async () => {
    const { look, a, b, table, main, node, card } = setUp();

    const facts = await look();

    expect(facts.instances).toEqual([
      {
        id: node.id,
        state: "running",
        zone: "us-west-2a",
        tags: { "kubernetes.io/cluster/c": "owned" },
        interfaces: [{ id: card, subnetId: a.id, addresses: ["10.0.0.4"], sourceDestCheck: true }],
      },
    ]);
    expect(facts.subnets).toEqual([a, b]);
    const local = { destination: "10.0.0.0/16", target: { kind: "local" }, state: "active" };
    expect(facts.routeTables).toEqual([
      { id: table.id, main: false, subnetIds: [a.id], tags: {}, routes: [local], routeCount: 0 },
      { id: main.id, main: true, subnetIds: [], tags: {}, routes: [local], routeCount: 2 },
    ]);
  });

  it("needs two calls and a page for each further 200 instances; subnets and CIDRs are kept for ten minutes and read again one by one", async () => {
    const { look, region, a, cloud, clock } = setUp();
    const wide = region.addSubnet(a.zone, parseCidr("10.0.16.0/20"));
    for (let index = 0; index < 500; index += 1) {
      region.launch({ subnetId: wide.id, tags: { "kubernetes.io/cluster/c": "owned" } });
    }
    await look();
    const first = cloud.calls();
    await look();
    const second = cloud.calls();
    await clock.runFor(600_000);

    await look();
    const third = cloud.calls();
    const facts = await look();

    expect(facts.instances).toHaveLength(501);
    const counted = (times: number, subnets: number, vpcs: number) => ({
      DescribeInstances: times,
      "DescribeInstances:page": 2 * times,
      DescribeRouteTables: times,
      DescribeSubnets: subnets,
      DescribeVpcs: vpcs,
    });
    expect([first, second, third, cloud.calls()]).toEqual([
      counted(1, 1, 1),
      counted(2, 1, 1),
      counted(3, 2, 1),
      counted(4, 2, 2),
    ]);
  });

  it("may lag behind a write by the time that is set, never longer", async () => {
    const { write, create, region, table, clock, ec2, cloud } = setUp({ lagMs: 500 });
    await clock.runFor(1_000);
    await write(create());

    const seen = new Set<number>();
    for (let look = 0; look < 40; look += 1) {
      const page = await ec2.describeRouteTables({}, signal);
      seen.add(page.items.find(({ id }) => id === table.id)?.routes.length ?? 0);
    }
    await clock.runFor(500);
    const facts = await cloud.describe(signal);

    expect(region.routesAt(table, region.time())).toHaveLength(2);
    expect(seen).toEqual(new Set([1]));
    expect(facts.routeTables.find(({ id }) => id === table.id)?.routes).toHaveLength(2);
  });

  it("shows a terminated node's route as a blackhole late, keeps the instance for an hour, then forgets it", async () => {
    const { write, create, routesOf, look, region, node, table, clock } = setUp();
    await write(create());
    region.terminate(node.id);

    expect((await routesOf(table.id))?.map(({ state }) => state)).toEqual(["active", "active"]);
    expect((await look()).instances.map(({ state }) => state)).toEqual(["shutting-down"]);
    expect(region.isAlive(node.id)).toBe(false);

    await clock.runFor(60_000);
    expect((await routesOf(table.id))?.map(({ state }) => state)).toEqual(["active", "blackhole"]);
    expect((await look()).instances).toMatchObject([{ state: "terminated", interfaces: [] }]);

    await clock.runFor(3_600_000);
    expect((await look()).instances).toEqual([]);
  });
});

describe("what EC2 refuses", () => {
  const missing = parseCidr("100.97.0.0/16");
  const cases: readonly [string, string, (world: ReturnType<typeof setUp>) => RouteWrite][] = [
    ["a second route on one destination", "ROUTE_EXISTS", ({ create }) => create()],
    ["a route inside the VPC", "ROUTE_REFUSED", ({ create }) => create(parseCidr("10.0.3.0/24"))],
    ["a target that is gone", "INTERFACE_NOT_FOUND", ({ create }) => create(missing, "eni-none")],
    [
      "a table that is gone",
      "ROUTE_TABLE_NOT_FOUND",
      ({ create }) => ({ ...create(missing), routeTableId: "rtb-none" }),
    ],
    [
      "replacing what is not there",
      "ROUTE_NOT_FOUND",
      ({ create, card }) => ({ ...create(missing), kind: "replace", target: card }),
    ],
    [
      "deleting what is not there",
      "ROUTE_NOT_FOUND",
      ({ table }) => ({ kind: "delete", routeTableId: table.id, destination: missing }),
    ],
    [
      "deleting a local route",
      "ROUTE_REFUSED",
      ({ table }) => ({ kind: "delete", routeTableId: table.id, destination: parseCidr("10.0.0.0/16") }),
    ],
  ];

  it.for(cases)("%s is %s, and changes nothing", async ([, code, operation]) => {
    const world = setUp();
    await world.write(world.create());
    const before = await world.routesOf(world.table.id);

    await expect(world.write(operation(world))).rejects.toMatchObject({ code });
    expect(await world.routesOf(world.table.id)).toEqual(before);
  });

  it("takes a route on a whole subnet, the one exception inside the VPC", async () => {
    const { write, create, b, routesOf, table } = setUp();

    await write(create(b.cidr));

    expect((await routesOf(table.id))?.map(({ destination }) => destination)).toEqual([
      "10.0.0.0/16",
      "10.0.1.0/24",
    ]);
  });

  it("takes no route beyond the quota, IPv6 routes counted, the local one not", async () => {
    const { write, create, main } = setUp({}, 4);
    const to = (third: number) => ({ ...create(parseCidr(`100.${third}.0.0/16`)), routeTableId: main.id });
    await write(to(100));
    await write(to(101));

    await expect(write(to(102))).rejects.toMatchObject({ code: "ROUTE_LIMIT_EXCEEDED", kind: "exhausted" });
  });

  it("takes no instance with several interfaces as a target", async () => {
    const { region, a, table, ec2 } = setUp();
    const two = region.launch({ subnetId: a.id, moreInterfaces: [a.id] });

    await expect(
      ec2.createRoute({ routeTableId: table.id, destinationCidrBlock: prefix, instanceId: two.id }, signal),
    ).rejects.toMatchObject({ code: "InvalidInstanceID" });
  });

  it("clears host bits, and refuses what is no network", async () => {
    const { region, ec2, table, card } = setUp();
    const request = { routeTableId: table.id, networkInterfaceId: card };

    await ec2.createRoute({ ...request, destinationCidrBlock: "100.98.0.1/16" }, signal);

    expect(region.routesAt(table, region.time()).map(({ destination }) => destination)).toContain(
      "100.98.0.0/16",
    );
    await expect(
      ec2.createRoute({ ...request, destinationCidrBlock: "100.98.0.0" }, signal),
    ).rejects.toMatchObject({ code: "InvalidParameterValue" });
  });

  it("says of a dry run whether it would have been allowed, and does nothing", async () => {
    const { region, ec2, table, card } = setUp();
    const request = {
      routeTableId: table.id,
      destinationCidrBlock: prefix,
      networkInterfaceId: card,
      dryRun: true,
    };

    await expect(ec2.createRoute(request, signal)).rejects.toMatchObject({ code: "DryRunOperation" });
    ec2.deny("CreateRoute");
    await expect(ec2.createRoute(request, signal)).rejects.toMatchObject({ code: "UnauthorizedOperation" });
    expect(region.routesAt(table, region.time())).toHaveLength(1);
  });

  it("names action and resource when IAM says no, and heals when the permission comes", async () => {
    const { write, create, ec2, table, cloud, clock, card, node } = setUp();
    ec2.deny("CreateRoute", table.id);
    ec2.deny("ModifyNetworkInterfaceAttribute");

    await expect(write(create())).rejects.toMatchObject({
      code: "CLOUD_UNAUTHORIZED",
      message: expect.stringContaining(`ec2:CreateRoute on resource: ${table.id}`),
    });
    const turnOff = () => clock.runUntilSettled(cloud.disableSourceDestCheck(card, admit, signal));
    await expect(turnOff()).rejects.toMatchObject({ code: "CLOUD_UNAUTHORIZED" });

    ec2.allow("ModifyNetworkInterfaceAttribute");
    await turnOff();
    expect(node.interfaces[0]?.sourceDestCheck.at(clock.monotonic())).toBe(false);
  });
});

describe("throttling", () => {
  it("lets a burst of 50 pass, then 5 a second, and asks for admission before every attempt", async () => {
    const { clock, cloud, create } = setUp();
    const admitted: CloudAction[] = [];
    const results = Array.from({ length: 60 }, (_, index) =>
      cloud.writeRoute(
        create(parseCidr(`100.${64 + index}.0.0/16`)),
        (action) => {
          admitted.push(action);
          return Promise.resolve(Infinity);
        },
        signal,
      ),
    );

    const settled = await clock.runUntilSettled(Promise.allSettled(results));

    const failed = settled.filter(({ status }) => status === "rejected");
    const passed = 60 - failed.length;
    expect(passed).toBeGreaterThanOrEqual(50);
    expect(passed).toBeLessThanOrEqual(50 + Math.ceil((clock.monotonic() / 1_000) * 5));
    expect(failed.length).toBeGreaterThan(0);
    for (const result of failed) {
      expect(result).toMatchObject({ reason: { code: "CLOUD_THROTTLED", kind: "transient" } });
    }
    expect(cloud.calls()["CreateRoute"]).toBe(admitted.length);
    expect(admitted.length).toBeGreaterThan(60);
  });

  it("ends a call with the error of its admission, before EC2 hears of it", async () => {
    const { cloud, create } = setUp();
    const lost = new Error("no longer the leader");

    await expect(cloud.writeRoute(create(), () => Promise.reject(lost), signal)).rejects.toBe(lost);
    expect(cloud.calls()).toEqual({});
  });

  it("takes as long as the latency says, on the virtual clock alone", async () => {
    const { clock, write, create } = setUp({ write: { minMs: 30, restMs: 0 } });

    await write(create());

    expect(clock.monotonic()).toBe(30);
  });
});

it("gives out the addresses of a subnet from the fifth on, and refuses one in use", () => {
  const { region, a, node } = setUp();

  expect(node.interfaces[0]?.addresses).toEqual(["10.0.0.4"]);
  expect(region.launch({ subnetId: a.id }).interfaces[0]?.addresses).toEqual(["10.0.0.5"]);
  expect(() => region.launch({ subnetId: a.id, address: parseIpv4("10.0.0.4") })).toThrow("is in use");
  region.terminate(node.id);
  expect(region.launch({ subnetId: a.id, address: parseIpv4("10.0.0.4") }).id).not.toBe(node.id);
});
