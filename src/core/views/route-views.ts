import type { NodeHealth } from "../health/view.ts";

// What the controller tells a person about routes and nodes. These are the documents of the REST API and of `romana … -o json`, so they
// hold plain text and numbers only. Times of day are ISO 8601 in UTC; lists come sorted as each says.

/** One write that a pass would make. `reason` is a sentence part that a person can read, such as "node-3 does not answer". */
export interface PlannedOperation {
  readonly kind: "create" | "replace" | "delete";
  readonly routeTableId: string;
  readonly destination: string;
  /** Id of the network interface that the route leads to after the operation; of a delete, the one that it led to. */
  readonly target: string;
  /** Name of the host that owns `target`; "" when no host of ours does (any more). */
  readonly host: string;
  /** Of a replace: where the route leads now. */
  readonly previousTarget?: string;
  readonly reason: string;
}

/** An interface whose Source/Dest check a pass would turn off. */
export interface PlannedSourceDestCheck {
  readonly interfaceId: string;
  readonly host: string;
}

/** A route that was seen and left alone on purpose. */
export interface SkippedOperation {
  readonly routeTableId: string;
  readonly destination: string;
  readonly reason: string;
}

/** Something that an operator must know or do. `kind` is from a small closed set (`no-stand-in`, `route-conflict` …), `subject` what it is about. */
export interface AlarmView {
  readonly kind: string;
  readonly subject: string;
  readonly message: string;
}

/** What a pass would do, or has done. Operations are sorted by destination, then table. */
export interface PlanView {
  /** How fine the planned routes are, as a phrase: which groups get routes, and why not finer ones. */
  readonly granularity: string;
  readonly operations: readonly PlannedOperation[];
  readonly sourceDestCheck: readonly PlannedSourceDestCheck[];
  readonly skipped: readonly SkippedOperation[];
  readonly alarms: readonly AlarmView[];
}

/**
 * A route that we want in a table, as of the last pass.
 *
 * - `active`, `blackhole`: stands in the table; the words are EC2's. `pending`: not written yet.
 * - `failed`: the last write was refused, `message` says why. `conflict`: somebody else's route stands on this destination.
 */
export interface RouteView {
  readonly routeTableId: string;
  readonly destination: string;
  /** Network and group whose prefix this is. */
  readonly network: string;
  readonly group: string;
  readonly target: string;
  readonly host: string;
  /** Where the route leads now: the id of what EC2 names, `local`; null while there is none on this destination. */
  readonly actual: string | null;
  /** Whether it is recorded as ours, so that it may be changed. */
  readonly owned: boolean;
  readonly state: "active" | "blackhole" | "pending" | "failed" | "conflict";
  readonly message?: string;
}

/** How full a route table is. `routeCount` counts what counts against the quota. */
export interface RouteTableView {
  readonly id: string;
  readonly main: boolean;
  readonly routeCount: number;
  readonly quota: number;
  /** How many of its routes are ours. */
  readonly owned: number;
}

/** All routes of ours. Sorted by destination, then table; tables by id. */
export interface RouteStatusView {
  readonly granularity: string;
  /** When the tables were read last; null before the first pass. */
  readonly readAt: string | null;
  readonly tables: readonly RouteTableView[];
  readonly routes: readonly RouteView[];
  readonly skipped: readonly SkippedOperation[];
}

/** A node as the probes see it. */
export interface NodeHealthView {
  readonly host: string;
  readonly ip: string;
  readonly health: NodeHealth;
  /** The last verdict that was measured. */
  readonly last: "unknown" | "rising" | "up" | "down";
  /** Seconds until the node may be chosen again at the earliest; 0 when nothing holds it down. */
  readonly holdDownSeconds: number;
  /** Destinations that lead to this node, sorted. */
  readonly gatewayOf: readonly string[];
  /** Instance and interface that own the node's address; "" while EC2 shows none. */
  readonly instanceId: string;
  readonly interfaceId: string;
  /** That interface's Source/Dest check: pods are cut off while it is `on`. */
  readonly sourceDestCheck: "off" | "on" | "unknown";
}

/** All nodes, sorted by host. While `blind`, nobody answers and no route moves on account of health. */
export interface HealthView {
  readonly blind: boolean;
  readonly nodes: readonly NodeHealthView[];
}

/** How a pass went. `error` is the message of the failure; the controller goes on whatever it says. */
export interface PassView {
  readonly startedAt: string;
  readonly durationMs: number;
  readonly outcome: "ok" | "failed";
  readonly operations: number;
  readonly failed: number;
  readonly error?: string;
}

/** The controller at a glance. */
export interface StatusView {
  readonly version: string;
  /** ISO 8601 time at which the process started. */
  readonly startedAt: string;
  /** `aws`, `simulation` or `none`. */
  readonly cloud: string;
  /** What the cloud said of itself; null without a cloud or before the first look. */
  readonly region: string | null;
  readonly vpcId: string | null;
  /** Store in a few words, such as `sqlite:/var/lib/romana/romana.db`. */
  readonly store: string;
  readonly leader: boolean;
  readonly dryRun: boolean;
  readonly hosts: { readonly total: number; readonly unplaced: number; readonly misplaced: number };
  readonly routes: { readonly desired: number; readonly active: number };
  readonly lastPass: PassView | null;
  /** Calls to the cloud since the start, by action. */
  readonly cloudCalls: Readonly<Record<string, number>>;
  readonly alarms: readonly AlarmView[];
}
