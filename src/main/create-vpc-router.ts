import type { HealthMonitor } from "../controllers/health-monitor.ts";
import { NetworkError } from "../core/errors.ts";
import type { RouteOperation, RoutePlan } from "../core/routing/route-plan.ts";
import { addressesOf, demandOf, type RouteSpec } from "../core/routing/route-spec.ts";
import type { PlanView } from "../core/views/route-views.ts";
import type { Logger } from "../ports/logger.ts";
import { RouteSpecKeeper } from "../services/route-spec-keeper.ts";
import type { RoutesView } from "../services/route-views.ts";
import { createRouteEngine, type RouteEngineConfig, type RouteEngineParts } from "./create-route-engine.ts";

/** Root of all keys in the store. */
const PREFIX = "/romana";

/** Everything that the stand-alone router is built from. */
export type VpcRouterParts = Pick<
  RouteEngineParts,
  "clock" | "log" | "store" | "cloud" | "prober" | "isOwn" | "meter"
> & {
  readonly config: RouteEngineConfig & { readonly takeOver: boolean };
  /** The file that the list comes from; undefined when it is posted. */
  readonly file: string | undefined;
  /** Reads a list, or throws `ROUTE_SPEC_INVALID`. */
  readonly read: (text: string, source: string) => RouteSpec;
  readonly version: string;
  readonly cloudName: string;
  readonly storeName: string;
};

/** Routes to fixed gateways: a list, and what keeps it. */
export interface VpcRouter {
  readonly routeSpec: RouteSpecKeeper;
  readonly routes: RoutesView;
  readonly monitor: HealthMonitor | undefined;
  /** What has stopped and will not go on by itself, one phrase each. */
  stuck(): readonly string[];
  /** Begins to keep the list that is there, or the first one that comes. */
  start(): void;
  stop(): Promise<void>;
}

/**
 * Builds the stand-alone router from its adapters: the routes, probes and failover of the control plane, with a list in the place of its groups. Until there is
 * a list nothing is read, planned or written.
 */
export async function createVpcRouter(parts: VpcRouterParts, signal: AbortSignal): Promise<VpcRouter> {
  const { clock, log, store, config, file, read } = parts;
  const routeSpec = await RouteSpecKeeper.open(
    { store, clock, log: log.child({ component: "route-spec" }), prefix: PREFIX, file, read },
    signal,
  );
  const planLog = new PlanLog(log.child({ component: "routes" }), config.dryRun);
  const engine = await createRouteEngine(
    {
      ...parts,
      prefix: PREFIX,
      view: () => demandOf(required(routeSpec.current()), config.takeOver),
      onFacts: () => Promise.resolve(),
      onPlan: (plan) => planLog.note(plan),
      facts: {
        version: parts.version,
        cloudName: parts.cloudName,
        storeName: parts.storeName,
        dryRun: config.dryRun,
        hostCounts: () => {
          const spec = routeSpec.current();
          const known = engine.state.snapshot()?.plan.gateways;
          const listed = spec === undefined ? [] : addressesOf(spec);
          const unplaced = listed.filter((address) => known?.has(address) !== true).length;
          return { total: listed.length, unplaced, misplaced: 0 };
        },
        refusedHosts: () => new Map(),
      },
    },
    signal,
  );
  let isStarted = false;
  let isRunning = false;
  const run = (): void => {
    if (isStarted && routeSpec.current() !== undefined) {
      if (isRunning) {
        engine.controller.trigger();
      } else {
        isRunning = true;
        engine.start();
      }
    }
  };
  const ignoreChanges = routeSpec.onChange(run);
  return {
    routeSpec,
    routes: withList(engine.routes, routeSpec),
    monitor: engine.monitor,
    // Before there is a list nothing goes on that could stop.
    stuck: () => (isRunning ? engine.controller.stuck() : []),
    start: () => {
      isStarted = true;
      run();
    },
    stop: async () => {
      isStarted = false;
      ignoreChanges();
      await engine.stop();
    },
  };
}

/** Routes that are neither planned nor written before there is a list. */
function withList(routes: RoutesView, routeSpec: RouteSpecKeeper): RoutesView {
  const afterList = async (work: () => Promise<PlanView>): Promise<PlanView> => {
    required(routeSpec.current());
    return await work();
  };
  return {
    plan: (signal) => afterList(() => routes.plan(signal)),
    rebalance: (signal) => afterList(() => routes.rebalance(signal)),
    reconcile: (signal) => afterList(() => routes.reconcile(signal)),
    routes: () => routes.routes(),
    health: () => routes.health(),
    status: () => routes.status(),
    notReady: () =>
      routeSpec.current() === undefined ? ["there is no list of routes yet"] : routes.notReady(),
  };
}

function required(spec: RouteSpec | undefined): RouteSpec {
  if (spec === undefined) {
    throw new NetworkError(
      "not-found",
      "ROUTE_SPEC_MISSING",
      "there is no list of routes yet: POST one to /route_spec",
    );
  }
  return spec;
}

/**
 * Says each alarm of the plans once, and once when it is over: the router need not serve anything that could show them. Under dry-run each operation that would be
 * carried out, too.
 */
class PlanLog {
  readonly #log: Logger;
  readonly #dryRun: boolean;
  #alarms: ReadonlyMap<string, string> = new Map();
  #operations: ReadonlySet<string> = new Set();

  constructor(log: Logger, dryRun: boolean) {
    this.#log = log;
    this.#dryRun = dryRun;
  }

  note({ alarms, operations }: RoutePlan): void {
    const now = new Map(alarms.map(({ kind, subject, message }) => [`${kind} ${subject}`, message]));
    for (const { kind, subject, message } of alarms) {
      if (this.#alarms.get(`${kind} ${subject}`) !== message) {
        this.#log.warn({ alarm: kind, subject, problem: message }, "an alarm");
      }
    }
    for (const key of this.#alarms.keys()) {
      if (!now.has(key)) {
        const [kind, ...subject] = key.split(" ");
        this.#log.info({ alarm: kind, subject: subject.join(" ") }, "an alarm is over");
      }
    }
    this.#alarms = now;
    if (this.#dryRun) {
      this.#sayOperations(operations);
    }
  }

  #sayOperations(operations: readonly RouteOperation[]): void {
    const now = new Set<string>();
    for (const operation of operations) {
      const { kind, routeTableId, destination, reason } = operation;
      const target = operation.kind === "delete" ? {} : { eniId: operation.target, host: operation.host };
      const fields = { operation: kind, routeTableId, cidr: destination, ...target, reason };
      const key = JSON.stringify(fields);
      now.add(key);
      if (!this.#operations.has(key)) {
        this.#log.info(fields, "a route would be written, but for --dry-run");
      }
    }
    this.#operations = now;
  }
}
