import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { parseCidr } from "../../../src/core/net/cidr.ts";
import { planRoutes } from "../../../src/core/routing/plan-routes.ts";
import type { RoutePlan } from "../../../src/core/routing/route-plan.ts";
import { applied, cluster, show, type ClusterSketch } from "../../support/routing.ts";

const A = "100.96.0.0/16";
const B = "100.97.0.0/16";
const two: ClusterSketch = {
  groups: { [A]: ["a1", "a2"], [B]: ["b1"] },
  nodes: ["a1@subnet-a", "a2@subnet-a", "b1@subnet-b"],
};

function plan(sketch: ClusterSketch): RoutePlan {
  return planRoutes(cluster(sketch));
}

function holder(result: RoutePlan, destination: string): string | undefined {
  return result.desired.find((route) => route.destination === destination)?.host;
}

describe("what happens to one destination in one table", () => {
  it.for([
    {
      name: "creates a missing route",
      tables: { "rtb-1": [`${B} eni-b1`] },
      expected: [`create ${A} via eni-a`],
    },
    { name: "keeps a correct route", tables: { "rtb-1": [`${A} eni-a1`, `${B} eni-b1`] }, expected: [] },
    {
      name: "keeps a correct route that is a blackhole",
      tables: { "rtb-1": [`${A} eni-a1`, `${B} eni-b1 blackhole`] },
      expected: [],
    },
    {
      name: "replaces a recorded route that leads to a vanished interface",
      tables: { "rtb-1": [`${A} eni-old blackhole`, `${B} eni-b1`] },
      expected: [`replace ${A} via eni-a`],
    },
    {
      name: "replaces a recorded route that somebody led elsewhere",
      tables: { "rtb-1": [`${A} nat-1`, `${B} eni-b1`] },
      expected: [`replace ${A} via eni-a`],
    },
    {
      name: "deletes a recorded route of a group that is empty now",
      tables: { "rtb-1": [`${A} eni-a1`, `${B} eni-b1`, "100.98.0.0/16 eni-a1"] },
      expected: ["delete 100.98.0.0/16"],
    },
  ])("$name", ({ tables, expected }) => {
    const operations = plan({ ...two, tables }).operations.map((operation) =>
      show(operation).replace(/eni-a\d/, "eni-a"),
    );

    expect(operations).toEqual(expected);
  });

  it("adopts a route that leads to one of its possible gateways, and keeps that gateway", () => {
    const result = plan({ ...two, tables: { "rtb-1": [`${A} eni-a2`, `${B} eni-b1`] }, owned: "none" });

    expect(result.operations).toEqual([]);
    expect(result.adopt.map(({ destination, target }) => `${destination} ${target}`)).toEqual([
      `${A} eni-a2`,
      `${B} eni-b1`,
    ]);
  });

  it("never touches a route to something that is no gateway of ours, and says so", () => {
    const result = plan({ ...two, tables: { "rtb-1": [`${A} eni-vpn`, `${B} eni-b1`] }, owned: [B] });

    expect(result.operations).toEqual([]);
    expect(result.skipped.map(({ destination, reason }) => `${destination} ${reason}`)).toEqual([
      `${A} foreign`,
    ]);
    expect(result.alarms.map(({ kind }) => kind)).toContain("foreign-route");
  });

  it("reports a foreign route inside a network and leaves routes elsewhere unmentioned", () => {
    const tables = {
      "rtb-1": [`${A} eni-a1`, `${B} eni-b1`, "100.110.0.0/16 nat-1", "0.0.0.0/0 igw-1", "10.9.0.0/16 nat-1"],
    };
    const result = plan({ ...two, tables, owned: [A, B] });

    expect(result.operations).toEqual([]);
    expect(result.skipped.map(({ destination }) => destination)).toEqual(["100.110.0.0/16"]);
  });

  it("does nothing at all inside --ignore-routes", () => {
    const tables = { "rtb-1": [`${A} nat-1`, "100.110.0.0/16 nat-1"] };
    const result = plan({ ...two, tables, overrides: { ignore: [parseCidr("100.96.0.0/11")] } });

    expect(result.operations).toEqual([]);
    expect(result.alarms).toEqual([]);
  });

  it("forgets a record whose route is neither wanted nor there", () => {
    const input = cluster({ ...two, tables: { "rtb-1": [`${A} eni-a1`, `${B} eni-b1`] } });
    const record = { routeTableId: "rtb-1", destination: parseCidr("100.99.0.0/16"), target: "eni-a1" };

    expect(planRoutes({ ...input, owned: [...input.owned, record] }).forget).toEqual([record]);
  });

  it("takes its routes out of a table that is no longer selected", () => {
    const tables = { "rtb-1": [`${A} eni-a1`, `${B} eni-b1`], "rtb-2": [`${A} eni-a1`] };

    expect(plan({ ...two, tables }).operations.map(show)).toEqual([`delete ${A} in rtb-2`]);
  });

  it("refuses a prefix that overlaps the VPC", () => {
    const result = plan({
      groups: { "172.31.128.0/17": ["a1"] },
      nodes: ["a1@subnet-a"],
      root: "172.31.128.0/17",
    });

    expect(result.operations).toEqual([]);
    expect(result.skipped.map(({ reason }) => reason)).toEqual(["inside-vpc"]);
  });
});

describe("who is the gateway", () => {
  const standing = { "rtb-1": [`${A} eni-a1`, `${B} eni-b1`], "rtb-2": [`${A} eni-a1`, `${B} eni-b1`] };
  const all = { ...two, tables: standing, overrides: { tables: { kind: "vpc" as const } } };

  it("moves a dead node's routes in every table and nothing else", () => {
    expect(plan({ ...all, down: ["a1"] }).operations.map(show)).toEqual([
      `replace ${A} via eni-a2`,
      `replace ${A} via eni-a2 in rtb-2`,
    ]);
  });

  it("moves the routes of an instance that EC2 says is gone, although it was measured up", () => {
    expect(plan({ ...all, states: { a1: "terminated" } }).operations).toHaveLength(2);
  });

  it("leaves the routes of a dead node that has no stand-in, and raises an alarm", () => {
    const result = plan({ ...all, down: ["b1"] });

    expect(result.operations).toEqual([]);
    expect(result.alarms.map(({ kind, subject }) => `${kind} ${subject}`)).toEqual([`no-stand-in ${B}`]);
  });

  it("gives a recovered node no route back, until a rebalance", () => {
    const moved = { "rtb-1": [`${A} eni-a2`, `${B} eni-b1`] };

    expect(plan({ ...two, tables: moved }).operations).toEqual([]);
  });

  it("moves nothing on account of health while blind", () => {
    expect(plan({ ...all, down: ["a1", "a2", "b1"], blind: true }).operations).toEqual([]);
  });

  it.for(["rising", "unknown", "suspect", "unmeasured", "down"] as const)(
    "gives a dead node's routes to no node that is %s",
    (health) => {
      expect(plan({ ...all, down: ["a1"], health: { a1: "down", a2: health } }).operations).toEqual([]);
    },
  );

  it.for(["suspect", "unmeasured", "rising", "unknown"] as const)(
    "takes no route from a node that is %s",
    (health) => {
      expect(plan({ ...all, health: { a1: health } }).operations).toEqual([]);
    },
  );

  it("hands over the routes of a node that leaves, but not of one that is only NotReady", () => {
    expect(plan({ ...all, standing: { a1: "leaving" } }).operations).toHaveLength(2);
    expect(plan({ ...all, standing: { a1: "not-ready" } }).operations).toEqual([]);
    expect(plan({ ...all, standing: { a1: "leaving" }, down: ["a2"] }).operations).toEqual([]);
  });

  it("starts with nodes that were never measured rather than without routes", () => {
    expect(plan({ ...two, health: { a1: "unknown", a2: "unknown", b1: "unknown" } }).operations).toHaveLength(
      2,
    );
  });

  it("prefers a measured node to a rank that hashing would give", () => {
    expect(holder(plan({ ...two, health: { a1: "unknown" } }), A)).toBe("a2");
    expect(holder(plan({ ...two, health: { a2: "unknown" } }), A)).toBe("a1");
  });

  it("follows an instance that was replaced under the same address", () => {
    const tables = { "rtb-1": [`${A} eni-former blackhole`, `${B} eni-b1`] };
    const result = plan({ ...two, tables });

    expect(result.operations.map(({ kind }) => kind)).toEqual(["replace"]);
  });

  it("spreads prefixes over the nodes of a group", () => {
    const groups = Object.fromEntries(
      Array.from({ length: 12 }, (_, index) => [`100.${96 + index}.0.0/16`, ["a1", "a2", "a3", "a4"]]),
    );
    const result = plan({ groups, nodes: ["a1", "a2", "a3", "a4"].map((name) => `${name}@subnet-a`) });
    const counts = ["a1", "a2", "a3", "a4"].map(
      (host) => result.desired.filter((route) => route.host === host).length,
    );

    expect(counts).toEqual([3, 3, 3, 3]);
  });

  it("restores a route that was deleted everywhere through the gateway on record", () => {
    const input = cluster({ ...two, tables: { "rtb-1": [`${B} eni-b1`] } });
    for (const host of ["a1", "a2"]) {
      const owned = [
        ...input.owned,
        { routeTableId: "rtb-1", destination: parseCidr(A), target: `eni-${host}` },
      ];

      expect(planRoutes({ ...input, owned }).operations.map(show)).toEqual([`create ${A} via eni-${host}`]);
    }
  });
});

describe("groups that span subnets", () => {
  const spread: ClusterSketch = {
    groups: { [A]: ["a1", "a2", "c1"] },
    nodes: ["a1@subnet-a", "a2@subnet-a", "c1@subnet-c"],
    blocks: { c1: ["100.96.0.8/29"], a1: ["100.96.0.0/29"] },
  };

  it("gives the blocks that the gateway cannot reach routes of their own", () => {
    const result = plan(spread);

    expect(result.desired.map(({ destination, level }) => `${destination} ${level}`)).toEqual([
      `${A} group`,
      "100.96.0.8/29 block",
    ]);
    expect(holder(result, "100.96.0.8/29")).toBe("c1");
    expect(["a1", "a2"]).toContain(holder(result, A));
  });

  it("says that routes depend on blocks, which they do nowhere else", () => {
    expect(plan(spread).blocksMatter).toBe(true);
    expect(plan(two).blocksMatter).toBe(false);
  });

  it("never lets a node of another subnet take over", () => {
    const result = plan({ ...spread, tables: { "rtb-1": [`${A} eni-a1`] }, down: ["a1", "a2"] });

    expect(holder(result, A)).toBe("a1");
    expect(result.alarms.map(({ kind }) => kind)).toContain("no-stand-in");
  });

  it("keeps serving a leaf from the subnet that serves it now, whatever the majority", () => {
    const result = plan({
      ...spread,
      tables: { "rtb-1": [`${A} eni-c1`] },
      blocks: { a1: ["100.96.0.0/29"] },
    });

    expect(holder(result, A)).toBe("c1");
    expect(holder(result, "100.96.0.0/29")).toBe("a1");
  });

  it("writes one route where a leaf is as small as its block", () => {
    const result = plan({
      groups: { "100.96.0.8/29": ["a1", "a2", "c1"] },
      nodes: spread.nodes,
      blocks: { c1: ["100.96.0.8/29"] },
    });

    expect(result.desired.map(({ destination, host }) => `${destination} ${host}`)).toEqual([
      "100.96.0.8/29 c1",
    ]);
  });
});

describe("aggregation to a budget", () => {
  const leaves = ["100.96.0.0/18", "100.96.64.0/18", "100.96.128.0/18", "100.97.0.0/18", "100.97.64.0/18"];
  const groups = Object.fromEntries(leaves.map((cidr, index) => [cidr, [`n${index}`]]));
  const nodes = leaves.map((_, index) => `n${index}@${index < 3 ? "subnet-a" : "subnet-b"}`);
  const quota = (count: number) => ({ groups, nodes, overrides: { quotaOf: () => count, reserve: 0 } });

  it.for([
    [5, leaves],
    [4, ["100.96.0.0/18", "100.96.64.0/18", "100.96.128.0/18", "100.97.0.0/16"]],
    [3, ["100.96.0.0/16", "100.97.0.0/16"]],
    [2, ["100.96.0.0/16", "100.97.0.0/16"]],
  ] as const)("cuts five groups into at most %i routes", ([count, expected]) => {
    expect(plan(quota(count)).desired.map(({ destination }) => destination)).toEqual(expected);
  });

  it("does not make one route of groups in different subnets where that saves nothing", () => {
    const result = plan(quota(1));

    expect(result.desired.map(({ destination }) => destination)).toEqual(["100.96.0.0/16"]);
    expect(result.alarms.map(({ kind }) => kind)).toEqual(["over-budget"]);
  });

  it("counts foreign routes and the reserve of the fullest table", () => {
    const foreign = Array.from({ length: 10 }, (_, index) => `10.${index}.0.0/16 nat-1`);
    const sketch = { groups, nodes, tables: { "rtb-1": foreign }, owned: "none" as const };

    expect(plan({ ...sketch, overrides: { quotaOf: () => 17, reserve: 2 } }).desired).toHaveLength(5);
    expect(plan({ ...sketch, overrides: { quotaOf: () => 16, reserve: 2 } }).desired).toHaveLength(4);
  });

  it("creates the new granularity before it deletes the old, in both directions", () => {
    const fine = leaves.slice(0, 3).map((cidr, index) => `${cidr} eni-n${index}`);
    const coarser = plan({
      ...quota(8),
      groups: { ...groups },
      tables: { "rtb-1": fine },
      overrides: { quotaOf: () => 4, reserve: 1 },
    });

    expect(coarser.operations.map(({ kind }) => kind).toSorted()).toEqual([
      "create",
      "delete",
      "delete",
      "delete",
    ]);
    expect(coarser.operations[0]?.kind).toBe("create");
    for (const operation of coarser.operations) {
      expect(operation.kind === "delete" ? operation.after : ["100.96.0.0/16"]).toContain("100.96.0.0/16");
    }

    const finer = plan({ ...quota(8), tables: { "rtb-1": ["100.96.0.0/16 eni-n0"] } });
    expect(finer.operations.map(({ kind }) => kind)).toEqual([
      "create",
      "create",
      "create",
      "create",
      "create",
      "delete",
    ]);
  });

  it("makes room in a full table by giving up one of the routes that the first coarser one replaces", () => {
    const fine = leaves.slice(0, 3).map((cidr, index) => `${cidr} eni-n${index}`);
    const result = plan({
      groups,
      nodes,
      tables: { "rtb-1": fine },
      overrides: { quotaOf: () => 3, reserve: 0 },
    });

    expect(result.operations.map((operation) => show(operation).replace(/ via .*/, ""))).toEqual([
      "delete 100.96.0.0/18",
      "create 100.96.0.0/16",
      "delete 100.96.64.0/18",
      "delete 100.96.128.0/18",
    ]);
    expect(result.skipped.map(({ destination, reason }) => `${destination} ${reason}`)).toEqual([
      "100.97.0.0/16 table-full",
    ]);
  });
});

describe("hosts that the VPC does not know", () => {
  it("says so, and keeps what stands for their group", () => {
    const result = plan({
      groups: { [A]: ["ghost"] },
      nodes: ["b1@subnet-b"],
      tables: { "rtb-1": [`${A} eni-ghost blackhole`] },
    });

    expect(result.operations).toEqual([]);
    expect(result.alarms.map(({ kind, message }) => `${kind}: ${message}`)).toEqual([
      `no-interface: no running instance of the VPC owns the address of ghost in group pods/${A}: no route can lead there`,
    ]);
  });
});

describe("laws", () => {
  const sketch = fc
    .record({
      sizes: fc.array(fc.nat(4), { minLength: 1, maxLength: 8 }),
      subnets: fc.array(fc.constantFrom("subnet-a", "subnet-b", "subnet-c"), {
        minLength: 40,
        maxLength: 40,
      }),
      down: fc.array(fc.nat(31), { maxLength: 8 }),
      tables: fc.integer({ min: 1, max: 3 }),
      quota: fc.integer({ min: 1, max: 20 }),
      foreign: fc.array(fc.tuple(fc.nat(2), fc.nat(10)), { maxLength: 4 }),
    })
    .map(({ sizes, subnets, down, tables, quota, foreign }): ClusterSketch => {
      let next = 0;
      const groups: Record<string, string[]> = {};
      sizes.forEach((size, index) => {
        groups[`100.${96 + Math.floor(index / 4)}.${(index % 4) * 64}.0/18`] = Array.from(
          { length: size },
          () => `n${next++}`,
        );
      });
      return {
        groups,
        nodes: Array.from({ length: next }, (_, index) => `n${index}@${subnets[index] ?? "subnet-a"}`),
        tables: Object.fromEntries(
          Array.from({ length: tables }, (_, index) => [
            `rtb-${index + 1}`,
            [
              ...new Set(
                foreign.filter(([at]) => at === index).map(([, octet]) => `100.${96 + octet}.0.0/16 nat-1`),
              ),
            ],
          ]),
        ),
        owned: "none",
        down: down.map((index) => `n${index}`),
        blocks: Object.fromEntries(
          Array.from({ length: next }, (_, index) => [`n${index}`, [`100.96.0.${(index % 32) * 8}/29`]]),
        ),
        overrides: { tables: { kind: "vpc" }, quotaOf: () => quota, reserve: 1 },
      };
    });

  it("has nothing left to do after a plan was applied, within a bounded number of passes", () => {
    fc.assert(
      fc.property(sketch, (each) => {
        let input = cluster(each);
        let operations: readonly unknown[] = [];
        for (let pass = 0; pass < 40; pass += 1) {
          const result = planRoutes(input);
          ({ operations } = result);
          const records = new Map(
            input.owned.map((record) => [`${record.routeTableId} ${record.destination}`, record]),
          );
          for (const record of result.adopt) {
            records.set(`${record.routeTableId} ${record.destination}`, record);
          }
          for (const operation of result.operations) {
            const key = `${operation.routeTableId} ${operation.destination}`;
            if (operation.kind === "delete") {
              records.delete(key);
            } else {
              records.set(key, {
                routeTableId: operation.routeTableId,
                destination: operation.destination,
                target: operation.target,
              });
            }
          }
          input = { ...input, owned: [...records.values()], facts: applied(input.facts, result.operations) };
          if (operations.length === 0) {
            break;
          }
        }
        expect(operations).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it("never changes a route that is not ours", () => {
    fc.assert(
      fc.property(sketch, (each) => {
        const input = cluster(each);
        const foreign = new Set(
          input.facts.routeTables.flatMap((table) =>
            table.routes
              .filter(({ target }) => target.kind === "other")
              .map(({ destination }) => `${table.id} ${destination}`),
          ),
        );

        expect(
          planRoutes(input).operations.filter((operation) =>
            foreign.has(`${operation.routeTableId} ${operation.destination}`),
          ),
        ).toEqual([]);
      }),
    );
  });

  it("does not depend on the order in which hosts, instances and tables are listed", () => {
    fc.assert(
      fc.property(sketch, (each) => {
        const input = cluster(each);
        const reversed = {
          ...input,
          hosts: input.hosts.toReversed(),
          owned: input.owned.toReversed(),
          facts: {
            ...input.facts,
            instances: input.facts.instances.toReversed(),
            routeTables: input.facts.routeTables
              .toReversed()
              .map((table) => ({ ...table, routes: table.routes.toReversed() })),
          },
          trees: input.trees.map((tree) => ({
            ...tree,
            hostsOf: (leaf: typeof tree.root.cidr) => tree.hostsOf(leaf).toReversed(),
          })),
        };

        expect(planRoutes(reversed).operations).toEqual(planRoutes(input).operations);
      }),
    );
  });

  it("never exceeds the quota of a table", () => {
    fc.assert(
      fc.property(sketch, (each) => {
        const input = cluster(each);
        const after = applied(
          input.facts,
          planRoutes(input).operations.filter(({ kind }) => kind !== "delete"),
        );
        after.routeTables.forEach((table, index) => {
          expect(table.routeCount).toBeLessThanOrEqual(
            Math.max(input.quotaOf(table.id), input.facts.routeTables[index]?.routeCount ?? 0),
          );
        });
      }),
    );
  });
});
