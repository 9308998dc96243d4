import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

import type { Meter, MeteredFailover } from "../ports/meter.ts";
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
  readonly addressing: {
    hosts(): { readonly hosts: readonly { readonly placed: boolean; readonly misplaced: boolean }[] };
    blocks(): { readonly blocks: readonly MeasuredBlock[] } | undefined;
  };
  readonly counters?: (() => AddressingCounters) | undefined;
  readonly routes: Pick<RoutesView, "routes" | "health" | "status">;
  readonly store?: { silentMs(): number } | undefined;
}

interface MeasuredBlock {
  readonly network: string;
  readonly host: string;
  readonly allocated_ip_count: number;
}

/** A request that was answered. `route` is the pattern of its path, undefined for a path that is not served. */
export interface MeasuredRequest {
  readonly method: string;
  readonly route: string | undefined;
  readonly status: number;
  readonly seconds: number;
}

const requestBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];
const workBuckets = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Refusals that say that a limit was met. */
const refusals: ReadonlyMap<number, string> = new Map([
  [413, "size"],
  [429, "in-flight"],
]);

/** Requests of one kind, for which the label values were looked up once. */
interface RequestSeries {
  readonly total: Counter.Internal;
  readonly duration: Histogram.Internal<"method" | "route">;
}

/**
 * The numbers of this process in Prometheus' text format (`docs/metrics.md`). Labels are small closed sets: never an address, a pod or a host.
 * What is counted as it happens comes by the methods; all else is asked of the sources when the text is made.
 */
export class Metrics implements Meter {
  readonly registry = new Registry();
  readonly #series = new Map<string, RequestSeries>();

  readonly #requests = this.#counter("http_requests_total", "Requests answered", [
    "method",
    "route",
    "status",
  ]);
  readonly #duration = new Histogram({
    name: "romana_http_request_duration_seconds",
    help: "Time from a request's head to the end of its answer",
    labelNames: ["method", "route"],
    buckets: requestBuckets,
    registers: [this.registry],
  });
  readonly #inFlight = this.#gauge(
    "http_requests_in_flight",
    "Requests that are not answered yet, streams among them",
  );
  readonly #refused = this.#counter(
    "http_requests_refused_total",
    "Requests refused because a limit was met: too many in flight (429), or a body too large (413)",
    ["reason"],
  );
  readonly #writes = this.#counter(
    "route_writes_total",
    "Writes to the cloud by EC2 action; superseded ones were replaced by a later decision before they were sent",
    ["action", "outcome"],
  );
  readonly #passes = this.#counter("passes_total", "Passes over the cloud", ["outcome"]);
  readonly #passSeconds = this.#work("pass_duration_seconds", "Time that a pass took, its writes included");
  readonly #failovers = this.#counter(
    "failovers_total",
    "Nodes whose routes were moved because they were down",
  );
  readonly #failoverSeconds = this.#work(
    "failover_duration_seconds",
    "Time from the verdict to the last route that moved",
  );
  readonly #failoverRoutes = this.#counter(
    "failover_routes_total",
    "Routes of nodes that were down: moved, refused by EC2, or without a stand-in",
    ["outcome"],
  );
  readonly #verdicts = this.#counter(
    "health_verdicts_total",
    "Verdicts of the probes: a node is down or up again, nobody answers (blind), somebody does again (sighted)",
    ["verdict"],
  );

  /** `version` is that of the program. */
  constructor(version: string) {
    this.#gauge("build_info", "1, with the version of the program", ["version"]).set({ version }, 1);
  }

  /** Adds what prom-client and Node say of the process, its memory, garbage collection and event loop. Once per process. */
  readProcess(): void {
    collectDefaultMetrics({ register: this.registry });
  }

  /** Adds what the sources know, once, when they are there. */
  read(sources: MetricsSources): void {
    this.#readAddressing(sources);
    this.#readRoutes(sources);
    this.#readStore(sources);
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  /** The text that a scraper reads. */
  render(): Promise<string> {
    return this.registry.metrics();
  }

  requestBegun(): void {
    this.#inFlight.inc();
  }

  /** Its connection is done with, whether it was answered or its client went away. */
  requestClosed(): void {
    this.#inFlight.dec();
  }

  requestAnswered({ method, route = "unknown", status, seconds }: MeasuredRequest): void {
    const key = `${method} ${route} ${status}`;
    let series = this.#series.get(key);
    if (series === undefined) {
      series = {
        total: this.#requests.labels(method, route, String(status)),
        duration: this.#duration.labels(method, route),
      };
      this.#series.set(key, series);
    }
    series.total.inc();
    series.duration.observe(seconds);
    const reason = refusals.get(status);
    if (reason !== undefined) {
      this.#refused.inc({ reason });
    }
  }

  write(action: string, outcome: string): void {
    this.#writes.inc({ action, outcome });
  }

  pass(outcome: "ok" | "failed", seconds: number): void {
    this.#passes.inc({ outcome });
    this.#passSeconds.observe(seconds);
  }

  failover({ moved, failed, stranded, seconds }: MeteredFailover): void {
    this.#failovers.inc();
    this.#failoverSeconds.observe(seconds);
    this.#failoverRoutes.inc({ outcome: "moved" }, moved);
    this.#failoverRoutes.inc({ outcome: "failed" }, failed);
    this.#failoverRoutes.inc({ outcome: "stranded" }, stranded);
  }

  verdict(verdict: string): void {
    this.#verdicts.inc({ verdict });
  }

  #readAddressing({ addressing, counters }: MetricsSources): void {
    this.#readEach("hosts", "Hosts by how they stand in the topology", "state", () => {
      const { hosts } = addressing.hosts();
      const misplaced = hosts.filter((host) => host.misplaced).length;
      const unplaced = hosts.filter((host) => !host.placed).length;
      return { placed: hosts.length - misplaced - unplaced, misplaced, unplaced };
    });
    const blocks = (): readonly MeasuredBlock[] => addressing.blocks()?.blocks ?? [];
    this.#readEach("ipam_addresses", "Addresses in use", "network", () =>
      sums(
        blocks(),
        ({ network }) => network,
        (block) => block.allocated_ip_count,
      ),
    );
    this.#readEach("ipam_blocks_owned", "Blocks that a host holds", "network", () =>
      sums(
        blocks(),
        ({ network }) => network,
        ({ host }) => (host === "" ? 0 : 1),
      ),
    );
    this.#readEach("ipam_blocks_free", "Blocks that became empty and wait for an owner", "network", () =>
      sums(
        blocks(),
        ({ network }) => network,
        ({ host }) => (host === "" ? 1 : 0),
      ),
    );
    const count = (name: keyof AddressingCounters) => () => counters?.()[name] ?? 0;
    this.#readTotal("ipam_allocations_total", "Addresses given out", count("allocations"));
    this.#readTotal("ipam_releases_total", "Addresses taken back", count("releases"));
    this.#readTotal(
      "ipam_lost_compares_total",
      "Decisions that were made anew because another replica was faster",
      count("lostCompares"),
    );
    this.#readTotal(
      "ipam_transactions_total",
      "Transactions that allocations and releases shared: their number by this is the size of a group",
      count("groups"),
    );
  }

  #readRoutes({ routes }: MetricsSources): void {
    this.#readEach("leader", "1 while this replica leads", undefined, () => ({
      "": routes.status().leader ? 1 : 0,
    }));
    this.#readEach("routes", "Routes that are wanted, by how they stand", "state", () =>
      sums(
        routes.routes().routes,
        ({ state }) => state,
        () => 1,
      ),
    );
    this.#readEach("health_nodes", "Nodes by what the probes say", "health", () =>
      sums(
        routes.health().nodes,
        ({ health }) => health,
        () => 1,
      ),
    );
    this.#readEach(
      "health_blind",
      "1 while nobody answers the probes, so that nothing is moved",
      undefined,
      () => ({
        "": routes.health().blind ? 1 : 0,
      }),
    );
    this.#readEach("alarms", "What an operator must know or do, by kind", "kind", () =>
      sums(
        routes.status().alarms,
        ({ kind }) => kind,
        () => 1,
      ),
    );
    this.#readTotal(
      "cloud_calls_total",
      "Calls to the cloud by EC2 action; pages beyond the first are counted apart",
      () => routes.status().cloudCalls,
      "action",
    );
  }

  #readStore({ store }: MetricsSources): void {
    this.#readEach("store_silent_seconds", "Time since the store last answered anything", undefined, () => ({
      "": (store?.silentMs() ?? 0) / 1000,
    }));
  }

  /** A gauge that is read when it is asked for; `label` tells its values apart. */
  #readEach(
    name: string,
    help: string,
    label: string | undefined,
    values: () => Readonly<Record<string, number>>,
  ): void {
    this.registry.registerMetric(
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
  #readTotal(
    name: string,
    help: string,
    values: () => number | Readonly<Record<string, number>>,
    label?: string,
  ): void {
    this.registry.registerMetric(
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

  #counter(name: string, help: string, labelNames: readonly string[] = []): Counter {
    return new Counter({ name: `romana_${name}`, help, labelNames, registers: [this.registry] });
  }

  #gauge(name: string, help: string, labelNames: readonly string[] = []): Gauge {
    return new Gauge({ name: `romana_${name}`, help, labelNames, registers: [this.registry] });
  }

  #work(name: string, help: string): Histogram {
    return new Histogram({ name: `romana_${name}`, help, buckets: workBuckets, registers: [this.registry] });
  }
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
