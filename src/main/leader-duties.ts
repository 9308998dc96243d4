import type { ControllerConfig } from "../config/load.ts";
import { FailoverController } from "../controllers/failover-controller.ts";
import { HealthMonitor } from "../controllers/health-monitor.ts";
import { NO_PROBES } from "../controllers/health-source.ts";
import { HostController } from "../controllers/host-controller.ts";
import type { Duties } from "../controllers/leader-terms.ts";
import { RouteController } from "../controllers/route-controller.ts";
import { RouteExecutor } from "../controllers/route-executor.ts";
import { RouteReporter, type ReporterFacts } from "../controllers/route-reporter.ts";
import { RouteState } from "../controllers/route-state.ts";
import { RouteWriter } from "../controllers/route-writer.ts";
import { SourceDestChecks } from "../controllers/source-dest-checks.ts";
import { NetworkError } from "../core/errors.ts";
import { healthOptions } from "../core/health/options.ts";
import type { HealthVerdict } from "../core/health/verdicts.ts";
import type { Cidr } from "../core/net/cidr.ts";
import type { RoutingTree } from "../core/routing/aggregate.ts";
import type { PlannedHost } from "../core/routing/gateway.ts";
import type { TableSelector } from "../core/routing/select-tables.ts";
import type { Cloud } from "../ports/cloud.ts";
import type { Leadership } from "../ports/election.ts";
import type { AddressingService } from "../services/addressing-service.ts";
import { RouteJournal } from "../services/route-journal.ts";
import type { RoutesView } from "../services/route-views.ts";
import type { ControlPlaneParts } from "./control-plane-parts.ts";

/** What the leader alone does: it looks at EC2, probes the nodes, and writes routes. */
export interface LeaderDuties extends Duties {
  readonly reporter: RoutesView;
  readonly controller: RouteController;
  readonly state: RouteState;
  /** Absent with `--probe none`. */
  readonly monitor: HealthMonitor | undefined;
}

export interface DutyContext {
  readonly addressing: AddressingService;
  readonly facts: Omit<ReporterFacts, "refusedHosts">;
  readonly term: Leadership;
  /** Ranges that no network may overlap, beside the VPC's. */
  readonly serviceRange: readonly { readonly cidr: Cidr; readonly what: string }[];
}

/**
 * Begins the duties of a term: everything is read and probed anew, then written, and nothing is sent once `signal` is aborted or the term's time is over
 * (decision 29). The parts are made anew each term, so that nothing known in an earlier one is believed.
 */
export async function beginDuties(
  parts: ControlPlaneParts & { readonly cloud: Cloud },
  { addressing, facts, term, serviceRange }: DutyContext,
  signal: AbortSignal,
): Promise<LeaderDuties> {
  const { clock, log, store, cloud, config, prefix } = parts;
  const journal = await RouteJournal.open({ store, prefix, guard: term.guard }, signal);
  const hosts = new HostController({
    registry: addressing,
    clock,
    log: log.child({ component: "hosts" }),
    hostTags: config.hostTags,
  });
  const stopping = new AbortController();
  const over = AbortSignal.any([stopping.signal, signal]);
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
    mayWrite: () => {
      over.throwIfAborted();
      return allowance(term, config.leaderTtlMs);
    },
  });
  const shared = { state, journal, clock, health, log: routeLog, dryRun: config.dryRun };
  const executor = new RouteExecutor({ ...shared, writer });
  const failover = new FailoverController({ ...shared, executor, signal: over });
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
    if (over.aborted) {
      return;
    }
    if (verdict.kind === "down") {
      await failover.failOver(verdict.host, verdict.answered);
    }
    controller.trigger();
  }
  const ignoreChanges = addressing.onChange((what) =>
    what === "blocks" ? controller.blocksChanged() : controller.trigger(),
  );
  monitor?.start();
  controller.start();
  return {
    controller,
    state,
    monitor,
    reporter: new RouteReporter({
      controller,
      state,
      health,
      journal,
      cloud,
      clock,
      facts: { ...facts, refusedHosts: () => hosts.refused() },
    }),
    stop: async () => {
      ignoreChanges();
      monitor?.stop();
      stopping.abort(new Error("the controller stops"));
      await controller.stop();
    },
  };
}

/** Milliseconds that a call to the cloud may take. Throws `LEADERSHIP_LOST` (transient) when none may be sent. */
function allowance(term: Leadership, ttlMs: number): number {
  const remainingMs = term.remainingMs();
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
