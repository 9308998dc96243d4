import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

import type { Meter, MeteredFailover } from "../ports/meter.ts";
import { measureSources, type MetricsSources } from "./source-metrics.ts";

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
    measureSources(this.registry, sources);
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
