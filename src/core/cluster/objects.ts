// What is kept of the objects of Kubernetes: the fields that are used, read once at the border (`adapters/kubernetes/schema.ts`). An absent list is an empty one.

/** Who an object is. The UID is its identity: another UID under a known name is another object. */
export interface ClusterObject {
  readonly uid: string;
  /** "" for an object of the whole cluster. */
  readonly namespace: string;
  readonly name: string;
  /** For writes that must not overtake a change; equal or not, never ordered. */
  readonly resourceVersion: string;
  /** Its deletion was asked for (`metadata.deletionTimestamp`); it may live on for a while. */
  readonly deleting: boolean;
}

export interface NodeTaint {
  readonly key: string;
  readonly value: string;
  /** `NoSchedule`, `PreferNoSchedule`, `NoExecute`. */
  readonly effect: string;
}

/** A status of a condition, `unknown` also while the condition is absent. */
export type ConditionStatus = "true" | "false" | "unknown";

export interface ClusterNode extends ClusterObject {
  readonly labels: Readonly<Record<string, string>>;
  /** Every `InternalIP`, as written; may hold IPv6. */
  readonly internalIps: readonly string[];
  /** `aws:///us-west-2a/i-0123456789abcdef0`, "" while it has none. */
  readonly providerId: string;
  readonly ready: ConditionStatus;
  readonly networkUnavailable: ConditionStatus;
  /** `spec.unschedulable`: cordoned. */
  readonly unschedulable: boolean;
  readonly taints: readonly NodeTaint[];
}

/** A port that a container names. */
export interface NamedPort {
  readonly name: string;
  readonly port: number;
  /** `TCP`, `UDP`, `SCTP`. */
  readonly protocol: string;
}

export interface ClusterPod extends ClusterObject {
  readonly labels: Readonly<Record<string, string>>;
  /** Name of its node, "" until it is scheduled. */
  readonly node: string;
  /** `status.podIPs`, as written; empty until the kubelet says so. */
  readonly ips: readonly string[];
  /** `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`, "" when absent. */
  readonly phase: string;
  readonly hostNetwork: boolean;
  /** Of all containers, init containers that go on running included. */
  readonly namedPorts: readonly NamedPort[];
}

export interface ClusterNamespace extends ClusterObject {
  readonly labels: Readonly<Record<string, string>>;
  /** Annotation `net.beta.kubernetes.io/networkpolicy` as written, `undefined` when absent. */
  readonly isolation: string | undefined;
}

export interface ServicePort {
  readonly name: string;
  readonly protocol: string;
  readonly port: number;
  readonly targetPort: string | number;
}

export interface ClusterService extends ClusterObject {
  readonly labels: Readonly<Record<string, string>>;
  readonly selector: Readonly<Record<string, string>>;
  /** `ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName`. */
  readonly type: string;
  /** Empty for none; a headless service has `None`. */
  readonly clusterIps: readonly string[];
  readonly externalIps: readonly string[];
  readonly ports: readonly ServicePort[];
  /** Annotations `romanaip` and `romanavip` as written, `undefined` when absent. */
  readonly vipAnnotations: { readonly romanaip: string | undefined; readonly romanavip: string | undefined };
}

export interface SliceEndpoint {
  readonly addresses: readonly string[];
  /** Unknown counts as ready (discovery.k8s.io/v1). */
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly node: string;
  /** UID of the Pod behind it, "" when it is none. */
  readonly podUid: string;
}

export interface ClusterEndpointSlice extends ClusterObject {
  /** Label `kubernetes.io/service-name`, "" when absent. */
  readonly service: string;
  /** `IPv4`, `IPv6`, `FQDN`. */
  readonly addressType: string;
  readonly endpoints: readonly SliceEndpoint[];
  readonly ports: readonly { readonly name: string; readonly protocol: string; readonly port: number }[];
}

/** A range of service addresses (networking.k8s.io/v1 ServiceCIDR). */
export interface ClusterServiceCidr extends ClusterObject {
  /** As written; may hold IPv6. */
  readonly cidrs: readonly string[];
}

/** Where a selector says which labels are wanted; both parts must hold, an empty one selects everything. */
export interface LabelSelector {
  readonly matchLabels: Readonly<Record<string, string>>;
  readonly matchExpressions: readonly {
    readonly key: string;
    /** `In`, `NotIn`, `Exists`, `DoesNotExist`, or what a later API says. */
    readonly operator: string;
    readonly values: readonly string[];
  }[];
}

/** A peer of a NetworkPolicy as written: `ipBlock` alone, or one selector, or both together. */
export interface NetworkPolicyPeer {
  readonly podSelector?: LabelSelector;
  readonly namespaceSelector?: LabelSelector;
  readonly ipBlock?: { readonly cidr: string; readonly except: readonly string[] };
}

export interface NetworkPolicyPort {
  /** `TCP` when absent. */
  readonly protocol: string;
  /** A number, or the name of a container's port; absent: every port. */
  readonly port?: number | string;
  readonly endPort?: number;
}

export interface NetworkPolicyRule {
  /** `from` or `to`; empty: everybody. */
  readonly peers: readonly NetworkPolicyPeer[];
  /** Empty: every port. */
  readonly ports: readonly NetworkPolicyPort[];
}

/** A NetworkPolicy (networking.k8s.io/v1). */
export interface ClusterNetworkPolicy extends ClusterObject {
  readonly podSelector: LabelSelector;
  /** As written; empty when absent. */
  readonly policyTypes: readonly string[];
  readonly ingress: readonly NetworkPolicyRule[];
  readonly egress: readonly NetworkPolicyRule[];
  /** Whether `spec.egress` is there at all: without `policyTypes` that decides whether egress is closed. */
  readonly hasEgress: boolean;
  /** Why its spec cannot be read, "" for one that was read. What cannot be read allows nothing: rules are empty, and `podSelector` is as written or selects everybody. */
  readonly unreadable: string;
}

/** Every kind that is followed, by its name in the API (plural, lower case). */
export interface ClusterObjects {
  readonly nodes: ClusterNode;
  readonly pods: ClusterPod;
  readonly namespaces: ClusterNamespace;
  readonly networkpolicies: ClusterNetworkPolicy;
  readonly services: ClusterService;
  readonly endpointslices: ClusterEndpointSlice;
  readonly servicecidrs: ClusterServiceCidr;
}

export type ClusterKind = keyof ClusterObjects;

export const clusterKinds: readonly ClusterKind[] = [
  "nodes",
  "pods",
  "namespaces",
  "networkpolicies",
  "services",
  "endpointslices",
  "servicecidrs",
];

/** The name under which an object stands among those of its kind: `name`, or `namespace/name`. */
export function keyOf({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return namespace === "" ? name : `${namespace}/${name}`;
}
