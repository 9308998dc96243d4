import { NetworkError } from "../errors.ts";
import { formatCidr } from "../net/cidr.ts";
import { formatIpv4 } from "../net/ipv4.ts";
import { addOffset, createAddressSet, deleteOffset } from "./address-set.ts";
import { blackoutRange, skipBlackouts } from "./blackout-range.ts";
import type { AddressChange, Change } from "./change.ts";
import type {
  AddressRecord,
  BlackoutRecord,
  BlockOwner,
  BlockRecord,
  HostRecord,
  IpamRecords,
} from "./records.ts";
import {
  blockStart,
  createState,
  poolAt,
  type BlockList,
  type BlockState,
  type HostState,
  type IpamState,
  type NetworkState,
  type OwnerState,
  type Pool,
} from "./state.ts";

/** Blocks of up to this many addresses are prepared whole, larger ones as they fill. */
const MAX_PREPARED = 32;

/**
 * Applies the changes of a decision, or records that were read from a store, to the state, in order. Constant work per block and address; a host
 * costs its groups, `replace` everything. Throws `STATE_INCONSISTENT` (invalid) for a change that does not fit the state, such as an
 * address outside every block; the changes before it are applied then, so the state has to be built anew.
 */
export function commit(state: IpamState, changes: readonly Change[]): void {
  for (const change of changes) {
    switch (change.kind) {
      case "allocate": {
        const block = decidedBlock(state, change);
        updateBlock(state, block, change);
        hold(state, block, change);
        break;
      }
      case "release": {
        const block = decidedBlock(state, change);
        drop(state, block, change);
        updateBlock(state, block, change);
        break;
      }
      case "put-block":
        putBlock(state, change);
        break;
      case "put-address":
        hold(state, blockOf(networkOf(state, change.network), change.address), change);
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
        Object.assign(state, buildState(change.records), { subnets: state.subnets });
        break;
    }
  }
}

/** The state that the records describe; their order does not matter. Throws `STATE_INCONSISTENT` where they contradict each other. */
export function buildState(records: IpamRecords): IpamState {
  const state = createState(records.topology, records.revisionBase);
  commit(state, [
    ...records.hosts
      .toSorted((a, b) => a.sequence - b.sequence)
      .map((host) => ({ kind: "put-host", host }) as const),
    ...records.blackouts.map((blackouts) => ({ kind: "put-blackouts", blackouts }) as const),
    ...records.blocks
      .toSorted((a, b) => a.sequence - b.sequence || a.first - b.first)
      .map((block) => ({ kind: "put-block", ...block }) as const),
    ...records.addresses.map((address) => ({ kind: "put-address", ...address }) as const),
  ]);
  return state;
}

function putBlock(state: IpamState, record: BlockRecord): BlockState {
  const network = networkOf(state, record.network);
  const block = network.blocks.get(record.first) ?? createBlock(network, record.first);
  updateBlock(state, block, record);
  return block;
}

/** The block of a decision; a decision made from another state names a block that is not in this one. */
function decidedBlock(state: IpamState, change: AddressChange): BlockState {
  const network = networkOf(state, change.network);
  const { block } = change;
  if (block !== undefined && block.pool.network !== network) {
    throw inconsistent(`the decision on "${change.name}" was made from a state that was replaced since`);
  }
  return block ?? createBlock(network, change.first);
}

function updateBlock(state: IpamState, block: BlockState, record: BlockRecord): void {
  const grown = record.revision - block.revision;
  block.revision = record.revision;
  block.pool.network.revision += grown;
  state.revision += grown;
  if (block.sequence !== record.sequence) {
    if (block.count > 0) {
      throw inconsistent(`block ${nameOf(block)} has addresses in use and changes hands`);
    }
    state.sequence = Math.max(state.sequence, record.sequence + 1);
    detach(block);
    block.sequence = record.sequence;
    attach(state, block, record.owner);
  }
}

function createBlock(network: NetworkState, first: number): BlockState {
  const pool = poolAt(network, first);
  if (pool === undefined || first !== blockStart(network, first) || network.blocks.has(first)) {
    throw inconsistent(`${formatIpv4(first)} starts no new block of network "${network.network.name}"`);
  }
  // Each field is named here, and small blocks get all their holders at once: objects of one shape without spare room keep allocations fast.
  const { size, words, full } = createAddressSet(network.blockSize);
  const block: BlockState = {
    size,
    count: 0,
    bits: 0,
    first,
    revision: 0,
    sequence: 0,
    pool,
    holding: undefined,
    holders: Array.from({ length: Math.min(size, MAX_PREPARED) }, () => undefined),
    previous: undefined,
    next: undefined,
    words,
    full,
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
function detach(block: BlockState): void {
  const { holding, pool } = block;
  if (holding === undefined) {
    if (block.sequence !== 0) {
      unlink(pool.returned, block);
    }
    return;
  }
  const { host, owner } = holding;
  unlink(holding.open, block);
  block.holding = undefined;
  host.blocks.delete(block);
  holding.blocks -= 1;
  if (holding.blocks === 0) {
    owner.holdings.delete(host.id);
  }
  if (owner.holdings.size === 0) {
    const { owners } = pool.network;
    const segments = owners.get(owner.tenant);
    segments?.delete(owner.segment);
    if (segments?.size === 0) {
      owners.delete(owner.tenant);
    }
  }
}

function attach(state: IpamState, block: BlockState, record: BlockOwner | undefined): void {
  const { pool } = block;
  if (record === undefined) {
    link(pool.returned, block);
    return;
  }
  const host = state.hosts.get(record.host);
  if (host === undefined || host.placements.get(pool.network) !== pool) {
    throw inconsistent(
      `block ${nameOf(block)} is of host ${record.host}, which is not in group ${pool.group.cidr}`,
    );
  }
  const owner = intern(pool.network, record);
  let holding = owner.holdings.get(host.id);
  if (holding === undefined) {
    holding = { host, owner, record, blocks: 0, open: { head: undefined, tail: undefined } };
    owner.holdings.set(host.id, holding);
  }
  holding.blocks += 1;
  host.blocks.add(block);
  block.holding = holding;
  link(holding.open, block);
}

function intern(network: NetworkState, { tenant, segment }: BlockOwner): OwnerState {
  let segments = network.owners.get(tenant);
  if (segments === undefined) {
    segments = new Map();
    network.owners.set(tenant, segments);
  }
  let owner = segments.get(segment);
  if (owner === undefined) {
    owner = { tenant, segment, holdings: new Map() };
    segments.set(segment, owner);
  }
  return owner;
}

/** Puts the block into the list by its sequence number, which is mostly the highest. */
function link(list: BlockList, block: BlockState): void {
  let before = list.tail;
  while (before !== undefined && before.sequence > block.sequence) {
    before = before.previous;
  }
  const after = before === undefined ? list.head : before.next;
  block.previous = before;
  block.next = after;
  if (before === undefined) {
    list.head = block;
  } else {
    before.next = block;
  }
  if (after === undefined) {
    list.tail = block;
  } else {
    after.previous = block;
  }
}

function unlink(list: BlockList, block: BlockState): void {
  const { previous, next } = block;
  if (previous === undefined) {
    list.head = next;
  } else {
    previous.next = next;
  }
  if (next === undefined) {
    list.tail = previous;
  } else {
    next.previous = previous;
  }
  block.previous = undefined;
  block.next = undefined;
}

/** Gives an address of an owned block to a name. */
function hold(state: IpamState, block: BlockState, { name, address }: AddressRecord): void {
  const inUse = state.names.size;
  const offset = address - block.first;
  const { holding } = block;
  const allocation = { name, address, block };
  state.names.set(name, allocation);
  if (holding === undefined || block.holders[offset] !== undefined || state.names.size === inUse) {
    throw inconsistent(
      `address ${formatIpv4(address)} of "${name}" is in use, has two names or lies in no owned block`,
    );
  }
  block.holders[offset] = allocation;
  addOffset(block, offset);
  if (block.count === block.size) {
    unlink(holding.open, block);
  }
}

function drop(state: IpamState, block: BlockState, { name, address }: AddressRecord): void {
  const offset = address - block.first;
  const { holding } = block;
  if (holding === undefined || block.holders[offset]?.name !== name || !state.names.delete(name)) {
    throw inconsistent(`address ${formatIpv4(address)} is not held by "${name}"`);
  }
  if (block.count === block.size) {
    link(holding.open, block);
  }
  block.holders[offset] = undefined;
  deleteOffset(block, offset);
}

function blockOf(network: NetworkState, address: number): BlockState {
  const block = network.blocks.get(blockStart(network, address));
  if (block === undefined) {
    throw inconsistent(
      `address ${formatIpv4(address)} lies in no block of network "${network.network.name}"`,
    );
  }
  return block;
}

function putHost(state: IpamState, record: HostRecord): void {
  state.sequence = Math.max(state.sequence, record.sequence + 1);
  const known = state.hosts.get(record.name);
  const host: HostState = known ?? { record, id: record.sequence, placements: new Map(), blocks: new Set() };
  if (known !== undefined) {
    forgetHost(state, known);
  }
  const placements = new Map<NetworkState, Pool>();
  for (const group of record.groups) {
    const network = networkOf(state, group.network);
    const pool = network.pools.find((candidate) => candidate.group.cidr === group.cidr);
    if (pool === undefined || pool.group.kind !== "group") {
      throw inconsistent(
        `host ${record.name} is in ${group.cidr}, which is no group of network "${group.network}"`,
      );
    }
    placements.set(network, pool);
    pool.leaf.hosts.add(host);
    if (pool.leaf.namedSubnet === "" && pool.leaf.subnet === "") {
      pool.leaf.subnet = group.subnet;
    }
  }
  for (const block of host.blocks) {
    if (placements.get(block.pool.network) !== block.pool) {
      throw inconsistent(
        `host ${record.name} leaves ${block.pool.group.cidr}, where it has block ${nameOf(block)}`,
      );
    }
  }
  host.record = record;
  host.placements = placements;
  state.hosts.set(record.name, host);
  state.hostsByIp.set(record.ip, [...(state.hostsByIp.get(record.ip) ?? []), host]);
}

function deleteHost(state: IpamState, name: string): void {
  const host = state.hosts.get(name);
  if (host === undefined || host.blocks.size > 0) {
    throw inconsistent(`host ${name} is unknown or has blocks`);
  }
  forgetHost(state, host);
  state.hosts.delete(name);
}

/** Takes the host out of its leaves and out of the index by address; a leaf without hosts is bound to no subnet any more. */
function forgetHost(state: IpamState, host: HostState): void {
  for (const pool of host.placements.values()) {
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
