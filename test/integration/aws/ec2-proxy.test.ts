import {
  AttachNetworkInterfaceCommand,
  CreateNetworkInterfaceCommand,
  CreateRouteCommand,
  DescribeRouteTablesCommand,
  DescribeVpcsCommand,
  type EC2Client,
  ModifyInstanceAttributeCommand,
} from "@aws-sdk/client-ec2";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { parseCidr } from "../../../src/core/net/cidr.ts";
import type { CloudWorld } from "../../contracts/cloud.ts";
import { startEc2Proxy, type Ec2Proxy } from "../../support/ec2-proxy.ts";
import { requireMoto, startMoto, type Moto } from "../../support/moto.ts";
import { createMotoWorld, localClient, needed } from "./moto-world.ts";

let moto: Moto;
let world: CloudWorld;
let proxy: Ec2Proxy;
let client: EC2Client;
let subnet: string;
let table: string;
let node: { readonly instanceId: string; readonly interfaceId: string };

const create = (DestinationCidrBlock: string, over: object = {}): Promise<unknown> =>
  client.send(
    new CreateRouteCommand({
      RouteTableId: table,
      DestinationCidrBlock,
      NetworkInterfaceId: node.interfaceId,
      ...over,
    }),
  );
const destinations = async (): Promise<readonly (string | undefined)[]> => {
  const { RouteTables } = await localClient(moto.endpoint).send(
    new DescribeRouteTablesCommand({ RouteTableIds: [table] }),
  );
  return (RouteTables?.[0]?.Routes ?? []).map(({ DestinationCidrBlock }) => DestinationCidrBlock);
};
const errorName = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "none",
    (error: Error) => error.name,
  );

describe.skipIf(requireMoto())("the EC2 proxy", () => {
  beforeAll(async () => {
    moto = await startMoto();
  });
  afterAll(() => moto.stop());
  beforeEach(async () => {
    world = await createMotoWorld(moto.endpoint);
    proxy = await startEc2Proxy(moto.endpoint);
    client = localClient(proxy.endpoint);
    subnet = await world.createSubnet("us-east-1a", parseCidr("10.0.1.0/24"));
    table = await world.createRouteTable([subnet]);
    node = await world.runInstance(subnet, {});
  });
  afterEach(async () => {
    client.destroy();
    await proxy.close();
    await world.close();
  });

  it("passes answers on as they are, and keeps a log with times and parameters", async () => {
    const { Vpcs } = await client.send(new DescribeVpcsCommand({ VpcIds: [world.vpcId] }));

    expect(Vpcs).toMatchObject([{ VpcId: world.vpcId, CidrBlock: "10.0.0.0/16" }]);
    const [call, ...rest] = proxy.calls();
    expect(rest).toEqual([]);
    expect(call).toMatchObject({
      action: "DescribeVpcs",
      status: 200,
      parameters: { "VpcId.1": world.vpcId },
    });
    expect(call?.endedMs).toBeGreaterThan(call?.startedMs ?? Number.POSITIVE_INFINITY);
    expect(proxy.counts()).toEqual({ DescribeVpcs: 1 });
  });

  it("throttles one action when its bucket is empty, and no other", async () => {
    proxy.throttle("CreateRoute", { capacity: 2, refillPerSecond: 0.001 });

    const names = [
      await errorName(create("100.64.0.0/20")),
      await errorName(create("100.64.16.0/20")),
      await errorName(create("100.64.32.0/20")),
    ];

    expect(names).toEqual(["none", "none", "RequestLimitExceeded"]);
    expect(proxy.calls("CreateRoute").map(({ status }) => status)).toEqual([200, 200, 503]);
    await client.send(new DescribeVpcsCommand({}));
  });

  it("fails the calls that it was told to, counted by action", async () => {
    const failure = {
      kind: "error",
      status: 500,
      code: "InternalError",
      message: "An <internal> error.",
    } as const;
    proxy.fail("CreateRoute", failure, { skip: 1, times: 2 });

    const names: string[] = [];
    for (const destination of ["100.64.0.0/20", "100.64.16.0/20", "100.64.32.0/20", "100.64.48.0/20"]) {
      names.push(await errorName(create(destination)));
    }

    expect(names).toEqual(["none", "InternalError", "InternalError", "none"]);
    expect(await destinations()).toEqual(["10.0.0.0/16", "100.64.0.0/20", "100.64.48.0/20"]);
  });

  it("loses an answer after moto has done the work, and resets before", async () => {
    proxy.fail("CreateRoute", { kind: "lost" });
    const lost = await errorName(create("100.64.0.0/20"));
    proxy.fail("CreateRoute", { kind: "reset" });
    const reset = await errorName(create("100.64.16.0/20"));

    expect([lost, reset]).toEqual(["TimeoutError", "TimeoutError"]);
    expect(await destinations()).toEqual(["10.0.0.0/16", "100.64.0.0/20"]);
  });

  it("never answers a call that is to hang", async () => {
    proxy.fail("DescribeVpcs", { kind: "hang" });

    const hanging = client.send(new DescribeVpcsCommand({}), { abortSignal: AbortSignal.timeout(300) });

    expect(await errorName(hanging)).toBe("AbortError");
    expect(proxy.calls("DescribeVpcs")).toMatchObject([{ status: 0 }]);
  });

  it("delays one action", async () => {
    proxy.delay("DescribeVpcs", 250);

    await client.send(new DescribeVpcsCommand({}));

    const [call] = proxy.calls("DescribeVpcs");
    expect((call?.endedMs ?? 0) - (call?.startedMs ?? 0)).toBeGreaterThanOrEqual(249);
  });

  it("counts calls at once into one table against its limit", async () => {
    proxy.limitRoutes(3);

    const names = await Promise.all(
      [0, 1, 2, 3, 4, 5].map((index) => errorName(create(`100.64.${index * 16}.0/20`))),
    );

    expect(names.filter((name) => name === "none")).toHaveLength(3);
    expect(names.filter((name) => name === "RouteLimitExceeded")).toHaveLength(3);
  });

  it("refuses a second route on a destination, which moto would overwrite", async () => {
    await create("100.64.0.0/20");

    expect(await errorName(create("100.64.0.0/20"))).toBe("RouteAlreadyExists");
  });

  it.for(["10.0.0.0/17", "10.0.2.0/24", "10.0.1.128/25"])(
    "refuses %s, inside the VPC",
    async (destination) => {
      expect(await errorName(create(destination))).toBe("InvalidParameterValue");
      expect(await destinations()).toEqual(["10.0.0.0/16"]);
    },
  );

  it("accepts a route on the whole CIDR of a subnet, as AWS does", async () => {
    expect(await errorName(create("10.0.1.0/24"))).toBe("none");
  });

  it("refuses to take an instance with two interfaces for a target, or for its check", async () => {
    const { NetworkInterface } = await client.send(new CreateNetworkInterfaceCommand({ SubnetId: subnet }));
    const byInstance = { NetworkInterfaceId: undefined, InstanceId: node.instanceId };
    const before = await errorName(create("100.64.0.0/20", byInstance));
    await client.send(
      new AttachNetworkInterfaceCommand({
        DeviceIndex: 1,
        InstanceId: node.instanceId,
        NetworkInterfaceId: needed(NetworkInterface?.NetworkInterfaceId),
      }),
    );

    const after = await errorName(create("100.64.16.0/20", byInstance));
    const check = await errorName(
      client.send(
        new ModifyInstanceAttributeCommand({
          InstanceId: node.instanceId,
          SourceDestCheck: { Value: false },
        }),
      ),
    );

    expect([before, after, check]).toEqual(["none", "InvalidInstanceID", "InvalidInstanceID"]);
  });

  it("shows the routes of terminated instances as blackholes, and no others", async () => {
    const other = await world.runInstance(subnet, {});
    await create("100.64.0.0/20");
    await create("100.64.16.0/20", { NetworkInterfaceId: other.interfaceId });
    await world.terminateInstance(node.instanceId);

    const { RouteTables } = await client.send(new DescribeRouteTablesCommand({ RouteTableIds: [table] }));

    expect(RouteTables?.[0]?.Routes?.map(({ State }) => State)).toEqual(["active", "blackhole", "active"]);
  });

  it("does none of this when its traits are switched off", async () => {
    const plain = await startEc2Proxy(moto.endpoint, { duplicateRoutes: false, routesInsideVpc: false });
    const through = localClient(plain.endpoint);
    const input = {
      RouteTableId: table,
      DestinationCidrBlock: "10.0.1.0/25",
      NetworkInterfaceId: node.interfaceId,
    };

    await through.send(new CreateRouteCommand(input));
    await through.send(new CreateRouteCommand(input));

    expect(await destinations()).toContain("10.0.1.0/25");
    through.destroy();
    await plain.close();
  });
});
