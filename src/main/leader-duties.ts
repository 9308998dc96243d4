import { HostController } from "../controllers/host-controller.ts";
import type { Duties } from "../controllers/leader-terms.ts";
import type { ReporterFacts } from "../controllers/route-reporter.ts";
import type { ProbeTarget } from "../core/health/state.ts";
import type { Cidr } from "../core/net/cidr.ts";
import type { Ipv4 } from "../core/net/ipv4.ts";
import type { RouteDemand } from "../core/routing/route-plan.ts";
import type { Cloud } from "../ports/cloud.ts";
import type { Leadership } from "../ports/election.ts";
import type { AddressingService } from "../services/addressing-service.ts";
import type { ControlPlaneParts } from "./control-plane-parts.ts";
import { createRouteEngine, type RouteEngine } from "./create-route-engine.ts";

/** What the leader alone does: it looks at EC2, probes the nodes, and writes routes. */
export type LeaderDuties = Duties &
  Pick<RouteEngine, "routes" | "controller" | "state" | "monitor" | "explained">;

export interface DutyContext {
  readonly addressing: AddressingService;
  readonly facts: Omit<ReporterFacts, "refusedHosts">;
  readonly term: Leadership;
  /** Ranges that no network may overlap, beside the VPC's. */
  readonly serviceRange: readonly { readonly cidr: Cidr; readonly what: string }[];
}

/**
 * Begins the duties of a term: everything is read and probed anew, then written. The parts are made anew each term, so that nothing known in an earlier
 * one is believed.
 */
export async function beginDuties(
  parts: ControlPlaneParts & { readonly cloud: Cloud },
  { addressing, facts, term, serviceRange }: DutyContext,
  signal: AbortSignal,
): Promise<LeaderDuties> {
  const hosts = new HostController({
    registry: addressing,
    clock: parts.clock,
    log: parts.log.child({ component: "hosts" }),
    hostTags: parts.config.hostTags,
  });
  const engine = await createRouteEngine(
    {
      ...parts,
      term: { leadership: term, ttlMs: parts.config.leaderTtlMs },
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
  // Whoever may be a gateway is probed while EC2 is read for the first time: both take about a second, and a node may be dead already.
  engine.monitor?.setTargets(addressing.hosts().hosts.map(firstTarget));
  const ignoreChanges = addressing.onChange((what) => {
    switch (what) {
      case "blocks":
        return controller.blocksChanged();
      case "hosts":
        return controller.hostsChanged();
      case "topology":
        return controller.trigger();
    }
  });
  engine.start();
  return {
    ...engine,
    stop: async () => {
      ignoreChanges();
      await engine.stop();
    },
  };
}

/** A host before it is known what it serves, and who could take that over. */
function firstTarget({ name, ip }: { readonly name: string; readonly ip: Ipv4 }): ProbeTarget {
  return { host: name, address: ip, role: "stand-in", standIns: [], zone: "" };
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
