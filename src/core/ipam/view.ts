import { formatCidr, rangeOf, type Cidr } from "../net/cidr.ts";
import { formatIpv4, readIpv4, type Ipv4 } from "../net/ipv4.ts";
import type { Group, Host, Network } from "../topology/topology.ts";
import { explainUnplaced } from "./placement.ts";
import type { PodReference } from "./pod-reference.ts";
import {
  allocationAt,
  networkAt,
  poolAt,
  type Allocation,
  type BlockState,
  type HostState,
  type IpamState,
  type NetworkState,
} from "./state.ts";

/** A host as it is shown. */
export interface HostView extends Host {
  /** It is in a group. */
  readonly placed: boolean;
  /** Its labels no longer fit its group; it moves when its last address is released. */
  readonly misplaced: boolean;
  /** Why it is unplaced or misplaced, in a sentence without a full stop; "" when neither. */
  readonly reason: string;
  /** Its leaf group in each network. */
  readonly groups: readonly { readonly network: string; readonly cidr: Cidr }[];
}

/** A block as it is shown; host, tenant and segment are "" while it is empty. Field names are those of the REST API. */
export interface BlockView {
  readonly revision: number;
  readonly cidr: Cidr;
  readonly host: string;
  readonly tenant: string;
  readonly segment: string;
  readonly allocated_ip_count: number;
  readonly network: string;
}

/** An address in use. */
export interface AddressView {
  readonly name: string;
  readonly address: Ipv4;
  readonly network: string;
  readonly host: string;
  readonly tenant: string;
  readonly segment: string;
  /** The Pod that it was given to, where that was said. */
  readonly pod?: PodReference;
}

/** What routes depend on, of one network. Nothing is copied but the answers. */
export interface NetworkLayout {
  readonly network: Network;
  readonly root: Group;
  /** The hosts of a leaf in the order of their registration; none for a range that is no leaf of this network. */
  readonly hostsOf: (leafCidr: Cidr) => readonly HostView[];
  /** The blocks of a host in this network, by address. */
  readonly blocksOf: (host: string) => readonly Cidr[];
}

/** All hosts in the order of their registration. */
export function viewHosts(state: IpamState): readonly HostView[] {
  return [...state.hosts.values()].toSorted((a, b) => a.id - b.id).map((host) => viewHost(state, host));
}

/** How many hosts there are, and how many of them stand nowhere or where they no longer fit. */
export interface HostCounts {
  readonly total: number;
  readonly unplaced: number;
  readonly misplaced: number;
}

/** Counts the hosts, without a view of each. */
export function countHosts({ hosts }: IpamState): HostCounts {
  let [unplaced, misplaced] = [0, 0];
  for (const { record } of hosts.values()) {
    unplaced += record.groups.length === 0 ? 1 : 0;
    misplaced += record.misplaced ? 1 : 0;
  }
  return { total: hosts.size, unplaced, misplaced };
}

/** The hosts of a leaf in the order of their registration; none for a range that is no leaf of the network. */
export function viewHostsOf(state: IpamState, network: string, leafCidr: Cidr): readonly HostView[] {
  const found = state.networksByName.get(network);
  const pool = found === undefined ? undefined : poolAt(found, rangeOf(leafCidr).first);
  return pool?.group.cidr === leafCidr
    ? [...pool.leaf.hosts].toSorted((a, b) => a.id - b.id).map((host) => viewHost(state, host))
    : [];
}

/** The host with this name. */
export function viewHostNamed(state: IpamState, name: string): HostView | undefined {
  const host = state.hosts.get(name);
  return host === undefined ? undefined : viewHost(state, host);
}

/** The block with this CIDR, exactly. */
export function viewBlockAt(state: IpamState, cidr: string): BlockView | undefined {
  const address = readIpv4(cidr.slice(0, cidr.indexOf("/")));
  const network = address === undefined ? undefined : networkAt(state, address);
  const block = address === undefined ? undefined : network?.blocks.get(address);
  const view = network === undefined || block === undefined ? undefined : viewBlock(network.network, block);
  return view?.cidr === cidr ? view : undefined;
}

/** The address of a name. */
export function viewAddress(state: IpamState, name: string): AddressView | undefined {
  const found = state.names.get(name);
  return found === undefined ? undefined : viewAllocation(found);
}

/** The address in use with this value. */
export function viewAddressAt(state: IpamState, value: number): AddressView | undefined {
  const network = networkAt(state, value);
  const found = network === undefined ? undefined : allocationAt(network, value);
  return found === undefined ? undefined : viewAllocation(found);
}

/** The host that has this address; of several, the one that was registered first. */
export function viewHostAt(state: IpamState, ip: Ipv4): HostView | undefined {
  const [host] = (state.hostsByIp.get(ip) ?? []).toSorted((a, b) => a.id - b.id);
  return host === undefined ? undefined : viewHost(state, host);
}

/** One host; the reason of an unplaced one is worked out here. */
function viewHost(state: IpamState, { record }: HostState): HostView {
  const { name, ip, agentPort, tags, origin, misplaced, node } = record;
  const placed = record.groups.length > 0;
  const groups = record.groups.map(({ network, cidr }) => ({ network, cidr }));
  return {
    name,
    ip,
    agentPort,
    tags,
    origin,
    ...(node === undefined ? {} : { node }),
    placed,
    misplaced,
    reason: reasonOf(state, record),
    groups,
  };
}

/** The blocks ever used of some networks, network by network, by address. */
export function viewBlocks(networks: readonly NetworkState[]): readonly BlockView[] {
  return networks.flatMap(({ network, blocks }) =>
    [...blocks.values()].toSorted((a, b) => a.first - b.first).map((block) => viewBlock(network, block)),
  );
}

/** All addresses in use, in the order of their allocation since the state was built. */
export function viewAddresses(state: IpamState): readonly AddressView[] {
  return [...state.names.values()].map(viewAllocation);
}

/** What routes depend on, network by network, in the order of the document. */
export function viewLayout(state: IpamState): readonly NetworkLayout[] {
  return state.networks.map((own) => ({ network: own.network, root: own.root, ...layoutOf(state, own) }));
}

function layoutOf(state: IpamState, network: NetworkState): Pick<NetworkLayout, "hostsOf" | "blocksOf"> {
  return {
    hostsOf: (leafCidr) => viewHostsOf(state, network.network.name, leafCidr),
    blocksOf: (host) =>
      [...(state.hosts.get(host)?.blocks ?? [])]
        .filter((block) => block.pool.network === network)
        .toSorted((a, b) => a.first - b.first)
        .map((block) => cidrOf(network.network, block)),
  };
}

/** The address of an allocation that is still there. */
export function viewAllocation({ name, address, block, pod }: Allocation): AddressView {
  const { host = "", tenant = "", segment = "" } = block.holding?.record ?? {};
  const network = block.pool.network.network.name;
  const view = { name, address: formatIpv4(address), network, host, tenant, segment };
  return pod === undefined ? view : { ...view, pod };
}

function viewBlock(network: Network, block: BlockState): BlockView {
  const { host = "", tenant = "", segment = "" } = block.holding?.record ?? {};
  const { revision, count } = block;
  return {
    revision,
    cidr: cidrOf(network, block),
    host,
    tenant,
    segment,
    allocated_ip_count: count,
    network: network.name,
  };
}

function cidrOf(network: Network, block: BlockState): Cidr {
  return formatCidr(block.first, network.blockMask);
}

function reasonOf(state: IpamState, record: HostState["record"]): string {
  if (record.groups.length === 0) {
    return explainUnplaced(state, record.tags);
  }
  return record.misplaced
    ? "its labels no longer fit its group; it gets no new block, and moves when its last address is released"
    : "";
}
