import type { KubernetesConfig } from "../config/load.ts";
import { NodeController } from "../controllers/node-controller.ts";
import type { NodeCloud } from "../controllers/node-instances.ts";
import { ServiceRangeKeeper } from "../controllers/service-range-keeper.ts";
import type { TopologyFileWatcherOptions } from "../controllers/topology-file-watcher.ts";
import { API_SERVICE } from "../core/cluster/service-range.ts";
import { standingOf, type NodeStanding } from "../core/cluster/standing.ts";
import { NetworkError } from "../core/errors.ts";
import type { Cidr } from "../core/net/cidr.ts";
import type { Clock } from "../ports/clock.ts";
import type { ClusterSource, ClusterWriter, LeaseLock } from "../ports/cluster.ts";
import type { Logger } from "../ports/logger.ts";
import type { AddressingService } from "../services/addressing-service.ts";
import type { AgentReports } from "../services/cluster/agent-reports.ts";
import { ClusterView } from "../services/cluster/cluster-view.ts";
import { EndpointIndex } from "../services/cluster/endpoint-index.ts";
import { PodSegments } from "../services/cluster/pod-segments.ts";
import { ClusterEventRecorder } from "../services/event-recorder.ts";
import type { ReservedRanges } from "../services/reserved-ranges.ts";

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
  readonly segments: PodSegments;
  readonly agents: AgentReports;
  readonly events: ClusterEventRecorder;
  /** What makes hosts of Nodes, for a term; `cloud`: what EC2 says of their machines. */
  nodeController(cloud: NodeCloud | undefined): NodeController;
  /** What Kubernetes says of a host as a gateway; a host that is no Node is ready. */
  standing(host: string): NodeStanding;
  /** Calls the listener when that changed for a host; it must not throw. Returns what ends that. */
  onStanding(listener: () => void): () => void;
  /** The address of the Service `default/kubernetes`, as soon as the services are known; `undefined` when there is none. */
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
    log: log.child({ component: "cluster" }),
  });
  return {
    view,
    endpoints,
    segments: new PodSegments(view.pods, config.segmentLabel),
    agents,
    events,
    nodeController: (cloud) =>
      new NodeController({
        nodes: view.nodes,
        registry: addressing,
        cloud,
        hostGraceMs: config.hostGraceMs,
        events,
        agents,
        clock,
        log: log.child({ component: "nodes" }),
      }),
    standing: (host) => {
      const node = view.nodes.get(host);
      return node === undefined ? "ready" : standingOf(node);
    },
    onStanding: (listener) =>
      view.nodes.onChange((change) => {
        const before = change.kind === "put" ? change.before : undefined;
        if (before === undefined || standingOf(before) !== standingOf(change.object)) {
          listener();
        }
      }),
    serviceIp: async (signal) => {
      await synced(view, signal);
      return view.services.get(API_SERVICE)?.clusterIps[0];
    },
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

/** Resolves when the services of the cluster are known. */
function synced({ services }: ClusterView, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const gone = (): void =>
      reject(
        new NetworkError(
          "transient",
          "CLUSTER_UNAVAILABLE",
          "the services of the cluster were not known before this ended",
        ),
      );
    signal.addEventListener("abort", gone, { once: true });
    const end = services.onSynced(() => {
      signal.removeEventListener("abort", gone);
      // Not yet assigned where it is synced already: then there is nothing to end.
      queueMicrotask(() => end());
      resolve();
    });
  });
}
