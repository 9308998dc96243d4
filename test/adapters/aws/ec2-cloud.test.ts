import {
  CreateRouteCommand,
  DeleteRouteCommand,
  DescribeInstancesCommand,
  DescribeRouteTablesCommand,
  DescribeSubnetsCommand,
  DescribeVpcsCommand,
  EC2Client,
  type Instance,
  ModifyNetworkInterfaceAttributeCommand,
  ReplaceRouteCommand,
  type Route,
  type RouteTable,
} from "@aws-sdk/client-ec2";
import { mockClient } from "aws-sdk-client-mock";
import { describe, expect, it } from "vitest";

import { Ec2Cloud, type Ec2CloudOptions } from "../../../src/adapters/aws/ec2-cloud.ts";
import type { NetworkError } from "../../../src/core/errors.ts";
import { parseCidr } from "../../../src/core/net/cidr.ts";
import type { CloudAction } from "../../../src/ports/cloud.ts";
import type { Logger } from "../../../src/ports/logger.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const VPC = "vpc-1";
const POD_NETWORK = parseCidr("100.64.0.0/20");
const never = new AbortController().signal;
const CREATE = { kind: "create", routeTableId: "rtb-1", destination: POD_NETWORK, target: "eni-1" } as const;

function instance(id: string, over: Partial<Instance> = {}): Instance {
  return {
    InstanceId: `i-${id}`,
    State: { Name: "running" },
    Placement: { AvailabilityZone: "us-west-2a" },
    Tags: [{ Key: "Name", Value: `node ${id}` }],
    NetworkInterfaces: [
      {
        NetworkInterfaceId: `eni-${id}`,
        SubnetId: "subnet-1",
        VpcId: VPC,
        SourceDestCheck: true,
        PrivateIpAddresses: [{ PrivateIpAddress: "10.0.1.5", Primary: true }],
        Attachment: { DeviceIndex: 0, NetworkCardIndex: 0, Status: "attached" },
      },
    ],
    ...over,
  };
}

function table(id: string, routes: readonly Route[] = [], over: Partial<RouteTable> = {}): RouteTable {
  return { RouteTableId: `rtb-${id}`, Routes: [...routes], Associations: [], Tags: [], ...over };
}

function ec2Error(name: string, status: number): Error {
  return Object.assign(new Error(`text of ${name}`), {
    name,
    $fault: status >= 500 ? "server" : "client",
    $metadata: { httpStatusCode: status },
  });
}

/** A cloud whose EC2 is a mock with one subnet, and whatever warnings it writes. Time stands still until a test moves it. */
function setUp(over: Partial<Ec2CloudOptions> = {}) {
  const client = new EC2Client({
    region: "us-west-2",
    credentials: { accessKeyId: "a", secretAccessKey: "b" },
  });
  const ec2 = mockClient(client);
  const clock = new FakeClock();
  const warnings: { readonly fields: object; readonly message: string }[] = [];
  const log: Logger = {
    child: () => log,
    error: () => undefined,
    warn: (fields, message) => void warnings.push({ fields, message }),
    info: () => undefined,
    debug: () => undefined,
  };
  const cloud = new Ec2Cloud({
    client,
    region: "us-west-2",
    vpcId: VPC,
    clock,
    log,
    attemptTimeoutMs: 2000,
    retries: 2,
    random: () => 0.5,
    ...over,
  });
  ec2.on(DescribeInstancesCommand).resolves({ Reservations: [{ Instances: [instance("1")] }] });
  ec2.on(DescribeRouteTablesCommand).resolves({ RouteTables: [table("1")] });
  ec2.on(DescribeVpcsCommand).resolves({ Vpcs: [{ VpcId: VPC, CidrBlock: "10.0.0.0/16" }] });
  ec2.on(DescribeSubnetsCommand).resolves({
    Subnets: [{ SubnetId: "subnet-1", AvailabilityZone: "us-west-2a", CidrBlock: "10.0.1.0/24" }],
  });
  const admitted: CloudAction[] = [];
  const admit = async (action: CloudAction): Promise<void> => {
    admitted.push(action);
    await Promise.resolve();
  };
  return { client, ec2, clock, warnings, cloud, admitted, admit };
}

/** The error with which `work` ends; moves the clock meanwhile, 10 s at most. */
async function failure(clock: FakeClock, work: Promise<unknown>): Promise<NetworkError> {
  const ended = work.then(
    () => new Error("it succeeded"),
    (error: unknown) => error,
  );
  await clock.advance(10_000);
  return (await ended) as NetworkError;
}

describe("a look at the VPC", () => {
  it("asks with filters for the VPC, every state and the cluster's tag", async () => {
    const { ec2, cloud } = setUp({ cluster: "prod" });

    await cloud.describe(never);

    expect(ec2.commandCalls(DescribeInstancesCommand)[0]?.args[0].input).toEqual({
      Filters: [
        { Name: "vpc-id", Values: [VPC] },
        {
          Name: "instance-state-name",
          Values: ["pending", "running", "shutting-down", "terminated", "stopping", "stopped"],
        },
        { Name: "tag-key", Values: ["kubernetes.io/cluster/prod"] },
      ],
      MaxResults: 100,
      NextToken: undefined,
    });
    expect(ec2.commandCalls(DescribeRouteTablesCommand)[0]?.args[0].input).toMatchObject({
      Filters: [{ Name: "vpc-id", Values: [VPC] }],
      MaxResults: 20,
    });
  });

  it("asks for no tag when no cluster is named", async () => {
    const { ec2, cloud } = setUp();

    await cloud.describe(never);

    const filters = ec2.commandCalls(DescribeInstancesCommand)[0]?.args[0].input.Filters ?? [];
    expect(filters.map(({ Name }) => Name)).toEqual(["vpc-id", "instance-state-name"]);
  });

  it("follows pages to their end and counts them apart", async () => {
    const { ec2, cloud } = setUp();
    ec2
      .on(DescribeInstancesCommand)
      .resolvesOnce({ Reservations: [{ Instances: [instance("3"), instance("1")] }], NextToken: "two" })
      .resolvesOnce({ Reservations: [{ Instances: [instance("2")] }], NextToken: "three" })
      .resolvesOnce({ Reservations: [], NextToken: "" });
    ec2
      .on(DescribeRouteTablesCommand)
      .resolvesOnce({ RouteTables: [table("2")], NextToken: "two" })
      .resolvesOnce({ RouteTables: [table("1")] });

    const facts = await cloud.describe(never);

    expect(facts.instances.map(({ id }) => id)).toEqual(["i-1", "i-2", "i-3"]);
    expect(facts.routeTables.map(({ id }) => id)).toEqual(["rtb-1", "rtb-2"]);
    expect(ec2.commandCalls(DescribeInstancesCommand).map(({ args }) => args[0].input.NextToken)).toEqual([
      undefined,
      "two",
      "three",
    ]);
    expect(cloud.calls()).toEqual({
      DescribeInstances: 1,
      "DescribeInstances:page": 2,
      DescribeRouteTables: 1,
      "DescribeRouteTables:page": 1,
      DescribeSubnets: 1,
      DescribeVpcs: 1,
    });
  });

  it("ends when pages run in a circle", async () => {
    const { ec2, cloud, clock } = setUp();
    ec2.on(DescribeInstancesCommand).resolves({ Reservations: [], NextToken: "again" });

    const error = await failure(clock, cloud.describe(never));

    expect(error).toMatchObject({ code: "CLOUD_UNREADABLE", kind: "transient" });
  });

  it("ends when pages never end", async () => {
    const { ec2, cloud, clock } = setUp();
    let page = 0;
    ec2.on(DescribeInstancesCommand).callsFake(() => {
      page += 1;
      return { Reservations: [], NextToken: `page ${page}` };
    });

    const error = await failure(clock, cloud.describe(never));

    expect(error.code).toBe("CLOUD_UNREADABLE");
    expect(error.message).toContain("more than 500 pages");
    expect(page).toBe(500);
  });

  it.for([
    ["instances", DescribeInstancesCommand],
    ["route tables", DescribeRouteTablesCommand],
    ["VPCs", DescribeVpcsCommand],
    ["subnets", DescribeSubnetsCommand],
  ] as const)(
    "takes an answer without a list of %s for no answer, never for an empty list",
    async ([, command]) => {
      const { ec2, cloud, clock } = setUp();
      ec2.on(command).resolves({});

      const error = await failure(clock, cloud.describe(never));

      expect(error).toMatchObject({ code: "CLOUD_UNREADABLE", kind: "transient" });
    },
  );

  it("says that there is no such VPC", async () => {
    const { ec2, cloud, clock } = setUp();
    ec2.on(DescribeVpcsCommand).resolves({ Vpcs: [] });

    const error = await failure(clock, cloud.describe(never));

    expect(error).toMatchObject({ code: "VPC_NOT_FOUND", kind: "not-found" });
    expect(error.message).toContain("--vpc");
  });

  it("repeats a page that failed, with growing pauses, and then gives up", async () => {
    const { ec2, cloud, clock } = setUp();
    ec2.on(DescribeRouteTablesCommand).rejects(ec2Error("RequestLimitExceeded", 503));
    const looking = failure(clock, cloud.describe(never));

    expect(await looking).toMatchObject({ code: "CLOUD_THROTTLED" });
    expect(cloud.calls()["DescribeRouteTables"]).toBe(3);
  });

  it("ends the other question when one has failed", async () => {
    const { ec2, cloud, clock } = setUp();
    ec2.on(DescribeInstancesCommand).callsFake(() => new Promise(() => undefined));
    ec2.on(DescribeRouteTablesCommand).rejects(ec2Error("UnauthorizedOperation", 403));

    await expect(cloud.describe(never)).rejects.toMatchObject({ code: "CLOUD_UNAUTHORIZED" });

    expect(clock.pendingTimers).toBe(0);
  });

  it("ends with the signal's reason when it is aborted on the way", async () => {
    const { ec2, cloud, clock } = setUp();
    ec2.on(DescribeInstancesCommand).callsFake(() => new Promise(() => undefined));
    const stop = new AbortController();
    const reason = new Error("shutting down");

    const looking = cloud.describe(stop.signal);
    stop.abort(reason);

    await expect(looking).rejects.toBe(reason);
    expect(clock.pendingTimers).toBe(0);
  });
});

describe("subnets and CIDRs", () => {
  const subnetReads = (cloud: Ec2Cloud): number => cloud.calls()["DescribeSubnets"] ?? 0;
  const inSubnet = (SubnetId: string): Instance => {
    const [first] = instance("2").NetworkInterfaces ?? [];
    return instance("2", { NetworkInterfaces: [{ ...first, SubnetId }] });
  };

  it("are kept for ten minutes", async () => {
    const { cloud, clock } = setUp();
    await cloud.describe(never);

    await clock.advance(599_999);
    await cloud.describe(never);
    const before = subnetReads(cloud);
    await clock.advance(1);
    await cloud.describe(never);

    expect(before).toBe(1);
    expect(subnetReads(cloud)).toBe(2);
  });

  it("are read at once when an instance stands in an unknown subnet", async () => {
    const { ec2, cloud } = setUp();
    await cloud.describe(never);
    ec2.on(DescribeInstancesCommand).resolves({ Reservations: [{ Instances: [inSubnet("subnet-2")] }] });
    ec2.on(DescribeSubnetsCommand).resolves({
      Subnets: [{ SubnetId: "subnet-2", AvailabilityZone: "us-west-2b", CidrBlock: "10.0.2.0/24" }],
    });

    const facts = await cloud.describe(never);

    expect(facts.subnets).toEqual([{ id: "subnet-2", zone: "us-west-2b", cidr: "10.0.2.0/24" }]);
  });

  it("are not read at every look for a subnet that EC2 does not list", async () => {
    const { ec2, cloud } = setUp();
    ec2.on(DescribeInstancesCommand).resolves({ Reservations: [{ Instances: [inSubnet("subnet-9")] }] });

    await cloud.describe(never);
    await cloud.describe(never);
    await cloud.describe(never);

    expect(subnetReads(cloud)).toBe(1);
  });

  it("stay as they were when only their age asks for a new reading and it fails", async () => {
    const { ec2, cloud, clock, warnings } = setUp();
    const before = await cloud.describe(never);
    ec2.on(DescribeSubnetsCommand).rejects(ec2Error("UnauthorizedOperation", 403));
    await clock.advance(600_000);

    const after = await cloud.describe(never);

    expect(after.subnets).toEqual(before.subnets);
    expect(warnings.map(({ message }) => message)).toEqual([
      "subnets could not be read again, the last ones stay",
    ]);
  });

  it("include every CIDR that is associated with the VPC, and none that is not any more", async () => {
    const { ec2, cloud } = setUp();
    const block = (CidrBlock: string, State: "associated" | "disassociated" | "associating") => ({
      CidrBlock,
      CidrBlockState: { State },
    });
    ec2.on(DescribeVpcsCommand).resolves({
      Vpcs: [
        {
          VpcId: VPC,
          CidrBlock: "10.0.0.0/16",
          CidrBlockAssociationSet: [
            block("10.0.0.0/16", "associated"),
            block("10.1.0.0/16", "associating"),
            block("10.2.0.0/16", "disassociated"),
          ],
        },
      ],
    });

    expect((await cloud.describe(never)).vpcCidrs).toEqual(["10.0.0.0/16", "10.1.0.0/16"]);
  });

  it("leave out a subnet without an IPv4 CIDR, with a warning", async () => {
    const { ec2, cloud, warnings } = setUp();
    ec2.on(DescribeSubnetsCommand).resolves({
      Subnets: [
        { SubnetId: "subnet-6", AvailabilityZone: "us-west-2a" },
        { SubnetId: "subnet-1", AvailabilityZone: "us-west-2a", CidrBlock: "10.0.1.0/24" },
      ],
    });

    expect((await cloud.describe(never)).subnets.map(({ id }) => id)).toEqual(["subnet-1"]);
    expect(warnings).toHaveLength(1);
  });
});

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

  it("show the static route where a propagated one has the same destination, in whatever order", async () => {
    const propagated: Route = {
      DestinationCidrBlock: "100.64.0.0/20",
      GatewayId: "vgw-1",
      State: "active",
      Origin: "EnableVgwRoutePropagation",
    };
    const fixed: Route = {
      DestinationCidrBlock: "100.64.0.0/20",
      NetworkInterfaceId: "eni-1",
      State: "active",
    };

    const tables = await seen(table("1", [propagated, fixed]), table("2", [fixed, propagated]));

    expect(tables.map(({ routes }) => routes.map(({ target }) => target))).toEqual([
      [{ kind: "interface", id: "eni-1" }],
      [{ kind: "interface", id: "eni-1" }],
    ]);
  });

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

describe("a write", () => {
  it("names the network interface as target", async () => {
    const { ec2, cloud, admit } = setUp();
    ec2.on(CreateRouteCommand).resolves({ Return: true });
    ec2.on(ReplaceRouteCommand).resolves({});
    ec2.on(DeleteRouteCommand).resolves({});
    ec2.on(ModifyNetworkInterfaceAttributeCommand).resolves({});

    await cloud.writeRoute(CREATE, admit, never);
    await cloud.writeRoute({ ...CREATE, kind: "replace", target: "eni-2" }, admit, never);
    await cloud.writeRoute({ kind: "delete", routeTableId: "rtb-1", destination: POD_NETWORK }, admit, never);
    await cloud.disableSourceDestCheck("eni-1", admit, never);

    const route = { RouteTableId: "rtb-1", DestinationCidrBlock: "100.64.0.0/20" };
    expect(ec2.calls().map(({ args }) => args[0].input as unknown)).toEqual([
      { ...route, NetworkInterfaceId: "eni-1" },
      { ...route, NetworkInterfaceId: "eni-2" },
      route,
      { NetworkInterfaceId: "eni-1", SourceDestCheck: { Value: false } },
    ]);
  });

  it("is repeated after 100 ms and 200 ms, asking for admission each time", async () => {
    const { ec2, cloud, clock, admit, admitted } = setUp();
    ec2
      .on(CreateRouteCommand)
      .rejectsOnce(ec2Error("RequestLimitExceeded", 503))
      .rejectsOnce(ec2Error("InternalError", 500))
      .resolves({ Return: true });
    const admissions: number[] = [];

    const writing = cloud.writeRoute(CREATE, admit, never);
    for (const stepMs of [0, 99, 1, 199, 1]) {
      await clock.advance(stepMs);
      admissions.push(admitted.length);
    }
    await writing;

    expect(admissions).toEqual([1, 1, 2, 2, 3]);
    expect(cloud.calls()).toEqual({ CreateRoute: 3 });
  });

  it.for([
    ["RouteAlreadyExists", 400],
    ["RouteLimitExceeded", 400],
    ["UnauthorizedOperation", 403],
    ["ExpiredToken", 400],
  ] as const)("is not repeated after %s", async ([name, status]) => {
    const { ec2, cloud, clock, admit, admitted } = setUp();
    ec2.on(CreateRouteCommand).rejects(ec2Error(name, status));

    await failure(clock, cloud.writeRoute(CREATE, admit, never));

    expect(admitted).toHaveLength(1);
  });

  it("is given up after its time-out, each attempt anew", async () => {
    const { ec2, cloud, clock, admit } = setUp();
    ec2.on(CreateRouteCommand).callsFake(() => new Promise(() => undefined));

    const error = await failure(clock, cloud.writeRoute(CREATE, admit, never));

    expect(error).toMatchObject({ code: "CLOUD_UNAVAILABLE", details: { outcomeUnknown: true } });
    expect(error.message).toContain("gave no answer within 2000 ms");
    expect(cloud.calls()).toEqual({ CreateRoute: 3 });
    expect(clock.pendingTimers).toBe(0);
  });

  it("remembers that an attempt may have taken effect when the next finds the route", async () => {
    const { ec2, cloud, clock, admit } = setUp();
    ec2
      .on(CreateRouteCommand)
      .rejectsOnce(ec2Error("InternalError", 500))
      .rejectsOnce(ec2Error("RequestLimitExceeded", 503))
      .rejects(ec2Error("RouteAlreadyExists", 400));

    const error = await failure(clock, cloud.writeRoute(CREATE, admit, never));

    expect(error).toMatchObject({
      code: "ROUTE_EXISTS",
      kind: "conflict",
      details: { outcomeUnknown: true },
    });
  });

  it("has no doubt about a route found at once, or after throttling alone", async () => {
    const { ec2, cloud, clock, admit } = setUp();
    ec2
      .on(CreateRouteCommand)
      .rejectsOnce(ec2Error("RequestLimitExceeded", 503))
      .rejects(ec2Error("RouteAlreadyExists", 400));

    const error = await failure(clock, cloud.writeRoute(CREATE, admit, never));

    expect(error).toMatchObject({ code: "ROUTE_EXISTS", details: { outcomeUnknown: false } });
  });

  it("does not believe an answer that does not say that the route was made", async () => {
    const { ec2, cloud, clock, admit } = setUp();
    ec2.on(CreateRouteCommand).resolves({});

    const error = await failure(clock, cloud.writeRoute(CREATE, admit, never));

    expect(error).toMatchObject({ code: "CLOUD_UNAVAILABLE", details: { outcomeUnknown: true } });
  });

  it("is not repeated when admission is refused in between, and ends with that refusal", async () => {
    const { ec2, cloud, clock } = setUp();
    ec2.on(CreateRouteCommand).rejects(ec2Error("InternalError", 500));
    const refusal = new Error("another leads now");
    let asked = 0;
    const admitOnce = async (): Promise<void> => {
      asked += 1;
      await Promise.resolve();
      if (asked > 1) {
        throw refusal;
      }
    };

    const error = await failure(clock, cloud.writeRoute(CREATE, admitOnce, never));

    expect(error).toBe(refusal);
    expect(cloud.calls()).toEqual({ CreateRoute: 1 });
  });

  it("is not repeated once the signal is aborted, not even during the pause", async () => {
    const { ec2, cloud, clock, admit, admitted } = setUp();
    ec2.on(CreateRouteCommand).rejects(ec2Error("InternalError", 500));
    const stop = new AbortController();
    const reason = new Error("shutting down");

    const writing = cloud.writeRoute(CREATE, admit, stop.signal).catch((error: unknown) => error);
    await clock.advance(50);
    const callsBefore = cloud.calls();
    stop.abort(reason);

    expect(await writing).toBe(reason);
    expect(callsBefore).toEqual({ CreateRoute: 1 });
    expect(admitted).toHaveLength(1);
    expect(clock.pendingTimers).toBe(0);
  });

  it("lets a bug through as it is, without a repeat", async () => {
    const { ec2, cloud, clock, admit, admitted } = setUp();
    const bug = new TypeError("undefined is not a function");
    ec2.on(CreateRouteCommand).rejects(bug);

    expect(await failure(clock, cloud.writeRoute(CREATE, admit, never))).toBe(bug);
    expect(admitted).toHaveLength(1);
  });
});
