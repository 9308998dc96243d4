import {
  CreateRouteCommand,
  DescribeInstancesCommand,
  DescribeNetworkInterfacesCommand,
  DescribeRouteTablesCommand,
  DescribeSubnetsCommand,
  EC2Client,
  paginateDescribeInstances,
} from "@aws-sdk/client-ec2";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { Ec2Cloud } from "../../src/adapters/aws/ec2-cloud.ts";
import { SeededRandom } from "../../src/adapters/simulation/seeded-random.ts";
import { AWS_SETTINGS, SimulatedEc2 } from "../../src/adapters/simulation/simulated-ec2.ts";
import { SimulatedRegion } from "../../src/adapters/simulation/simulated-region.ts";
import { SystemClock } from "../../src/adapters/system/system-clock.ts";
import { parseCidr } from "../../src/core/net/cidr.ts";
import { cloudContract, type CloudWorld } from "../contracts/cloud.ts";
import { silentLog } from "../support/silent-log.ts";
import { startSimulatedEndpoint, type SimulatedEndpoint } from "../support/simulated-endpoint.ts";

const AT_ONCE = { minMs: 0, restMs: 0 };

interface Parts {
  readonly region: SimulatedRegion;
  readonly ec2: SimulatedEc2;
  readonly endpoint: SimulatedEndpoint;
  readonly client: EC2Client;
}

async function start(): Promise<Parts> {
  const clock = new SystemClock();
  const region = new SimulatedRegion({
    zones: ["us-west-2a", "us-west-2b"],
    clock,
    vpcCidrs: [parseCidr("10.0.0.0/16")],
    blackholeDelayMs: 0,
    shutdownMs: 0,
  });
  region.addRouteTable({ main: true });
  const ec2 = new SimulatedEc2({
    region,
    clock,
    random: new SeededRandom("endpoint"),
    settings: { ...AWS_SETTINGS, write: AT_ONCE, describe: AT_ONCE, lagMs: 0 },
  });
  const endpoint = await startSimulatedEndpoint({ region, ec2, clock });
  const client = new EC2Client({
    endpoint: endpoint.endpoint,
    region: region.region,
    credentials: { accessKeyId: "test", secretAccessKey: "test" },
    maxAttempts: 1,
  });
  return { region, ec2, endpoint, client };
}

async function stop({ client, endpoint }: Parts): Promise<void> {
  client.destroy();
  await endpoint.close();
}

async function createWorld(): Promise<CloudWorld> {
  const parts = await start();
  const { region, ec2, client } = parts;
  return {
    cloud: new Ec2Cloud({
      client,
      region: region.region,
      vpcId: region.vpcId,
      clock: new SystemClock(),
      log: silentLog,
      attemptTimeoutMs: 5000,
      retries: 2,
      retryBaseMs: 1,
    }),
    vpcId: region.vpcId,
    zones: ["us-west-2a", "us-west-2b"],
    createSubnet: async (zone, cidr) => region.addSubnet(zone, cidr).id,
    createRouteTable: async (subnetIds) => region.addRouteTable({ subnetIds }).id,
    runInstance: async (subnetId, tags) => {
      const { id, interfaces } = region.launch({ subnetId, tags });
      return { instanceId: id, interfaceId: interfaces[0]?.id ?? "" };
    },
    terminateInstance: async (instanceId) => region.terminate(instanceId),
    deleteRouteByHand: async (routeTableId, destination) => region.deleteRoute(routeTableId, destination),
    limitRoutes: (routes) => {
      region.routeQuota = routes;
    },
    failNext: (action, failure, times) => ec2.failNext(action, failure, times),
    close: () => stop(parts),
  };
}

cloudContract("Ec2Cloud, the simulated region behind HTTP,", createWorld);

describe("the endpoint of a simulated region", () => {
  let parts: Parts;
  let subnet: string;
  beforeEach(async () => {
    parts = await start();
    subnet = parts.region.addSubnet("us-west-2a", parseCidr("10.0.0.0/20")).id;
  });
  afterEach(() => stop(parts));

  const launch = (count: number, tags: Readonly<Record<string, string>> = {}): readonly string[] =>
    Array.from({ length: count }, () => parts.region.launch({ subnetId: subnet, tags }).id);
  const failure = async (work: Promise<unknown>): Promise<unknown> => {
    const outcome: unknown = await work.then(
      () => "it succeeded",
      (error: unknown) => error,
    );
    return outcome;
  };

  it("hands out all instances once, page by page, and counts pages beyond the first apart", async () => {
    const launched = launch(23);

    const found: (string | undefined)[] = [];
    for await (const { Reservations } of paginateDescribeInstances(
      { client: parts.client, pageSize: 10 },
      { Filters: [{ Name: "vpc-id", Values: [parts.region.vpcId] }] },
    )) {
      found.push(
        ...(Reservations ?? []).flatMap(({ Instances }) =>
          (Instances ?? []).map(({ InstanceId }) => InstanceId),
        ),
      );
    }

    expect(found).toEqual(launched);
    expect(parts.endpoint.calls()).toEqual({ DescribeInstances: 1, "DescribeInstances:page": 2 });
  });

  it("describes an instance in as much detail as AWS does", async () => {
    const [id] = launch(1, { Name: "a <b> & c" });

    const { Reservations } = await parts.client.send(new DescribeInstancesCommand({}));

    const instance = Reservations?.[0]?.Instances?.[0];
    expect(instance).toMatchObject({
      InstanceId: id,
      State: { Code: 16, Name: "running" },
      Placement: { AvailabilityZone: "us-west-2a", Tenancy: "default" },
      PrivateDnsName: "ip-10-0-0-4.us-west-2.compute.internal",
      Tags: [{ Key: "Name", Value: "a <b> & c" }],
      SecurityGroups: [{}, {}],
      BlockDeviceMappings: [{ DeviceName: "/dev/xvda", Ebs: { Status: "attached" } }],
      CpuOptions: { CoreCount: 2, ThreadsPerCore: 2 },
      CapacityReservationSpecification: { CapacityReservationPreference: "open" },
      HibernationOptions: { Configured: false },
      MetadataOptions: { HttpTokens: "required", HttpPutResponseHopLimit: 2 },
      EnclaveOptions: { Enabled: false },
      MaintenanceOptions: { AutoRecovery: "default" },
      PrivateDnsNameOptions: { HostnameType: "ip-name" },
      NetworkPerformanceOptions: { BandwidthWeighting: "default" },
      Operator: { Managed: false },
      SourceDestCheck: true,
      NetworkInterfaces: [
        {
          Status: "in-use",
          MacAddress: expect.stringMatching(/^02:9d(:[0-9a-f]{2}){4}$/),
          SourceDestCheck: true,
          Groups: [{}, {}],
          Attachment: { DeviceIndex: 0, Status: "attached", DeleteOnTermination: true },
          PrivateIpAddresses: [{ PrivateIpAddress: "10.0.0.4", Primary: true }],
        },
      ],
    });
    expect(Math.abs(Date.now() - (instance?.LaunchTime?.getTime() ?? 0))).toBeLessThan(10_000);
  });

  it("filters instances by VPC, state and tag key", async () => {
    const [tagged] = launch(1, { cluster: "a" });
    const [ended] = launch(1, { cluster: "a" });
    launch(2);
    parts.region.terminate(ended ?? "");
    const ids = async (filters: Readonly<Record<string, string>>): Promise<unknown> => {
      const Filters = Object.entries(filters).map(([Name, value]) => ({ Name, Values: [value] }));
      const { Reservations } = await parts.client.send(new DescribeInstancesCommand({ Filters }));
      return Reservations?.map(({ Instances }) => Instances?.[0]?.InstanceId);
    };

    expect(await ids({ "tag-key": "cluster" })).toEqual([tagged, ended]);
    expect(await ids({ "tag-key": "cluster", "instance-state-name": "running" })).toEqual([tagged]);
    expect(await ids({ "tag-key": "cluster", "instance-state-name": "terminated" })).toEqual([ended]);
    expect(await ids({ "vpc-id": "vpc-2" })).toEqual([]);
  });

  it("shows routes that count against the quota and are not IPv4", async () => {
    const { id } = parts.region.addRouteTable({ otherRoutes: 2, tags: { role: "nodes" } });

    const { RouteTables } = await parts.client.send(new DescribeRouteTablesCommand({}));

    const table = RouteTables?.find(({ RouteTableId }) => RouteTableId === id);
    expect(table?.Tags).toEqual([{ Key: "role", Value: "nodes" }]);
    expect(table?.Routes?.filter(({ DestinationIpv6CidrBlock }) => DestinationIpv6CidrBlock)).toHaveLength(2);
  });

  it.for([
    ["an unknown filter", new DescribeInstancesCommand({ Filters: [{ Name: "no-such" }] })],
    ["a page that is too small", new DescribeInstancesCommand({ MaxResults: 4 })],
    ["a page that is too large", new DescribeRouteTablesCommand({ MaxResults: 101 })],
    ["a token that it did not hand out", new DescribeSubnetsCommand({ NextToken: "mine" })],
  ] as const)("refuses %s", async ([, command]) => {
    const error = await failure(parts.client.send(command));

    expect(error).toMatchObject({ name: "InvalidParameterValue", $metadata: { httpStatusCode: 400 } });
  });

  it("refuses parameters and actions that it does not serve, and counts the calls", async () => {
    const byId = await failure(
      parts.client.send(new DescribeInstancesCommand({ InstanceIds: ["i-00000001"] })),
    );
    const unserved = await failure(parts.client.send(new DescribeNetworkInterfacesCommand({})));

    expect(byId).toMatchObject({ name: "UnknownParameter", $metadata: { httpStatusCode: 400 } });
    expect(unserved).toMatchObject({ name: "InvalidAction", $metadata: { httpStatusCode: 400 } });
    expect(parts.endpoint.calls()).toMatchObject({ DescribeNetworkInterfaces: 1 });
  });

  it.for([
    ["throttled", "RequestLimitExceeded", 503],
    ["unavailable", "Unavailable", 503],
    ["unauthorized", "UnauthorizedOperation", 403],
  ] as const)("answers a call that is %s with %s and status %d", async ([reason, name, httpStatusCode]) => {
    const table = parts.region.addRouteTable().id;
    const input = {
      RouteTableId: table,
      DestinationCidrBlock: "100.64.0.0/20",
      NetworkInterfaceId: parts.region.launch({ subnetId: subnet }).interfaces[0]?.id,
    };
    parts.ec2.failNext("CreateRoute", reason, 1);

    const error = await failure(parts.client.send(new CreateRouteCommand(input)));
    const dryRun = await failure(parts.client.send(new CreateRouteCommand({ ...input, DryRun: true })));

    expect(error).toMatchObject({ name, $metadata: { httpStatusCode } });
    expect(dryRun).toMatchObject({ name: "DryRunOperation", $metadata: { httpStatusCode: 412 } });
  });
});
