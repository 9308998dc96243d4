import type { ControllerConfig } from "../config/load.ts";
import type { ExplainerRoutes } from "../controllers/explainer.ts";
import { FailoverController } from "../controllers/failover-controller.ts";
import { HealthMonitor } from "../controllers/health-monitor.ts";
import { NO_PROBES, type HealthSource } from "../controllers/health-source.ts";
import type { NodeCloud } from "../controllers/node-instances.ts";
import { RouteController, type RouteControllerOptions } from "../controllers/route-controller.ts";
import { RouteExecutor } from "../controllers/route-executor.ts";
import { RouteReporter, type ReporterFacts } from "../controllers/route-reporter.ts";
import { RouteState } from "../controllers/route-state.ts";
import { RouteWriter } from "../controllers/route-writer.ts";
import { SourceDestChecks } from "../controllers/source-dest-checks.ts";
import { NetworkError } from "../core/errors.ts";
import { healthOptions } from "../core/health/options.ts";
import type { HealthVerdict } from "../core/health/verdicts.ts";
import type { Clock } from "../ports/clock.ts";
import type { Cloud } from "../ports/cloud.ts";
import type { Leadership } from "../ports/election.ts";
import type { Logger } from "../ports/logger.ts";
import type { Meter } from "../ports/meter.ts";
import type { Prober } from "../ports/prober.ts";
import type { Store } from "../ports/store.ts";
import { RouteJournal } from "../services/route-journal.ts";
import type { RoutesView } from "../services/route-views.ts";

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
  readonly meter?: Meter | undefined;
  /** Root of all keys in the store, `/romana`. */
  readonly prefix: string;
  /** The term in which it works; absent where there is but one process. Nothing is recorded or sent once it is over (decision 29). */
  readonly term?: EngineTerm | undefined;
}

/** A term as leader, and what bounds it from outside. */
export interface EngineTerm {
  readonly leadership: Leadership;
  readonly ttlMs: number;
}

/** Journal, probes, passes and failover of one process. */
export interface RouteEngine {
  readonly routes: RoutesView;
  readonly controller: RouteController;
  readonly state: RouteState;
  readonly monitor: HealthMonitor | undefined;
  /** EC2, for whoever follows Nodes. */
  readonly nodeCloud: NodeCloud;
  /** What an explanation is made from. */
  readonly explained: ExplainerRoutes;
  start(): void;
  stop(): Promise<void>;
}

/**
 * Builds what keeps routes, whatever wants them. The control plane and the stand-alone router both call this and nobody else does (held by
 * `test/architecture.test.ts`).
 */
export async function createRouteEngine(parts: RouteEngineParts, signal: AbortSignal): Promise<RouteEngine> {
  const { clock, log, cloud, config } = parts;
  const { term } = parts;
  const stopping = new AbortController();
  const over =
    term === undefined ? stopping.signal : AbortSignal.any([stopping.signal, term.leadership.ended]);
  const monitor = createMonitor(parts, (verdict) => onVerdict(verdict));
  const health = monitor ?? NO_PROBES;
  const { journal, state, writer, executor } = await createRouteHands(parts, { health, over }, signal);
  const routeLog = log.child({ component: "routes" });
  const shared = { state, journal, clock, health, log: routeLog, dryRun: config.dryRun, meter: parts.meter };
  const failover = new FailoverController({ ...shared, executor, signal: over });
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
    if (over.aborted) {
      return;
    }
    parts.meter?.verdict(verdict.kind);
    if (verdict.kind === "down") {
      await failover.failOver(verdict.host, verdict.answered);
    } else if (verdict.kind === "up") {
      await failover.failOverEarly();
    }
    controller.trigger();
  }
  return {
    routes: new RouteReporter({ controller, state, health, journal, cloud, clock, facts: parts.facts }),
    controller,
    state,
    monitor,
    nodeCloud: {
      describe: async (instanceId, abort) => {
        const instance = await cloud.describeInstance(instanceId, abort);
        if (instance !== undefined) {
          controller.instanceSeen(instance);
        }
        return instance;
      },
      placed: (interfaces, abort) => controller.turnOffChecks(interfaces, abort),
      look: () => controller.trigger(),
    },
    explained: { state, health, journal, clock },
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

/** What changes route tables: the journal, what is known of writes, the budget, and who carries plans out. */
export interface RouteHands {
  readonly journal: RouteJournal;
  readonly state: RouteState;
  readonly writer: RouteWriter;
  readonly executor: RouteExecutor;
}

/** Builds what changes route tables, for whoever has a plan. Nothing is sent once `over` is aborted, or the term of `parts` may have ended. */
export async function createRouteHands(
  parts: Pick<RouteEngineParts, "clock" | "log" | "store" | "cloud" | "meter" | "prefix" | "term"> & {
    readonly config: Pick<RouteEngineConfig, "routeQuota" | "ec2">;
  },
  { health, over }: { readonly health: HealthSource; readonly over: AbortSignal },
  signal: AbortSignal,
): Promise<RouteHands> {
  const { clock, log, store, cloud, config, prefix, term } = parts;
  const journal = await RouteJournal.open({ store, prefix, guard: term?.leadership.guard }, signal);
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
    meter: parts.meter,
    mayWrite: () => {
      over.throwIfAborted();
      return term === undefined ? Infinity : allowance(term);
    },
  });
  const executor = new RouteExecutor({
    writer,
    journal,
    state,
    clock,
    log: log.child({ component: "routes" }),
  });
  return { journal, state, writer, executor };
}

/** Milliseconds that a call to the cloud may take. Throws `LEADERSHIP_LOST` (transient) when none may be sent. */
function allowance({ leadership, ttlMs }: EngineTerm): number {
  const remainingMs = leadership.remainingMs();
  if (remainingMs <= 0) {
    throw new NetworkError(
      "transient",
      "LEADERSHIP_LOST",
      "the lease of this replica was not renewed in time: it may write no routes any more",
    );
  }
  return Math.min(ttlMs / 2, remainingMs);
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
