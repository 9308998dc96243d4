import type { PodReference } from "../core/ipam/pod-reference.ts";
import type { Cidr } from "../core/net/cidr.ts";
import type { Ipv4 } from "../core/net/ipv4.ts";
import type { HostOrigin, NodeIdentity } from "../core/topology/topology.ts";

// What the REST API asks of the part that keeps topology, hosts and addresses. It states no more than the API needs; the service that
// stands behind it does more. Failures are `NetworkError`s. Methods with a signal wait for the store.

/** A host with where it stands. `groups` has one entry per network that placed it. */
export interface HostState {
  readonly name: string;
  readonly ip: string;
  readonly agentPort: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly origin: HostOrigin;
  readonly node?: NodeIdentity | undefined;
  readonly placed: boolean;
  readonly misplaced: boolean;
  /** Why it is unplaced or misplaced; "" otherwise. */
  readonly reason: string;
  readonly groups: readonly { readonly network: string; readonly cidr: string }[];
}

/** A block as the API shows it. `allocated_ip_count` is exact. */
export interface BlockState {
  readonly revision: number;
  readonly cidr: string;
  readonly host: string;
  readonly tenant: string;
  readonly segment: string;
  readonly allocated_ip_count: number;
  readonly network: string;
}

/** An address in use. */
export interface AddressState {
  readonly name: string;
  readonly address: Ipv4;
  readonly host: string;
  readonly tenant: string;
  readonly segment: string;
  readonly network: string;
  /** The Pod that it was given to, where that was said. */
  readonly pod?: PodReference;
}

/** A host that a caller of the API adds; `agentPort` has a default. */
export interface NewHost {
  readonly name: string;
  readonly ip: Ipv4;
  readonly agentPort?: number;
  readonly tags?: Readonly<Record<string, string>>;
  readonly origin: "api";
}

/** A request for an address; with `address`, for exactly that one. */
export interface NewAddress {
  readonly name: string;
  readonly host: string;
  readonly tenant: string;
  readonly segment: string;
  readonly address?: Ipv4;
  readonly pod?: PodReference;
}

/** What is known of Pods where a request for an address does not say it. */
export interface PodOwners {
  /** The segment that the labels of this very Pod (by UID) name; `undefined` while the Pod is not known, and where they name none. */
  segmentOf(pod: PodReference): string | undefined;
  /** The node of this very Pod (by UID); `undefined` while the Pod is not known, or on none. */
  nodeOf(pod: PodReference): string | undefined;
}

/** Topology, hosts, networks, blocks and addresses. Reads answer from memory. */
export interface Addressing {
  topology(): object;
  topologyStatus(): {
    readonly revision: number;
    readonly warnings: readonly { readonly place: string; readonly message: string }[];
  };
  updateTopology(document: unknown, signal: AbortSignal): Promise<unknown>;
  hosts(): { readonly revision: number; readonly hosts: readonly HostState[] };
  host(name: string): HostState | undefined;
  addHost(host: NewHost, signal: AbortSignal): Promise<unknown>;
  removeHost(name: string, signal: AbortSignal): Promise<unknown>;
  setLabels(name: string, labels: Readonly<Record<string, string>>, signal: AbortSignal): Promise<unknown>;
  networks(): readonly { readonly id: string; readonly cidr: string; readonly revision: number }[];
  /** Of one network or of all; `undefined` for a network that does not exist. */
  blocks(network?: string): { readonly revision: number; readonly blocks: readonly BlockState[] } | undefined;
  addresses(): readonly AddressState[];
  allocate(request: NewAddress, signal: AbortSignal): Promise<Ipv4>;
  /** Only what is of that host and of that Pod, where they are given. */
  release(
    nameOrIp: string,
    signal: AbortSignal,
    only?: { readonly host?: string | undefined; readonly podUid?: string | undefined },
  ): Promise<unknown>;
  blackouts(network: string): readonly string[];
  addBlackout(network: string, cidr: Cidr, signal: AbortSignal): Promise<unknown>;
  removeBlackout(network: string, cidr: Cidr, signal: AbortSignal): Promise<unknown>;
}
