import type { ControllerConfig } from "../config/load.ts";
import { FailoverController } from "../controllers/failover-controller.ts";
import { HealthMonitor } from "../controllers/health-monitor.ts";
import { NO_PROBES } from "../controllers/health-source.ts";
import { RouteController, type RouteControllerOptions } from "../controllers/route-controller.ts";
import { RouteExecutor } from "../controllers/route-executor.ts";
import { RouteReporter, type ReporterFacts } from "../controllers/route-reporter.ts";
import { RouteState } from "../controllers/route-state.ts";
import { RouteWriter } from "../controllers/route-writer.ts";
import { SourceDestChecks } from "../controllers/source-dest-checks.ts";
import { healthOptions } from "../core/health/options.ts";
import type { HealthVerdict } from "../core/health/verdicts.ts";
import type { Clock } from "../ports/clock.ts";
import type { Cloud } from "../ports/cloud.ts";
import type { Logger } from "../ports/logger.ts";
import type { Prober } from "../ports/prober.ts";
import type { Store } from "../ports/store.ts";
import { RouteJournal } from "../services/route-journal.ts";
import type { RoutesView } from "../services/route-views.ts";

/** Root of all keys in the store. */
export const STORE_PREFIX = "/romana";

/** The part of the configuration that routes and probes need. */
export type RouteEngineConfig = Pick<
  ControllerConfig,
  "dryRun" | "routeTables" | "routeQuota" | "routeReserve" | "ignoreRoutes" | "intervalMs" | "health" | "ec2"
>;

export interface RouteEngineParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly store: Store;
  readonly cloud: Cloud;
  /** Absent with `--probe none`: nothing moves on account of health. */
  readonly prober: Prober | undefined;
  readonly config: RouteEngineConfig;
  readonly isOwn?: ((address: string) => boolean) | undefined;
  /** What wants routes: the groups of a topology, or a list. */
  readonly view: RouteControllerOptions["view"];
  readonly onFacts: RouteControllerOptions["onFacts"];
  readonly onPlan?: RouteControllerOptions["onPlan"];
  readonly facts: ReporterFacts;
}

/** Journal, probes, passes and failover of one process. */
export interface RouteEngine {
  readonly routes: RoutesView;
  readonly controller: RouteController;
  readonly state: RouteState;
  readonly monitor: HealthMonitor | undefined;
  start(): void;
  stop(): Promise<void>;
}

/**
 * Builds what keeps routes, whatever wants them. The control plane and the stand-alone router both call this and nobody else does (held by
 * `test/architecture.test.ts`).
 */
export async function createRouteEngine(parts: RouteEngineParts, signal: AbortSignal): Promise<RouteEngine> {
  const { clock, log, store, cloud, config } = parts;
  const journal = await RouteJournal.open(store, STORE_PREFIX, signal);
  const stopping = new AbortController();
  const monitor = createMonitor(parts, (verdict) => onVerdict(verdict));
  const health = monitor ?? NO_PROBES;
  const routeLog = log.child({ component: "routes" });
  const state = new RouteState({ clock, health, quota: config.routeQuota });
  const writer = new RouteWriter({
    cloud,
    clock,
    bucket: {
      capacity: config.ec2.burst,
      refillPerSecond: config.ec2.ratePerSecond,
      reserve: config.ec2.failoverReserve,
    },
    concurrency: config.ec2.concurrency,
    mayWrite: () => stopping.signal.throwIfAborted(),
  });
  const shared = { state, journal, clock, health, log: routeLog, dryRun: config.dryRun };
  const executor = new RouteExecutor({ ...shared, writer });
  const failover = new FailoverController({ ...shared, executor, signal: stopping.signal });
  const { routeTables } = config;
  const controller = new RouteController({
    ...shared,
    executor,
    checks: new SourceDestChecks({ ...shared, writer }),
    failover,
    cloud,
    view: parts.view,
    onFacts: parts.onFacts,
    ...(parts.onPlan === undefined ? {} : { onPlan: parts.onPlan }),
    tables:
      routeTables.kind === "tag"
        ? { kind: "tag", key: routeTables.tag.key, value: routeTables.tag.value }
        : routeTables,
    reserve: config.routeReserve,
    ignore: config.ignoreRoutes,
    intervalMs: config.intervalMs,
  });
  async function onVerdict(verdict: HealthVerdict): Promise<void> {
    if (verdict.kind === "down") {
      await failover.failOver(verdict.host, verdict.answered);
    }
    controller.trigger();
  }
  return {
    routes: new RouteReporter({ controller, state, health, journal, cloud, clock, facts: parts.facts }),
    controller,
    state,
    monitor,
    start: () => {
      monitor?.start();
      controller.start();
    },
    stop: async () => {
      monitor?.stop();
      stopping.abort(new Error("the controller stops"));
      await controller.stop();
    },
  };
}

function createMonitor(
  { prober, clock, log, config, isOwn }: RouteEngineParts,
  onVerdict: (verdict: HealthVerdict) => Promise<void>,
): HealthMonitor | undefined {
  return prober === undefined
    ? undefined
    : new HealthMonitor({
        prober,
        clock,
        log: log.child({ component: "health" }),
        options: healthOptions(config.health),
        onVerdict,
        ...(isOwn === undefined ? {} : { isOwn }),
      });
}
