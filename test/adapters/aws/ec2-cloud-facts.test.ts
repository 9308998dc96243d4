import {
  DescribeInstancesCommand,
  DescribeRouteTablesCommand,
  type Instance,
  type Route,
  type RouteTable,
} from "@aws-sdk/client-ec2";
import { describe, expect, it } from "vitest";

import { failure, instance, never, setUp, table } from "./mocked-ec2.ts";

describe("instances", () => {
  const seen = async (items: readonly Instance[]) => {
    const { ec2, cloud, warnings } = setUp();
    ec2.on(DescribeInstancesCommand).resolves({ Reservations: [{ Instances: [...items] }] });
    return { facts: await cloud.describe(never), cloud, warnings };
  };

  it("show the primary interface first, and its primary address first", async () => {
    const [primary] = instance("1").NetworkInterfaces ?? [];
    const { facts } = await seen([
      instance("1", {
        NetworkInterfaces: [
          {
            ...primary,
            NetworkInterfaceId: "eni-second",
            Attachment: { DeviceIndex: 1, Status: "attached" },
          },
          {
            ...primary,
            SourceDestCheck: false,
            PrivateIpAddresses: [
              { PrivateIpAddress: "10.0.1.99", Primary: false },
              { PrivateIpAddress: "10.0.1.5", Primary: true },
            ],
          },
        ],
      }),
    ]);

    expect(facts.instances[0]?.interfaces).toEqual([
      { id: "eni-1", subnetId: "subnet-1", addresses: ["10.0.1.5", "10.0.1.99"], sourceDestCheck: false },
      { id: "eni-second", subnetId: "subnet-1", addresses: ["10.0.1.5"], sourceDestCheck: true },
    ]);
  });

  it("leave out interfaces that are detached or in another VPC", async () => {
    const [primary] = instance("1").NetworkInterfaces ?? [];
    const { facts } = await seen([
      instance("1", {
        NetworkInterfaces: [
          { ...primary },
          { ...primary, NetworkInterfaceId: "eni-b", VpcId: "vpc-2" },
          { ...primary, NetworkInterfaceId: "eni-c", Attachment: { DeviceIndex: 2, Status: "detached" } },
        ],
      }),
    ]);

    expect(facts.instances[0]?.interfaces.map(({ id }) => id)).toEqual(["eni-1"]);
  });

  it("keep the state of one that is terminated and has no interfaces any more", async () => {
    const { facts } = await seen([instance("1", { State: { Name: "terminated" }, NetworkInterfaces: [] })]);

    expect(facts.instances).toMatchObject([{ id: "i-1", state: "terminated", interfaces: [] }]);
  });

  it("skip one that cannot be read, count it, and name it so that nobody takes it for absent", async () => {
    const broken = instance("2", { State: { Name: "hibernating" as "running" } });
    const { facts, cloud, warnings } = await seen([instance("1"), broken, instance("3")]);

    expect(facts.instances.map(({ id }) => id)).toEqual(["i-1", "i-3"]);
    expect(facts.unreadableInstanceIds).toEqual(["i-2"]);
    expect(cloud.skippedInstances()).toBe(1);
    expect(warnings).toMatchObject([{ fields: { instanceId: "i-2", lastGoodKept: false } }]);
  });

  it("show what was last known of one that cannot be read any more", async () => {
    const { ec2, cloud } = setUp();
    await cloud.describe(never);
    const broken = instance("1", { Placement: {} });
    ec2.on(DescribeInstancesCommand).resolves({ Reservations: [{ Instances: [broken] }] });

    await cloud.describe(never);
    const facts = await cloud.describe(never);

    expect(facts.instances).toMatchObject([{ id: "i-1", zone: "us-west-2a" }]);
    expect(facts.unreadableInstanceIds).toEqual(["i-1"]);
    expect(cloud.skippedInstances()).toBe(2);
  });

  it("skip one without even an id", async () => {
    const { facts, warnings } = await seen([{ State: { Name: "running" } }, instance("1")]);

    expect(facts.instances.map(({ id }) => id)).toEqual(["i-1"]);
    expect(facts).not.toHaveProperty("unreadableInstanceIds");
    expect(warnings).toHaveLength(1);
  });

  it.for([
    ["an address that is none", { PrivateIpAddresses: [{ PrivateIpAddress: "10.0.1.999" }] }],
    ["no word on the check", { SourceDestCheck: undefined }],
  ] as const)("are unreadable with %s", async ([, over]) => {
    const [primary] = instance("1").NetworkInterfaces ?? [];
    const { facts } = await seen([
      instance("1", { NetworkInterfaces: [{ ...primary, ...(over as object) }] }),
    ]);

    expect(facts.unreadableInstanceIds).toEqual(["i-1"]);
  });
});

describe("route tables", () => {
  const seen = async (...tables: RouteTable[]) => {
    const { ec2, cloud } = setUp();
    ec2.on(DescribeRouteTablesCommand).resolves({ RouteTables: tables });
    return (await cloud.describe(never)).routeTables;
  };

  it("show what each kind of target is", async () => {
    const [only] = await seen(
      table("1", [
        { DestinationCidrBlock: "10.0.0.0/16", GatewayId: "local", State: "active" },
        {
          DestinationCidrBlock: "100.64.0.0/20",
          InstanceId: "i-1",
          NetworkInterfaceId: "eni-1",
          State: "active",
        },
        { DestinationCidrBlock: "100.64.16.0/20", NetworkInterfaceId: "eni-gone", State: "blackhole" },
        { DestinationCidrBlock: "0.0.0.0/0", NatGatewayId: "nat-1", State: "active" },
        { DestinationCidrBlock: "172.16.0.0/12", TransitGatewayId: "tgw-1", State: "active" },
      ]),
    );

    expect(only?.routes).toEqual([
      { destination: "10.0.0.0/16", target: { kind: "local" }, state: "active" },
      { destination: "100.64.0.0/20", target: { kind: "interface", id: "eni-1" }, state: "active" },
      { destination: "100.64.16.0/20", target: { kind: "interface", id: "eni-gone" }, state: "blackhole" },
      { destination: "0.0.0.0/0", target: { kind: "other", id: "nat-1" }, state: "active" },
      { destination: "172.16.0.0/12", target: { kind: "other", id: "tgw-1" }, state: "active" },
    ]);
    expect(only?.routeCount).toBe(4);
  });

  it("count IPv6 and prefix-list routes, but neither local nor propagated ones", async () => {
    const [only] = await seen(
      table("1", [
        { DestinationCidrBlock: "10.0.0.0/16", GatewayId: "local", State: "active" },
        { DestinationIpv6CidrBlock: "2600:1f13::/56", GatewayId: "local", State: "active" },
        { DestinationIpv6CidrBlock: "::/0", EgressOnlyInternetGatewayId: "eigw-1", State: "active" },
        { DestinationPrefixListId: "pl-1", GatewayId: "vpce-1", State: "active" },
        {
          DestinationCidrBlock: "192.168.0.0/16",
          GatewayId: "vgw-1",
          State: "active",
          Origin: "EnableVgwRoutePropagation",
        },
        { DestinationCidrBlock: "100.64.0.0/20", NetworkInterfaceId: "eni-1", State: "active" },
      ]),
    );

    expect(only?.routeCount).toBe(3);
    expect(only?.routes.map(({ destination }) => destination)).toEqual([
      "10.0.0.0/16",
      "192.168.0.0/16",
      "100.64.0.0/20",
    ]);
  });

  it.for(["EnableVgwRoutePropagation", "Advertisement"] as const)(
    "show the static route where one by %s has the same destination, in whatever order",
    async (Origin) => {
      const learned: Route = {
        DestinationCidrBlock: "100.64.0.0/20",
        GatewayId: "vgw-1",
        State: "active",
        Origin,
      };
      const fixed: Route = {
        DestinationCidrBlock: "100.64.0.0/20",
        NetworkInterfaceId: "eni-1",
        State: "active",
      };

      const tables = await seen(table("1", [learned, fixed]), table("2", [fixed, learned]));

      expect(tables.map(({ routes }) => routes.map(({ target }) => target))).toEqual([
        [{ kind: "interface", id: "eni-1" }],
        [{ kind: "interface", id: "eni-1" }],
      ]);
    },
  );

  it("show the main association and live subnet associations only", async () => {
    const tables = await seen(
      table("1", [], { Associations: [{ Main: true, AssociationState: { State: "associated" } }] }),
      table("2", [], {
        Associations: [
          { Main: false, SubnetId: "subnet-1", AssociationState: { State: "associated" } },
          { Main: false, SubnetId: "subnet-2", AssociationState: { State: "disassociated" } },
          { Main: false, GatewayId: "igw-1", AssociationState: { State: "associated" } },
        ],
        Tags: [{ Key: "a", Value: "b" }],
      }),
    );

    expect(tables).toMatchObject([
      { id: "rtb-1", main: true, subnetIds: [] },
      { id: "rtb-2", main: false, subnetIds: ["subnet-1"], tags: { a: "b" } },
    ]);
  });

  it.for([
    ["a destination that is none", { DestinationCidrBlock: "100.64.0.0/99", State: "active" }],
    ["no destination at all", { NetworkInterfaceId: "eni-1", State: "active" }],
    ["no state", { DestinationCidrBlock: "100.64.0.0/20" }],
  ] as const)("end the look when a route has %s: half a table is no ground to plan on", async ([, route]) => {
    const { ec2, cloud, clock } = setUp();
    ec2.on(DescribeRouteTablesCommand).resolves({ RouteTables: [table("1"), table("2", [route])] });

    const error = await failure(clock, cloud.describe(never));

    expect(error).toMatchObject({ code: "CLOUD_UNREADABLE", kind: "transient" });
    expect(error.message).toContain("route table rtb-2");
  });

  it("end the look when one comes without its routes", async () => {
    const { ec2, cloud, clock } = setUp();
    ec2.on(DescribeRouteTablesCommand).resolves({ RouteTables: [{ RouteTableId: "rtb-1" }] });

    expect(await failure(clock, cloud.describe(never))).toMatchObject({ code: "CLOUD_UNREADABLE" });
  });
});
