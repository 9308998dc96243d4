import { rangeOf } from "../net/cidr.ts";
import { ZONE_LABELS } from "../topology/place-host.ts";
import type { CarvedNetwork, Group, Network } from "../topology/topology.ts";
import { groupAt, leafPlacesOf, parentsOf } from "../topology/walk-groups.ts";
import type { AddressSet } from "./address-set.ts";
import type { BlackoutRange } from "./blackout-range.ts";
import type { PodReference } from "./pod-reference.ts";
import type { BlockOwner, CarvedTopology, HostRecord, RevisionBase } from "./records.ts";

/** The label of a host and the assignment key of a group that name an EC2 subnet (decision 7). */
export const SUBNET_LABEL = "romana.io/subnet-id";

/** A subnet of the VPC, whether it has hosts or not. */
export interface KnownSubnet {
  readonly id: string;
  /** Full name, `us-west-2a`. */
  readonly zone: string;
}

/**
 * Everything about blocks and addresses, indexed. Decisions (`plan…`) read it and alter nothing; `commit` alone changes it, in place, because a new
 * snapshot per allocation would cost a copy of the indices.
 *
 *     network ──< pool >── leaf ──< host          one pool per network and leaf group
 *                  │                 │
 *                  └──< block >──────┘            owned by (tenant, segment) on one host, or empty and returned
 *                         │
 *                     allocation ── name          one name per address in use
 */
export interface IpamState {
  topology: CarvedTopology;
  /** In the order of the document. */
  networks: readonly NetworkState[];
  networksByName: ReadonlyMap<string, NetworkState>;
  /** Networks that name a tenant first, then those for any tenant, each in the order of the document. */
  networksByTenant: ReadonlyMap<string, readonly NetworkState[]>;
  /** Networks for any tenant: what a tenant gets that no network names. */
  commonNetworks: readonly NetworkState[];
  /** Leaf groups by topology entry, depth first. */
  leaves: readonly (readonly LeafState[])[];
  /** The leaf to which a group of an entry's first network belongs. */
  leafOfGroup: ReadonlyMap<Group, LeafState>;
  readonly hosts: Map<string, HostState>;
  readonly hostsByIp: Map<string, HostState[]>;
  readonly names: Map<string, Allocation>;
  /** For which placement keeps leaves (`subnet-room.ts`). Whoever looks at the cloud sets it; it is not stored, and no change touches it. */
  subnets: readonly KnownSubnet[];
  /** Allocations and releases so far, from 0. */
  revision: number;
  /** The next number of `HostRecord.sequence` and `BlockRecord.sequence`. */
  sequence: number;
}

/** A network and its blocks. */
export interface NetworkState {
  readonly network: Network;
  /** Of its group tree. */
  readonly root: Group;
  readonly first: number;
  readonly end: number;
  readonly blockSize: number;
  /** One per leaf group, sorted by first address, together covering the network. */
  readonly pools: readonly Pool[];
  /** Who has blocks here: tenant, then segment. */
  readonly owners: Map<string, Map<string, OwnerState>>;
  /** Every block ever used, by first address. */
  readonly blocks: Map<number, BlockState>;
  blackouts: readonly BlackoutRange[];
  /** Allocations and releases in this network. */
  revision: number;
}

/** The addresses of one leaf group in one network. */
export interface Pool {
  readonly network: NetworkState;
  readonly leaf: LeafState;
  readonly group: Group;
  readonly first: number;
  readonly end: number;
  /** First address of the lowest block that was never used and is not wholly blacked out; `end` or more when there is none. */
  unused: number;
  /** Empty blocks in the order of their return. */
  readonly returned: BlockList;
}

/** One leaf of an entry's group tree; the networks of the entry share it. */
export interface LeafState {
  readonly entry: number;
  /** Indices of children from the root. */
  readonly path: readonly number[];
  /** From the root to the leaf, in the entry's first network. */
  readonly groups: readonly Group[];
  /** One per network of the entry, in its order. */
  readonly pools: readonly Pool[];
  readonly hosts: Set<HostState>;
  /** The zone that the document names here or above, "" for none. */
  readonly zone: string;
  /** The subnet that the document names here or above, "" for none; where it names one, hosts bind nothing. */
  readonly namedSubnet: string;
  /** The subnet that the leaf is bound to while it has hosts, "" for none. */
  subnet: string;
}

export interface HostState {
  /** `record.sequence`: the key of `OwnerState.holdings`. */
  readonly id: number;
  record: HostRecord;
  /** Where the host's new blocks come from, by network. */
  placements: ReadonlyMap<NetworkState, Pool>;
  /** Its blocks in all networks; each has an address in use. */
  readonly blocks: Set<BlockState>;
}

/** A tenant and segment with blocks in a network; forgotten with its last block. */
export interface OwnerState {
  readonly tenant: string;
  readonly segment: string;
  /** By `HostState.id`. */
  readonly holdings: Map<number, Holding>;
}

/** The blocks of one owner on one host in one network. */
export interface Holding {
  readonly host: HostState;
  readonly owner: OwnerState;
  readonly record: BlockOwner;
  blocks: number;
  /** The blocks that are not full, in the order of acquisition. */
  readonly open: BlockList;
}

/** A list through `BlockState.next`. A block is in one list at most: returned, or open with its owner. */
export interface BlockList {
  head: BlockState | undefined;
  tail: BlockState | undefined;
}

/** A block with the set of its addresses in use. */
export interface BlockState extends AddressSet {
  readonly pool: Pool;
  readonly first: number;
  revision: number;
  sequence: number;
  /** Whose it is; absent while the block is empty. */
  holding: Holding | undefined;
  /** The allocation at each offset. */
  readonly holders: (Allocation | undefined)[];
  previous: BlockState | undefined;
  next: BlockState | undefined;
}

/** A name with the address that it holds. */
export interface Allocation {
  readonly name: string;
  readonly address: number;
  readonly block: BlockState;
  /** The Pod that it was given to. Allocations without one do not even have the field: there may be 250,000. */
  readonly pod?: PodReference;
}

/** A state with the networks and groups of `topology` and without hosts, blocks and addresses. */
export function createState(
  topology: CarvedTopology,
  base: RevisionBase = { total: 0, networks: {} },
): IpamState {
  const leafOfGroup = new Map<Group, LeafState>();
  const created = topology.networks.map((carved) => createNetwork(carved, base));
  const byName = new Map(created.map((item) => [item.network.network.name, item]));
  const networks = created.map(({ network }) => network);
  const leaves = topology.entries.map((entry, index) =>
    createLeaves(entry.networks, index, byName, leafOfGroup),
  );
  const commonNetworks = networks.filter(({ network }) => network.tenants.length === 0);
  const tenants = new Set(networks.flatMap(({ network }) => network.tenants));
  return {
    topology,
    networks,
    networksByName: new Map(networks.map((network) => [network.network.name, network])),
    networksByTenant: new Map(
      [...tenants].map((tenant) => [
        tenant,
        [...networks.filter(({ network }) => network.tenants.includes(tenant)), ...commonNetworks],
      ]),
    ),
    commonNetworks,
    leaves,
    leafOfGroup,
    hosts: new Map(),
    hostsByIp: new Map(),
    names: new Map(),
    subnets: [],
    revision: base.total,
    sequence: 1,
  };
}

/** The networks that `tenant` may use, in the order in which they are tried. */
export function networksOfTenant(state: IpamState, tenant: string): readonly NetworkState[] {
  return state.networksByTenant.get(tenant) ?? state.commonNetworks;
}

/** The network that contains an address. */
export function networkAt(state: IpamState, address: number): NetworkState | undefined {
  return state.networks.find((network) => address >= network.first && address < network.end);
}

/** The pool that contains an address of the network. */
export function poolAt(network: NetworkState, address: number): Pool | undefined {
  const { pools } = network;
  let low = 0;
  let high = pools.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((pools[middle]?.end ?? 0) <= address) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  const pool = pools[low];
  return pool !== undefined && address >= pool.first ? pool : undefined;
}

/** First address of the block that contains an address of the network. */
export function blockStart(network: NetworkState, address: number): number {
  return address - (address % network.blockSize);
}

/** The allocation that holds an address. */
export function allocationAt(network: NetworkState, address: number): Allocation | undefined {
  const block = network.blocks.get(blockStart(network, address));
  return block?.holders[address - block.first];
}

/** What the owner has on the host, `undefined` when that is no block. */
export function holdingOf(
  network: NetworkState,
  host: HostState,
  tenant: string,
  segment: string,
): Holding | undefined {
  return network.owners.get(tenant)?.get(segment)?.holdings.get(host.id);
}

function createLeaves(
  carved: CarvedTopology["entries"][number]["networks"],
  entry: number,
  byName: ReadonlyMap<string, NetworkDraft>,
  leafOfGroup: Map<Group, LeafState>,
): readonly LeafState[] {
  const drafts = carved.flatMap(({ network }) => byName.get(network.name) ?? []);
  return carved.slice(0, 1).flatMap(({ root }) =>
    leafPlacesOf(root).map(({ leaf: group, path }) => {
      const pools: Pool[] = [];
      const groups = [...parentsOf(root, path), group];
      const leaf: LeafState = {
        entry,
        path,
        groups,
        pools,
        hosts: new Set(),
        zone: labelNamed(groups, ZONE_LABELS),
        namedSubnet: labelNamed(groups, [SUBNET_LABEL]),
        subnet: "",
      };
      for (const draft of drafts) {
        const pool = createPool(draft.network, leaf, groupAt(draft.network.root, path) ?? draft.network.root);
        pools.push(pool);
        draft.pools.push(pool);
      }
      leafOfGroup.set(group, leaf);
      return leaf;
    }),
  );
}

/** What the outermost of the groups that name one of the labels has for it, "" when none does. */
function labelNamed(groups: readonly Group[], labels: readonly string[]): string {
  return groups.flatMap(({ assignment }) => labels.flatMap((label) => assignment[label] ?? []))[0] ?? "";
}

/** A network whose pools are being collected. */
interface NetworkDraft {
  readonly network: NetworkState;
  readonly pools: Pool[];
}

function createNetwork({ network, root }: CarvedNetwork, base: RevisionBase): NetworkDraft {
  const { first, size } = rangeOf(network.cidr);
  const pools: Pool[] = [];
  const revision = base.networks[network.name] ?? 0;
  const blockSize = 2 ** (32 - network.blockMask);
  return {
    pools,
    network: {
      network,
      root,
      first,
      end: first + size,
      blockSize,
      pools,
      owners: new Map(),
      blocks: new Map(),
      blackouts: [],
      revision,
    },
  };
}

function createPool(network: NetworkState, leaf: LeafState, group: Group): Pool {
  const { first, size } = rangeOf(group.cidr);
  return {
    network,
    leaf,
    group,
    first,
    end: first + size,
    unused: first,
    returned: { head: undefined, tail: undefined },
  };
}
