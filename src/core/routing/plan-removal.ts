import type { ActualRoute, CloudFacts, RouteTarget } from "../cloud/facts.ts";
import { NetworkError } from "../errors.ts";
import { compareCidr, containsCidr, overlaps, type Cidr } from "../net/cidr.ts";
import type { OwnedRoute } from "./route-plan.ts";

export interface RemovalInput {
  readonly facts: Pick<CloudFacts, "vpcId" | "region" | "routeTables" | "instances">;
  /** The journal. */
  readonly owned: readonly OwnedRoute[];
  /** CIDRs of Romana's networks: routes that touch them are told of. */
  readonly networks: readonly Cidr[];
  /** `--ignore-routes`. */
  readonly ignore: readonly Cidr[];
}

/** A route of a table. `target`: id of what it leads to, or "local". */
export interface RemovedRoute {
  readonly routeTableId: string;
  readonly destination: Cidr;
  readonly target: string;
}

/**
 * A route that stays: `foreign` is not on record; `led-elsewhere` is, and leads where we never led it, so somebody took it over; `ignored` lies inside
 * `--ignore-routes`.
 */
export interface LeftRoute extends RemovedRoute {
  readonly reason: "foreign" | "led-elsewhere" | "ignored";
}

/** What taking all our routes away does. Lists are sorted by table and destination. */
export interface RemovalPlan {
  readonly remove: readonly RemovedRoute[];
  /** Records without a route of ours behind them: it is gone, its table is gone, or somebody took it over. */
  readonly forget: readonly OwnedRoute[];
  readonly left: readonly LeftRoute[];
}

/**
 * Plans to remove every route that is on record as ours.
 *
 *     record  the table            the route              becomes
 *     ------  -------------------  ---------------------  ---------------------------------
 *     yes     is there             inside --ignore-routes  left: ignored, its record stays
 *     yes     is there             to us, or a blackhole  removed
 *     yes     is there             leads elsewhere        left: led-elsewhere, forgotten
 *     yes     is there             is not there           forgotten
 *     yes     is gone              –                      forgotten
 *     no      is there             touches a network      left: foreign
 *
 * A route leads to us when its target is the interface on record (the last that we wanted) or one of an instance of the cluster. Throws `JOURNAL_ELSEWHERE`
 * (invalid) when not one table of the records is there: that is another VPC or region.
 */
export function planRemoval(input: RemovalInput): RemovalPlan {
  const { facts, owned, ignore } = input;
  requireSameVpc(input);
  const tables = new Map(
    facts.routeTables.map(({ id, routes }) => [
      id,
      new Map(routes.map((route) => [route.destination, route])),
    ]),
  );
  const interfaces = new Set(facts.instances.flatMap((instance) => instance.interfaces.map(({ id }) => id)));
  const remove: RemovedRoute[] = [];
  const forget: OwnedRoute[] = [];
  const left: LeftRoute[] = [];
  for (const record of owned) {
    const { routeTableId, destination } = record;
    const found = tables.get(routeTableId)?.get(destination);
    if (found === undefined) {
      forget.push(record);
      continue;
    }
    const route = { routeTableId, destination, target: nameOf(found.target) };
    if (ignore.some((cidr) => containsCidr(cidr, destination))) {
      left.push({ ...route, reason: "ignored" });
    } else if (isOurs(found, record, interfaces)) {
      remove.push(route);
    } else {
      left.push({ ...route, reason: "led-elsewhere" });
      forget.push(record);
    }
  }
  return {
    remove: remove.toSorted(byTable),
    forget: forget.toSorted(byTable),
    left: [...left, ...foreignRoutes(input)].toSorted(byTable),
  };
}

function requireSameVpc({ facts, owned }: RemovalInput): void {
  const present = new Set(facts.routeTables.map(({ id }) => id));
  const tables = new Set(owned.map(({ routeTableId }) => routeTableId));
  if (tables.size > 0 && [...tables].every((id) => !present.has(id))) {
    throw new NetworkError(
      "invalid",
      "JOURNAL_ELSEWHERE",
      `none of the ${tables.size} route tables on record (${[...tables].toSorted().slice(0, 3).join(", ")}) is in ${facts.vpcId} of ${facts.region}: ` +
        "give the --region and --vpc that the controller runs with; if these tables were deleted, nothing is left to remove",
      { vpcId: facts.vpcId, region: facts.region },
    );
  }
}

/** Routes to an instance name its interface; a blackhole's interface may be gone. */
function isOurs(
  { target, state }: ActualRoute,
  record: OwnedRoute,
  interfaces: ReadonlySet<string>,
): boolean {
  return (
    target.kind === "interface" &&
    (target.id === record.target || state === "blackhole" || interfaces.has(target.id))
  );
}

function foreignRoutes({ facts, owned, networks }: RemovalInput): readonly LeftRoute[] {
  const known = new Set(owned.map(keyOf));
  return facts.routeTables.flatMap(({ id: routeTableId, routes }) =>
    routes
      .filter(({ destination, target }) => {
        const { kind } = target;
        // A default route, or one that is as wide, touches everything and is nobody's concern here.
        const isInside = networks.some((cidr) => overlaps(cidr, destination) && !isWider(destination, cidr));
        return kind !== "local" && isInside && !known.has(keyOf({ routeTableId, destination }));
      })
      .map(({ destination, target }) => ({
        routeTableId,
        destination,
        target: nameOf(target),
        reason: "foreign" as const,
      })),
  );
}

function isWider(destination: Cidr, network: Cidr): boolean {
  return destination !== network && containsCidr(destination, network);
}

function keyOf({ routeTableId, destination }: Pick<RemovedRoute, "routeTableId" | "destination">): string {
  return `${routeTableId} ${destination}`;
}

function nameOf(target: RouteTarget): string {
  return target.kind === "local" ? "local" : target.id;
}

function byTable(a: RemovedRoute, b: RemovedRoute): number {
  if (a.routeTableId === b.routeTableId) {
    return compareCidr(a.destination, b.destination);
  }
  return a.routeTableId < b.routeTableId ? -1 : 1;
}
