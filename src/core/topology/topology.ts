import type { Cidr } from "../net/cidr.ts";
import type { Ipv4 } from "../net/ipv4.ts";

/** A range of pod addresses. `blockMask` is the prefix length of its blocks (network prefix to 32). */
export interface Network {
  readonly name: string;
  readonly cidr: Cidr;
  readonly blockMask: number;
  /** Tenants that may use it; empty means any tenant. */
  readonly tenants: readonly string[];
}

/**
 * A node of a network's carved group tree. A leaf (no `children`) holds hosts; its `cidr` is unique among the leaves of all networks,
 * and so is its name in the store.
 *
 * `reserve` marks the padding that rounds a list of siblings up to a power of two, `dummy` a group that the document keeps free of
 * hosts: neither ever takes a host (decisions 1 and 5).
 */
export interface Group {
  readonly network: string;
  readonly name: string;
  readonly cidr: Cidr;
  readonly kind: "group" | "reserve" | "dummy";
  readonly assignment: Readonly<Record<string, string>>;
  readonly routing: string;
  readonly children: readonly Group[];
}

/** A network with the root of its tree. */
export interface CarvedNetwork {
  readonly network: Network;
  readonly root: Group;
}

/** Where a host came from; hosts of the document go with it, the others survive a topology update (decision 3). */
export type HostOrigin = "document" | "api" | "cloud" | "kubernetes";

/** The Node object of Kubernetes that a host stands for. */
export interface NodeIdentity {
  readonly uid: string;
  /** What the cloud calls its machine: on AWS `i-0123456789abcdef0`, elsewhere the Node's providerID as written; "" for none. */
  readonly instanceId: string;
}

/** A machine that runs pods. `tags` are the labels that `assignment` matches. */
export interface Host {
  readonly name: string;
  readonly ip: Ipv4;
  readonly agentPort: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly origin: HostOrigin;
  /** Of a host that was learned from Kubernetes; absent for others, and for one of a state older than this field. */
  readonly node?: NodeIdentity | undefined;
}
