import { HostController } from "../controllers/host-controller.ts";
import type { Duties } from "../controllers/leader-terms.ts";
import type { NodeController } from "../controllers/node-controller.ts";
import type { ReporterFacts } from "../controllers/route-reporter.ts";
import type { ProbeTarget } from "../core/health/state.ts";
import type { Ipv4 } from "../core/net/ipv4.ts";
import type { RouteDemand } from "../core/routing/route-plan.ts";
import type { Cloud } from "../ports/cloud.ts";
import type { Leadership } from "../ports/election.ts";
import type { AddressingService } from "../services/addressing-service.ts";
import { NodeStandings } from "../services/cluster/node-standings.ts";
import type { ReservedRanges } from "../services/reserved-ranges.ts";
import type { ControlPlaneParts } from "./control-plane-parts.ts";
import type { ClusterSide } from "./create-cluster.ts";
import { createRouteEngine, type RouteEngine } from "./create-route-engine.ts";

/** What the leader alone does: it looks at EC2, probes the nodes, and writes routes. */
export type LeaderDuties = Duties &
  Pick<RouteEngine, "routes" | "controller" | "state" | "monitor" | "explained"> & {
    /** What makes hosts of Nodes, not started; absent where no cluster is followed. */
    readonly nodes: NodeController | undefined;
  };

export interface DutyContext {
  readonly addressing: AddressingService;
  readonly facts: Omit<ReporterFacts, "refusedHosts">;
  readonly term: Leadership;
  readonly reserved: ReservedRanges;
  readonly cluster: ClusterSide | undefined;
}

/**
 * Begins the duties of a term: everything is read and probed anew, then written. The parts are made anew each term, so that nothing known in an earlier
 * one is believed.
 */
export async function beginDuties(
  parts: ControlPlaneParts & { readonly cloud: Cloud },
  { addressing, facts, term, reserved, cluster }: DutyContext,
  signal: AbortSignal,
): Promise<LeaderDuties> {
  const hosts = new HostController({
    registry: addressing,
    clock: parts.clock,
    log: parts.log.child({ component: "hosts" }),
    hostTags: parts.config.hostTags,
  });
  let nodes: NodeController | undefined;
  const standings = cluster && new NodeStandings({ nodes: cluster.view.nodes, cloud: true });
  const engine = await createRouteEngine(
    {
      ...parts,
      term: { leadership: term, ttlMs: parts.config.leaderTtlMs },
      view: () => routingView(addressing, standings),
      onFacts: async (seen, abort) => {
        reserved.put(
          "vpc",
          seen.vpcCidrs.map((cidr) => ({ cidr, what: `the VPC ${seen.vpcId}` })),
        );
        addressing.setSubnets(seen.subnets);
        // Nodes first: an instance that is a Node's is not learned twice.
        await nodes?.cloudSeen(seen);
        await hosts.reconcile(seen, abort);
      },
      facts: { ...facts, refusedHosts: () => hosts.refused() },
    },
    signal,
  );
  const { controller } = engine;
  nodes = cluster?.nodeController(engine.nodeCloud);
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
  const ignoreStandings = standings?.onChange(() => controller.hostsChanged());
  engine.start();
  return {
    ...engine,
    nodes,
    stop: async () => {
      ignoreChanges();
      ignoreStandings?.();
      await engine.stop();
    },
  };
}

/** A host before it is known what it serves, and who could take that over. */
function firstTarget({ name, ip }: { readonly name: string; readonly ip: Ipv4 }): ProbeTarget {
  return { host: name, address: ip, role: "stand-in", standIns: [], zone: "" };
}

/** The addressing side as the planner reads it. */
function routingView(addressing: AddressingService, standings: NodeStandings | undefined): RouteDemand {
  return {
    trees: addressing.layout().map((layout) => ({
      network: layout.network.name,
      root: layout.root,
      hostsOf: (leaf) => layout.hostsOf(leaf).map(({ name }) => name),
      blocksOf: (host) => layout.blocksOf(host),
    })),
    hosts: addressing.hosts().hosts.map((host) => ({
      name: host.name,
      ip: host.ip,
      standing: standings?.standing(host) ?? "ready",
    })),
  };
}
