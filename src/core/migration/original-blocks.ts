import type { BlockOwner, HostRecord } from "../ipam/records.ts";
import { containsCidr, rangeOf, type Cidr } from "../net/cidr.ts";
import { networkFrom } from "../topology/read-networks.ts";
import type { FindingList } from "./finding.ts";
import type { BlobBlock, BlobGroup } from "./original-blob.ts";
import type { TakenNetwork } from "./original-topology.ts";

/** A run of addresses, both ends included, unsigned. */
export interface Run {
  readonly first: number;
  readonly last: number;
}

/** A block of the original that was taken. */
export interface TakenBlock {
  readonly network: string;
  readonly cidr: Cidr;
  readonly first: number;
  readonly last: number;
  readonly revision: number;
  /** Absent for an empty block, and for one whose record cannot be believed. */
  readonly owner: BlockOwner | undefined;
  /** What the block counts as in use. */
  readonly used: readonly Run[];
  readonly place: string;
}

/**
 * The blocks of all networks, those of each group in the order that its lists give: the owners' blocks by acquisition, then empty blocks by return. Where the original's
 * tables contradict each other, `block_to_owner` and `block_to_host` count, and a block is somebody's only if both name somebody who can have it.
 */
export function readBlocks(
  networks: readonly TakenNetwork[],
  hosts: readonly HostRecord[],
  findings: FindingList,
): readonly TakenBlock[] {
  const byName = new Map(hosts.map((host) => [host.name, host]));
  return networks.flatMap((network) =>
    network.leaves.flatMap(({ group, leaf }) => {
      const blocks = new Map<number, TakenBlock>();
      const seen = new Set<Cidr>();
      for (const [index, block] of group.blocks.entries()) {
        const cidr = placeOf(block, network, leaf.cidr, findings);
        if (cidr !== undefined && seen.has(cidr)) {
          findings.unsound(
            "block-misplaced",
            block.place,
            `block ${cidr} stands twice in its group`,
            LEFT_OUT,
          );
        } else if (cidr !== undefined) {
          seen.add(cidr);
          const owner = ownerOf(index, group, block, { network, leaf: leaf.cidr, byName }, findings);
          blocks.set(index, takenBlock(network, cidr, block, owner));
        }
      }
      return inOrder(group, blocks, findings);
    }),
  );
}

const LEFT_OUT = "the block is left out, with its addresses";
const EMPTIED = "the block is taken as empty; the addresses recorded in it are left out";

interface Surroundings {
  readonly network: TakenNetwork;
  readonly leaf: Cidr;
  readonly byName: ReadonlyMap<string, HostRecord>;
}

function placeOf(
  block: BlobBlock,
  { carved }: TakenNetwork,
  leaf: Cidr,
  findings: FindingList,
): Cidr | undefined {
  const { blockMask, name } = carved.network;
  const cidr = networkFrom(block.cidr);
  if (
    cidr !== undefined &&
    cidr === block.cidr &&
    rangeOf(cidr).length === blockMask &&
    containsCidr(leaf, cidr)
  ) {
    return cidr;
  }
  findings.unsound(
    "block-misplaced",
    block.place,
    `block "${block.cidr}" is no /${blockMask} of network "${name}" inside its group ${leaf}`,
    LEFT_OUT,
  );
  return undefined;
}

/** Who has the block, if both tables name somebody who can. */
function ownerOf(
  index: number,
  { ownerOf: owners, hostOf }: BlobGroup,
  { cidr, place }: BlobBlock,
  { network, leaf, byName }: Surroundings,
  findings: FindingList,
): BlockOwner | undefined {
  const owner = owners.get(index);
  const host = hostOf.get(index);
  if (owner === undefined && host === undefined) {
    return undefined;
  }
  if (owner === undefined || host === undefined) {
    const half =
      owner === undefined ? `is on host ${host} without an owner` : `is of "${owner}" without a host`;
    findings.unsound(
      "block-half-owned",
      place,
      `block ${cidr} ${half}, as removing a host leaves it`,
      EMPTIED,
    );
    return undefined;
  }
  const group = byName.get(host)?.groups.find((each) => each.network === network.source.name);
  if (group?.cidr !== leaf) {
    findings.unsound(
      "block-host-elsewhere",
      place,
      `block ${cidr} is on host ${host}, which is ${group === undefined ? "not in the network" : `in group ${group.cidr}`}`,
      EMPTIED,
    );
    return undefined;
  }
  const colon = owner.indexOf(":");
  return {
    host,
    tenant: colon < 0 ? owner : owner.slice(0, colon),
    segment: colon < 0 ? "" : owner.slice(colon + 1),
  };
}

function takenBlock(
  { carved }: TakenNetwork,
  cidr: Cidr,
  { revision, free, place }: BlobBlock,
  owner: BlockOwner | undefined,
): TakenBlock {
  const { first, size } = rangeOf(cidr);
  const last = first + size - 1;
  return {
    network: carved.network.name,
    cidr,
    first,
    last,
    revision,
    owner,
    used: without([{ first, last }], free),
    place,
  };
}

/** The blocks of a group by acquisition and return; every entry of the lists that contradicts the blocks becomes a finding. */
function inOrder(
  group: BlobGroup,
  blocks: ReadonlyMap<number, TakenBlock>,
  findings: FindingList,
): readonly TakenBlock[] {
  const order = new Set<number>();
  const at = (key: string): string => `${group.place}.${key}`;
  for (const [owner, indices] of group.ownedBy) {
    for (const index of indices) {
      if (group.ownerOf.get(index) === owner) {
        order.add(index);
      } else {
        findings.unsound(
          "owner-index-stale",
          at("owner_to_block"),
          `"${owner}" is listed with block ${nameOf(group, index)}, which is of ${quoted(group.ownerOf.get(index))}`,
          "the entry is left out: the block is of whom block_to_owner names",
        );
      }
    }
  }
  for (const [index, owner] of group.ownerOf) {
    if (group.ownedBy.get(owner)?.includes(index) !== true) {
      findings.unsound(
        "owner-index-stale",
        at("owner_to_block"),
        `block ${nameOf(group, index)} is of "${owner}", whose list lacks it`,
        "the block is the owner's last",
      );
    }
    order.add(index);
  }
  for (const index of group.reusable) {
    if (group.ownerOf.has(index) && group.hostOf.has(index)) {
      findings.unsound(
        "reusable-owned",
        at("reusable_blocks"),
        `block ${nameOf(group, index)} is listed as reusable and is of ${quoted(group.ownerOf.get(index))}`,
        "the block is its owner's",
      );
    }
    order.delete(index);
    order.add(index);
  }
  const lost = [...blocks].filter(([index]) => !order.has(index));
  for (const [index, { cidr, place }] of lost) {
    findings.note(
      "block-not-reusable",
      place,
      `block ${cidr} is nobody's and not listed as reusable`,
      "it is reusable",
    );
    order.add(index);
  }
  for (const index of [...order, ...group.hostOf.keys()]) {
    if (group.blocks[index] === undefined) {
      findings.unsound(
        "index-unknown",
        group.place,
        `block number ${index} does not exist`,
        "the entry is left out",
      );
    }
  }
  return [...order].flatMap((index) => blocks.get(index) ?? []);
}

/** What is left of the runs when others are taken away; sorted. */
export function without(runs: readonly Run[], others: readonly Run[]): readonly Run[] {
  const taken = others.filter(({ first, last }) => last >= first).toSorted((a, b) => a.first - b.first);
  return runs.flatMap(({ first, last }) => {
    const left: Run[] = [];
    let start = first;
    for (const other of taken) {
      if (other.last >= start && other.first <= last) {
        if (other.first > start) {
          left.push({ first: start, last: other.first - 1 });
        }
        start = other.last + 1;
      }
    }
    return start <= last ? [...left, { first: start, last }] : left;
  });
}

function nameOf(group: BlobGroup, index: number): string {
  return group.blocks[index]?.cidr ?? `number ${index}`;
}

function quoted(owner: string | undefined): string {
  return owner === undefined ? "nobody" : `"${owner}"`;
}
