import { AddressCollector } from "../controllers/address-collector.ts";
import type { Duties } from "../controllers/leader-terms.ts";
import { NodeReadiness } from "../controllers/node-readiness.ts";
import { PolicyTranslator } from "../controllers/policy-translator.ts";
import { ServiceChecker } from "../controllers/service-checker.ts";
import { TopologyFileWatcher } from "../controllers/topology-file-watcher.ts";
import { TopologyStarter } from "../controllers/topology-starter.ts";
import type { Cidr } from "../core/net/cidr.ts";
import { routesStand, type StandingRoutes } from "../core/routing/routes-stand.ts";
import type { Leadership } from "../ports/election.ts";
import type { AddressingService } from "../services/addressing-service.ts";
import type { ClusterPolicyStore } from "../services/cluster-policy-store.ts";
import type { ControlPlaneParts } from "./control-plane-parts.ts";
import type { ClusterParts, ClusterSide } from "./create-cluster.ts";
import type { LeaderDuties } from "./leader-duties.ts";

/** What the leader alone does for the cluster: whatever is written on account of it. */
export interface ClusterDuties extends Duties {
  readonly translator: PolicyTranslator;
  readonly collector: AddressCollector;
  readonly topology: TopologyStarter;
}

export interface ClusterDutyContext {
  readonly addressing: AddressingService;
  readonly cluster: ClusterSide;
  readonly clusterPolicies: ClusterPolicyStore;
  readonly term: Leadership;
  /** What the leader does in EC2; `undefined` without a cloud. */
  readonly cloudDuties: LeaderDuties | undefined;
  readonly chooseTopology: (signal: AbortSignal) => Promise<unknown>;
}

/** The ConfigMap that holds a topology of the users' own (`deploy/kubernetes/overlays`); events name it by its name alone. */
const NETWORK_CONF = {
  apiVersion: "v1",
  kind: "ConfigMap",
  namespace: "kube-system",
  name: "romana-network-conf",
  uid: "",
};

/** Begins the duties of a term. The parts are made anew each term, and reach the same end from any start. */
export function beginClusterDuties(
  { clock, log: root, cluster: from }: ControlPlaneParts & { readonly cluster: ClusterParts },
  { addressing, cluster, clusterPolicies, term, cloudDuties, chooseTopology }: ClusterDutyContext,
): ClusterDuties {
  const { view, events, agents } = cluster;
  const log = root.child({ component: "cluster" });
  const topology = new TopologyStarter({ addressing, choose: chooseTopology, clock, log });
  const translator = new PolicyTranslator({
    networkPolicies: view.networkpolicies,
    namespaces: view.namespaces,
    store: clusterPolicies,
    term,
    events,
    clock,
    log,
  });
  const collector = new AddressCollector({
    addresses: addressing,
    pods: view.pods,
    podsProblem: () => from.source.state("pods").problem,
    agents,
    nodes: view.nodes,
    events,
    clock,
    log,
    graceMs: from.config.addressGraceMs,
    guard: term.guard,
  });
  const nodes = cloudDuties?.nodes ?? cluster.nodeController(undefined);
  const readiness = new NodeReadiness({
    nodes: view.nodes,
    hosts: addressing,
    agents,
    writer: from.writer,
    routes: () => (cloudDuties === undefined ? () => true : groupsThatStand(addressing, cloudDuties)),
    cloud: cloudDuties !== undefined,
    clock,
    log,
  });
  const file = from.topologyFile;
  const parts = [
    topology,
    nodes,
    readiness,
    translator,
    collector,
    new ServiceChecker({ services: view.services, events, clock }),
    ...(file === undefined
      ? []
      : [
          new TopologyFileWatcher({
            ...file,
            inForce: () => addressing.topologyDocument(),
            overrides: from.config.cidrOverrides,
            events,
            subject: NETWORK_CONF,
            log,
          }),
        ]),
  ];
  parts.forEach((part) => part.start());
  return {
    translator,
    collector,
    topology,
    stop: async () => {
      await Promise.all(parts.map((part) => part.stop()));
    },
  };
}

/**
 * Whether everything that is wanted for the groups of a host stands, as of the last look and our writes since. Many nodes wait at once while a cluster starts: what was looked up for one
 * of them, and each group, is looked up once for all.
 */
function groupsThatStand(
  addressing: Pick<AddressingService, "host">,
  { state }: { readonly state: Pick<LeaderDuties["state"], "snapshot"> },
): (host: string) => boolean {
  const known = new Map<Cidr, boolean>();
  let now: { readonly standing: StandingRoutes; readonly hosts: ReadonlySet<string> } | undefined;
  const look = (): typeof now => {
    const snapshot = state.snapshot();
    return (
      snapshot && {
        standing: {
          plan: snapshot.plan,
          desired: snapshot.desired,
          tables: snapshot.facts.routeTables,
        },
        hosts: new Set(snapshot.hosts.map(({ name }) => name)),
      }
    );
  };
  return (name) => {
    now ??= look();
    const groups = addressing.host(name)?.groups ?? [];
    if (now === undefined || groups.length === 0 || !now.hosts.has(name)) {
      return false;
    }
    const { standing } = now;
    return groups.every(({ cidr }) => {
      const stands = known.get(cidr) ?? routesStand(standing, cidr);
      known.set(cidr, stands);
      return stands;
    });
  };
}
