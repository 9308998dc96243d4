import type { CloudFacts, RouteTarget } from "../cloud/facts.ts";
import type { HealthSnapshot } from "../health/view.ts";
import type { Cidr } from "../net/cidr.ts";
import type { RoutingTree } from "./aggregate.ts";
import type { Gateway, PlannedHost } from "./gateway.ts";
import type { TableSelector } from "./select-tables.ts";

/** A route that is recorded as ours (decision 20), whether or not it stands. */
export interface OwnedRoute {
  readonly routeTableId: string;
  readonly destination: Cidr;
  /** The interface that we last wanted it to lead to. */
  readonly target: string;
}

/** A destination whose possible gateways somebody lists, instead of a group of nodes. */
export interface ListedRoute {
  readonly destination: Cidr;
  /** Names of hosts; without one of them the route is not wanted. */
  readonly hosts: readonly string[];
}

/** What wants routes, and who can be a gateway. */
export interface RouteDemand {
  /** Networks whose groups want routes. */
  readonly trees: readonly RoutingTree[];
  /** Destinations that want a route to one of their own hosts, wherever in the VPC it stands; none when absent. */
  readonly listed?: readonly ListedRoute[];
  /** A route of somebody else on a listed destination is replaced, not reported. */
  readonly takeOver?: boolean;
  readonly hosts: readonly PlannedHost[];
}

/** Everything that a plan is made from; the planner reads nothing else. */
export interface PlannerInput extends RouteDemand {
  readonly facts: CloudFacts;
  readonly health: HealthSnapshot;
  readonly owned: readonly OwnedRoute[];
  readonly tables: TableSelector;
  /** Routes per table that EC2 allows (its quota, lowered where EC2 said RouteLimitExceeded). */
  readonly quotaOf: (routeTableId: string) => number;
  /** Routes of the quota that stay free for others and for changes of granularity. */
  readonly reserve: number;
  /** Destinations inside one of these are left alone entirely (`--ignore-routes`). */
  readonly ignore: readonly Cidr[];
  /** False for `rebalance`: choose every gateway anew. */
  readonly sticky: boolean;
}

/** A route that every table shall have. */
export interface DesiredRoute {
  readonly destination: Cidr;
  readonly network: string;
  readonly group: string;
  readonly level: "group" | "parent" | "block" | "listed";
  readonly host: string;
  readonly target: string;
  /** Hosts that could hold it, the holder among them. */
  readonly candidates: readonly string[];
  readonly choice: "kept" | "chosen" | "stays";
}

/** One change of one table. `reason` is for people. */
export type RouteOperation =
  | {
      readonly kind: "create";
      readonly routeTableId: string;
      readonly destination: Cidr;
      readonly target: string;
      readonly host: string;
      readonly reason: string;
    }
  | {
      readonly kind: "replace";
      readonly routeTableId: string;
      readonly destination: Cidr;
      readonly target: string;
      readonly host: string;
      readonly previous: RouteTarget;
      readonly reason: string;
    }
  | {
      readonly kind: "delete";
      readonly routeTableId: string;
      readonly destination: Cidr;
      /** Destinations that must stand in this table before: they take over the traffic. */
      readonly after: readonly Cidr[];
      /** True when a full table needs this slot for a create: done first, although it opens a short gap. */
      readonly makesRoom: boolean;
      /** True when nobody wants the destination any more, so that the route goes from a table that is no longer selected without the usual wait. */
      readonly isUnlisted?: boolean;
      readonly reason: string;
    };

export interface SkippedRoute {
  readonly routeTableId: string;
  readonly destination: Cidr;
  readonly reason:
    | "foreign"
    | "ignored"
    | "table-full"
    | "over-budget"
    | "no-interface"
    | "no-gateway"
    | "inside-vpc";
  readonly message: string;
}

export interface RouteAlarm {
  readonly kind:
    | "no-stand-in"
    | "no-gateway"
    | "foreign-route"
    | "over-budget"
    | "no-interface"
    | "table-full"
    | "blind"
    | "no-table"
    | "write-failed"
    | "host-refused";
  readonly subject: string;
  readonly message: string;
}

/**
 * What a pass would do. `operations` come table by table, within one sorted by destination: first what makes room, then creates and replaces, then deletes.
 * `adopt` are routes that become ours as they stand, `forget` records of routes that are neither wanted nor there.
 */
export interface RoutePlan {
  /** Every host that an interface of the VPC stands for, by name. */
  readonly gateways: ReadonlyMap<string, Gateway>;
  readonly routeTableIds: readonly string[];
  readonly desired: readonly DesiredRoute[];
  readonly operations: readonly RouteOperation[];
  readonly adopt: readonly OwnedRoute[];
  readonly forget: readonly OwnedRoute[];
  readonly skipped: readonly SkippedRoute[];
  readonly alarms: readonly RouteAlarm[];
  /** Routes that fit into the fullest table, and how many the finest plan wants. */
  readonly budget: number;
  readonly finest: number;
  /** Routes depend on blocks: a new block can want a route of its own. */
  readonly blocksMatter: boolean;
  readonly collapsed: readonly string[];
  /** The routes are those of a list (`RouteDemand.listed`), not of groups. */
  readonly isListed: boolean;
}
