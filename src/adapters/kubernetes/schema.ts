import { z } from "zod";

import type {
  ClusterEndpointSlice,
  ClusterKind,
  ClusterNamespace,
  ClusterNode,
  ClusterObject,
  ClusterObjects,
  ClusterPod,
  ClusterService,
  ClusterServiceCidr,
  ConditionStatus,
  NamedPort,
  ServicePort,
  SliceEndpoint,
} from "../../core/cluster/objects.ts";
import { readNetworkPolicy } from "./network-policy.ts";
import {
  flag,
  labels,
  listOf,
  maybeFlag,
  maybeText,
  part,
  sharedText,
  sharedTexts,
  text,
  texts,
} from "./parts.ts";
import type { Reading } from "./reading.ts";

// One parser for each kind, for what a list and what a watch say: raw JSON in, the fields that are used out. An odd field is read as absent, so that it costs nobody
// else anything; only an object that does not say who it is cannot be read (and a policy, see `network-policy.ts`).

const Identity = z.object({
  metadata: z.object({
    uid: z.string().min(1),
    name: z.string().min(1),
    namespace: sharedText,
    resourceVersion: text,
    deletionTimestamp: z.unknown().optional(),
  }),
});

/** Who an object is; `undefined` when it does not say. */
export function readIdentity(raw: unknown): ClusterObject | undefined {
  const { success, data } = Identity.safeParse(raw);
  if (!success) {
    return undefined;
  }
  const { uid, name, namespace, resourceVersion, deletionTimestamp } = data.metadata;
  const deleting = deletionTimestamp !== undefined && deletionTimestamp !== null;
  return { uid, namespace, name, resourceVersion, deleting };
}

const Labelled = part({ labels });
const namedPorts = listOf(
  z.object({ name: z.string().min(1), containerPort: z.number().int(), protocol: maybeText }),
);

const Node = z.object({
  metadata: Labelled,
  spec: part({
    providerID: text,
    unschedulable: flag,
    taints: listOf(z.object({ key: z.string(), value: sharedText, effect: sharedText })),
  }),
  status: part({
    addresses: listOf(z.object({ type: z.string(), address: z.string() })),
    conditions: listOf(z.object({ type: z.string(), status: z.string() })),
  }),
});

function readNode(raw: unknown, identity: ClusterObject): ClusterNode {
  const { metadata, spec, status } = Node.parse(raw);
  const condition = (type: string): ConditionStatus => {
    const found = status.conditions.find((one) => one.type === type)?.status;
    return found === "True" ? "true" : found === "False" ? "false" : "unknown";
  };
  return {
    ...identity,
    labels: metadata.labels,
    internalIps: status.addresses.filter(({ type }) => type === "InternalIP").map(({ address }) => address),
    providerId: spec.providerID,
    ready: condition("Ready"),
    networkUnavailable: condition("NetworkUnavailable"),
    unschedulable: spec.unschedulable,
    taints: spec.taints,
  };
}

const Pod = z.object({
  metadata: Labelled,
  spec: part({
    nodeName: sharedText,
    hostNetwork: flag,
    containers: listOf(part({ ports: namedPorts })),
    initContainers: listOf(part({ ports: namedPorts, restartPolicy: maybeText })),
  }),
  status: part({ phase: sharedText, podIP: text, podIPs: listOf(z.object({ ip: z.string().min(1) })) }),
});

function readPod(raw: unknown, identity: ClusterObject): ClusterPod {
  const { metadata, spec, status } = Pod.parse(raw);
  const containers = [
    ...spec.containers,
    // A side-car: an init container that goes on running.
    ...spec.initContainers.filter(({ restartPolicy }) => restartPolicy === "Always"),
  ];
  const ports = containers.flatMap((container) => container.ports);
  const ips = status.podIPs.map(({ ip }) => ip);
  return {
    ...identity,
    labels: metadata.labels,
    node: spec.nodeName,
    ips: ips.length > 0 || status.podIP === "" ? ips : [status.podIP],
    phase: status.phase,
    hostNetwork: spec.hostNetwork,
    namedPorts: ports.map(({ name, containerPort, protocol = "TCP" }): NamedPort => ({
      name,
      port: containerPort,
      protocol,
    })),
  };
}

const ISOLATION = "net.beta.kubernetes.io/networkpolicy";
const Namespace = z.object({ metadata: part({ labels, annotations: part({ [ISOLATION]: maybeText }) }) });

function readNamespace(raw: unknown, identity: ClusterObject): ClusterNamespace {
  const { metadata } = Namespace.parse(raw);
  return { ...identity, labels: metadata.labels, isolation: metadata.annotations[ISOLATION] };
}

const Service = z.object({
  metadata: part({ labels, annotations: part({ romanaip: maybeText, romanavip: maybeText }) }),
  spec: part({
    selector: labels,
    type: z.string().default("ClusterIP").catch("ClusterIP"),
    clusterIP: text,
    clusterIPs: texts,
    externalIPs: texts,
    ports: listOf(
      z.object({
        name: sharedText,
        protocol: z.string().default("TCP").catch("TCP"),
        port: z.number().int(),
        targetPort: z.union([z.number().int(), z.string()]).optional().catch(undefined),
      }),
    ),
  }),
});

function readService(raw: unknown, identity: ClusterObject): ClusterService {
  const { metadata, spec } = Service.parse(raw);
  const { romanaip, romanavip } = metadata.annotations;
  return {
    ...identity,
    labels: metadata.labels,
    selector: spec.selector,
    type: spec.type,
    clusterIps: spec.clusterIPs.length > 0 || spec.clusterIP === "" ? spec.clusterIPs : [spec.clusterIP],
    externalIps: spec.externalIPs,
    ports: spec.ports.map((port): ServicePort => ({ ...port, targetPort: port.targetPort ?? port.port })),
    vipAnnotations: { romanaip, romanavip },
  };
}

const SERVICE_NAME = "kubernetes.io/service-name";
const EndpointSlice = z.object({
  metadata: Labelled,
  addressType: sharedText,
  endpoints: listOf(
    z.object({
      addresses: texts,
      conditions: part({ ready: maybeFlag, serving: maybeFlag, terminating: flag }),
      nodeName: sharedText,
      targetRef: part({ kind: text, uid: text }),
    }),
  ),
  ports: listOf(
    z.object({
      name: sharedText,
      protocol: z.string().default("TCP").catch("TCP"),
      // Absent: every port (discovery.k8s.io/v1).
      port: z.number().int().default(0),
    }),
  ),
});

function readEndpointSlice(raw: unknown, identity: ClusterObject): ClusterEndpointSlice {
  const { metadata, addressType, endpoints, ports } = EndpointSlice.parse(raw);
  return {
    ...identity,
    service: metadata.labels[SERVICE_NAME] ?? "",
    addressType,
    endpoints: endpoints.map(({ addresses, conditions, nodeName, targetRef }): SliceEndpoint => {
      const ready = conditions.ready ?? true;
      return {
        addresses,
        ready,
        serving: conditions.serving ?? ready,
        terminating: conditions.terminating,
        node: nodeName,
        podUid: targetRef.kind === "Pod" ? targetRef.uid : "",
      };
    }),
    ports,
  };
}

const ServiceCidr = z.object({ spec: part({ cidrs: sharedTexts }) });

function readServiceCidr(raw: unknown, identity: ClusterObject): ClusterServiceCidr {
  return { ...identity, cidrs: ServiceCidr.parse(raw).spec.cidrs };
}

/** How the objects of a kind are asked for and read. */
export interface KindOfObject<T> {
  /** Where they are listed and watched, of all namespaces. */
  readonly path: string;
  /** Older servers do not have the kind at all (404). */
  readonly mayBeAbsent: boolean;
  read(raw: unknown, identity: ClusterObject): Reading<T>;
}

function plain<T>(path: string, read: (raw: unknown, identity: ClusterObject) => T): KindOfObject<T> {
  return {
    path,
    mayBeAbsent: false,
    read: (raw, identity) => ({ ok: true, object: read(raw, identity) }),
  };
}

export const kindsOfObjects: { readonly [K in ClusterKind]: KindOfObject<ClusterObjects[K]> } = {
  nodes: plain("/api/v1/nodes", readNode),
  pods: plain("/api/v1/pods", readPod),
  namespaces: plain("/api/v1/namespaces", readNamespace),
  services: plain("/api/v1/services", readService),
  endpointslices: plain("/apis/discovery.k8s.io/v1/endpointslices", readEndpointSlice),
  // Since Kubernetes 1.33.
  servicecidrs: { ...plain("/apis/networking.k8s.io/v1/servicecidrs", readServiceCidr), mayBeAbsent: true },
  networkpolicies: {
    path: "/apis/networking.k8s.io/v1/networkpolicies",
    mayBeAbsent: false,
    read: readNetworkPolicy,
  },
};
