import { NetworkError } from "../errors.ts";
import { formatCidr } from "../net/cidr.ts";
import { formatIpv4 } from "../net/ipv4.ts";
import { addOffset, createAddressSet, deleteOffset } from "./address-set.ts";
import { skipBlackouts } from "./blackout-range.ts";
import { link, unlink } from "./block-list.ts";
import type { AddressChange } from "./change.ts";
import type { AddressRecord, BlockOwner, BlockRecord } from "./records.ts";
import {
  blockStart,
  poolAt,
  type Allocation,
  type BlockState,
  type IpamState,
  type NetworkState,
  type OwnerState,
  type Pool,
} from "./state.ts";

/** Blocks of up to this many addresses are prepared whole, larger ones as they fill. */
const MAX_PREPARED = 32;

/** A block as it is stored, new or changed. */
export function putBlock(state: IpamState, record: BlockRecord): BlockState {
  const network = networkOf(state, record.network);
  const block = network.blocks.get(record.first) ?? createBlock(network, record.first);
  updateBlock(state, block, record);
  return block;
}

/** The block of a decision; a decision made from another state names a block that is not in this one. */
export function decidedBlock(state: IpamState, change: AddressChange): BlockState {
  const network = networkOf(state, change.network);
  const { block } = change;
  if (block !== undefined && block.pool.network !== network) {
    throw inconsistent(`the decision on "${change.name}" was made from a state that was replaced since`);
  }
  return block ?? createBlock(network, change.first);
}

/** Gives the block the revision, the number and the owner of the record. */
export function updateBlock(state: IpamState, block: BlockState, record: BlockRecord): void {
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
export function advanceUnused(pool: Pool): void {
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
export function detach(block: BlockState): void {
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

/** Gives an empty block to an owner, or to the list of returned blocks. */
export function attach(state: IpamState, block: BlockState, record: BlockOwner | undefined): void {
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

/** Gives an address of an owned block to a name. */
export function hold(state: IpamState, block: BlockState, { name, address, pod }: AddressRecord): void {
  const inUse = state.names.size;
  const offset = address - block.first;
  const { holding } = block;
  const allocation: Allocation = pod === undefined ? { name, address, block } : { name, address, block, pod };
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

/** Takes an address of an owned block back from a name. */
export function drop(state: IpamState, block: BlockState, { name, address }: AddressRecord): void {
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

/** The block that contains an address. */
export function blockOf(network: NetworkState, address: number): BlockState {
  const block = network.blocks.get(blockStart(network, address));
  if (block === undefined) {
    throw inconsistent(
      `address ${formatIpv4(address)} lies in no block of network "${network.network.name}"`,
    );
  }
  return block;
}

/** The network with this name, which the topology must have. */
export function networkOf(state: IpamState, name: string): NetworkState {
  const network = state.networksByName.get(name);
  if (network === undefined) {
    throw inconsistent(`network "${name}" is not in the topology`);
  }
  return network;
}

/** The CIDR of a block. */
export function nameOf(block: BlockState): string {
  return formatCidr(block.first, block.pool.network.network.blockMask);
}

/** For what does not fit the state. */
export function inconsistent(message: string): NetworkError {
  return new NetworkError("invalid", "STATE_INCONSISTENT", message);
}
