import type { KubernetesConfig } from "../config/load.ts";
import { NodeController } from "../controllers/node-controller.ts";
import type { NodeCloud } from "../controllers/node-instances.ts";
import { ServiceRangeKeeper } from "../controllers/service-range-keeper.ts";
import type { TopologyFileWatcherOptions } from "../controllers/topology-file-watcher.ts";
import { API_SERVICE } from "../core/cluster/service-range.ts";
import type { Cidr } from "../core/net/cidr.ts";
import { readIpv4 } from "../core/net/ipv4.ts";
import type { Clock } from "../ports/clock.ts";
import type { ClusterSource, ClusterWriter, LeaseLock } from "../ports/cluster.ts";
import type { Logger } from "../ports/logger.ts";
import type { AddressingService } from "../services/addressing-service.ts";
import type { AgentReports } from "../services/cluster/agent-reports.ts";
import { ClusterTenants } from "../services/cluster/cluster-tenants.ts";
import { ClusterView } from "../services/cluster/cluster-view.ts";
import { EndpointIndex } from "../services/cluster/endpoint-index.ts";
import type { ObjectReader } from "../services/cluster/object-view.ts";
import { PodSegments } from "../services/cluster/pod-segments.ts";
import { ClusterEventRecorder } from "../services/event-recorder.ts";
import type { ReservedRanges } from "../services/reserved-ranges.ts";

/** How long the Service `default/kubernetes` is waited for when all others are known. */
const PATIENCE_MS = 10_000;

/** The cluster that is followed, from outside. */
export interface ClusterParts {
  readonly source: ClusterSource;
  readonly writer: ClusterWriter;
  /** The Lease that chooses the leader; absent: the store does. */
  readonly lease: LeaseLock | undefined;
  readonly config: KubernetesConfig;
  /** The file that the topology came from, when it came from one. */
  readonly topologyFile?: Pick<TopologyFileWatcherOptions, "path" | "follow" | "parse"> | undefined;
}

/** What every replica knows of the cluster, whoever leads. */
export interface ClusterSide {
  readonly view: ClusterView;
  readonly endpoints: EndpointIndex;
  readonly tenants: ClusterTenants;
  readonly segments: PodSegments;
  readonly agents: AgentReports;
  readonly events: ClusterEventRecorder;
  /** What makes hosts of Nodes, for a term; `cloud`: what EC2 says of their machines. */
  nodeController(cloud: NodeCloud | undefined): NodeController;
  /** Resolves when the ranges of service addresses are known. Rejects with the signal's reason. */
  rangesKnown(signal: AbortSignal): Promise<void>;
  /** The IPv4 address of the Service `default/kubernetes`, as soon as it is known; `undefined` when there is none. Rejects with the signal's reason. */
  serviceIp(signal: AbortSignal): Promise<string | undefined>;
  start(): void;
  stop(): Promise<void>;
}

export interface ClusterSurroundings {
  readonly clock: Clock;
  readonly log: Logger;
  readonly addressing: AddressingService;
  readonly reserved: ReservedRanges;
  readonly agents: AgentReports;
  /** `--service-range`. */
  readonly serviceRange: Cidr | undefined;
}

/** Builds what follows the cluster on every replica. */
export function createCluster(
  { source, writer, config }: ClusterParts,
  { clock, log, addressing, reserved, agents, serviceRange }: ClusterSurroundings,
): ClusterSide {
  const view = new ClusterView(source);
  const endpoints = new EndpointIndex({ addresses: addressing, pods: view.pods });
  const events = new ClusterEventRecorder({ writer, clock, log: log.child({ component: "events" }) });
  const ranges = new ServiceRangeKeeper({
    serviceCidrs: view.servicecidrs,
    services: view.services,
    flag: serviceRange,
    onRange: (list) => reserved.put("service-range", list),
    clock,
    log: log.child({ component: "cluster" }),
  });
  return {
    view,
    endpoints,
    tenants: new ClusterTenants({
      namespaces: view.namespaces,
      pods: view.pods,
      label: config.segmentLabel,
    }),
    segments: new PodSegments(view.pods, config.segmentLabel),
    agents,
    events,
    nodeController: (cloud) =>
      new NodeController({
        nodes: view.nodes,
        nodesProblem: () => source.state("nodes").problem,
        registry: addressing,
        cloud,
        hostGraceMs: config.hostGraceMs,
        events,
        agents,
        clock,
        log: log.child({ component: "nodes" }),
      }),
    serviceIp: async (signal) => {
      await ranges.whenTold(signal);
      // The API server makes it some moments after it begins to answer.
      await appears(view.services, API_SERVICE, clock, signal);
      return view.services.get(API_SERVICE)?.clusterIps.find((ip) => readIpv4(ip) !== undefined);
    },
    rangesKnown: (signal) => ranges.whenTold(signal),
    start: () => {
      ranges.start();
      endpoints.start();
      events.start();
      view.start();
    },
    stop: async () => {
      await view.stop();
      endpoints.stop();
      await ranges.stop();
      await events.stop();
    },
  };
}

/** Resolves when there is an object of that name, or after `PATIENCE_MS`. Rejects with the signal's reason. */
async function appears<T>(
  view: ObjectReader<T>,
  key: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const enough = new AbortController();
  const end = view.onChange(() => {
    if (view.get(key) !== undefined) {
      enough.abort();
    }
  });
  try {
    if (view.get(key) === undefined) {
      await clock.sleep(PATIENCE_MS, AbortSignal.any([signal, enough.signal])).catch(() => undefined);
      signal.throwIfAborted();
    }
  } finally {
    end();
  }
}
