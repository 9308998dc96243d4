import { formatIpv4 } from "../net/ipv4.ts";
import type { BlockRecord } from "./records.ts";
import {
  networkAt,
  poolAt,
  type BlockState,
  type HostState,
  type IpamState,
  type LeafState,
  type NetworkState,
} from "./state.ts";

/** At most this many addresses stand for all that one reason keeps from moving. */
const MAX_NAMED = 3;

/** The blocks of a state under another topology. */
export interface CarriedBlocks {
  readonly blocks: readonly BlockRecord[];
  /** The record of each block that stays. */
  readonly moved: ReadonlyMap<BlockState, BlockRecord>;
  /** For each host with addresses the leaf, by entry, in which they lie. */
  readonly leaves: ReadonlyMap<HostState, ReadonlyMap<number, LeafState>>;
}

/**
 * Finds each block's place in the networks and groups of `fresh`. A block stays as it is if a network with the same block size contains it and, unless it is empty, admits
 * its tenant and has a group there that takes hosts. An empty block without such a network is given up; for one with addresses the reason goes to `problems`, one
 * line per reason with the first addresses that it concerns.
 */
export function carryBlocks(state: IpamState, fresh: IpamState, problems: string[]): CarriedBlocks {
  const moved = new Map<BlockState, BlockRecord>();
  const leaves = new Map<HostState, Map<number, LeafState>>();
  const obstacles = new Map<string, BlockState[]>();
  for (const block of state.networks.flatMap(({ blocks }) => [...blocks.values()])) {
    const { holding } = block;
    const target = networkAt(fresh, block.first);
    const leaf = target === undefined ? undefined : poolAt(target, block.first)?.leaf;
    const known = holding === undefined ? undefined : neededBy(leaves, holding.host);
    const obstacle = obstacleOf(fresh, block, target, leaf, known);
    if (obstacle === undefined && target !== undefined && leaf !== undefined) {
      moved.set(block, recordOf(block, target));
      known?.set(leaf.entry, leaf);
    } else if (holding !== undefined && obstacle !== undefined) {
      const others = obstacles.get(obstacle);
      if (others === undefined) {
        obstacles.set(obstacle, [block]);
      } else {
        others.push(block);
      }
    }
  }
  for (const [reason, blocks] of obstacles) {
    problems.push(`${reason}; in use are ${namesOf(blocks)}`);
  }
  return { blocks: [...moved.values()], moved, leaves };
}

/** Why the block cannot stay, and the way out; `undefined` when it can. `known`: the leaves of the host's other blocks, absent for an empty block. */
function obstacleOf(
  fresh: IpamState,
  block: BlockState,
  target: NetworkState | undefined,
  leaf: LeafState | undefined,
  known: ReadonlyMap<number, LeafState> | undefined,
): string | undefined {
  const { network } = block.pool.network;
  if (target === undefined || leaf === undefined) {
    const { cidr } = fresh.networksByName.get(network.name)?.network ?? {};
    const change = cidr === undefined ? "is not in the new document" : `would be ${cidr}`;
    return `network "${network.name}" (${network.cidr}) ${change}; keep its range until its addresses are released`;
  }
  const { name, blockMask, tenants, cidr } = target.network;
  if (target.blockSize !== block.size) {
    return `network "${name}" would have block_mask ${blockMask} instead of ${network.blockMask}, which moves the borders of its blocks; define a second network, or drain this one and remove it`;
  }
  if (known === undefined || block.holding === undefined) {
    return undefined;
  }
  const { tenant, host } = block.holding.record;
  if (tenants.length > 0 && !tenants.includes(tenant)) {
    return `network "${name}" (${cidr}) would not be for tenant "${tenant}"; keep the tenant until its addresses are released`;
  }
  const group = leaf.pools.find((pool) => pool.network === target)?.group;
  if (group?.kind !== "group") {
    return `${group?.cidr ?? cidr} of network "${name}" would be ${group?.kind ?? "reserve"}, which takes no hosts; keep a group there for host ${host}`;
  }
  const other = known.get(leaf.entry);
  if (other !== undefined && other !== leaf) {
    const ranges = [other, leaf].map(({ pools }) => pools[0]?.group.cidr).join(" and ");
    return `the addresses of host ${host} would lie in two groups, ${ranges}; keep one group over all of them`;
  }
  return undefined;
}

function recordOf(
  { first, holding, revision, sequence }: BlockState,
  { network }: NetworkState,
): BlockRecord {
  return { network: network.name, first, owner: holding?.record, revision, sequence };
}

function neededBy(leaves: Map<HostState, Map<number, LeafState>>, host: HostState): Map<number, LeafState> {
  const known = leaves.get(host) ?? new Map<number, LeafState>();
  leaves.set(host, known);
  return known;
}

function namesOf(blocks: readonly BlockState[]): string {
  const total = blocks.reduce((sum, { count }) => sum + count, 0);
  const names: string[] = [];
  for (const { holders, holding } of blocks) {
    for (const allocation of holders) {
      if (allocation !== undefined && names.length < MAX_NAMED) {
        names.push(
          `${formatIpv4(allocation.address)} ("${allocation.name}" on host ${holding?.record.host})`,
        );
      }
    }
  }
  return total > names.length ? `${names.join(", ")} and ${total - names.length} more` : names.join(", ");
}
