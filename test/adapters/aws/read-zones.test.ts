import { DescribeAvailabilityZonesCommand, type AvailabilityZone } from "@aws-sdk/client-ec2";
import { describe, expect, it } from "vitest";

import { ec2Error, failure, never, setUp } from "./mocked-ec2.ts";

function zone(ZoneName: string, over: Partial<AvailabilityZone> = {}): AvailabilityZone {
  return { ZoneName, ZoneType: "availability-zone", State: "available", ...over };
}

function answering(...AvailabilityZones: AvailabilityZone[]) {
  const world = setUp();
  world.ec2.on(DescribeAvailabilityZonesCommand).resolves({ AvailabilityZones });
  return world;
}

describe("the availability zones of a region", () => {
  it("are asked for by their type, and come sorted", async () => {
    const { cloud, ec2 } = answering(zone("us-west-2c"), zone("us-west-2a"));

    expect(await cloud.availabilityZones(never)).toEqual(["us-west-2a", "us-west-2c"]);
    expect(ec2.commandCalls(DescribeAvailabilityZonesCommand).map(({ args }) => args[0].input)).toEqual([
      { Filters: [{ Name: "zone-type", Values: ["availability-zone"] }] },
    ]);
  });

  it("are no local or Wavelength zones, even where the filter has no effect", async () => {
    const { cloud } = answering(
      zone("us-west-2-lax-1a", { ZoneType: "local-zone" }),
      zone("us-west-2a"),
      zone("us-west-2-wl1-den-wlz-1", { ZoneType: "wavelength-zone" }),
    );

    expect(await cloud.availabilityZones(never)).toEqual(["us-west-2a"]);
  });

  it("stay in the list while they are impaired or constrained, and not while they are unavailable", async () => {
    const { cloud } = answering(
      zone("us-west-2a", { State: "impaired" }),
      zone("us-west-2b", { State: "constrained" }),
      zone("us-west-2c", { State: "unavailable" }),
    );

    expect(await cloud.availabilityZones(never)).toEqual(["us-west-2a", "us-west-2b"]);
  });

  it.for([
    ["no list", undefined, "the answer holds no list"],
    ["no zone", [], "it names no availability zone"],
    ["a zone without a name", [{ ZoneType: "availability-zone" }], "ZoneName"],
  ] as const)("are unknown when the answer has %s", async ([, AvailabilityZones, words]) => {
    const { cloud, ec2, clock } = setUp();
    ec2
      .on(DescribeAvailabilityZonesCommand)
      .resolves(AvailabilityZones === undefined ? {} : { AvailabilityZones: [...AvailabilityZones] });

    const error = await failure(clock, cloud.availabilityZones(never));

    expect(error).toMatchObject({
      code: "CLOUD_UNREADABLE",
      message: expect.stringContaining(words) as string,
    });
  });

  it("are refused with the name of the permission that is missing", async () => {
    const { cloud, ec2, clock } = setUp();
    ec2.on(DescribeAvailabilityZonesCommand).rejects(ec2Error("UnauthorizedOperation", 403));

    const error = await failure(clock, cloud.availabilityZones(never));

    expect(error).toMatchObject({
      code: "CLOUD_UNAUTHORIZED",
      message: expect.stringContaining("DescribeAvailabilityZones") as string,
    });
  });
});
