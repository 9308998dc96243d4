import type { ControllerConfig } from "../config/load.ts";
import { Explainer } from "../controllers/explainer.ts";
import { FailoverController } from "../controllers/failover-controller.ts";
import { HealthMonitor } from "../controllers/health-monitor.ts";
import { NO_PROBES } from "../controllers/health-source.ts";
import { HostController } from "../controllers/host-controller.ts";
import { RouteController } from "../controllers/route-controller.ts";
import { RouteExecutor } from "../controllers/route-executor.ts";
import { NoRoutes, RouteReporter, type ReporterFacts } from "../controllers/route-reporter.ts";
import { RouteState } from "../controllers/route-state.ts";
import { RouteWriter } from "../controllers/route-writer.ts";
import { SourceDestChecks } from "../controllers/source-dest-checks.ts";
import { healthOptions } from "../core/health/options.ts";
import type { HealthVerdict } from "../core/health/verdicts.ts";
import type { RoutingTree } from "../core/routing/aggregate.ts";
import type { PlannedHost } from "../core/routing/gateway.ts";
import type { TableSelector } from "../core/routing/select-tables.ts";
import type { Clock } from "../ports/clock.ts";
import type { Cloud } from "../ports/cloud.ts";
import type { Logger } from "../ports/logger.ts";
import type { Prober } from "../ports/prober.ts";
import type { Store } from "../ports/store.ts";
import { AddressingService } from "../services/addressing-service.ts";
import { prepareStore } from "../services/addressing/schema.ts";
import { RouteJournal } from "../services/route-journal.ts";
import type { RoutesView } from "../services/route-views.ts";
import { StateService } from "../services/state-service.ts";
import { StoreFollower } from "../services/store-follower.ts";

/** Root of all keys in the store, unless the parts name another one. */
const DEFAULT_PREFIX = "/romana";

/** The part of the configuration that the control plane itself needs; adapters are built by the caller. */
export type ControlPlaneConfig = Pick<
  ControllerConfig,
  | "serviceRange"
  | "dryRun"
  | "hostTags"
  | "routeTables"
  | "routeQuota"
  | "routeReserve"
  | "ignoreRoutes"
  | "intervalMs"
  | "health"
  | "ec2"
>;

export interface ControlPlaneParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly store: Store;
  /** Absent with `--cloud none`: addresses are kept, no routes. */
  readonly cloud: Cloud | undefined;
  /** Absent with `--probe none`: nothing moves on account of health. */
  readonly prober: Prober | undefined;
  readonly config: ControlPlaneConfig;
  /** The topology to begin with, parsed JSON, used when the store holds none. */
  readonly initialTopology?: unknown;
  /** Whether an address is the machine's that we run on; none is in a simulation. */
  readonly isOwn?: (address: string) => boolean;
  readonly version: string;
  /** `aws`, `simulation` or `none`. */
  readonly cloudName: string;
  readonly storeName: string;
  /** Root of all keys in the store (`/romana`). */
  readonly prefix?: string;
}

/** Everything that works together in one controller process, or in one simulation of it. */
export interface ControlPlane {
  readonly addressing: AddressingService;
  readonly routes: RoutesView;
  readonly explain: Explainer;
  readonly transfer: StateService;
  /** Absent without a cloud, like `state`. */
  readonly controller: RouteController | undefined;
  readonly state: RouteState | undefined;
  readonly monitor: HealthMonitor | undefined;
  start(): void;
  stop(): Promise<void>;
}

/**
 * Builds the control plane from its adapters. `romana controller` and `romana simulate` both call this and nothing else does: what runs in a simulation is what
 * runs in production, but for the adapters and the clock (held by `test/architecture.test.ts`).
 */
export async function createControlPlane(
  parts: ControlPlaneParts,
  signal: AbortSignal,
): Promise<ControlPlane> {
  const { clock, log, store, cloud, config, prefix = DEFAULT_PREFIX } = parts;
  await prepareStore(store, prefix, signal);
  const follower = await StoreFollower.open({ store, clock, log, prefix }, signal);
  const addressing = await AddressingService.open({ store, follower, clock, log, prefix }, signal);
  follower.start();
  const serviceRange =
    config.serviceRange === undefined ? [] : [{ cidr: config.serviceRange, what: "the service range" }];
  addressing.setReserved(serviceRange);
  if (parts.initialTopology !== undefined && addressing.networks().length === 0) {
    await addressing.updateTopology(parts.initialTopology, signal);
  }
  const facts: ReporterFacts = {
    version: parts.version,
    cloudName: parts.cloudName,
    storeName: parts.storeName,
    dryRun: config.dryRun,
    hosts: () => addressing.hosts().hosts,
    refusedHosts: () => new Map(),
  };
  if (cloud === undefined) {
    return {
      addressing,
      routes: new NoRoutes(facts, clock),
      explain: new Explainer({ addressing }),
      transfer: new StateService({ keeper: addressing, clock, log }),
      controller: undefined,
      state: undefined,
      monitor: undefined,
      start: () => undefined,
      stop: async () => {
        addressing.stop();
        await follower.stop();
      },
    };
  }

  const journal = await RouteJournal.open(store, prefix, signal);
  const hosts = new HostController({
    registry: addressing,
    clock,
    log: log.child({ component: "hosts" }),
    hostTags: config.hostTags,
  });
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
  const controller = new RouteController({
    ...shared,
    executor,
    checks: new SourceDestChecks({ ...shared, writer }),
    failover,
    cloud,
    view: () => routingView(addressing),
    onFacts: async (seen, abort) => {
      addressing.setReserved([
        ...serviceRange,
        ...seen.vpcCidrs.map((cidr) => ({ cidr, what: `the VPC ${seen.vpcId}` })),
      ]);
      addressing.setSubnets(seen.subnets);
      await hosts.reconcile(seen, abort);
    },
    tables: tableSelector(config.routeTables),
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
  const ignoreChanges = addressing.onChange((what) =>
    what === "blocks" ? controller.blocksChanged() : controller.trigger(),
  );
  return {
    addressing,
    routes: new RouteReporter({
      controller,
      state,
      health,
      journal,
      cloud,
      clock,
      facts: { ...facts, refusedHosts: () => hosts.refused() },
    }),
    explain: new Explainer({ addressing, routes: { state, health, journal, clock } }),
    transfer: new StateService({ keeper: addressing, clock, log, routes: () => journal.owned() }),
    controller,
    state,
    monitor,
    start: () => {
      monitor?.start();
      controller.start();
    },
    stop: async () => {
      ignoreChanges();
      monitor?.stop();
      stopping.abort(new Error("the controller stops"));
      await controller.stop();
      addressing.stop();
      await follower.stop();
    },
  };
}

function createMonitor(
  { prober, clock, log, config, isOwn }: ControlPlaneParts,
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

/** The addressing side as the planner reads it. */
function routingView(addressing: AddressingService): {
  readonly trees: readonly RoutingTree[];
  readonly hosts: readonly PlannedHost[];
} {
  return {
    trees: addressing.layout().map((layout) => ({
      network: layout.network.name,
      root: layout.root,
      hostsOf: (leaf) => layout.hostsOf(leaf).map(({ name }) => name),
      blocksOf: (host) => layout.blocksOf(host),
    })),
    hosts: addressing.hosts().hosts.map(({ name, ip }) => ({ name, ip, standing: "ready" as const })),
  };
}

function tableSelector(choice: ControllerConfig["routeTables"]): TableSelector {
  return choice.kind === "tag" ? { kind: "tag", key: choice.tag.key, value: choice.tag.value } : choice;
}
