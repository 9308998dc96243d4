import { blackoutRange } from "./blackout-range.ts";
import type { Change } from "./change.ts";
import {
  advanceUnused,
  blockOf,
  decidedBlock,
  drop,
  hold,
  inconsistent,
  nameOf,
  networkOf,
  putBlock,
  updateBlock,
} from "./commit-blocks.ts";
import type { AddressRecord, BlackoutRecord, HostRecord, IpamRecords } from "./records.ts";
import { createState, type HostState, type IpamState, type NetworkState, type Pool } from "./state.ts";

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
        putAddress(state, change);
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
  for (const host of records.hosts.toSorted((a, b) => a.sequence - b.sequence)) {
    putHost(state, host);
  }
  for (const blackouts of records.blackouts) {
    putBlackouts(state, blackouts);
  }
  for (const block of records.blocks.toSorted((a, b) => a.sequence - b.sequence || a.first - b.first)) {
    putBlock(state, block);
  }
  for (const address of records.addresses) {
    putAddress(state, address);
  }
  return state;
}

/**
 * Hosts as they are stored after one revision: all leave their groups before any joins one, so that the order does not matter for the subnet that a leaf is bound to.
 * Throws `STATE_INCONSISTENT`.
 */
export function putHosts(state: IpamState, records: readonly HostRecord[]): void {
  for (const { name } of records) {
    const known = state.hosts.get(name);
    if (known !== undefined) {
      forgetHost(state, known);
    }
  }
  for (const record of records.toSorted((a, b) => a.sequence - b.sequence)) {
    putHost(state, record);
  }
}

function putAddress(state: IpamState, address: AddressRecord): void {
  hold(state, blockOf(networkOf(state, address.network), address.address), address);
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
