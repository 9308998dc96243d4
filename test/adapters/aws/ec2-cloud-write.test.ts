import {
  CreateRouteCommand,
  DeleteRouteCommand,
  ModifyNetworkInterfaceAttributeCommand,
  ReplaceRouteCommand,
} from "@aws-sdk/client-ec2";
import { describe, expect, it } from "vitest";

import { CREATE, ec2Error, failure, never, POD_NETWORK, setUp } from "./mocked-ec2.ts";

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
    const admitOnce = async (): Promise<number> => {
      asked += 1;
      await Promise.resolve();
      if (asked > 1) {
        throw refusal;
      }
      return Infinity;
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
