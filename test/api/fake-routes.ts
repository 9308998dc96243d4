import type { HealthView, PlanView, RouteStatusView, StatusView } from "../../src/core/views/route-views.ts";
import type { RoutesView } from "../../src/services/route-views.ts";

/** A plan with one line of each kind. */
export const examplePlan: PlanView = {
  granularity: "a route for each of 2 groups",
  operations: [
    {
      kind: "create",
      routeTableId: "rtb-1",
      destination: "10.0.0.0/25",
      target: "eni-1",
      host: "node-1",
      reason: "no route yet",
    },
    {
      kind: "replace",
      routeTableId: "rtb-1",
      destination: "10.0.0.128/25",
      target: "eni-2",
      host: "node-2",
      previousTarget: "eni-3",
      reason: "node-3 does not answer",
    },
    {
      kind: "delete",
      routeTableId: "rtb-2",
      destination: "10.0.1.0/25",
      target: "eni-4",
      host: "",
      reason: "no group has this prefix any more",
    },
  ],
  sourceDestCheck: [{ interfaceId: "eni-1", host: "node-1" }],
  skipped: [{ routeTableId: "rtb-2", destination: "10.0.0.0/25", reason: "somebody else's route to nat-1" }],
  alarms: [{ kind: "route-conflict", subject: "10.0.0.0/25", message: "rtb-2 leads it to nat-1" }],
};

/** Answers with fixed documents and remembers what it was asked to do. */
export class FakeRoutes implements RoutesView {
  readonly done: string[] = [];
  reasons: readonly string[] = [];
  /** What `plan` waits for, when a test wants it to. */
  pause: ((signal: AbortSignal) => Promise<void>) | undefined;

  async plan(signal: AbortSignal): Promise<PlanView> {
    await this.pause?.(signal);
    return examplePlan;
  }

  async rebalance(): Promise<PlanView> {
    this.done.push("rebalance");
    return examplePlan;
  }

  async reconcile(_signal: AbortSignal): Promise<PlanView> {
    this.done.push("reconcile");
    return examplePlan;
  }

  routes(): RouteStatusView {
    return {
      granularity: "a route for each of 2 groups",
      readAt: "2026-11-02T10:00:00.000Z",
      tables: [{ id: "rtb-1", main: true, routeCount: 5, quota: 500, owned: 2 }],
      routes: [
        {
          routeTableId: "rtb-1",
          destination: "10.0.0.0/25",
          network: "prod",
          group: "a",
          target: "eni-1",
          host: "node-1",
          actual: "eni-1",
          owned: true,
          state: "active",
        },
        {
          routeTableId: "rtb-1",
          destination: "10.0.0.128/25",
          network: "prod",
          group: "b",
          target: "eni-2",
          host: "node-2",
          actual: "eni-3",
          owned: true,
          state: "failed",
          message: "IAM refuses ec2:ReplaceRoute",
        },
      ],
      skipped: [
        { routeTableId: "rtb-2", destination: "10.0.0.0/25", reason: "somebody else's route to nat-1" },
      ],
    };
  }

  health(): HealthView {
    return {
      blind: false,
      nodes: [
        {
          host: "node-1",
          ip: "192.168.0.1",
          health: "up",
          last: "up",
          holdDownSeconds: 0,
          gatewayOf: ["10.0.0.0/25"],
          instanceId: "i-1",
          interfaceId: "eni-1",
          sourceDestCheck: "off",
        },
        {
          host: "node-3",
          ip: "192.168.0.3",
          health: "down",
          last: "down",
          holdDownSeconds: 9,
          gatewayOf: [],
          instanceId: "",
          interfaceId: "",
          sourceDestCheck: "unknown",
        },
      ],
    };
  }

  status(): StatusView {
    return {
      version: "2.0.0",
      startedAt: "2026-11-02T09:00:00.000Z",
      cloud: "aws",
      region: "us-west-2",
      vpcId: "vpc-1",
      store: "memory",
      leader: true,
      dryRun: false,
      hosts: { total: 3, unplaced: 0, misplaced: 0 },
      routes: { desired: 2, active: 1 },
      lastPass: {
        startedAt: "2026-11-02T10:00:00.000Z",
        durationMs: 120,
        outcome: "failed",
        operations: 2,
        failed: 1,
        error: "IAM refuses ec2:ReplaceRoute",
      },
      cloudCalls: { DescribeInstances: 12, ReplaceRoute: 1 },
      alarms: [],
    };
  }

  notReady(): readonly string[] {
    return this.reasons;
  }
}
