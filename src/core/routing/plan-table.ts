import type { ActualRoute, CloudRouteTable, RouteTarget } from "../cloud/facts.ts";
import { compareCidr, containsCidr, overlaps, type Cidr } from "../net/cidr.ts";
import type { Gateway } from "./gateway.ts";
import type { DesiredRoute, OwnedRoute, RouteAlarm, RouteOperation, SkippedRoute } from "./route-plan.ts";

/** What is the same for every table of a pass. */
export interface TableContext {
  readonly desired: readonly DesiredRoute[];
  /** Destinations that want a route and cannot have one: nothing that serves them now is taken away. */
  readonly uncovered: readonly Cidr[];
  /** Listed destinations that nobody can serve now: what is ours there stays. */
  readonly unserved: ReadonlySet<Cidr>;
  /** A route of somebody else on a listed destination becomes ours. */
  readonly takeOver: boolean;
  readonly isListed: boolean;
  readonly ignore: readonly Cidr[];
  readonly networks: readonly Cidr[];
  readonly byInterface: ReadonlyMap<string, readonly Gateway[]>;
  /** Desired destinations that overlap this one. */
  readonly overlapping: (destination: Cidr) => readonly Cidr[];
}

export interface TablePlan {
  readonly operations: readonly RouteOperation[];
  readonly adopt: readonly OwnedRoute[];
  readonly forget: readonly OwnedRoute[];
  readonly skipped: readonly SkippedRoute[];
  readonly alarms: readonly RouteAlarm[];
}

type Create = Extract<RouteOperation, { kind: "create" }>;
type Replace = Extract<RouteOperation, { kind: "replace" }>;
type Delete = Extract<RouteOperation, { kind: "delete" }>;

/** One table's part of the plan: the case table stands at `planRoutes`. */
export function planTable(
  table: CloudRouteTable,
  owned: ReadonlyMap<Cidr, string>,
  quota: number,
  context: TableContext,
): TablePlan {
  const routeTableId = table.id;
  const actual = new Map(table.routes.map((route) => [route.destination, route]));
  const wanted = new Set<Cidr>();
  const creates: Create[] = [];
  const replaces: Replace[] = [];
  const deletes: Delete[] = [];
  const adopt: OwnedRoute[] = [];
  const forget: OwnedRoute[] = [];
  const skipped: SkippedRoute[] = [];
  const alarms: RouteAlarm[] = [];
  const conflicts = new Set<Cidr>();
  const ignored = (destination: Cidr) => context.ignore.some((cidr) => containsCidr(cidr, destination));
  const skip = (destination: Cidr, reason: SkippedRoute["reason"], message: string) => {
    skipped.push({ routeTableId, destination, reason, message });
  };

  for (const route of context.desired) {
    const { destination, target, host } = route;
    wanted.add(destination);
    if (ignored(destination)) {
      skip(destination, "ignored", `${destination} is inside --ignore-routes: left as it is`);
      continue;
    }
    const found = actual.get(destination);
    if (found === undefined) {
      creates.push({ kind: "create", routeTableId, destination, target, host, reason: describe(route) });
      continue;
    }
    const right = leadsTo(found.target, target);
    if (!owned.has(destination)) {
      const isTaken = context.takeOver && route.level === "listed" && found.target.kind !== "local";
      const isAdopted = isCandidate(found, route, context.byInterface);
      if (!isTaken && !isAdopted) {
        const orTake = route.level === "listed" ? ", or have it replaced with --take-over" : "";
        const message = `${routeTableId} leads ${destination} to ${name(found.target)}, which is not ours: remove that route, or name it in --ignore-routes${orTake}`;
        conflicts.add(destination);
        skip(destination, "foreign", message);
        alarms.push({ kind: "foreign-route", subject: `${routeTableId} ${destination}`, message });
        continue;
      }
      // What is taken over becomes ours by the write that replaces it, not before.
      if (isAdopted) {
        adopt.push({ routeTableId, destination, target });
      }
    }
    if (!right) {
      replaces.push({
        kind: "replace",
        routeTableId,
        destination,
        target,
        host,
        previous: found.target,
        reason: reasonToReplace(found, route, context.byInterface),
      });
    }
  }

  for (const [destination, target] of owned) {
    if (wanted.has(destination) || ignored(destination)) {
      continue;
    }
    if (!actual.has(destination)) {
      forget.push({ routeTableId, destination, target });
    } else if (
      context.unserved.has(destination) ||
      context.uncovered.some((cidr) => overlaps(cidr, destination))
    ) {
      skip(destination, "no-gateway", `${destination} has no better route: this one stays`);
    } else {
      // What somebody else's route keeps us from does not hold up what is taken off a list.
      const after = context
        .overlapping(destination)
        .filter((each) => !context.isListed || (!conflicts.has(each) && !ignored(each)));
      deletes.push({
        kind: "delete",
        routeTableId,
        destination,
        after,
        makesRoom: false,
        reason: context.isListed
          ? "it is listed no more"
          : after.length > 0
            ? "another granularity takes over"
            : "no host is left in its group",
      });
    }
  }
  deletes.sort(byDestination);
  for (const route of table.routes) {
    if (
      !wanted.has(route.destination) &&
      !owned.has(route.destination) &&
      isForeign(route, context) &&
      !ignored(route.destination)
    ) {
      const message = `${routeTableId} leads ${route.destination}, inside a Romana network, to ${name(route.target)}: not ours, left alone`;
      skip(route.destination, "foreign", message);
      alarms.push({ kind: "foreign-route", subject: `${routeTableId} ${route.destination}`, message });
    }
  }

  const fitted = fitCreates(table, quota, creates, deletes);
  for (const { destination } of fitted.left) {
    skip(
      destination,
      "table-full",
      `${routeTableId} holds ${table.routeCount} of ${quota} routes: no slot for ${destination} yet`,
    );
  }
  if (fitted.left.length > 0) {
    alarms.push({
      kind: "table-full",
      subject: routeTableId,
      message: `${routeTableId} holds ${table.routeCount} of ${quota} routes, ${fitted.left.length} wanted ones do not fit: raise the quota or remove routes`,
    });
  }
  return {
    operations: [
      ...fitted.room,
      ...[...fitted.creates, ...replaces].toSorted(byDestination),
      ...deletes.filter((each) => !fitted.room.some((room) => room.destination === each.destination)),
    ],
    adopt,
    forget,
    skipped,
    alarms,
  };
}

/**
 * Which creates fit into the free slots of a table. Those that replace the most old routes come first. Where not one slot is free and a coarser route
 * would free several, one of the routes it replaces goes before it: a short gap for that one group, instead of none served for all that follow. `deletes`
 * are sorted, so that the first one is the same whatever the order of the records.
 */
function fitCreates(
  table: CloudRouteTable,
  quota: number,
  creates: readonly Create[],
  deletes: readonly Delete[],
): { creates: readonly Create[]; room: readonly Delete[]; left: readonly Create[] } {
  const free = Math.max(0, quota - table.routeCount);
  if (creates.length <= free) {
    return { creates, room: [], left: [] };
  }
  const covered = new Map(
    creates.map((create) => [
      create,
      deletes.filter((each) => containsCidr(create.destination, each.destination)),
    ]),
  );
  const ordered = creates.toSorted(
    (a, b) =>
      (covered.get(b)?.length ?? 0) - (covered.get(a)?.length ?? 0) ||
      compareCidr(a.destination, b.destination),
  );
  const first = ordered[0];
  const victim = first === undefined ? undefined : covered.get(first)?.[0];
  if (free === 0 && first !== undefined && victim !== undefined) {
    const room = {
      ...victim,
      after: [],
      makesRoom: true,
      reason: `${table.id} is full: makes room for ${first.destination}`,
    };
    return { creates: [first], room: [room], left: ordered.slice(1) };
  }
  return { creates: ordered.slice(0, free), room: [], left: ordered.slice(free) };
}

/** A route inside one of our networks that we neither want nor recorded. Routes wider than a network (the default route) are none of our business. */
function isForeign(route: ActualRoute, context: TableContext): boolean {
  return (
    route.target.kind !== "local" &&
    context.networks.some((network) => containsCidr(network, route.destination))
  );
}

/** True when the route leads to the interface of a node that could be this route's gateway (decision 20: adoption). */
function isCandidate(
  found: ActualRoute,
  route: DesiredRoute,
  byInterface: ReadonlyMap<string, readonly Gateway[]>,
): boolean {
  return (
    found.target.kind === "interface" &&
    (byInterface.get(found.target.id) ?? []).some(({ host }) => route.candidates.includes(host))
  );
}

function leadsTo(target: RouteTarget, interfaceId: string): boolean {
  return target.kind === "interface" && target.id === interfaceId;
}

function name(target: RouteTarget): string {
  return target.kind === "local" ? "the VPC itself" : target.id;
}

function describe(route: DesiredRoute): string {
  if (route.level === "listed") {
    return `listed, gateway ${route.host}`;
  }
  return route.level === "block"
    ? `block of ${route.host}, which its group's gateway cannot reach`
    : `prefix of group ${route.group}, gateway ${route.host}`;
}

function reasonToReplace(
  found: ActualRoute,
  route: DesiredRoute,
  byInterface: ReadonlyMap<string, readonly Gateway[]>,
): string {
  const holders = found.target.kind === "interface" ? (byInterface.get(found.target.id) ?? []) : [];
  const previous = (holders.find(({ host }) => route.candidates.includes(host)) ?? holders[0])?.host;
  if (previous === undefined) {
    return `leads to ${name(found.target)}, which no node owns${found.state === "blackhole" ? " (blackhole)" : ""}`;
  }
  return previous === route.host
    ? `${route.host} has another interface now`
    : `gateway ${route.host} instead of ${previous}`;
}

function byDestination(a: RouteOperation, b: RouteOperation): number {
  return compareCidr(a.destination, b.destination);
}
