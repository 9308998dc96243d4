import type { ControllerConfig } from "../config/load.ts";
import type { HealthMonitor } from "../controllers/health-monitor.ts";
import { HostController } from "../controllers/host-controller.ts";
import type { RouteController } from "../controllers/route-controller.ts";
import { NoRoutes, type ReporterFacts } from "../controllers/route-reporter.ts";
import type { RouteState } from "../controllers/route-state.ts";
import type { RouteDemand } from "../core/routing/route-plan.ts";
import type { Clock } from "../ports/clock.ts";
import type { Cloud } from "../ports/cloud.ts";
import type { Logger } from "../ports/logger.ts";
import type { Prober } from "../ports/prober.ts";
import type { Store } from "../ports/store.ts";
import { AddressingService } from "../services/addressing-service.ts";
import type { RoutesView } from "../services/route-views.ts";
import { createRouteEngine, STORE_PREFIX, type RouteEngineConfig } from "./create-route-engine.ts";

/** The part of the configuration that the control plane itself needs; adapters are built by the caller. */
export type ControlPlaneConfig = RouteEngineConfig & Pick<ControllerConfig, "serviceRange" | "hostTags">;

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
}

/** Everything that works together in one controller process, or in one simulation of it. */
export interface ControlPlane {
  readonly addressing: AddressingService;
  readonly routes: RoutesView;
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
  const { clock, log, store, cloud, config } = parts;
  const addressing = await AddressingService.open({ store, clock, log, prefix: STORE_PREFIX }, signal);
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
      controller: undefined,
      state: undefined,
      monitor: undefined,
      start: () => undefined,
      stop: async () => undefined,
    };
  }

  const hosts = new HostController({
    registry: addressing,
    clock,
    log: log.child({ component: "hosts" }),
    hostTags: config.hostTags,
  });
  const engine = await createRouteEngine(
    {
      ...parts,
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
      facts: { ...facts, refusedHosts: () => hosts.refused() },
    },
    signal,
  );
  const { controller } = engine;
  const ignoreChanges = addressing.onChange((what) =>
    what === "blocks" ? controller.blocksChanged() : controller.trigger(),
  );
  return {
    ...engine,
    addressing,
    stop: async () => {
      ignoreChanges();
      await engine.stop();
    },
  };
}

/** The addressing side as the planner reads it. */
function routingView(addressing: AddressingService): RouteDemand {
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
