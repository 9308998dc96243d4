import { describe, expect, it } from "vitest";

import { parseCidr } from "../../../src/core/net/cidr.ts";
import { planRoutes } from "../../../src/core/routing/plan-routes.ts";
import {
  alarmView,
  granularity,
  healthView,
  planView,
  routeStatusView,
} from "../../../src/core/views/plan-view.ts";
import { cluster, type ClusterSketch } from "../../support/routing.ts";

const A = "100.96.0.0/16";
const B = "100.97.0.0/16";
const sketch: ClusterSketch = {
  groups: { [A]: ["a1"], [B]: ["b1"] },
  nodes: ["a1@subnet-a", "b1@subnet-b"],
  tables: { "rtb-1": [`${A} eni-old blackhole`, "100.98.0.0/16 eni-a1"], "rtb-2": [`${B} nat-1`] },
  owned: [A, "100.98.0.0/16"],
  overrides: { tables: { kind: "vpc" } },
};

describe("a plan as people read it", () => {
  it("tells each operation with what it leads to and what it led to", () => {
    const plan = planRoutes(cluster(sketch));
    const view = planView(plan, [{ host: "a1", interfaceId: "eni-a1", instanceId: "i-a1" }]);

    expect(view.operations.map(({ reason: _reason, ...rest }) => rest)).toEqual([
      {
        kind: "replace",
        routeTableId: "rtb-1",
        destination: A,
        target: "eni-a1",
        host: "a1",
        previousTarget: "eni-old",
      },
      { kind: "create", routeTableId: "rtb-1", destination: B, target: "eni-b1", host: "b1" },
      { kind: "delete", routeTableId: "rtb-1", destination: "100.98.0.0/16", target: "", host: "" },
      { kind: "create", routeTableId: "rtb-2", destination: A, target: "eni-a1", host: "a1" },
    ]);
    expect(view.operations.every(({ reason }) => reason.length > 0)).toBe(true);
    expect(view.sourceDestCheck).toEqual([{ interfaceId: "eni-a1", host: "a1" }]);
    expect(view.skipped).toMatchObject([{ routeTableId: "rtb-2", destination: B }]);
    expect(view.skipped[0]?.reason).toMatch(/^foreign: /);
    expect(view.alarms).toEqual(plan.alarms.map(alarmView));
  });

  it("says how fine the plan is and why it is not finer", () => {
    const groups = { "100.96.0.0/18": ["n1"], "100.96.64.0/18": ["n2"], "100.96.128.0/18": ["n3"] };
    const nodes = ["n1", "n2", "n3"].map((name) => `${name}@subnet-a`);
    const fine = planRoutes(cluster({ groups, nodes }));
    const coarse = planRoutes(cluster({ groups, nodes, overrides: { quotaOf: () => 4, reserve: 2 } }));

    expect(granularity(fine)).toBe("a route per leaf group: 3 routes a table, room for 498");
    expect(granularity(coarse)).toBe(
      "1 routes a table, room for 2: the finest plan wants 3, so pods 100.96.0.0/16 became one route each",
    );
    expect(granularity(planRoutes(cluster({ groups, nodes, tables: {} })))).toContain("no route table yet");
  });
});

describe("the routes against the tables", () => {
  it("knows what stands, what is missing, what failed and what is somebody else's", () => {
    const input = cluster({
      ...sketch,
      tables: { "rtb-1": [`${A} eni-a1`, `${B} eni-b1 blackhole`], "rtb-2": [`${B} nat-1`] },
      owned: [A],
    });
    const plan = planRoutes({
      ...input,
      owned: [...input.owned, { routeTableId: "rtb-1", destination: parseCidr(B), target: "eni-b1" }],
    });
    const view = routeStatusView({
      plan,
      desired: plan.desired,
      facts: input.facts,
      readAt: "2026-01-01T00:00:00.000Z",
      quotaOf: () => 50,
      isOwned: (_table, destination) => destination === A,
      failureOf: (table, destination) => (table === "rtb-2" && destination === A ? "IAM says no" : undefined),
    });

    expect(
      view.routes.map(({ routeTableId, destination, state, message }) => [
        routeTableId,
        destination,
        state,
        message,
      ]),
    ).toEqual([
      ["rtb-1", A, "active", undefined],
      ["rtb-2", A, "failed", "IAM says no"],
      ["rtb-1", B, "blackhole", undefined],
      ["rtb-2", B, "conflict", undefined],
    ]);
    expect(view.routes.map(({ actual, owned }) => [actual, owned])).toEqual([
      ["eni-a1", true],
      [null, true],
      ["eni-b1", false],
      ["nat-1", false],
    ]);
    expect(view.tables).toEqual([
      { id: "rtb-1", main: true, routeCount: 2, quota: 50, owned: 1 },
      { id: "rtb-2", main: false, routeCount: 1, quota: 50, owned: 0 },
    ]);
    const pending = routeStatusView({
      plan,
      desired: plan.desired,
      facts: input.facts,
      readAt: "2026-01-01T00:00:00.000Z",
      quotaOf: () => 50,
      isOwned: () => false,
      failureOf: () => undefined,
    });
    expect(
      pending.routes.find(({ routeTableId, destination }) => routeTableId === "rtb-2" && destination === A)
        ?.state,
    ).toBe("pending");
  });
});

describe("the nodes as people read them", () => {
  it("tells health, hold-down in whole seconds, what leads there, and the check of the interface", () => {
    const input = cluster(sketch);
    const plan = planRoutes(input);
    const nodes = new Map(input.health.nodes).set("a1", {
      health: "down",
      last: "down",
      holdDownUntil: 12_001,
    });
    const gateways = new Map(plan.gateways);
    const a1 = gateways.get("a1");
    if (a1 !== undefined) {
      gateways.set("a1", { ...a1, sourceDestCheck: true });
    }
    const hosts = [
      ...input.hosts,
      {
        ...input.hosts[0],
        name: "stranger",
        ip: input.hosts[0]?.ip ?? input.hosts[1]?.ip,
      } as (typeof input.hosts)[number],
    ];
    const view = healthView(hosts, plan.desired, gateways, { ...input.health, nodes }, 2000);

    expect(view.nodes).toMatchObject([
      {
        host: "a1",
        health: "down",
        holdDownSeconds: 11,
        gatewayOf: [A],
        sourceDestCheck: "on",
        instanceId: "i-a1",
      },
      {
        host: "b1",
        health: "up",
        holdDownSeconds: 0,
        gatewayOf: [B],
        sourceDestCheck: "off",
        interfaceId: "eni-b1",
      },
      {
        host: "stranger",
        health: "unknown",
        last: "unknown",
        gatewayOf: [],
        sourceDestCheck: "unknown",
        instanceId: "",
      },
    ]);
    expect(view.blind).toBe(false);
  });
});
