import type { ActualRoute, CloudFacts, CloudRouteTable } from "../cloud/facts.ts";
import type { HealthSnapshot, NodeHealth } from "../health/view.ts";
import { rangeOf, type Cidr } from "../net/cidr.ts";
import { planFailover } from "../routing/failover.ts";
import type { Gateway } from "../routing/gateway.ts";
import type { DesiredRoute, RoutePlan } from "../routing/route-plan.ts";

/** A write that failed, and when it is tried again. */
export interface FailedWrite {
  readonly message: string;
  readonly attempts: number;
  /** Seconds until the next try; 0 when it is due. */
  readonly retrySeconds: number;
}

/** What is known about routes at one moment: the last look, the plan made from it, our writes since. */
export interface RouteFacts {
  readonly facts: CloudFacts;
  readonly plan: RoutePlan;
  /** Who serves what: the plan's routes, and the moves of failovers since. */
  readonly desired: readonly DesiredRoute[];
  readonly health: HealthSnapshot;
  /** When the tables were read, ISO 8601 in UTC. */
  readonly readAt: string;
  readonly quotaOf: (routeTableId: string) => number;
  /** The interface that our record names for the route; `undefined` when it is not ours. */
  readonly recordOf: (routeTableId: string, destination: Cidr) => string | undefined;
  readonly failureOf: (routeTableId: string, destination: Cidr) => FailedWrite | undefined;
}

/** How a route of a table stands beside what we want there. `none`: we want nothing there. */
export type RouteSync = "in-sync" | "pending" | "failed" | "conflict" | "none";

/** A node as a possible next hop. */
export interface GatewayView {
  /** "" when the interface is no node's. */
  readonly host: string;
  readonly interfaceId: string;
  readonly instanceId: string;
  readonly zone: string;
  readonly subnetId: string;
  readonly health: NodeHealth;
  /** What Kubernetes and EC2 say, "" where it is no node. */
  readonly standing: Gateway["standing"] | "";
}

/** The tables that the plan writes to, by id. */
export function plannedTables({ facts, plan }: RouteFacts): readonly CloudRouteTable[] {
  const planned = new Set(plan.routeTableIds);
  return facts.routeTables.filter(({ id }) => planned.has(id));
}

/** The route that a packet to the address takes in this table: the longest prefix that contains it. */
export function longestPrefix(table: CloudRouteTable, address: number): ActualRoute | undefined {
  let best: ActualRoute | undefined;
  let longest = -1;
  for (const route of table.routes) {
    const { first, size, length } = rangeOf(route.destination);
    if (length > longest && address >= first && address < first + size) {
      best = route;
      longest = length;
    }
  }
  return best;
}

/** The node behind an interface, as far as it is known. */
export function gatewayView({ plan, facts, health }: RouteFacts, interfaceId: string): GatewayView {
  const gateway = [...plan.gateways.values()].find((each) => each.interfaceId === interfaceId);
  if (gateway !== undefined) {
    const { host, instanceId, zone, subnetId, standing } = gateway;
    const state = health.nodes.get(host)?.health ?? "unknown";
    return { host, interfaceId, instanceId, zone, subnetId, health: state, standing };
  }
  const instance = facts.instances.find(({ interfaces }) => interfaces.some(({ id }) => id === interfaceId));
  const subnetId = instance?.interfaces.find(({ id }) => id === interfaceId)?.subnetId ?? "";
  return {
    host: "",
    interfaceId,
    instanceId: instance?.id ?? "",
    zone: instance?.zone ?? "",
    subnetId,
    health: "unknown",
    standing: "",
  };
}

/** How what stands (`undefined`: nothing) compares with what is wanted. */
export function syncOf(
  routes: RouteFacts,
  routeTableId: string,
  desired: DesiredRoute | undefined,
  actual: ActualRoute | undefined,
): RouteSync {
  if (desired === undefined) {
    return "none";
  }
  if (actual?.target.kind === "interface" && actual.target.id === desired.target) {
    return "in-sync";
  }
  const { destination } = desired;
  const foreign = routes.plan.skipped.some(
    (each) =>
      each.reason === "foreign" && each.routeTableId === routeTableId && each.destination === destination,
  );
  if (foreign) {
    return "conflict";
  }
  return routes.failureOf(routeTableId, destination) === undefined ? "pending" : "failed";
}

/**
 * Who takes over each route that `host` serves, should it die now: what a failover would do if every other node that is up answers its burst. A route
 * without an entry stays, as nobody can take it.
 */
export function standInsFor({ desired, plan, health }: RouteFacts, host: string): ReadonlyMap<Cidr, string> {
  if (health.blind) {
    return new Map();
  }
  const answered = new Set(
    [...health.nodes].flatMap(([name, entry]) => (entry.health === "up" ? [name] : [])),
  );
  const { moves } = planFailover({
    desired,
    routeTableIds: plan.routeTableIds,
    gateways: plan.gateways,
    dead: host,
    answered,
    health,
  });
  return new Map(moves.map(({ destination, host: standIn }) => [destination, standIn]));
}
