import type { CloudFacts, CloudRouteTable, RouteTarget } from "../cloud/facts.ts";
import type { HealthSnapshot } from "../health/view.ts";
import type { SourceDestCheckOperation } from "../instances/plan-source-dest-check.ts";
import { compareCidr, type Cidr } from "../net/cidr.ts";
import type { Gateway, PlannedHost } from "../routing/gateway.ts";
import type { DesiredRoute, RouteAlarm, RouteOperation, RoutePlan } from "../routing/route-plan.ts";
import type {
  AlarmView,
  HealthView,
  NodeHealthView,
  PlannedOperation,
  PlanView,
  RouteStatusView,
  RouteTableView,
  RouteView,
} from "./route-views.ts";

/** A plan as people and programs read it. */
export function planView(
  plan: RoutePlan,
  checks: readonly SourceDestCheckOperation[],
  alarms: readonly RouteAlarm[] = plan.alarms,
): PlanView {
  return {
    granularity: granularity(plan),
    operations: plan.operations.map((operation) => plannedOperation(operation)),
    sourceDestCheck: checks.map(({ interfaceId, host }) => ({ interfaceId, host })),
    skipped: plan.skipped.map(({ routeTableId, destination, reason, message }) => ({
      routeTableId,
      destination,
      reason: `${reason}: ${message}`,
    })),
    alarms: alarms.map(alarmView),
  };
}

export function alarmView({ kind, subject, message }: RouteAlarm): AlarmView {
  return { kind, subject, message };
}

/** How fine a plan is, in a phrase. */
export function granularity(plan: RoutePlan): string {
  const room = plan.budget === Number.MAX_SAFE_INTEGER ? "no route table yet" : `room for ${plan.budget}`;
  if (plan.isListed) {
    return `as listed: ${plan.desired.length} of ${plan.finest} routes a table, ${room}`;
  }
  if (plan.collapsed.length === 0) {
    return `a route per leaf group: ${plan.desired.length} routes a table, ${room}`;
  }
  return `${plan.desired.length} routes a table, ${room}: the finest plan wants ${plan.finest}, so ${plan.collapsed.join(", ")} became one route each`;
}

function plannedOperation(operation: RouteOperation): PlannedOperation {
  const { kind, routeTableId, destination, reason } = operation;
  switch (operation.kind) {
    case "create":
      return { kind, routeTableId, destination, target: operation.target, host: operation.host, reason };
    case "replace":
      return {
        kind,
        routeTableId,
        destination,
        target: operation.target,
        host: operation.host,
        previousTarget: targetId(operation.previous),
        reason,
      };
    case "delete":
      return { kind, routeTableId, destination, target: "", host: "", reason };
  }
}

function targetId(target: RouteTarget): string {
  return target.kind === "local" ? "local" : target.id;
}

export interface RouteStatusInput {
  readonly plan: RoutePlan;
  readonly desired: readonly DesiredRoute[];
  readonly facts: CloudFacts;
  readonly readAt: string;
  readonly quotaOf: (routeTableId: string) => number;
  readonly isOwned: (routeTableId: string, destination: Cidr) => boolean;
  /** Why the last write of this route failed, if it did. */
  readonly failureOf: (routeTableId: string, destination: Cidr) => string | undefined;
}

/** Desired routes against the tables as they were read last. */
export function routeStatusView(input: RouteStatusInput): RouteStatusView {
  const { plan, desired, facts, isOwned, quotaOf } = input;
  const selected = facts.routeTables.filter(({ id }) => plan.routeTableIds.includes(id));
  const actual = new Map(
    selected.map(
      (table) => [table.id, new Map(table.routes.map((route) => [route.destination, route]))] as const,
    ),
  );
  const foreign = new Set(
    plan.skipped
      .filter(({ reason }) => reason === "foreign")
      .map((each) => `${each.routeTableId} ${each.destination}`),
  );
  const routes = desired.flatMap((route) =>
    selected.map((table): RouteView => {
      const found = actual.get(table.id)?.get(route.destination);
      const message = input.failureOf(table.id, route.destination);
      const conflict = foreign.has(`${table.id} ${route.destination}`);
      const stands = found?.target.kind === "interface" && found.target.id === route.target;
      return {
        routeTableId: table.id,
        destination: route.destination,
        network: route.network,
        group: route.group,
        target: route.target,
        host: route.host,
        actual: found === undefined ? null : targetId(found.target),
        owned: isOwned(table.id, route.destination),
        state: conflict ? "conflict" : stands ? found.state : message === undefined ? "pending" : "failed",
        ...(message === undefined || stands ? {} : { message }),
      };
    }),
  );
  return {
    granularity: granularity(plan),
    readAt: input.readAt,
    tables: selected.map((table) => tableView(table, quotaOf, isOwned)),
    routes: routes.toSorted(
      (a, b) =>
        compareCidr(a.destination as Cidr, b.destination as Cidr) ||
        (a.routeTableId < b.routeTableId ? -1 : 1),
    ),
    skipped: planView(plan, []).skipped,
  };
}

function tableView(
  table: CloudRouteTable,
  quotaOf: (routeTableId: string) => number,
  isOwned: (routeTableId: string, destination: Cidr) => boolean,
): RouteTableView {
  return {
    id: table.id,
    main: table.main,
    routeCount: table.routeCount,
    quota: quotaOf(table.id),
    owned: table.routes.filter(({ destination }) => isOwned(table.id, destination)).length,
  };
}

/** The nodes with what the probes say of them; `now` is monotonic, in milliseconds. */
export function healthView(
  hosts: readonly PlannedHost[],
  desired: readonly DesiredRoute[],
  gateways: ReadonlyMap<string, Gateway>,
  health: HealthSnapshot,
  now: number,
): HealthView {
  const served = Map.groupBy(desired, ({ host }) => host);
  return {
    blind: health.blind,
    nodes: hosts
      .map(({ name, ip }): NodeHealthView => {
        const entry = health.nodes.get(name);
        const gateway = gateways.get(name);
        return {
          host: name,
          ip,
          health: entry?.health ?? "unknown",
          last: entry?.last ?? "unknown",
          holdDownSeconds: Math.max(0, Math.ceil(((entry?.holdDownUntil ?? 0) - now) / 1000)),
          gatewayOf: (served.get(name) ?? []).map(({ destination }) => destination).toSorted(compareCidr),
          instanceId: gateway?.instanceId ?? "",
          interfaceId: gateway?.interfaceId ?? "",
          sourceDestCheck: gateway === undefined ? "unknown" : gateway.sourceDestCheck ? "on" : "off",
        };
      })
      .toSorted((a, b) => (a.host < b.host ? -1 : 1)),
  };
}
