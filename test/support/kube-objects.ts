import type { KubeApiServer } from "./kube-api.ts";

// Objects as the API server takes and gives them, with the fields that the controller reads, and the calls that bring them in.

/** An object of any kind. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: KubeMetadata;
  readonly spec?: object;
  readonly status?: object;
  /** Of kinds without spec: EndpointSlice. */
  readonly [field: string]: unknown;
}

export interface KubeMetadata {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly managedFields?: readonly object[];
}

type Labels = Readonly<Record<string, string>>;

export interface NodeTraits {
  readonly name: string;
  /** Its `InternalIP`; none unless given. */
  readonly ip?: string;
  /** `us-west-2a`: the label `topology.kubernetes.io/zone`, and the region's. None unless given. */
  readonly zone?: string;
  /** `i-0123456789abcdef0`: makes the providerID, together with `zone`. */
  readonly instance?: string;
  readonly labels?: Labels;
  /** True unless given. */
  readonly ready?: boolean;
  readonly unschedulable?: boolean;
  readonly taints?: readonly { readonly key: string; readonly value?: string; readonly effect: string }[];
}

/** A Node as its kubelet and the cloud provider's controller leave it. */
export function node(traits: NodeTraits): KubeObject {
  const { name, ip, zone, instance, ready = true } = traits;
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name,
      labels: {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        ...(zone === undefined
          ? {}
          : { "topology.kubernetes.io/region": regionOf(zone), "topology.kubernetes.io/zone": zone }),
        ...traits.labels,
      },
    },
    spec: {
      ...(instance === undefined ? {} : { providerID: `aws:///${zone ?? ""}/${instance}` }),
      ...(traits.unschedulable === true ? { unschedulable: true } : {}),
      ...(traits.taints === undefined ? {} : { taints: traits.taints }),
    },
    status: {
      addresses: [
        ...(ip === undefined ? [] : [{ type: "InternalIP", address: ip }]),
        { type: "Hostname", address: name },
      ],
      conditions: [condition("Ready", ready)],
    },
  };
}

/** A condition of a Node, as it goes into `status.conditions`. */
export function condition(type: string, holds: boolean, reason = `Test${type}`): object {
  return {
    type,
    status: holds ? "True" : "False",
    reason,
    message: "",
    lastHeartbeatTime: SINCE,
    lastTransitionTime: SINCE,
  };
}

export interface PodTraits {
  readonly namespace: string;
  readonly name: string;
  /** The Node that it is bound to; none unless given. */
  readonly node?: string;
  /** Its address; none unless given. */
  readonly ip?: string;
  readonly labels?: Labels;
  /** `Running` where it has an address, else `Pending`. */
  readonly phase?: "Pending" | "Running" | "Succeeded" | "Failed" | "Unknown";
  readonly hostNetwork?: boolean;
  readonly ports?: readonly {
    readonly name?: string;
    readonly containerPort: number;
    readonly protocol?: string;
  }[];
}

export function pod(traits: PodTraits): KubeObject {
  const { namespace: inside, name, ip } = traits;
  const phase = traits.phase ?? (ip === undefined ? "Pending" : "Running");
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: inside, labels: traits.labels ?? {} },
    spec: {
      ...(traits.node === undefined ? {} : { nodeName: traits.node }),
      ...(traits.hostNetwork === true ? { hostNetwork: true } : {}),
      terminationGracePeriodSeconds: 30,
      containers: [
        {
          name: "main",
          image: "registry.example/app:1",
          // With the host's network a container's port is the host's.
          ports: (traits.ports ?? []).map((port) =>
            traits.hostNetwork === true ? { ...port, hostPort: port.containerPort } : port,
          ),
        },
      ],
    },
    status: {
      phase,
      conditions: [
        { type: "Ready", status: phase === "Running" ? "True" : "False", lastTransitionTime: SINCE },
      ],
      ...(ip === undefined ? {} : { podIP: ip, podIPs: [{ ip }] }),
    },
  };
}

export function namespace(name: string, labels: Labels = {}, annotations: Labels = {}): KubeObject {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, labels, annotations } };
}

/** `spec` as it is written in a manifest; see `fixture-policies.ts` for one of every shape. */
export function networkPolicy(inside: string, name: string, spec: object): KubeObject {
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name, namespace: inside },
    spec,
  };
}

export interface ServiceTraits {
  readonly namespace: string;
  readonly name: string;
  readonly selector?: Labels;
  readonly labels?: Labels;
  readonly annotations?: Labels;
  /** `ClusterIP` unless given. */
  readonly type?: "ClusterIP" | "NodePort" | "LoadBalancer";
  /** Chosen by the API server unless given; `None` for a headless one. */
  readonly clusterIp?: string;
  readonly externalIps?: readonly string[];
  /** Port 80 over TCP unless given. */
  readonly ports?: readonly {
    readonly name?: string;
    readonly port: number;
    readonly protocol?: string;
    readonly targetPort?: number | string;
  }[];
}

export function service(traits: ServiceTraits): KubeObject {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      name: traits.name,
      namespace: traits.namespace,
      labels: traits.labels ?? {},
      annotations: traits.annotations ?? {},
    },
    spec: {
      type: traits.type ?? "ClusterIP",
      ...(traits.clusterIp === undefined ? {} : { clusterIP: traits.clusterIp }),
      ...(traits.externalIps === undefined ? {} : { externalIPs: traits.externalIps }),
      selector: traits.selector ?? { app: traits.name },
      ports: traits.ports ?? [{ port: 80 }],
    },
  };
}

export interface EndpointSliceTraits {
  readonly namespace: string;
  readonly name: string;
  /** The Service that it belongs to. */
  readonly service: string;
  readonly endpoints: readonly {
    readonly ip: string;
    readonly ready?: boolean;
    readonly node?: string;
    /** The Pod behind it. */
    readonly pod?: { readonly name: string; readonly uid: string };
  }[];
  /** Port 80 over TCP unless given. */
  readonly ports?: readonly { readonly name: string; readonly port: number; readonly protocol?: string }[];
}

export function endpointSlice(traits: EndpointSliceTraits): KubeObject {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      name: traits.name,
      namespace: traits.namespace,
      labels: { "kubernetes.io/service-name": traits.service },
    },
    addressType: "IPv4",
    endpoints: traits.endpoints.map(({ ip, ready = true, node: at, pod: behind }) => ({
      addresses: [ip],
      conditions: { ready, serving: ready, terminating: false },
      ...(at === undefined ? {} : { nodeName: at }),
      ...(behind === undefined
        ? {}
        : { targetRef: { kind: "Pod", namespace: traits.namespace, name: behind.name, uid: behind.uid } }),
    })),
    ports: traits.ports ?? [{ name: "", port: 80, protocol: "TCP" }],
  };
}

/** The path of all objects of its kind, in its namespace where it has one: `/api/v1/namespaces/NAMESPACE/pods`. */
export function collectionPath({ apiVersion, kind, metadata }: KubeObject): string {
  const plural = PLURALS.get(kind) ?? `${kind.toLowerCase()}s`;
  const root = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  return metadata.namespace === undefined
    ? `${root}/${plural}`
    : `${root}/namespaces/${metadata.namespace}/${plural}`;
}

/** The path of the object itself. */
export function objectPath(object: KubeObject): string {
  return `${collectionPath(object)}/${object.metadata.name}`;
}

/** Brings an object in, its status included; answers it as it stands then, with its UID. */
export async function create(server: KubeApiServer, object: KubeObject): Promise<KubeObject> {
  const made = (await server.call("POST", collectionPath(object), { body: object })) as KubeObject;
  // A Node's status is taken as it comes with the first write; a Pod's is not.
  return object.kind === "Pod" && object.status !== undefined
    ? await patchStatus(server, object, object.status)
    : made;
}

/** A merge patch: what is `null` goes, lists are replaced whole. Answers the object as it stands then. */
export async function patch(server: KubeApiServer, object: KubeObject, change: object): Promise<KubeObject> {
  return (await server.call("PATCH", objectPath(object), { body: change, contentType: MERGE })) as KubeObject;
}

/** The same for its status. */
export async function patchStatus(
  server: KubeApiServer,
  object: KubeObject,
  status: object,
): Promise<KubeObject> {
  const body = { status };
  return (await server.call("PATCH", `${objectPath(object)}/status`, {
    body,
    contentType: MERGE,
  })) as KubeObject;
}

/**
 * Asks for the deletion of an object, without a grace time unless one is given: there is no kubelet that would end a Pod. A Namespace stays, with its `deletionTimestamp`: the
 * controller that would empty it is not there either.
 */
export async function remove(
  server: KubeApiServer,
  object: KubeObject,
  gracePeriodSeconds = 0,
): Promise<void> {
  await server.call("DELETE", objectPath(object), { body: { gracePeriodSeconds } });
}

/** `us-west-2` of `us-west-2a`. */
export function regionOf(zone: string): string {
  return zone.replace(/[a-z]$/, "");
}

const MERGE = "application/merge-patch+json";
const SINCE = "2026-01-01T00:00:00Z";
const PLURALS = new Map([["NetworkPolicy", "networkpolicies"]]);
