import { Counter, Gauge, type Registry } from "prom-client";

import type { ClusterKind } from "../core/cluster/objects.ts";
import type { ClusterSource, FollowState } from "../ports/cluster.ts";
import type { ClusterReader } from "../services/cluster/cluster-view.ts";
import type { RoutesView } from "../services/route-views.ts";

/** What the addressing side has counted since the process started. */
export interface AddressingCounters {
  readonly allocations: number;
  readonly releases: number;
  /** Decisions that were made anew because somebody else was faster. */
  readonly lostCompares: number;
  /** Transactions that allocations and releases went in, several to one. */
  readonly groups: number;
}

/** Where the numbers come from that are read when somebody asks for them. Each answers from memory. */
export interface MetricsSources {
  /** Absent in the stand-alone router, which keeps no addresses. */
  readonly addressing?: {
    hostCounts(): { readonly total: number; readonly unplaced: number; readonly misplaced: number };
    blocks(): { readonly blocks: readonly MeasuredBlock[] } | undefined;
  };
  readonly counters?: (() => AddressingCounters) | undefined;
  /** What the leader's collector has found; zeros elsewhere. Absent in the stand-alone router. */
  readonly leaks?: (() => { readonly leaked: number; readonly collected: number } | undefined) | undefined;
  readonly routes: Pick<RoutesView, "routes" | "health" | "status">;
  readonly store?: { silentMs(): number } | undefined;
  /** Networks in force that overlap a range which is taken. */
  readonly reserved?: { overlaps(): readonly { readonly source: string }[] } | undefined;
  /** Absent where no cluster is followed. */
  readonly cluster?:
    | {
        readonly view: { readonly [K in ClusterKind]: Pick<ClusterReader[K], "size"> };
        readonly source: Pick<ClusterSource, "state">;
      }
    | undefined;
}

interface MeasuredBlock {
  readonly network: string;
  readonly host: string;
  readonly allocated_ip_count: number;
}

/** Adds what the sources know; each is asked when somebody reads the text, and answers from memory. */
export function measureSources(registry: Registry, sources: MetricsSources): void {
  if (sources.addressing !== undefined) {
    measureAddressing(registry, sources.addressing, sources.counters);
    measureLeaks(registry, sources.leaks);
  }
  measureRoutes(registry, sources);
  if (sources.store !== undefined) {
    measureStore(registry, sources.store);
  }
  if (sources.cluster !== undefined) {
    measureCluster(registry, sources.cluster);
  }
  if (sources.reserved !== undefined) {
    measureReserved(registry, sources.reserved);
  }
}

function measureReserved(registry: Registry, reserved: NonNullable<MetricsSources["reserved"]>): void {
  addGauge(
    registry,
    "network_overlaps",
    "Networks in force that overlap a range which was found to be taken after they were stored, by who has it",
    "range",
    () => ({
      "service-range": 0,
      vpc: 0,
      ...sums(
        reserved.overlaps(),
        ({ source }) => source,
        () => 1,
      ),
    }),
  );
}

function measureAddressing(
  registry: Registry,
  addressing: NonNullable<MetricsSources["addressing"]>,
  counters: MetricsSources["counters"],
): void {
  addGauge(registry, "hosts", "Hosts by how they stand in the topology", "state", () => {
    const { total, misplaced, unplaced } = addressing.hostCounts();
    return { placed: total - misplaced - unplaced, misplaced, unplaced };
  });
  const blocks = (): readonly MeasuredBlock[] => addressing.blocks()?.blocks ?? [];
  addGauge(registry, "ipam_addresses", "Addresses in use", "network", () =>
    sums(
      blocks(),
      ({ network }) => network,
      (block) => block.allocated_ip_count,
    ),
  );
  addGauge(registry, "ipam_blocks_owned", "Blocks that a host holds", "network", () =>
    sums(
      blocks(),
      ({ network }) => network,
      ({ host }) => (host === "" ? 0 : 1),
    ),
  );
  addGauge(registry, "ipam_blocks_free", "Blocks that became empty and wait for an owner", "network", () =>
    sums(
      blocks(),
      ({ network }) => network,
      ({ host }) => (host === "" ? 1 : 0),
    ),
  );
  const count = (name: keyof AddressingCounters) => () => counters?.()[name] ?? 0;
  addTotal(registry, "ipam_allocations_total", "Addresses given out", count("allocations"));
  addTotal(registry, "ipam_releases_total", "Addresses taken back", count("releases"));
  addTotal(
    registry,
    "ipam_lost_compares_total",
    "Decisions that were made anew because another replica was faster",
    count("lostCompares"),
  );
  addTotal(
    registry,
    "ipam_transactions_total",
    "Transactions that allocations and releases shared: their number by this is the size of a group",
    count("groups"),
  );
}

function measureLeaks(registry: Registry, leaks: MetricsSources["leaks"]): void {
  addGauge(
    registry,
    "addresses_leaked",
    "Addresses that no Pod holds and no interface has; they are released after the grace time",
    undefined,
    () => ({ "": leaks?.()?.leaked ?? 0 }),
  );
  addTotal(
    registry,
    "addresses_collected_total",
    "Leaked addresses that were released by the leader",
    () => leaks?.()?.collected ?? 0,
  );
}

function measureRoutes(registry: Registry, { routes }: MetricsSources): void {
  // Only the leader knows the routes and the nodes' health.
  const leads = (): boolean => routes.status().leader;
  addGauge(registry, "leader", "1 while this replica leads", undefined, () => ({
    "": routes.status().leader ? 1 : 0,
  }));
  addGauge(registry, "routes", "Routes that are wanted, by how they stand", "state", () =>
    sums(
      leads() ? routes.routes().routes : [],
      ({ state }) => state,
      () => 1,
    ),
  );
  addGauge(registry, "health_nodes", "Nodes by what the probes say", "health", () =>
    sums(
      leads() ? routes.health().nodes : [],
      ({ health }) => health,
      () => 1,
    ),
  );
  addGauge(
    registry,
    "health_blind",
    "1 while nobody answers the probes, so that nothing is moved",
    undefined,
    () => ({
      "": leads() && routes.health().blind ? 1 : 0,
    }),
  );
  addGauge(registry, "alarms", "What an operator must know or do, by kind", "kind", () =>
    sums(
      routes.status().alarms,
      ({ kind }) => kind,
      () => 1,
    ),
  );
  addTotal(
    registry,
    "cloud_calls_total",
    "Calls to the cloud by EC2 action; pages beyond the first are counted apart",
    () => routes.status().cloudCalls,
    "action",
  );
}

function measureStore(registry: Registry, store: NonNullable<MetricsSources["store"]>): void {
  addGauge(
    registry,
    "store_silent_seconds",
    "Time since the store last answered anything",
    undefined,
    () => ({
      "": store.silentMs() / 1000,
    }),
  );
}

function measureCluster(registry: Registry, { view, source }: NonNullable<MetricsSources["cluster"]>): void {
  const kinds = Object.keys(view) as readonly ClusterKind[];
  const ofEach = (value: (kind: ClusterKind) => number) => (): Readonly<Record<string, number>> =>
    Object.fromEntries(kinds.map((kind) => [kind, value(kind)]));
  addGauge(
    registry,
    "cluster_objects",
    "Objects of the cluster that are known",
    "kind",
    ofEach((kind) => view[kind].size),
  );
  addGauge(
    registry,
    "cluster_unreadable",
    "Objects of the cluster that cannot be read; a policy closes its pods, any other object is left out",
    "kind",
    ofEach((kind) => source.state(kind).unreadable),
  );
  addTotal(
    registry,
    "cluster_lists_total",
    "Lists of all objects of a kind that were begun",
    ofEach((kind) => source.state(kind).lists),
    "kind",
  );
  addTotal(
    registry,
    "cluster_watches_total",
    "Watches of a kind that were begun",
    ofEach((kind) => source.state(kind).watches),
    "kind",
  );
  registry.registerMetric(
    new Gauge({
      name: "romana_cluster_problem",
      help: "1 while a kind is not followed: the API server is not reached, or refuses that verb",
      labelNames: ["kind", "verb"],
      registers: [],
      collect() {
        for (const kind of kinds) {
          const verb = failingVerb(source.state(kind));
          this.set({ kind, verb: "list" }, verb === "list" ? 1 : 0);
          this.set({ kind, verb: "watch" }, verb === "watch" ? 1 : 0);
        }
      },
    }),
  );
}

/** A problem begins with the verb that it befell. */
function failingVerb({ problem }: FollowState): string {
  return problem.split(" ", 1)[0] ?? "";
}

/** A gauge that is read when it is asked for; `label` tells its values apart. */
function addGauge(
  registry: Registry,
  name: string,
  help: string,
  label: string | undefined,
  values: () => Readonly<Record<string, number>>,
): void {
  registry.registerMetric(
    new Gauge({
      name: `romana_${name}`,
      help,
      labelNames: label === undefined ? [] : [label],
      registers: [],
      collect() {
        this.reset();
        for (const [value, number] of Object.entries(values())) {
          this.set(label === undefined ? {} : { [label]: value }, number);
        }
      },
    }),
  );
}

/** A counter that somebody else keeps. */
function addTotal(
  registry: Registry,
  name: string,
  help: string,
  values: () => number | Readonly<Record<string, number>>,
  label?: string,
): void {
  registry.registerMetric(
    new Counter({
      name: `romana_${name}`,
      help,
      labelNames: label === undefined ? [] : [label],
      registers: [],
      collect() {
        this.reset();
        const found = values();
        for (const [value, number] of Object.entries(typeof found === "number" ? { "": found } : found)) {
          this.inc(label === undefined ? {} : { [label]: value }, number);
        }
      },
    }),
  );
}

/** Sums of what `amount` says, by key. */
function sums<T>(
  list: readonly T[],
  key: (item: T) => string,
  amount: (item: T) => number,
): Readonly<Record<string, number>> {
  const found = new Map<string, number>();
  for (const item of list) {
    found.set(key(item), (found.get(key(item)) ?? 0) + amount(item));
  }
  return Object.fromEntries(found);
}
