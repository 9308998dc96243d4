import {
  DescribeInstancesCommand,
  DescribeRouteTablesCommand,
  DescribeSubnetsCommand,
  DescribeVpcsCommand,
  EC2Client,
  type Instance,
  type Route,
  type RouteTable,
} from "@aws-sdk/client-ec2";
import { mockClient } from "aws-sdk-client-mock";

import { Ec2Cloud, type Ec2CloudOptions } from "../../../src/adapters/aws/ec2-cloud.ts";
import type { NetworkError } from "../../../src/core/errors.ts";
import { parseCidr } from "../../../src/core/net/cidr.ts";
import type { CloudAction } from "../../../src/ports/cloud.ts";
import type { Logger } from "../../../src/ports/logger.ts";
import { FakeClock } from "../../support/fake-clock.ts";

/** The VPC of the mocked EC2. */
export const VPC = "vpc-1";
/** A destination outside it. */
export const POD_NETWORK = parseCidr("100.64.0.0/20");
/** A signal that is never aborted. */
export const never = new AbortController().signal;
/** A write. */
export const CREATE = {
  kind: "create",
  routeTableId: "rtb-1",
  destination: POD_NETWORK,
  target: "eni-1",
} as const;

/** An instance with one interface, as the SDK gives it. */
export function instance(id: string, over: Partial<Instance> = {}): Instance {
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

/** A route table as the SDK gives it. */
export function table(id: string, routes: readonly Route[] = [], over: Partial<RouteTable> = {}): RouteTable {
  return { RouteTableId: `rtb-${id}`, Routes: [...routes], Associations: [], Tags: [], ...over };
}

/** An error as the SDK builds it from an answer of EC2. */
export function ec2Error(name: string, status: number): Error {
  return Object.assign(new Error(`text of ${name}`), {
    name,
    $fault: status >= 500 ? "server" : "client",
    $metadata: { httpStatusCode: status },
  });
}

/** A cloud whose EC2 is a mock with one subnet, and whatever warnings it writes. Time stands still until a test moves it. */
export function setUp(over: Partial<Ec2CloudOptions> = {}) {
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
  const admit = async (action: CloudAction): Promise<number> => {
    admitted.push(action);
    return Promise.resolve(Infinity);
  };
  return { client, ec2, clock, warnings, cloud, admitted, admit };
}

/** The error with which `work` ends; moves the clock meanwhile, 10 s at most. */
export async function failure(clock: FakeClock, work: Promise<unknown>): Promise<NetworkError> {
  const ended = work.then(
    () => new Error("it succeeded"),
    (error: unknown) => error,
  );
  await clock.advance(10_000);
  return (await ended) as NetworkError;
}
