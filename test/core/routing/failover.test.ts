import { describe, expect, it } from "vitest";

import { planFailover } from "../../../src/core/routing/failover.ts";
import { planRoutes } from "../../../src/core/routing/plan-routes.ts";
import { cluster, show, type ClusterSketch } from "../../support/routing.ts";

const A = "100.96.0.0/16";
const B = "100.97.0.0/16";
const C = "100.98.0.0/16";
const sketch: ClusterSketch = {
  groups: { [A]: ["a1", "a2", "a3"], [B]: ["a1", "a2"], [C]: ["b1"] },
  nodes: ["a1@subnet-a", "a2@subnet-a", "a3@subnet-a", "b1@subnet-b"],
  tables: {
    "rtb-1": [`${A} eni-a1`, `${B} eni-a1`, `${C} eni-b1`],
    "rtb-2": [`${A} eni-a1`, `${B} eni-a1`, `${C} eni-b1`],
  },
  overrides: { tables: { kind: "vpc" } },
};

function failOver(dead: string, answered: readonly string[], changes: Partial<ClusterSketch> = {}) {
  const input = cluster({ ...sketch, ...changes });
  const plan = planRoutes(cluster(sketch));
  const { gateways } = planRoutes(input);
  return planFailover({
    desired: plan.desired,
    routeTableIds: plan.routeTableIds,
    gateways,
    dead,
    answered: new Set(answered),
    health: cluster({ ...sketch, ...changes, down: [dead, ...(changes.down ?? [])] }).health,
  });
}

describe("a failover", () => {
  it("moves every route of the dead node in every table, the largest group first, spread over its stand-ins", () => {
    const { operations, moves, stranded } = failOver("a1", ["a2", "a3", "b1"]);
    const holders = moves.map(({ destination, host }) => `${destination} ${host}`);

    expect(moves.map(({ destination }) => destination)).toEqual([A, B]);
    expect(new Set(moves.map(({ host }) => host)).has("a1")).toBe(false);
    expect(holders).toContain(`${B} a2`);
    expect(operations.map(show)).toEqual(
      moves.flatMap(({ destination, host }) => [
        `replace ${destination} via eni-${host}`,
        `replace ${destination} via eni-${host} in rtb-2`,
      ]),
    );
    expect(stranded).toEqual([]);
  });

  it("gives nothing to a node that did not answer the burst, is not up, leaves or does not run", () => {
    expect(failOver("a1", ["a3"]).moves.map(({ destination, host }) => `${destination} ${host}`)).toEqual([
      `${A} a3`,
    ]);
    expect(failOver("a1", ["a2", "a3"], { health: { a2: "suspect", a3: "rising" } }).moves).toEqual([]);
    expect(failOver("a1", ["a2", "a3"], { standing: { a2: "leaving", a3: "leaving" } }).moves).toEqual([]);
    expect(failOver("a1", ["a2", "a3"], { states: { a2: "stopping", a3: "terminated" } }).moves).toEqual([]);
  });

  it("leaves what nobody can take over, and names it", () => {
    const { operations, stranded } = failOver("b1", ["a1", "a2", "a3"]);

    expect(operations).toEqual([]);
    expect(stranded.map(({ destination }) => destination)).toEqual([C]);
  });

  it("does nothing for a node that holds no route", () => {
    expect(failOver("a3", ["a1", "a2"]).operations).toEqual([]);
  });
});
