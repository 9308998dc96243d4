import {
  AssociateRouteTableCommand,
  CreateRouteTableCommand,
  CreateSubnetCommand,
  CreateVpcCommand,
  DeleteRouteCommand,
  EC2Client,
  RunInstancesCommand,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";

import { Ec2Cloud, type Ec2CloudOptions } from "../../../src/adapters/aws/ec2-cloud.ts";
import { SystemClock } from "../../../src/adapters/system/system-clock.ts";
import type { Cidr } from "../../../src/core/net/cidr.ts";
import type { CloudWorld } from "../../contracts/cloud.ts";
import type { Ec2Proxy, ProxyFailure } from "../../support/ec2-proxy.ts";
import { silentLog } from "../../support/silent-log.ts";

const REGION = "us-east-1";

const FAILURES = {
  throttled: { kind: "error", status: 503, code: "RequestLimitExceeded", message: "Request limit exceeded." },
  unavailable: { kind: "html", status: 500 },
  unauthorized: {
    kind: "error",
    status: 403,
    code: "UnauthorizedOperation",
    message:
      "You are not authorized to perform this operation. Encoded authorization failure message: 4GIOHlTkIaWHQ",
  },
  "answer-lost": { kind: "lost" },
} as const satisfies Record<string, ProxyFailure>;

/** A client of an EC2 endpoint on this machine. moto takes any credentials. */
export function localClient(endpoint: string): EC2Client {
  return new EC2Client({
    endpoint,
    region: REGION,
    credentials: { accessKeyId: "test", secretAccessKey: "test" },
    maxAttempts: 1,
  });
}

/** A new VPC in moto at `endpoint`, and an `Ec2Cloud` that looks at it: through `proxy`, if there is one. */
export async function createMotoWorld(
  endpoint: string,
  proxy?: Ec2Proxy,
  options: Partial<Ec2CloudOptions> = {},
): Promise<CloudWorld> {
  const hand = localClient(endpoint);
  const client = localClient(proxy?.endpoint ?? endpoint);
  const vpcId = needed((await hand.send(new CreateVpcCommand({ CidrBlock: "10.0.0.0/16" }))).Vpc?.VpcId);
  return {
    cloud: new Ec2Cloud({
      client,
      region: REGION,
      vpcId,
      clock: new SystemClock(),
      log: silentLog,
      attemptTimeoutMs: 5000,
      retries: 2,
      retryBaseMs: 1,
      ...options,
    }),
    vpcId,
    zones: [`${REGION}a`, `${REGION}b`, `${REGION}c`],
    async createSubnet(AvailabilityZone, CidrBlock) {
      const input = { VpcId: vpcId, AvailabilityZone, CidrBlock };
      return needed((await hand.send(new CreateSubnetCommand(input))).Subnet?.SubnetId);
    },
    async createRouteTable(subnetIds) {
      const { RouteTable } = await hand.send(new CreateRouteTableCommand({ VpcId: vpcId }));
      const RouteTableId = needed(RouteTable?.RouteTableId);
      for (const SubnetId of subnetIds) {
        await hand.send(new AssociateRouteTableCommand({ RouteTableId, SubnetId }));
      }
      return RouteTableId;
    },
    async runInstance(SubnetId, tags) {
      const list = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
      const { Instances } = await hand.send(
        new RunInstancesCommand({
          ImageId: "ami-12c6146b",
          InstanceType: "t3.micro",
          MinCount: 1,
          MaxCount: 1,
          SubnetId,
          ...(list.length === 0 ? {} : { TagSpecifications: [{ ResourceType: "instance", Tags: list }] }),
        }),
      );
      const instance = Instances?.[0];
      return {
        instanceId: needed(instance?.InstanceId),
        interfaceId: needed(instance?.NetworkInterfaces?.[0]?.NetworkInterfaceId),
      };
    },
    async terminateInstance(instanceId) {
      await hand.send(new TerminateInstancesCommand({ InstanceIds: [instanceId] }));
    },
    async deleteRouteByHand(RouteTableId: string, DestinationCidrBlock: Cidr) {
      await hand.send(new DeleteRouteCommand({ RouteTableId, DestinationCidrBlock }));
    },
    ...(proxy === undefined
      ? {}
      : {
          limitRoutes: (routes: number) => proxy.limitRoutes(routes),
          failNext: (action: string, failure: keyof typeof FAILURES, times: number) =>
            proxy.fail(action, FAILURES[failure], { times }),
        }),
    async close() {
      hand.destroy();
      client.destroy();
      await proxy?.close();
    },
  };
}

/** Something that EC2 always answers. */
export function needed<Value>(value: Value | undefined): Value {
  if (value === undefined) {
    throw new TypeError("the EC2 endpoint left out something that it always gives");
  }
  return value;
}
