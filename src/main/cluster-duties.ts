import { AddressCollector } from "../controllers/address-collector.ts";
import type { Duties } from "../controllers/leader-terms.ts";
import { NodeReadiness } from "../controllers/node-readiness.ts";
import { PolicyTranslator } from "../controllers/policy-translator.ts";
import { ServiceChecker } from "../controllers/service-checker.ts";
import { TopologyFileWatcher } from "../controllers/topology-file-watcher.ts";
import { TopologyStarter } from "../controllers/topology-starter.ts";
import { routesStand } from "../core/routing/routes-stand.ts";
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
    routesStand: (host) => cloudDuties === undefined || routesOfHostStand(addressing, cloudDuties, host),
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

/** Whether everything that is wanted for the groups of a host stands, as of the last look and our writes since. */
function routesOfHostStand(
  addressing: AddressingService,
  { state }: Pick<LeaderDuties, "state">,
  name: string,
): boolean {
  const snapshot = state.snapshot();
  const host = addressing.host(name);
  if (snapshot === undefined || host === undefined || !snapshot.hosts.some((each) => each.name === name)) {
    return false;
  }
  const { plan, desired, facts } = snapshot;
  return (
    host.groups.length > 0 &&
    host.groups.every(({ cidr }) => routesStand({ plan, desired, tables: facts.routeTables }, cidr))
  );
}
