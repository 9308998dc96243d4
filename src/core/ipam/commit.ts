import { NetworkError } from "../errors.ts";
import { formatCidr } from "../net/cidr.ts";
import { formatIpv4 } from "../net/ipv4.ts";
import { addOffset, createAddressSet, deleteOffset } from "./address-set.ts";
import { blackoutRange, skipBlackouts } from "./blackout-range.ts";
import type { AddressRecord, BlackoutRecord, BlockOwner, BlockRecord, Change, HostRecord, IpamRecords } from "./change.ts";
import {
  blockStart,
  createState,
  ownerOf,
  poolAt,
  SUBNET_LABEL,
  type BlockState,
  type HostState,
  type IpamState,
  type NetworkState,
  type Placement,
  type Pool,
} from "./state.ts";

/**
 * Applies the changes of a decision, or records that were read from a store, to the state, in order. Constant work per block and address; a host
 * costs its groups, `replace` everything. Throws `STATE_INCONSISTENT` (invalid) for a change that does not fit the state, such as an
 * address outside every block; the changes before it are applied then, so the state has to be built anew.
 */
export function commit(state: IpamState, changes: readonly Change[]): void {
  for (const change of changes) {
    switch (change.kind) {
      case "put-block":
        putBlock(state, change.block);
        break;
      case "put-address":
        putAddress(state, change.address);
        break;
      case "delete-address":
        deleteAddress(state, change.address);
        break;
      case "put-host":
        putHost(state, change.host);
        break;
      case "delete-host":
        deleteHost(state, change.name);
        break;
      case "put-blackouts":
        putBlackouts(state, change.blackouts);
        break;
      case "replace":
        Object.assign(state, buildState(change.records));
        break;
    }
  }
}

/** The state that the records describe; their order does not matter. Throws `STATE_INCONSISTENT` where they contradict each other. */
export function buildState(records: IpamRecords): IpamState {
  const state = createState(records.topology, records.revisionBase);
  commit(state, [
    ...records.hosts.toSorted((a, b) => a.sequence - b.sequence).map((host) => ({ kind: "put-host", host }) as const),
    ...records.blackouts.map((blackouts) => ({ kind: "put-blackouts", blackouts }) as const),
    ...records.blocks
      .toSorted((a, b) => a.sequence - b.sequence || a.first - b.first)
      .map((block) => ({ kind: "put-block", block }) as const),
    ...records.addresses.map((address) => ({ kind: "put-address", address }) as const),
  ]);
  return state;
}

function putBlock(state: IpamState, record: BlockRecord): void {
  const network = networkOf(state, record.network);
  const block = network.blocks.get(record.first) ?? createBlock(network, record.first);
  state.sequence = Math.max(state.sequence, record.sequence + 1);
  const grown = record.revision - block.revision;
  block.revision = record.revision;
  network.revision += grown;
  state.revision += grown;
  if (block.sequence === record.sequence) {
    return;
  }
  if (block.used.count > 0) {
    throw inconsistent(`block ${nameOf(block)} has addresses in use and changes hands`);
  }
  detach(state, block);
  block.sequence = record.sequence;
  attach(state, block, record.owner);
}

function createBlock(network: NetworkState, first: number): BlockState {
  const pool = poolAt(network, first);
  if (pool === undefined || first !== blockStart(network, first)) {
    throw inconsistent(`${formatIpv4(first)} starts no block of network "${network.network.name}"`);
  }
  const block: BlockState = {
    pool,
    first,
    used: createAddressSet(network.blockSize),
    holders: [],
    host: undefined,
    owner: undefined,
    revision: 0,
    sequence: 0,
    previous: undefined,
    next: undefined,
  };
  network.blocks.set(first, block);
  advanceUnused(pool);
  return block;
}

/** Moves `pool.unused` up over blocks that are used or wholly blacked out. */
function advanceUnused(pool: Pool): void {
  const { network } = pool;
  while (pool.unused < pool.end) {
    const next = blockStart(network, skipBlackouts(network.blackouts, pool.unused));
    if (next > pool.unused) {
      pool.unused = next;
    } else if (network.blocks.has(next)) {
      pool.unused += network.blockSize;
    } else {
      return;
    }
  }
}

/** Takes the block from its owner or from the list of returned blocks; a new block is in neither. */
function detach(state: IpamState, block: BlockState): void {
  const { host, owner, pool, previous, next } = block;
  if (host !== undefined && owner !== undefined) {
    const owned = host.placements.get(pool.network)?.owned;
    const blocks = owned?.get(owner);
    blocks?.splice(blocks.indexOf(block), 1);
    if (blocks?.length === 0) {
      owned?.delete(owner);
    }
    owner.blocks -= 1;
    if (owner.blocks === 0) {
      const segments = state.owners.get(owner.tenant);
      segments?.delete(owner.segment);
      if (segments?.size === 0) {
        state.owners.delete(owner.tenant);
      }
    }
    block.host = undefined;
    block.owner = undefined;
  } else if (block.sequence !== 0) {
    if (previous === undefined) {
      pool.returnedFirst = next;
    } else {
      previous.next = next;
    }
    if (next === undefined) {
      pool.returnedLast = previous;
    } else {
      next.previous = previous;
    }
    block.previous = undefined;
    block.next = undefined;
  }
}

function attach(state: IpamState, block: BlockState, owner: BlockOwner | undefined): void {
  const { pool } = block;
  if (owner === undefined) {
    block.previous = pool.returnedLast;
    if (pool.returnedLast === undefined) {
      pool.returnedFirst = block;
    } else {
      pool.returnedLast.next = block;
    }
    pool.returnedLast = block;
    return;
  }
  const host = state.hosts.get(owner.host);
  const placement = host?.placements.get(pool.network);
  if (host === undefined || placement?.pool !== pool) {
    throw inconsistent(`block ${nameOf(block)} is of host ${owner.host}, which is not in group ${pool.group.cidr}`);
  }
  const interned = intern(state, owner.tenant, owner.segment);
  interned.blocks += 1;
  block.host = host;
  block.owner = interned;
  const blocks = placement.owned.get(interned);
  if (blocks === undefined) {
    placement.owned.set(interned, [block]);
  } else {
    blocks.push(block);
  }
}

function intern(state: IpamState, tenant: string, segment: string): NonNullable<BlockState["owner"]> {
  const known = ownerOf(state, tenant, segment);
  if (known !== undefined) {
    return known;
  }
  const owner = { tenant, segment, blocks: 0 };
  const segments = state.owners.get(tenant);
  if (segments === undefined) {
    state.owners.set(tenant, new Map([[segment, owner]]));
  } else {
    segments.set(segment, owner);
  }
  return owner;
}

function putAddress(state: IpamState, record: AddressRecord): void {
  const { name, address } = record;
  const network = networkOf(state, record.network);
  const block = network.blocks.get(blockStart(network, address));
  if (block?.host === undefined) {
    throw inconsistent(`address ${formatIpv4(address)} of "${name}" lies in no owned block`);
  }
  const offset = address - block.first;
  if (block.holders[offset] !== undefined || state.names.has(name)) {
    throw inconsistent(`address ${formatIpv4(address)} or its name "${name}" is in use twice`);
  }
  const allocation = { name, address, block };
  block.holders[offset] = allocation;
  addOffset(block.used, offset);
  block.host.addresses += 1;
  state.names.set(name, allocation);
}

function deleteAddress(state: IpamState, record: AddressRecord): void {
  const allocation = state.names.get(record.name);
  if (allocation?.address !== record.address || allocation.block.host === undefined) {
    throw inconsistent(`address ${formatIpv4(record.address)} is not held by "${record.name}"`);
  }
  const { block } = allocation;
  const offset = allocation.address - block.first;
  block.holders[offset] = undefined;
  deleteOffset(block.used, offset);
  allocation.block.host.addresses -= 1;
  state.names.delete(record.name);
}

function putHost(state: IpamState, record: HostRecord): void {
  state.sequence = Math.max(state.sequence, record.sequence + 1);
  const known = state.hosts.get(record.name);
  const host: HostState = known ?? { record, placements: new Map(), addresses: 0 };
  if (known !== undefined) {
    forgetHost(state, known);
  }
  const placements = new Map<NetworkState, Placement>();
  for (const group of record.groups) {
    const network = networkOf(state, group.network);
    const pool = network.pools.find((candidate) => candidate.group.cidr === group.cidr);
    if (pool === undefined || pool.group.kind !== "group") {
      throw inconsistent(`host ${record.name} is in ${group.cidr}, which is no group of network "${group.network}"`);
    }
    const before = host.placements.get(network);
    placements.set(network, before?.pool === pool ? before : { pool, owned: new Map() });
    pool.leaf.hosts.add(host);
    if (!pool.leaf.namesSubnet && pool.leaf.subnet === "") {
      pool.leaf.subnet = group.subnet;
    }
  }
  for (const [network, before] of host.placements) {
    if (before.owned.size > 0 && placements.get(network) !== before) {
      throw inconsistent(`host ${record.name} leaves ${before.pool.group.cidr}, where it has blocks`);
    }
  }
  host.record = record;
  host.placements = placements;
  state.hosts.set(record.name, host);
  state.hostsByIp.set(record.ip, [...(state.hostsByIp.get(record.ip) ?? []), host]);
  state.hostsWithSubnet += record.tags[SUBNET_LABEL] === undefined ? 0 : 1;
}

function deleteHost(state: IpamState, name: string): void {
  const host = state.hosts.get(name);
  if (host === undefined || host.addresses > 0) {
    throw inconsistent(`host ${name} is unknown or has addresses`);
  }
  forgetHost(state, host);
  state.hosts.delete(name);
}

/** Takes the host out of its leaves and out of the index by address; a leaf without hosts is bound to no subnet any more. */
function forgetHost(state: IpamState, host: HostState): void {
  for (const { pool } of host.placements.values()) {
    pool.leaf.hosts.delete(host);
    if (pool.leaf.hosts.size === 0) {
      pool.leaf.subnet = "";
    }
  }
  const others = (state.hostsByIp.get(host.record.ip) ?? []).filter((other) => other !== host);
  if (others.length > 0) {
    state.hostsByIp.set(host.record.ip, others);
  } else {
    state.hostsByIp.delete(host.record.ip);
  }
  state.hostsWithSubnet -= host.record.tags[SUBNET_LABEL] === undefined ? 0 : 1;
}

function putBlackouts(state: IpamState, record: BlackoutRecord): void {
  const network = networkOf(state, record.network);
  network.blackouts = record.cidrs.map(blackoutRange);
  for (const pool of network.pools) {
    pool.unused = pool.first;
    advanceUnused(pool);
  }
}

function networkOf(state: IpamState, name: string): NetworkState {
  const network = state.networksByName.get(name);
  if (network === undefined) {
    throw inconsistent(`network "${name}" is not in the topology`);
  }
  return network;
}

function nameOf(block: BlockState): string {
  return formatCidr(block.first, block.pool.network.network.blockMask);
}

function inconsistent(message: string): NetworkError {
  return new NetworkError("invalid", "STATE_INCONSISTENT", message);
}
