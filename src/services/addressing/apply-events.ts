import { commit, putHosts } from "../../core/ipam/commit.ts";
import type { BlackoutRecord, BlockRecord, HostRecord } from "../../core/ipam/records.ts";
import type { Allocation } from "../../core/ipam/state.ts";
import { formatCidr } from "../../core/net/cidr.ts";
import type { AddressingKeys } from "../keys.ts";
import { holdAddress, sized, type Addressing } from "../load-addressing.ts";
import type { FollowedEvent } from "../store-follower.ts";
import {
  readAddress,
  readBlackouts,
  readBlock,
  readHost,
  readRevision,
  writeHost,
  type StoredAddress,
} from "../stored-records.ts";
import type { WrittenRecords } from "./transaction.ts";

/** What the events of one revision put or took away, by name; blocks by CIDR. */
export interface Applied {
  readonly hosts: readonly string[];
  readonly blocks: readonly string[];
  readonly addresses: readonly string[];
  /** What left its name, as it was, before anything was given. */
  readonly released: readonly ReleasedAddress[];
  /** Of the topology's revision or of blackouts, which have no names of their own. */
  readonly others: boolean;
}

/** An address that its name has no more. */
export type ReleasedAddress = Pick<Allocation, "name" | "address" | "pod">;

/** The events, read and sorted by what they are about. */
interface Sorted {
  readonly namesGone: string[];
  readonly addresses: StoredAddress[];
  readonly blocks: BlockRecord[];
  readonly cidrs: string[];
  readonly hosts: HostRecord[];
  readonly hostsGone: string[];
  readonly blackouts: BlackoutRecord[];
  topologyRevision: number | undefined;
}

/**
 * Takes one revision's events, own or another replica's, into the state. What is `expected` is not read again. All are read before the first is applied. The order within is that in which `commit` takes them:
 *
 *     addresses leave their names → blocks return → hosts go → hosts come or move → blackouts → blocks get owners → addresses get names
 *
 * Throws `STATE_UNREADABLE` with the state as it was, `STATE_INCONSISTENT` with the state in need of being built anew, for events that do not fit it. Events of
 * the topology are not for this function.
 */
export function applyEvents(
  keys: AddressingKeys,
  addressing: Addressing,
  events: readonly FollowedEvent[],
  expected: Iterable<WrittenRecords> = [],
): Applied {
  const { state } = addressing;
  const sorted = sortEvents(keys, addressing, events, [...expected]);
  const released: ReleasedAddress[] = [];
  for (const name of sorted.namesGone) {
    dropName(addressing, name, released);
  }
  for (const { name } of sorted.addresses) {
    dropName(addressing, name, released);
  }
  putBlocks(addressing, sorted.blocks, (owned) => !owned);
  commit(
    state,
    sorted.hostsGone.filter((name) => state.hosts.has(name)).map((name) => ({ kind: "delete-host", name })),
  );
  putHosts(state, sorted.hosts);
  commit(
    state,
    sorted.blackouts.map((blackouts) => ({ kind: "put-blackouts", blackouts })),
  );
  putBlocks(addressing, sorted.blocks, (owned) => owned);
  for (const address of sorted.addresses) {
    holdAddress(state, address);
  }
  addressing.topologyRevision = sorted.topologyRevision ?? addressing.topologyRevision;
  noteRevisions(keys, addressing, events);
  return {
    hosts: [...sorted.hostsGone, ...sorted.hosts.map(({ name }) => name)],
    blocks: sorted.cidrs,
    addresses: [...sorted.namesGone, ...sorted.addresses.map(({ name }) => name)],
    released,
    others: sorted.topologyRevision !== undefined || sorted.blackouts.length > 0,
  };
}

/** Remembers at which revision each object that decisions compare was changed last. */
export function noteRevisions(
  keys: AddressingKeys,
  { revisions }: Addressing,
  events: readonly FollowedEvent[],
): void {
  for (const { kind, key, modRevision } of events) {
    if (!isCompared(keys, key)) {
      continue;
    }
    if (kind === "put") {
      revisions.set(key, modRevision);
    } else {
      revisions.delete(key);
    }
  }
}

function isCompared(keys: AddressingKeys, key: string): boolean {
  return (
    key.startsWith(keys.blocks) ||
    key.startsWith(keys.hosts) ||
    key.startsWith(keys.blackouts) ||
    key === keys.topologyRevision ||
    key === keys.topology ||
    key === keys.generation
  );
}

function sortEvents(
  keys: AddressingKeys,
  { state }: Addressing,
  events: readonly FollowedEvent[],
  expected: readonly WrittenRecords[],
): Sorted {
  const sorted: Sorted = {
    namesGone: [],
    addresses: [],
    blocks: [],
    cidrs: [],
    hosts: [],
    hostsGone: [],
    blackouts: [],
    topologyRevision: undefined,
  };
  const addresses = expected.map((written) => written.addresses);
  const blocks = expected.map((written) => written.blocks);
  for (const event of events) {
    const { key } = event;
    const value = event.kind === "put" ? event.value : undefined;
    if (key.startsWith(keys.addresses)) {
      if (value === undefined) {
        sorted.namesGone.push(keys.nameOf(key));
      } else {
        sorted.addresses.push(expectedRecord(addresses, value) ?? readAddress(key, value));
      }
    } else if (key.startsWith(keys.blocks) && value !== undefined) {
      const read = expectedRecord(blocks, value) ?? readBlock(key, value);
      const block = sized(state, key, read);
      sorted.blocks.push(block);
      sorted.cidrs.push(formatCidr(read.first, 32 - Math.log2(read.size)));
    } else if (key.startsWith(keys.hosts)) {
      sortHost(keys, state, key, value, sorted);
    } else if (key.startsWith(keys.blackouts)) {
      const network = decodeURIComponent(key.slice(keys.blackouts.length));
      sorted.blackouts.push(value === undefined ? { network, cidrs: [] } : readBlackouts(key, value));
    } else if (key === keys.topologyRevision && value !== undefined) {
      sorted.topologyRevision = readRevision(key, value);
    }
  }
  return sorted;
}

/** What this process wrote and what comes back to it: the same text says the same. */
function expectedRecord<T>(expected: readonly ReadonlyMap<string, T>[], value: string): T | undefined {
  for (const records of expected) {
    const record = records.get(value);
    if (record !== undefined) {
      return record;
    }
  }
  return undefined;
}

/** A host that gets or loses a block is written again as it is: then nothing changed. */
function sortHost(
  keys: AddressingKeys,
  state: Addressing["state"],
  key: string,
  value: string | undefined,
  sorted: Sorted,
): void {
  const name = decodeURIComponent(key.slice(keys.hosts.length));
  if (value === undefined) {
    sorted.hostsGone.push(name);
    return;
  }
  const known = state.hosts.get(name);
  if (known === undefined || writeHost(known.record) !== value) {
    sorted.hosts.push(readHost(key, value));
  }
}

function dropName({ state }: Addressing, name: string, released: ReleasedAddress[]): void {
  const held = state.names.get(name);
  if (held === undefined) {
    return;
  }
  released.push(held);
  const { block, address } = held;
  commit(state, [
    {
      kind: "release",
      name,
      address,
      network: block.pool.network.network.name,
      first: block.first,
      owner: block.holding?.record,
      revision: block.revision,
      sequence: block.sequence,
      block,
    },
  ]);
}

function putBlocks(
  { state }: Addressing,
  blocks: readonly BlockRecord[],
  which: (owned: boolean) => boolean,
): void {
  for (const block of blocks) {
    if (which(block.owner !== undefined)) {
      commit(state, [{ kind: "put-block", ...block }]);
    }
  }
}
