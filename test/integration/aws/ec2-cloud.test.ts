import { readFileSync } from "node:fs";

import {
  AttachNetworkInterfaceCommand,
  CreateNetworkInterfaceCommand,
  EC2Client,
  ModifyNetworkInterfaceAttributeCommand,
} from "@aws-sdk/client-ec2";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { Ec2Cloud } from "../../../src/adapters/aws/ec2-cloud.ts";
import { SystemClock } from "../../../src/adapters/system/system-clock.ts";
import { parseCidr } from "../../../src/core/net/cidr.ts";
import type { CloudWorld } from "../../contracts/cloud.ts";
import { startEc2Proxy } from "../../support/ec2-proxy.ts";
import { requireMoto, startMoto, type Moto } from "../../support/moto.ts";
import { silentLog } from "../../support/silent-log.ts";
import { createMotoWorld, localClient, needed } from "./moto-world.ts";

const never = new AbortController().signal;
const admit = (): Promise<number> => Promise.resolve(Infinity);
const SUBNET = parseCidr("10.0.1.0/24");
const ROUTE = {
  routeTableId: "rtb-0123456789abcdef0",
  destination: parseCidr("100.64.0.0/20"),
  target: "eni-1",
};

/** Calls moto's IAM with the query protocol, which needs no signature here; the answer. */
async function iam(endpoint: string, parameters: Record<string, string>): Promise<string> {
  const answer = await fetch(endpoint, {
    method: "POST",
    headers: {
      "content-type": "application/x-www-form-urlencoded",
      authorization:
        "AWS4-HMAC-SHA256 Credential=none/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0",
    },
    body: new URLSearchParams({ ...parameters, Version: "2010-05-08" }).toString(),
  });
  const text = await answer.text();
  if (!answer.ok) {
    throw new Error(`moto's IAM answered ${answer.status} to ${parameters["Action"]}: ${text.slice(0, 500)}`);
  }
  return text;
}

function cloudWith(endpoint: string, accessKeyId: string, secretAccessKey: string): Ec2Cloud {
  return new Ec2Cloud({
    client: new EC2Client({
      endpoint,
      region: "us-east-1",
      credentials: { accessKeyId, secretAccessKey },
      maxAttempts: 1,
    }),
    region: "us-east-1",
    vpcId: "vpc-0123456789abcdef0",
    clock: new SystemClock(),
    log: silentLog,
    attemptTimeoutMs: 5000,
    retries: 0,
  });
}

describe.skipIf(requireMoto())("Ec2Cloud on moto", () => {
  let moto: Moto;
  const worlds: CloudWorld[] = [];
  const make = async (...options: Parameters<typeof createMotoWorld>): Promise<CloudWorld> => {
    const world = await createMotoWorld(...options);
    worlds.push(world);
    return world;
  };
  beforeAll(async () => {
    moto = await startMoto();
  });
  afterAll(() => moto.stop());
  afterEach(async () => {
    await Promise.all(worlds.splice(0).map((world) => world.close()));
  });

  it("reads page after page, of its own VPC and cluster only", async () => {
    const other = await make(moto.endpoint);
    await other.runInstance(await other.createSubnet("us-east-1a", SUBNET), {
      "kubernetes.io/cluster/prod": "owned",
    });
    const world = await make(moto.endpoint, undefined, {
      cluster: "prod",
      instancesPerPage: 5,
    });
    const subnet = await world.createSubnet("us-east-1a", SUBNET);
    const nodes: string[] = [];
    for (let count = 0; count < 12; count += 1) {
      nodes.push((await world.runInstance(subnet, { "kubernetes.io/cluster/prod": "owned" })).instanceId);
    }
    await world.runInstance(subnet, { "kubernetes.io/cluster/test": "owned" });
    await world.runInstance(subnet, {});

    const facts = await world.cloud.describe(never);

    expect(facts.instances.map(({ id }) => id)).toEqual(nodes.toSorted());
    expect(facts.routeTables).toHaveLength(1);
    expect(world.cloud.calls()).toEqual({
      DescribeInstances: 1,
      "DescribeInstances:page": 2,
      DescribeRouteTables: 1,
      DescribeSubnets: 1,
      DescribeVpcs: 1,
    });
  });

  it("sees a check that came back, and a second interface with a check of its own", async () => {
    const world = await make(moto.endpoint);
    const subnet = await world.createSubnet("us-east-1a", SUBNET);
    const node = await world.runInstance(subnet, {});
    const hand = localClient(moto.endpoint);
    const { NetworkInterface } = await hand.send(new CreateNetworkInterfaceCommand({ SubnetId: subnet }));
    const second = needed(NetworkInterface?.NetworkInterfaceId);
    await hand.send(
      new AttachNetworkInterfaceCommand({
        DeviceIndex: 1,
        InstanceId: node.instanceId,
        NetworkInterfaceId: second,
      }),
    );
    const checks = async (): Promise<unknown> =>
      (await world.cloud.describe(never)).instances[0]?.interfaces.map(({ id, sourceDestCheck }) => [
        id,
        sourceDestCheck,
      ]);

    await world.cloud.disableSourceDestCheck(node.interfaceId, admit, never);
    const off = await checks();
    await hand.send(
      new ModifyNetworkInterfaceAttributeCommand({
        NetworkInterfaceId: node.interfaceId,
        SourceDestCheck: { Value: true },
      }),
    );
    const back = await checks();
    hand.destroy();

    expect(off).toEqual([
      [node.interfaceId, false],
      [second, true],
    ]);
    expect(back).toEqual([
      [node.interfaceId, true],
      [second, true],
    ]);
  });

  it("gives an attempt up after its time-out, and goes on with the next", async () => {
    const proxy = await startEc2Proxy(moto.endpoint);
    const world = await make(moto.endpoint, proxy, { attemptTimeoutMs: 300 });
    const table = await world.createRouteTable([]);
    const node = await world.runInstance(await world.createSubnet("us-east-1a", SUBNET), {});
    proxy.fail("CreateRoute", { kind: "hang" });

    await world.cloud.writeRoute(
      { ...ROUTE, kind: "create", routeTableId: table, target: node.interfaceId },
      admit,
      never,
    );

    expect(proxy.calls("CreateRoute").map(({ status }) => status)).toEqual([0, 200]);
    expect(world.cloud.calls()).toEqual({ CreateRoute: 2 });
  });

  it("reads the whole VPC again after the endpoint was gone", async () => {
    const proxy = await startEc2Proxy(moto.endpoint);
    const world = await make(moto.endpoint, proxy);
    proxy.fail("DescribeInstances", { kind: "reset" }, { times: 3 });

    await expect(world.cloud.describe(never)).rejects.toMatchObject({
      code: "CLOUD_UNAVAILABLE",
      kind: "transient",
    });

    expect(await world.cloud.describe(never)).toMatchObject({
      vpcId: world.vpcId,
      vpcCidrs: ["10.0.0.0/16"],
    });
  });
});

// moto's enforcement knows actions only, neither resources nor conditions: those are simulated in test/adapters/aws/iam.test.ts.
describe.skipIf(requireMoto())("Ec2Cloud on moto that enforces IAM", () => {
  it("gets along with the actions of iam/controller.json, and names the one that is missing", async () => {
    const moto = await startMoto({ INITIAL_NO_AUTH_ACTION_COUNT: "3" });
    try {
      const text = readFileSync(new URL("../../../iam/controller.json", import.meta.url), "utf8");
      const { Statement } = JSON.parse(text) as {
        Statement: readonly { Action: string | readonly string[] }[];
      };
      const Action = Statement.flatMap((statement) => statement.Action).filter(
        (action) => action !== "ec2:DeleteRoute",
      );
      const policy = { Version: "2012-10-17", Statement: [{ Effect: "Allow", Action, Resource: "*" }] };
      const user = { UserName: "romana" };
      await iam(moto.endpoint, { Action: "CreateUser", ...user });
      const document = { PolicyName: "p", PolicyDocument: JSON.stringify(policy) };
      await iam(moto.endpoint, { Action: "PutUserPolicy", ...user, ...document });
      const key = await iam(moto.endpoint, { Action: "CreateAccessKey", ...user });
      const cloud = cloudWith(
        moto.endpoint,
        needed(/<AccessKeyId>(.+?)</.exec(key)?.[1]),
        needed(/<SecretAccessKey>(.+?)</.exec(key)?.[1]),
      );

      await expect(cloud.describe(never)).rejects.toMatchObject({ code: "VPC_NOT_FOUND" });
      await expect(cloud.writeRoute({ ...ROUTE, kind: "create" }, admit, never)).rejects.toMatchObject({
        code: expect.stringMatching(/^(ROUTE_TABLE|INTERFACE)_NOT_FOUND$/) as string,
      });
      await expect(cloud.writeRoute({ ...ROUTE, kind: "delete" }, admit, never)).rejects.toMatchObject({
        code: "CLOUD_UNAUTHORIZED",
        message: expect.stringContaining("delete route 100.64.0.0/20 from rtb-0123456789abcdef0") as string,
      });
      await expect(cloudWith(moto.endpoint, "AKIANOBODY", "x").describe(never)).rejects.toMatchObject({
        code: "CLOUD_UNAUTHENTICATED",
      });
    } finally {
      await moto.stop();
    }
  });
});
