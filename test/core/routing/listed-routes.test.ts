import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { parseCidr } from "../../../src/core/net/cidr.ts";
import { planFailover } from "../../../src/core/routing/failover.ts";
import { planRoutes } from "../../../src/core/routing/plan-routes.ts";
import type { PlannerInput } from "../../../src/core/routing/route-plan.ts";
import { applied, cluster, show, type ClusterSketch } from "../../support/routing.ts";

const A = "10.1.0.0/16";
const B = "10.2.0.0/16";

interface Sketch extends Omit<ClusterSketch, "groups"> {
  readonly list: Readonly<Record<string, readonly string[]>>;
  readonly takeOver?: boolean;
  /** Hosts that are further addresses of another one's interface. */
  readonly shared?: Readonly<Record<string, string>>;
}

function listed({ list, takeOver = false, shared = {}, ...sketch }: Sketch): PlannerInput {
  const input = cluster({ ...sketch, groups: {} });
  const ipOf = new Map(input.hosts.map(({ name, ip }) => [name, ip]));
  return {
    ...input,
    trees: [],
    listed: Object.entries(list).map(([cidr, hosts]) => ({ destination: parseCidr(cidr), hosts })),
    takeOver,
    facts: {
      ...input.facts,
      instances: input.facts.instances.map((instance) => ({
        ...instance,
        interfaces: instance.interfaces.flatMap((card) => {
          const name = card.id.replace("eni-", "");
          const more = Object.keys(shared).filter((each) => shared[each] === name);
          const addresses = [...card.addresses, ...more.flatMap((each) => ipOf.get(each) ?? [])];
          return shared[name] === undefined ? [{ ...card, addresses }] : [];
        }),
      })),
    },
  };
}

function operations(sketch: Sketch): string[] {
  return planRoutes(listed(sketch)).operations.map(show);
}

const nodes = ["g1@subnet-a", "g2@subnet-b", "g3@subnet-a"];

describe("what happens to a listed destination in a table", () => {
  it.for([
    { name: "creates a missing route", table: [], expected: [`create ${A} via eni-g1`] },
    { name: "keeps a correct one", table: [`${A} eni-g1`], expected: [] },
    {
      name: "replaces a recorded one that leads elsewhere",
      table: [`${A} nat-1`],
      expected: [`replace ${A} via eni-g1`],
    },
    {
      name: "deletes a recorded one that is listed no more",
      table: [`${A} eni-g1`, `${B} eni-g1`],
      expected: [`delete ${B}`],
    },
    {
      name: "leaves one of somebody else",
      table: [`${A} nat-1`],
      owned: "none" as const,
      expected: [],
    },
    {
      name: "replaces one of somebody else when it may take over",
      table: [`${A} nat-1`],
      owned: "none" as const,
      takeOver: true,
      expected: [`replace ${A} via eni-g1`],
    },
    {
      name: "leaves what is more specific, wider or elsewhere to others, unreported",
      table: [`${A} eni-g1`, "10.1.2.0/24 nat-1", "0.0.0.0/0 nat-1", "10.3.0.0/16 eni-g1"],
      owned: [A],
      takeOver: true,
      expected: [],
    },
  ])("$name", ({ table, expected, owned, takeOver }) => {
    const sketch = { nodes, list: { [A]: ["g1"] }, tables: { "rtb-1": table } };
    const input = listed({
      ...sketch,
      ...(owned === undefined ? {} : { owned }),
      ...(takeOver === undefined ? {} : { takeOver }),
    });

    expect(planRoutes(input).operations.map(show)).toEqual(expected);
    expect(planRoutes(input).alarms.map(({ kind }) => kind)).toEqual(
      owned === "none" && takeOver !== true ? ["foreign-route"] : [],
    );
  });

  it("names the way out of a conflict", () => {
    const { skipped } = planRoutes(
      listed({ nodes, list: { [A]: ["g1"] }, tables: { "rtb-1": [`${A} nat-1`] }, owned: "none" }),
    );

    expect(skipped[0]?.message).toBe(
      `rtb-1 leads ${A} to nat-1, which is not ours: remove that route, or name it in --ignore-routes, or have it replaced with --take-over`,
    );
  });

  it("never takes over a local route", () => {
    const input = listed({ nodes, list: { "172.31.0.0/16": ["g1"] }, takeOver: true });
    const plan = planRoutes({ ...input, facts: { ...input.facts, vpcCidrs: [] } });

    expect(plan.operations).toEqual([]);
    expect(plan.skipped.map(({ reason }) => reason)).toEqual(["foreign"]);
  });

  it("keeps what is ours on a destination that nobody can serve, also inside and around others", () => {
    const table = [`${A} eni-g1`, "10.1.4.0/24 eni-g2", "10.0.0.0/8 eni-g1"];
    const list = { [A]: ["g1"], "10.1.4.0/24": ["gone"], "10.0.0.0/8": ["gone"] };

    expect(operations({ nodes, list, tables: { "rtb-1": table } })).toEqual([]);
  });

  it("chooses gateways in any subnet, and the same in every table", () => {
    const plan = planRoutes(
      listed({
        nodes,
        list: { [A]: ["g1", "g2"] },
        down: ["g1"],
        tables: { "rtb-1": [], "rtb-2": [] },
        overrides: { tables: { kind: "vpc" } },
      }),
    );

    expect(plan.operations.map(show)).toEqual([`create ${A} via eni-g2`, `create ${A} via eni-g2 in rtb-2`]);
  });
});

describe("the order of what is recorded", () => {
  const tables = { "rtb-1": [`${B} eni-g1`, "10.1.4.0/24 eni-g1"] };
  const overrides = { quotaOf: () => 2, reserve: 0 };
  const orders = [
    ["as it stands", (input: PlannerInput) => input],
    ["turned round", (input: PlannerInput) => ({ ...input, owned: input.owned.toReversed() })],
  ] as const;

  it.for(orders)("does not say which route of a full table makes room for a wider one: %s", ([, turn]) => {
    const plan = planRoutes(turn(listed({ nodes, list: { "10.0.0.0/8": ["g1"] }, tables, overrides })));

    expect(plan.operations.map(show)).toEqual([
      "delete 10.1.4.0/24",
      "create 10.0.0.0/8 via eni-g1",
      `delete ${B}`,
    ]);
  });

  it.for(orders)("does not say what goes first from a table that is no longer selected: %s", ([, turn]) => {
    const input = listed({ nodes, list: {}, tables, overrides: { tables: { kind: "ids", ids: [] } } });

    expect(planRoutes(turn(input)).operations.map(show)).toEqual(["delete 10.1.4.0/24", `delete ${B}`]);
  });
});

describe("two listed hosts on one interface", () => {
  const shared = { g3: "g1" };

  it("keeps the interface while either of them answers", () => {
    const list = { [A]: ["g1", "g3", "g2"] };
    const tables = { "rtb-1": [`${A} eni-g1`] };

    expect(operations({ nodes, shared, list, tables, down: ["g1"] })).toEqual([]);
    expect(operations({ nodes, shared, list, tables, down: ["g3"] })).toEqual([]);
    expect(operations({ nodes, shared, list, tables, down: ["g1", "g3"] })).toEqual([
      `replace ${A} via eni-g2`,
    ]);
  });

  it("writes nothing in a failover to the other one of them", () => {
    const input = listed({
      nodes,
      shared,
      list: { [A]: ["g1", "g3", "g2"], [B]: ["g1", "g2"] },
      tables: { "rtb-1": [`${A} eni-g1`, `${B} eni-g1`] },
    });
    const plan = planRoutes(input);
    const failover = planFailover({
      desired: plan.desired,
      routeTableIds: plan.routeTableIds,
      gateways: plan.gateways,
      dead: "g1",
      answered: new Set(["g2", "g3"]),
      health: listed({ nodes, list: {}, down: ["g1"] }).health,
    });

    expect(failover.moves.map(({ destination, host }) => `${destination} ${host}`)).toEqual([
      `${A} g3`,
      `${B} g2`,
    ]);
    expect(failover.operations.map(show)).toEqual([`replace ${B} via eni-g2`]);
  });
});

describe("for every list", () => {
  const hosts = ["g1", "g2", "g3", "gone"] as const;
  const cidrs = [A, B, "10.0.0.0/8", "0.0.0.0/0", "10.1.4.0/24", "192.168.0.0/16"] as const;
  const standing = fc.tuple(
    fc.constantFrom(...cidrs),
    fc.constantFrom("eni-g1", "eni-g2", "eni-g3", "nat-1", "eni-old"),
  );
  const sketch = fc
    .record({
      list: fc.dictionary(
        fc.constantFrom(...cidrs),
        fc.uniqueArray(fc.constantFrom(...hosts), { maxLength: 4 }),
      ),
      tables: fc.tuple(
        fc.uniqueArray(standing, { selector: ([cidr]) => cidr }),
        fc.uniqueArray(standing, { selector: ([cidr]) => cidr }),
      ),
      owned: fc.subarray([...cidrs]),
      down: fc.subarray(["g1", "g2", "g3"]),
      takeOver: fc.boolean(),
      quota: fc.integer({ min: 3, max: 12 }),
      isShared: fc.boolean(),
    })
    .map(({ list, tables, owned, down, takeOver, quota, isShared }): Sketch => ({
      nodes,
      list,
      owned,
      down,
      takeOver,
      ...(isShared ? { shared: { g3: "g1" } } : {}),
      tables: Object.fromEntries(
        tables.map((routes, index) => [`rtb-${index + 1}`, routes.map((each) => each.join(" "))]),
      ),
      overrides: { tables: { kind: "vpc" }, quotaOf: () => quota },
    }));

  it("plans nothing more once its plan was carried out", () => {
    fc.assert(
      fc.property(sketch, (each) => {
        const first = listed(each);
        let input = first;
        // A table without a free slot takes one change at a time.
        for (let round = 0; round < 12; round += 1) {
          const plan = planRoutes(input);
          const gone = plan.operations.filter(({ kind }) => kind === "delete");
          const ours = new Map(
            [...input.owned, ...plan.adopt].map((record) => [
              `${record.routeTableId} ${record.destination}`,
              record,
            ]),
          );
          for (const { routeTableId, destination } of [...gone, ...plan.forget]) {
            ours.delete(`${routeTableId} ${destination}`);
          }
          for (const operation of plan.operations) {
            if (operation.kind !== "delete") {
              ours.set(`${operation.routeTableId} ${operation.destination}`, operation);
            }
          }
          input = { ...input, facts: applied(input.facts, plan.operations), owned: [...ours.values()] };
        }

        expect(planRoutes(input).operations.map(show)).toEqual([]);
      }),
    );
  });

  it("touches nothing that is neither ours, adopted nor taken over, and creates and replaces only what is listed", () => {
    fc.assert(
      fc.property(sketch, (each) => {
        const input = listed(each);
        const plan = planRoutes(input);
        const ours = new Set(
          [...input.owned, ...plan.adopt].map(
            ({ routeTableId, destination }) => `${routeTableId} ${destination}`,
          ),
        );
        for (const operation of plan.operations) {
          const key = `${operation.routeTableId} ${operation.destination}`;
          const isTaken = each.takeOver === true && operation.kind === "replace";
          expect(operation.kind === "create" || isTaken || ours.has(key)).toBe(true);
          expect(operation.kind === "delete" || (each.list[operation.destination] ?? []).length > 0).toBe(
            true,
          );
          expect(operation.kind === "delete" && (each.list[operation.destination] ?? []).length > 0).toBe(
            false,
          );
        }
        for (const { routeTableId, destination } of plan.adopt) {
          const table = input.facts.routeTables.find(({ id }) => id === routeTableId);
          const target = table?.routes.find((found) => found.destination === destination)?.target;
          const targets = (each.list[destination] ?? []).map((host) => `eni-${each.shared?.[host] ?? host}`);
          expect(target?.kind === "interface" && targets.includes(target.id)).toBe(true);
        }
      }),
    );
  });

  it("gives the same plan whatever the order of list, hosts and instances", () => {
    fc.assert(
      fc.property(sketch, (each) => {
        const input = listed(each);
        const turned: PlannerInput = {
          ...input,
          listed: (input.listed ?? [])
            .map((route) => ({ ...route, hosts: route.hosts.toReversed() }))
            .toReversed(),
          hosts: input.hosts.toReversed(),
          owned: input.owned.toReversed(),
          facts: { ...input.facts, instances: input.facts.instances.toReversed() },
        };

        expect(planRoutes(turned).operations.map(show)).toEqual(planRoutes(input).operations.map(show));
        expect(planRoutes(turned).desired).toEqual(planRoutes(input).desired);
      }),
    );
  });

  it("never leads a route to a host that is down while another one of its list is up", () => {
    fc.assert(
      fc.property(sketch, (each) => {
        const input = listed(each);
        for (const { destination, host } of planRoutes(input).desired) {
          const up = (each.list[destination] ?? []).filter(
            (name) => name !== "gone" && !(each.down ?? []).includes(name),
          );
          expect(up.length === 0 || up.includes(host)).toBe(true);
        }
      }),
    );
  });
});
