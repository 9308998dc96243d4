import { readFileSync } from "node:fs";

import {
  DescribeInstancesCommand,
  type DescribeInstancesCommandOutput,
  DescribeRouteTablesCommand,
  EC2Client,
} from "@aws-sdk/client-ec2";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { readLean, leanXml, UNREAD } from "../../../src/adapters/aws/lean-answers.ts";
import { readInstance } from "../../../src/adapters/aws/schema.ts";
import { SeededRandom } from "../../../src/adapters/simulation/seeded-random.ts";
import { AWS_SETTINGS, SimulatedEc2 } from "../../../src/adapters/simulation/simulated-ec2.ts";
import { SimulatedRegion } from "../../../src/adapters/simulation/simulated-region.ts";
import { SystemClock } from "../../../src/adapters/system/system-clock.ts";
import { parseCidr } from "../../../src/core/net/cidr.ts";
import { startSimulatedEndpoint, type SimulatedEndpoint } from "../../support/simulated-endpoint.ts";

const AT_ONCE = { minMs: 0, restMs: 0 };
const TAGS = { Name: "a > b\n< c", blank: "   ", padded: "  x  ", empty: "", lines: "one\n\n  two" };

describe("reading answers lean", () => {
  let endpoint: SimulatedEndpoint;
  let region: SimulatedRegion;
  let plain: EC2Client;
  let lean: EC2Client;

  beforeEach(async () => {
    const clock = new SystemClock();
    region = new SimulatedRegion({ clock, vpcCidrs: [parseCidr("10.0.0.0/16")] });
    const settings = { ...AWS_SETTINGS, write: AT_ONCE, describe: AT_ONCE, lagMs: 0 };
    const ec2 = new SimulatedEc2({ region, clock, random: new SeededRandom("lean"), settings });
    endpoint = await startSimulatedEndpoint({ region, ec2, clock });
    plain = client();
    lean = client();
    readLean(lean);
  });
  afterEach(async () => {
    plain.destroy();
    lean.destroy();
    await endpoint.close();
  });

  const client = (): EC2Client =>
    new EC2Client({
      endpoint: endpoint.endpoint,
      region: region.region,
      credentials: { accessKeyId: "test", secretAccessKey: "test" },
      maxAttempts: 1,
    });

  it("gives the instances that the SDK gives by itself, tags with odd white space included", async () => {
    const subnetId = region.addSubnet("us-west-2a", parseCidr("10.0.0.0/24")).id;
    region.launch({ subnetId, tags: TAGS, moreInterfaces: [subnetId] });

    const [bySdk, byUs] = await Promise.all(
      [plain, lean].map((each) => each.send(new DescribeInstancesCommand({}))),
    );

    const instanceIn = (answer: DescribeInstancesCommandOutput | undefined): unknown =>
      readInstance(answer?.Reservations?.[0]?.Instances?.[0], region.vpcId);
    expect(instanceIn(byUs)).toEqual(instanceIn(bySdk));
    expect(instanceIn(byUs)).toMatchObject({ ok: true, value: { interfaces: [{}, {}], tags: TAGS } });
  });

  it("gives route tables as the SDK does, whole", async () => {
    const subnetId = region.addSubnet("us-west-2a", parseCidr("10.0.0.0/24")).id;
    region.addRouteTable({ subnetIds: [subnetId], tags: TAGS, otherRoutes: 2 });

    const [bySdk, byUs] = await Promise.all(
      [plain, lean].map((each) => each.send(new DescribeRouteTablesCommand({}))),
    );

    expect(byUs?.RouteTables).toEqual(bySdk?.RouteTables);
    expect(byUs?.RouteTables?.[0]?.Routes).toHaveLength(3);
  });

  it("leaves errors as they are", async () => {
    const fails = (each: EC2Client): Promise<unknown> =>
      each.send(new DescribeRouteTablesCommand({ MaxResults: 101 })).then(
        () => "it succeeded",
        (error: unknown) => error,
      );

    const [bySdk, byUs] = [await fails(plain), await fails(lean)];

    expect(byUs).toMatchObject({ name: "InvalidParameterValue", $metadata: { httpStatusCode: 400 } });
    expect((byUs as Error).message).toBe((bySdk as Error).message);
  });
});

describe("taking out what is not read", () => {
  it.for([
    ["<a>\n    <b>1</b>\n</a>\n", "<a><b>1</b></a>\n"],
    ["<a>\r\n\t<b/>\r\n</a>", "<a><b/></a>"],
    ["<value>   </value>", "<value>   </value>"],
    ["<value>x\n</value>", "<value>x\n</value>"],
    ['<?xml version="1.0"?>\n<a/>', '<?xml version="1.0"?><a/>'],
    ["<operator>\n <managed/>\n</operator>", "<operator><managed/></operator>"],
    [
      "<DescribeInstancesResponse><item>\n <groupSet>\n  <item/>\n </groupSet>\n <groupSet/></item></DescribeInstancesResponse>",
      "<DescribeInstancesResponse><item><groupSet/></item></DescribeInstancesResponse>",
    ],
  ] as const)("%j becomes %j", ([xml, lean]) => {
    expect(leanXml(xml)).toBe(lean);
  });

  it("never touches a text that is more than white space", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[^<>&]*[^<>&\s][^<>&]*$/), (text) => {
        const xml = `<a>\n  <b>${text}</b>\n</a>`;

        expect(leanXml(xml)).toBe(`<a><b>${text}</b></a>`);
      }),
    );
  });
});

describe("what is not read", () => {
  it("is no field that any schema of ours names", () => {
    const fields = new Set(readFileSync("src/adapters/aws/schema.ts", "utf8").match(/\b[A-Z]\w+(?=\??:)/g));
    // The SDK calls a list otherwise than the wire does: groupSet is Groups.
    const names = UNREAD.flatMap((name) => {
      const field = name.charAt(0).toUpperCase() + name.slice(1).replace(/Set$/, "");
      return [field, `${field}s`, `${field}Set`];
    });

    expect(fields.size).toBeGreaterThan(15);
    expect(names.filter((name) => fields.has(name))).toEqual([]);
  });
});
