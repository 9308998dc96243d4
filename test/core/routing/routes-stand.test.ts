import { describe, expect, it } from "vitest";

import { parseCidr } from "../../../src/core/net/cidr.ts";
import { planRoutes } from "../../../src/core/routing/plan-routes.ts";
import { routesStand } from "../../../src/core/routing/routes-stand.ts";
import { cluster, type ClusterSketch } from "../../support/routing.ts";

const GROUP = parseCidr("10.0.0.0/17");
const groups = { "10.0.0.0/17": ["n1"], "10.0.128.0/17": ["n2"] };
const nodes = ["n1", "n2@subnet-b"];

function stands(sketch: Partial<ClusterSketch>, group = GROUP): boolean {
  const input = cluster({ groups, nodes, ...sketch });
  const plan = planRoutes(input);
  return routesStand({ plan, desired: plan.desired, tables: input.facts.routeTables }, group);
}

describe("whether the routes of a group stand", () => {
  it("is true once every table has them", () => {
    expect(
      stands({
        tables: { "rtb-1": ["10.0.0.0/17 eni-n1"], "rtb-2": ["10.0.0.0/17 eni-n1"] },
        overrides: { tables: { kind: "vpc" } },
      }),
    ).toBe(true);
  });

  it.each([
    ["one table lacks it", { "rtb-1": ["10.0.0.0/17 eni-n1"], "rtb-2": [] }],
    ["it leads elsewhere", { "rtb-1": ["10.0.0.0/17 eni-n2"] }],
    ["it leads nowhere", { "rtb-1": ["10.0.0.0/17 eni-n1 blackhole"] }],
    ["there is no table", {}],
  ])("is false while %s", (_, tables) => {
    expect(stands({ tables, overrides: { tables: { kind: "vpc" } } })).toBe(false);
  });

  it("does not wait for the routes of other groups", () => {
    const tables = { "rtb-1": ["10.0.128.0/17 eni-n2"] };
    expect(stands({ tables }, parseCidr("10.0.128.0/17"))).toBe(true);
    expect(stands({ tables })).toBe(false);
  });

  it("is false for a group whose route is left out", () => {
    expect(
      stands({
        tables: { "rtb-1": ["10.0.0.0/17 eni-n1"] },
        overrides: { ignore: [GROUP] },
      }),
    ).toBe(false);
  });
});
