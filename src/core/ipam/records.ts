import type { Cidr } from "../net/cidr.ts";
import type { Ipv4 } from "../net/ipv4.ts";
import type { CarvedNetwork, Host } from "../topology/topology.ts";
import type { PodReference } from "./pod-reference.ts";

/** The part of a topology that addresses depend on: networks in document order, and entry by entry. */
export interface CarvedTopology {
  readonly networks: readonly CarvedNetwork[];
  readonly entries: readonly { readonly networks: readonly CarvedNetwork[] }[];
}

/** One group that a host belongs to. */
export interface HostGroup {
  readonly network: string;
  /** CIDR of the leaf group. */
  readonly cidr: Cidr;
  /** The subnet that the host had when it was placed here, "" for none. It binds the leaf while the host stays (decision 7). */
  readonly subnet: string;
}

/** A host as it is stored. */
export interface HostRecord extends Host {
  /** Order of registration; hosts are listed by it. */
  readonly sequence: number;
  /** One group per network that takes the host; empty while the host is unplaced. */
  readonly groups: readonly HostGroup[];
  /** Its labels no longer fit its group, but it has addresses there (decision 6). */
  readonly misplaced: boolean;
}

/** Who holds a block: tenant and segment are compared as a pair, so that `a:b`, `c` is not `a`, `b:c`. */
export interface BlockOwner {
  readonly host: string;
  readonly tenant: string;
  readonly segment: string;
}

/** A block as it is stored. */
export interface BlockRecord {
  readonly network: string;
  /** First address, as an unsigned number; the block's size is its network's. */
  readonly first: number;
  /** Absent while the block is empty and free for any owner of its group. */
  readonly owner: BlockOwner | undefined;
  /** Allocations and releases in this block since it exists. */
  readonly revision: number;
  /** Order in which blocks changed hands: of acquisition while owned, of return while empty. */
  readonly sequence: number;
}

/** An address in use. */
export interface AddressRecord {
  readonly name: string;
  readonly network: string;
  readonly address: number;
  /** The Pod that it was given to, where that was said. */
  readonly pod?: PodReference | undefined;
}

/** The blacked-out ranges of a network, sorted, none within another. */
export interface BlackoutRecord {
  readonly network: string;
  readonly cidrs: readonly Cidr[];
}

/** Allocations and releases in blocks that a topology update took away, so that revisions never go back. */
export interface RevisionBase {
  readonly total: number;
  readonly networks: Readonly<Record<string, number>>;
}

/** Everything that the state is made of. */
export interface IpamRecords {
  readonly topology: CarvedTopology;
  readonly revisionBase: RevisionBase;
  readonly hosts: readonly HostRecord[];
  readonly blocks: readonly BlockRecord[];
  readonly addresses: Iterable<AddressRecord>;
  readonly blackouts: readonly BlackoutRecord[];
}

/** Asks for one address for the endpoint `name`. Tenant and segment may be empty. */
export interface AllocationRequest {
  readonly name: string;
  readonly host: string;
  readonly tenant: string;
  readonly segment: string;
  /** This very address or none. */
  readonly address?: Ipv4 | undefined;
  /** Kept with the address. */
  readonly pod?: PodReference | undefined;
}
