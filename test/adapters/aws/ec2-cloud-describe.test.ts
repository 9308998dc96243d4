import {
  DescribeInstancesCommand,
  DescribeRouteTablesCommand,
  DescribeSubnetsCommand,
  DescribeVpcsCommand,
  type Instance,
} from "@aws-sdk/client-ec2";
import { describe, expect, it } from "vitest";

import type { Ec2Cloud } from "../../../src/adapters/aws/ec2-cloud.ts";
import { ec2Error, failure, instance, never, setUp, table, VPC } from "./mocked-ec2.ts";

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
      MaxResults: 10,
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
    expect(cloud.calls()["DescribeInstances:page"]).toBe(1);
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

  it("are read again one by one when they are old, so that no idle look takes more than three calls", async () => {
    const { cloud, clock } = setUp();
    const total = (): number => Object.values(cloud.calls()).reduce((sum, calls) => sum + calls, 0);
    const looks: number[] = [];
    await cloud.describe(never);

    for (let look = 0; look < 100; look += 1) {
      await clock.advance(30_000);
      const before = total();
      await cloud.describe(never);
      looks.push(total() - before);
    }

    expect(Math.max(...looks)).toBe(3);
    expect(Math.abs((cloud.calls()["DescribeVpcs"] ?? 0) - subnetReads(cloud))).toBeLessThanOrEqual(1);
    expect(subnetReads(cloud)).toBeGreaterThan(4);
  });

  it("are both read again although the reading of one is always refused", async () => {
    const { ec2, cloud, clock } = setUp();
    await cloud.describe(never);
    ec2.on(DescribeSubnetsCommand).rejects(ec2Error("UnauthorizedOperation", 403));
    for (let look = 0; look < 4; look += 1) {
      await clock.advance(600_000);
      await cloud.describe(never);
    }

    expect(cloud.calls()["DescribeVpcs"]).toBeGreaterThan(1);
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
