import { afterEach, beforeEach, describe, expect, it } from "vitest";

import type { ActualRoute, CloudFacts, CloudInstance, CloudRouteTable } from "../../src/core/cloud/facts.ts";
import { NetworkError } from "../../src/core/errors.ts";
import { parseCidr, type Cidr } from "../../src/core/net/cidr.ts";
import type { Admit, Cloud, CloudAction, RouteWrite, ZoneSource } from "../../src/ports/cloud.ts";

/** What a test can make a call fail with, before it takes effect; `answer-lost` after it. */
export type InjectedFailure = "throttled" | "unavailable" | "unauthorized" | "answer-lost";

/** What AWS does, or can be made to do, and some stand-in does not. */
export type CloudTrait =
  | "refuses a second route on a destination"
  | "refuses routes inside the VPC"
  | "shows blackholes"
  | "limits routes"
  | "fails on demand";

/**
 * A VPC of its own for one test: `10.0.0.0/16`, with a main route table, no subnet and no instance; and a `Cloud` that looks at it, which makes
 * 2 repeats of a transient failure.
 */
export interface CloudWorld {
  readonly cloud: Cloud & ZoneSource;
  readonly vpcId: string;
  /** Two zones or more. */
  readonly zones: readonly string[];
  createSubnet(zone: string, cidr: Cidr): Promise<string>;
  /** A table that is associated with these subnets; its id. */
  createRouteTable(subnetIds: readonly string[]): Promise<string>;
  /** A running instance with one interface, whose check is on. */
  runInstance(
    subnetId: string,
    tags: Readonly<Record<string, string>>,
  ): Promise<{
    readonly instanceId: string;
    readonly interfaceId: string;
  }>;
  terminateInstance(instanceId: string): Promise<void>;
  /** Changes a table as another person would, past the `Cloud`. */
  deleteRouteByHand(routeTableId: string, destination: Cidr): Promise<void>;
  /** Lets every table take only this many routes. Absent: lacks "limits routes". */
  limitRoutes?(routes: number): void;
  /** Makes the next `times` calls of this action fail. Absent: lacks "fails on demand". */
  failNext?(action: CloudAction, failure: InjectedFailure, times: number): void;
  /**
   * Performs `work` and lets pass as much time as it takes and as its effects need to be seen. Absent: time passes by itself and writes are seen at
   * once.
   */
  run?<T>(work: () => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

const signal = new AbortController().signal;
const POD_NETWORK = parseCidr("100.64.0.0/20");
const OTHER_NETWORK = parseCidr("100.64.16.0/20");
const NO_TABLE = "rtb-0123456789abcdef0";
const NO_INTERFACE = "eni-0123456789abcdef0";

/** What every `Cloud` does, whatever it is made of. `lacks` names the traits that this one is known not to have; their tests are left out. */
export function cloudContract(
  name: string,
  make: () => Promise<CloudWorld>,
  lacks: readonly CloudTrait[] = [],
): void {
  /** `it`, where this implementation has the traits that the test needs. */
  const where = (...traits: readonly CloudTrait[]): ((title: string, body: () => Promise<void>) => void) =>
    traits.some((trait) => lacks.includes(trait)) ? () => undefined : it;

  describe(`${name} as a Cloud`, () => {
    let world: CloudWorld;
    let table: string;
    let subnet: string;
    let first: { readonly instanceId: string; readonly interfaceId: string };
    let second: { readonly instanceId: string; readonly interfaceId: string };
    let admitted: CloudAction[];
    const admit: Admit = async (action) => {
      admitted.push(action);
      return Promise.resolve(Infinity);
    };

    beforeEach(async () => {
      world = await make();
      admitted = [];
      subnet = await run(() => world.createSubnet(zone(0), parseCidr("10.0.1.0/24")));
      table = await run(() => world.createRouteTable([subnet]));
      first = await run(() => world.runInstance(subnet, { Name: "first", role: "node" }));
      second = await run(() => world.runInstance(subnet, { Name: "second" }));
    });
    afterEach(() => world.close());

    const run = <T>(work: () => Promise<T>): Promise<T> =>
      world.run === undefined ? work() : world.run(work);
    const look = (): Promise<CloudFacts> => run(() => world.cloud.describe(signal));
    const write = (call: RouteWrite): Promise<void> => run(() => world.cloud.writeRoute(call, admit, signal));
    const create = (destination: Cidr, target: string): Promise<void> =>
      write({ kind: "create", routeTableId: table, destination, target });
    const failure = async (work: () => Promise<unknown>): Promise<NetworkError> => {
      const error: unknown = await work().then(
        () => new Error("it succeeded"),
        (reason: unknown) => reason,
      );
      if (!(error instanceof NetworkError)) {
        throw new TypeError(`expected a NetworkError, got ${String(error)}`, { cause: error });
      }
      return error;
    };
    const zone = (index: number): string => world.zones[index] ?? "";
    const tableIn = (facts: CloudFacts): CloudRouteTable | undefined =>
      facts.routeTables.find(({ id }) => id === table);
    const routesIn = (facts: CloudFacts): readonly ActualRoute[] =>
      (tableIn(facts)?.routes ?? []).filter(({ target }) => target.kind !== "local");
    const instanceIn = (facts: CloudFacts, id: string): CloudInstance | undefined =>
      facts.instances.find((instance) => instance.id === id);
    const route = (destination: Cidr, eni: string): ActualRoute => ({
      destination,
      target: { kind: "interface", id: eni },
      state: "active",
    });

    describe("looking", () => {
      it("shows the VPC, its subnets and their zones", async () => {
        const other = await run(() => world.createSubnet(zone(1), parseCidr("10.0.2.0/24")));

        const facts = await look();

        expect(facts.vpcId).toBe(world.vpcId);
        expect(facts.vpcCidrs).toEqual(["10.0.0.0/16"]);
        expect(facts.subnets).toEqual(
          [
            { id: subnet, zone: zone(0), cidr: "10.0.1.0/24" },
            { id: other, zone: zone(1), cidr: "10.0.2.0/24" },
          ].toSorted((a, b) => (a.id < b.id ? -1 : 1)),
        );
      });

      it("names the zones of the region, sorted, those without subnets too, with one call", async () => {
        const zones = await run(() => world.cloud.availabilityZones(signal));

        expect(zones).toEqual([...zones].toSorted());
        expect(zones).toEqual(expect.arrayContaining([zone(0), zone(1)]));
        expect(world.cloud.calls()["DescribeAvailabilityZones"]).toBe(1);
      });

      it("shows a subnet made after the first look as soon as something is in it", async () => {
        await look();
        const late = await run(() => world.createSubnet(zone(1), parseCidr("10.0.9.0/24")));
        await run(() => world.runInstance(late, {}));

        const facts = await look();

        expect(facts.subnets.map(({ id }) => id)).toContain(late);
      });

      it("shows instances with state, zone, tags and interface, sorted by id", async () => {
        const facts = await look();

        const instance = instanceIn(facts, first.instanceId);
        expect(instance).toMatchObject({
          state: "running",
          zone: zone(0),
          tags: { Name: "first", role: "node" },
          interfaces: [{ id: first.interfaceId, subnetId: subnet, sourceDestCheck: true }],
        });
        expect(instance?.interfaces[0]?.addresses[0]).toMatch(/^10\.0\.1\.\d+$/);
        expect(facts.instances.map(({ id }) => id)).toEqual([first.instanceId, second.instanceId].toSorted());
      });

      it("shows which table serves which subnet, and which is the main one", async () => {
        const facts = await look();

        expect(tableIn(facts)).toMatchObject({ main: false, subnetIds: [subnet], routeCount: 0 });
        expect(facts.routeTables.filter(({ main }) => main)).toHaveLength(1);
        expect(facts.routeTables).toHaveLength(2);
        expect(facts.routeTables.map(({ id }) => id)).toEqual(
          facts.routeTables.map(({ id }) => id).toSorted(),
        );
      });

      it("shows the local route as such, and does not count it", async () => {
        const facts = await look();

        expect(tableIn(facts)?.routes).toEqual([
          { destination: "10.0.0.0/16", target: { kind: "local" }, state: "active" },
        ]);
      });

      it("no longer shows a terminated instance as running", async () => {
        await run(() => world.terminateInstance(first.instanceId));

        const state = instanceIn(await look(), first.instanceId)?.state ?? "absent";

        expect(["shutting-down", "terminated", "absent"]).toContain(state);
      });

      where("shows blackholes")("shows the route to a terminated instance as a blackhole", async () => {
        await create(POD_NETWORK, first.interfaceId);
        await run(() => world.terminateInstance(first.instanceId));

        const facts = await look();

        expect(routesIn(facts)).toMatchObject([{ destination: POD_NETWORK, state: "blackhole" }]);
      });
    });

    describe("looking at one instance", () => {
      const lookAt = (instanceId: string): Promise<CloudInstance | undefined> =>
        run(() => world.cloud.describeInstance(instanceId, signal));

      it("shows it as a look at everything does", async () => {
        expect(await lookAt(first.instanceId)).toEqual(instanceIn(await look(), first.instanceId));
      });

      it("shows one that was started since the last look at everything", async () => {
        await look();
        const late = await run(() => world.runInstance(subnet, { Name: "late" }));

        expect(await lookAt(late.instanceId)).toMatchObject({
          id: late.instanceId,
          state: "running",
          zone: zone(0),
          interfaces: [{ id: late.interfaceId, subnetId: subnet, sourceDestCheck: true }],
        });
      });

      it("shows nothing under an id that EC2 does not know, or that is none", async () => {
        expect(await lookAt("i-0123456789abcdef0")).toBeUndefined();
        expect(await lookAt("i-*")).toBeUndefined();
        expect(await lookAt("")).toBeUndefined();
      });

      it("no longer shows a terminated one as running", async () => {
        await run(() => world.terminateInstance(first.instanceId));

        const state = (await lookAt(first.instanceId))?.state ?? "absent";

        expect(["shutting-down", "terminated", "absent"]).toContain(state);
      });

      it("takes one call, whatever else there is", async () => {
        await look();
        const before = world.cloud.calls();

        await lookAt(first.instanceId);

        expect(world.cloud.calls()).toEqual({
          ...before,
          DescribeInstances: (before["DescribeInstances"] ?? 0) + 1,
        });
      });
    });

    describe("writing routes", () => {
      it("creates a route that the next look shows", async () => {
        await create(POD_NETWORK, first.interfaceId);

        const facts = await look();

        expect(routesIn(facts)).toEqual([route(POD_NETWORK, first.interfaceId)]);
        expect(tableIn(facts)?.routeCount).toBe(1);
      });

      it("moves a route to another interface", async () => {
        await create(POD_NETWORK, first.interfaceId);

        await write({
          kind: "replace",
          routeTableId: table,
          destination: POD_NETWORK,
          target: second.interfaceId,
        });

        expect(routesIn(await look())).toEqual([route(POD_NETWORK, second.interfaceId)]);
      });

      it("deletes one route and leaves the others", async () => {
        await create(POD_NETWORK, first.interfaceId);
        await create(OTHER_NETWORK, second.interfaceId);

        await write({ kind: "delete", routeTableId: table, destination: POD_NETWORK });

        expect(routesIn(await look())).toEqual([route(OTHER_NETWORK, second.interfaceId)]);
      });

      it("writes into the table that was named and into no other", async () => {
        const other = await run(() => world.createRouteTable([]));

        await create(POD_NETWORK, first.interfaceId);

        const facts = await look();
        expect(facts.routeTables.find(({ id }) => id === other)?.routeCount).toBe(0);
      });

      it("sees that someone else deleted a route", async () => {
        await create(POD_NETWORK, first.interfaceId);

        await run(() => world.deleteRouteByHand(table, POD_NETWORK));

        expect(routesIn(await look())).toEqual([]);
      });

      where("refuses a second route on a destination")(
        "answers ROUTE_EXISTS to a second route on a destination, and leaves the first one",
        async () => {
          await create(POD_NETWORK, first.interfaceId);

          const error = await failure(() => create(POD_NETWORK, second.interfaceId));

          expect(error).toMatchObject({ code: "ROUTE_EXISTS", kind: "conflict" });
          expect(error.details["outcomeUnknown"]).toBe(false);
          expect(routesIn(await look())).toEqual([route(POD_NETWORK, first.interfaceId)]);
        },
      );

      it.for(["replace", "delete"] as const)("answers ROUTE_NOT_FOUND to %s of nothing", async (kind) => {
        const error = await failure(() =>
          write({ kind, routeTableId: table, destination: POD_NETWORK, target: first.interfaceId }),
        );

        expect(error).toMatchObject({ code: "ROUTE_NOT_FOUND", kind: "not-found" });
        expect(routesIn(await look())).toEqual([]);
      });

      it.for(["create", "replace", "delete"] as const)(
        "answers ROUTE_TABLE_NOT_FOUND to %s in a table that is gone",
        async (kind) => {
          const error = await failure(() =>
            write({ kind, routeTableId: NO_TABLE, destination: POD_NETWORK, target: first.interfaceId }),
          );

          expect(error).toMatchObject({ code: "ROUTE_TABLE_NOT_FOUND", kind: "not-found" });
          expect(error.message).toContain(NO_TABLE);
        },
      );

      it.for(["create", "replace"] as const)(
        "answers INTERFACE_NOT_FOUND to %s via an interface that is gone",
        async (kind) => {
          await create(OTHER_NETWORK, first.interfaceId);
          const destination = kind === "create" ? POD_NETWORK : OTHER_NETWORK;

          const error = await failure(() =>
            write({ kind, routeTableId: table, destination, target: NO_INTERFACE }),
          );

          expect(error).toMatchObject({ code: "INTERFACE_NOT_FOUND", kind: "not-found" });
          expect(routesIn(await look())).toEqual([route(OTHER_NETWORK, first.interfaceId)]);
        },
      );

      where("refuses routes inside the VPC")(
        "answers ROUTE_REFUSED to a route inside the VPC's CIDR",
        async () => {
          const error = await failure(() => create(parseCidr("10.0.1.0/25"), first.interfaceId));

          expect(error).toMatchObject({ code: "ROUTE_REFUSED", kind: "invalid" });
          expect(routesIn(await look())).toEqual([]);
        },
      );

      where("limits routes")(
        "answers ROUTE_LIMIT_EXCEEDED when the table is full, and still replaces in it",
        async () => {
          world.limitRoutes?.(1);
          await create(POD_NETWORK, first.interfaceId);

          const error = await failure(() => create(OTHER_NETWORK, first.interfaceId));
          await write({
            kind: "replace",
            routeTableId: table,
            destination: POD_NETWORK,
            target: second.interfaceId,
          });

          expect(error).toMatchObject({ code: "ROUTE_LIMIT_EXCEEDED", kind: "exhausted" });
          expect(routesIn(await look())).toEqual([route(POD_NETWORK, second.interfaceId)]);
        },
      );
    });

    describe("turning the source/dest check off", () => {
      const turnOff = (eni: string): Promise<void> =>
        run(() => world.cloud.disableSourceDestCheck(eni, admit, signal));

      it("turns the check of that one interface off, as the next look shows", async () => {
        await turnOff(first.interfaceId);

        const facts = await look();

        expect(instanceIn(facts, first.instanceId)?.interfaces[0]?.sourceDestCheck).toBe(false);
        expect(instanceIn(facts, second.instanceId)?.interfaces[0]?.sourceDestCheck).toBe(true);
      });

      it("may be repeated", async () => {
        await turnOff(first.interfaceId);
        await turnOff(first.interfaceId);

        expect(instanceIn(await look(), first.instanceId)?.interfaces[0]?.sourceDestCheck).toBe(false);
        expect(admitted).toEqual(["ModifyNetworkInterfaceAttribute", "ModifyNetworkInterfaceAttribute"]);
      });

      it("answers INTERFACE_NOT_FOUND when the interface is gone", async () => {
        const error = await failure(() => turnOff(NO_INTERFACE));

        expect(error).toMatchObject({ code: "INTERFACE_NOT_FOUND", kind: "not-found" });
      });
    });

    describe("admission and repeats", () => {
      const fail = (reason: InjectedFailure, times: number): void =>
        world.failNext?.("CreateRoute", reason, times);

      it("asks for admission before each write, by its action", async () => {
        await create(POD_NETWORK, first.interfaceId);
        await write({
          kind: "replace",
          routeTableId: table,
          destination: POD_NETWORK,
          target: second.interfaceId,
        });
        await write({ kind: "delete", routeTableId: table, destination: POD_NETWORK });

        expect(admitted).toEqual(["CreateRoute", "ReplaceRoute", "DeleteRoute"]);
      });

      it("does not make a call that is not admitted, and ends with the refusal itself", async () => {
        const refusal = new NetworkError("transient", "LEADER_LOST", "we lead no more");
        const before = world.cloud.calls()["CreateRoute"] ?? 0;

        const error = await failure(() =>
          run(() =>
            world.cloud.writeRoute(
              { kind: "create", routeTableId: table, destination: POD_NETWORK, target: first.interfaceId },
              () => Promise.reject(refusal),
              signal,
            ),
          ),
        );

        expect(error).toBe(refusal);
        expect(world.cloud.calls()["CreateRoute"] ?? 0).toBe(before);
        expect(routesIn(await look())).toEqual([]);
      });

      it("writes nothing once the signal is aborted", async () => {
        const reason = new Error("shutting down");

        await expect(
          run(() =>
            world.cloud.writeRoute(
              { kind: "create", routeTableId: table, destination: POD_NETWORK, target: first.interfaceId },
              admit,
              AbortSignal.abort(reason),
            ),
          ),
        ).rejects.toBe(reason);

        expect(routesIn(await look())).toEqual([]);
      });

      where("fails on demand")("asks for admission again before it repeats a throttled call", async () => {
        fail("throttled", 2);

        await create(POD_NETWORK, first.interfaceId);

        expect(admitted).toEqual(["CreateRoute", "CreateRoute", "CreateRoute"]);
        expect(world.cloud.calls()["CreateRoute"]).toBe(3);
        expect(routesIn(await look())).toEqual([route(POD_NETWORK, first.interfaceId)]);
      });

      const givesUp = async (reason: InjectedFailure, code: string, unknown: boolean): Promise<void> => {
        fail(reason, 3);

        const error = await failure(() => create(POD_NETWORK, first.interfaceId));

        expect(error).toMatchObject({ code, kind: "transient" });
        expect(error.details["outcomeUnknown"]).toBe(unknown);
        expect(admitted).toHaveLength(3);
      };

      where("fails on demand")("gives up after its repeats when throttled: CLOUD_THROTTLED", () =>
        givesUp("throttled", "CLOUD_THROTTLED", false),
      );

      where("fails on demand")("gives up after its repeats when unavailable: CLOUD_UNAVAILABLE", () =>
        givesUp("unavailable", "CLOUD_UNAVAILABLE", true),
      );

      where("fails on demand")("does not repeat what IAM refuses, and names the action", async () => {
        fail("unauthorized", 1);

        const error = await failure(() => create(POD_NETWORK, first.interfaceId));

        expect(error).toMatchObject({ code: "CLOUD_UNAUTHORIZED", kind: "invalid" });
        expect(error.message).toContain("CreateRoute");
        expect(admitted).toHaveLength(1);
      });

      where("fails on demand", "refuses a second route on a destination")(
        "says so when the route found may be its own, whose answer was lost",
        async () => {
          fail("answer-lost", 1);

          const error = await failure(() => create(POD_NETWORK, first.interfaceId));

          expect(error).toMatchObject({ code: "ROUTE_EXISTS", kind: "conflict" });
          expect(error.details["outcomeUnknown"]).toBe(true);
          expect(routesIn(await look())).toEqual([route(POD_NETWORK, first.interfaceId)]);
        },
      );
    });

    describe("counting", () => {
      it("counts writes by action", async () => {
        await create(POD_NETWORK, first.interfaceId);
        await create(OTHER_NETWORK, first.interfaceId);
        await write({ kind: "delete", routeTableId: table, destination: POD_NETWORK });

        expect(world.cloud.calls()).toMatchObject({ CreateRoute: 2, DeleteRoute: 1 });
      });

      it("needs at most three Describe calls for a look when nothing is new, however many instances there are", async () => {
        const describes = (): number =>
          Object.entries(world.cloud.calls())
            .filter(([action]) => action.startsWith("Describe") && !action.endsWith(":page"))
            .reduce((sum, [, count]) => sum + count, 0);
        await look();
        const before = describes();

        await look();
        const idle = describes() - before;
        for (let count = 0; count < 5; count += 1) {
          await run(() => world.runInstance(subnet, {}));
        }
        await look();

        expect(idle).toBeGreaterThan(0);
        expect(idle).toBeLessThanOrEqual(3);
        expect(describes() - before - idle).toBe(idle);
      });
    });
  });
}
