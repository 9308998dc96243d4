import fc from "fast-check";
import { describe, expect, it } from "vitest";

import type {
  ActualRoute,
  CloudInstance,
  CloudRouteTable,
  RouteTarget,
} from "../../../src/core/cloud/facts.ts";
import { parseCidr } from "../../../src/core/net/cidr.ts";
import type { Ipv4 } from "../../../src/core/net/ipv4.ts";
import { planRemoval, type RemovalInput } from "../../../src/core/routing/plan-removal.ts";
import type { OwnedRoute } from "../../../src/core/routing/route-plan.ts";

const POD_NETWORK = parseCidr("100.96.0.0/11");

function owned(routeTableId: string, destination: string, target = "eni-1"): OwnedRoute {
  return { routeTableId, destination: parseCidr(destination), target };
}

function route(
  destination: string,
  target: string | RouteTarget,
  state: ActualRoute["state"] = "active",
): ActualRoute {
  return {
    destination: parseCidr(destination),
    target: typeof target === "string" ? { kind: "interface", id: target } : target,
    state,
  };
}

function table(id: string, ...routes: readonly ActualRoute[]): CloudRouteTable {
  return { id, main: false, subnetIds: [], tags: {}, routes, routeCount: routes.length };
}

function instance(...interfaceIds: readonly string[]): CloudInstance {
  const interfaces = interfaceIds.map((id) => ({
    id,
    subnetId: "subnet-1",
    addresses: ["10.0.0.5" as Ipv4],
    sourceDestCheck: false,
  }));
  return { id: "i-1", state: "running", zone: "us-west-2a", tags: {}, interfaces };
}

function plan(over: {
  readonly owned: readonly OwnedRoute[];
  readonly tables: readonly CloudRouteTable[];
  readonly instances?: readonly CloudInstance[];
  readonly ignore?: readonly string[];
}) {
  const { remove, forget, left } = planRemoval({
    facts: {
      vpcId: "vpc-1",
      region: "us-west-2",
      routeTables: over.tables,
      instances: over.instances ?? [instance("eni-1", "eni-2")],
    },
    owned: over.owned,
    networks: [POD_NETWORK],
    ignore: (over.ignore ?? []).map(parseCidr),
  });
  return {
    remove: remove.map(({ routeTableId, destination, target }) => `${routeTableId} ${destination} ${target}`),
    forget: forget.map(({ routeTableId, destination }) => `${routeTableId} ${destination}`),
    left: left.map(({ routeTableId, destination, target, reason }) =>
      [routeTableId, destination, target, reason].join(" "),
    ),
  };
}

describe("taking our routes away", () => {
  it("removes what is on record and leads to its interface, or to another one of the cluster", () => {
    expect(
      plan({
        owned: [
          owned("rtb-2", "100.96.0.0/16"),
          owned("rtb-1", "100.97.0.0/16"),
          owned("rtb-1", "100.96.0.0/16"),
        ],
        tables: [
          table("rtb-1", route("100.96.0.0/16", "eni-1"), route("100.97.0.0/16", "eni-2")),
          table("rtb-2", route("100.96.0.0/16", "eni-1")),
        ],
      }),
    ).toEqual({
      remove: ["rtb-1 100.96.0.0/16 eni-1", "rtb-1 100.97.0.0/16 eni-2", "rtb-2 100.96.0.0/16 eni-1"],
      forget: [],
      left: [],
    });
  });

  it("removes a blackhole, whose node is gone", () => {
    expect(
      plan({
        owned: [owned("rtb-1", "100.96.0.0/16", "eni-9")],
        tables: [table("rtb-1", route("100.96.0.0/16", "eni-8", "blackhole"))],
      }).remove,
    ).toEqual(["rtb-1 100.96.0.0/16 eni-8"]);
  });

  it.for([
    ["an interface that is not the cluster's", "eni-nat"],
    ["a transit gateway", { kind: "other", id: "tgw-1" }],
  ] as const)("leaves a route of ours alone that somebody led to %s, and forgets it", ([, target]) => {
    expect(
      plan({
        owned: [owned("rtb-1", "100.96.0.0/16")],
        tables: [table("rtb-1", route("100.96.0.0/16", target))],
      }),
    ).toEqual({
      remove: [],
      forget: ["rtb-1 100.96.0.0/16"],
      left: [`rtb-1 100.96.0.0/16 ${typeof target === "string" ? target : target.id} led-elsewhere`],
    });
  });

  it("forgets what is gone already, a route or a whole table", () => {
    expect(
      plan({
        owned: [owned("rtb-1", "100.96.0.0/16"), owned("rtb-gone", "100.96.0.0/16")],
        tables: [table("rtb-1")],
      }),
    ).toEqual({ remove: [], forget: ["rtb-1 100.96.0.0/16", "rtb-gone 100.96.0.0/16"], left: [] });
  });

  it("tells of routes inside a network that are not on record, and of no others", () => {
    expect(
      plan({
        owned: [],
        tables: [
          table(
            "rtb-1",
            route("0.0.0.0/0", { kind: "other", id: "igw-1" }),
            route("10.0.0.0/16", { kind: "local" }),
            route("100.64.0.0/10", "eni-1"),
            route("100.96.0.0/11", { kind: "other", id: "vgw-1" }),
            route("100.100.0.0/16", "eni-1"),
            route("192.168.0.0/16", "eni-1"),
          ),
        ],
      }),
    ).toEqual({
      remove: [],
      forget: [],
      left: ["rtb-1 100.96.0.0/11 vgw-1 foreign", "rtb-1 100.100.0.0/16 eni-1 foreign"],
    });
  });

  it("leaves what is inside --ignore-routes alone, with its record", () => {
    expect(
      plan({
        owned: [owned("rtb-1", "100.96.0.0/16")],
        tables: [table("rtb-1", route("100.96.0.0/16", "eni-1"))],
        ignore: ["100.96.0.0/12"],
      }),
    ).toEqual({ remove: [], forget: [], left: ["rtb-1 100.96.0.0/16 eni-1 ignored"] });
  });

  it("refuses to forget everything when not one table of the records is there", () => {
    const input: RemovalInput = {
      facts: { vpcId: "vpc-2", region: "us-west-2", routeTables: [table("rtb-9")], instances: [] },
      owned: [owned("rtb-1", "100.96.0.0/16")],
      networks: [],
      ignore: [],
    };

    expect(() => planRemoval(input)).toThrow(
      expect.objectContaining({ kind: "invalid", code: "JOURNAL_ELSEWHERE" }) as Error,
    );
    expect(() => planRemoval(input)).toThrow("give the --region and --vpc");
  });

  it("removes only what is on record, whatever there is, and either removes, forgets or leaves each record", () => {
    const destinations = ["100.96.0.0/16", "100.97.0.0/16", "100.96.0.0/11", "10.9.0.0/16"];
    const place = fc.tuple(fc.constantFrom("rtb-1", "rtb-2", "rtb-gone"), fc.constantFrom(...destinations));
    const target = fc.constantFrom("eni-1", "eni-2", "eni-nat", "tgw-1");
    fc.assert(
      fc.property(
        fc.uniqueArray(place, { selector: String }),
        fc.dictionary(fc.constantFrom(...destinations), target),
        fc.dictionary(fc.constantFrom(...destinations), target),
        (records, first, second) => {
          const tables = [first, second].map((routes, index) =>
            table(
              `rtb-${index + 1}`,
              ...Object.entries(routes).map(([cidr, id]) =>
                route(cidr, id === "tgw-1" ? { kind: "other", id } : id),
              ),
            ),
          );
          fc.pre(records.length === 0 || records.some(([id]) => id !== "rtb-gone"));

          const { remove, forget } = plan({ owned: records.map(([id, cidr]) => owned(id, cidr)), tables });

          const recorded = records.map(([id, cidr]) => `${id} ${cidr}`).toSorted();
          const removed = remove.map((line) => line.split(" ").slice(0, 2).join(" "));
          expect([...removed, ...forget].toSorted()).toEqual(recorded);
        },
      ),
    );
  });
});
