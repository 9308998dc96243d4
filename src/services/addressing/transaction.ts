import type { AddressChange, Change } from "../../core/ipam/change.ts";
import type { BlackoutRecord, BlockRecord } from "../../core/ipam/records.ts";
import type { IpamState } from "../../core/ipam/state.ts";
import { rangeOf } from "../../core/net/cidr.ts";
import type { Compare, StoreLimits, StoreOperation, Transaction } from "../../ports/store.ts";
import type { AddressingKeys } from "../keys.ts";
import type { Addressing } from "../load-addressing.ts";
import {
  writeAddress,
  writeBlackouts,
  writeBlock,
  writeHost,
  writeRevision,
  type StoredAddress,
} from "../stored-records.ts";

/** What transactions are made from. */
export interface TransactionContext {
  readonly keys: AddressingKeys;
  /** As the decision found it. */
  readonly addressing: Addressing;
  /** Store revision that `addressing` stands at. */
  readonly revision: number;
  /** Names the transaction in the addresses that it writes. */
  readonly id: string;
  /** The value of the topology's key after a `replace`. */
  readonly topology?: string | undefined;
}

/** What was written of addresses and blocks, by its text: what reading that again would give. */
export interface WrittenRecords {
  readonly addresses: Map<string, StoredAddress>;
  readonly blocks: Map<string, BlockRecord & { readonly size: number }>;
}

/** What decisions come to: values to write (`undefined`: delete), and what they were made from, with the revision that was seen then. */
export interface Draft {
  readonly values: Map<string, string | undefined>;
  readonly compare: Map<string, number>;
  /** Nothing under the prefix may have changed after that revision. */
  readonly unchanged: Map<string, number>;
  readonly written: WrittenRecords;
  /** Characters of keys and values, more or less: at least a third of the bytes. */
  size: number;
}

/**
 * A draft that compares what every decision rests on: the topology and the generation. It goes on to compare everything that it writes and everything that the decisions were made from:
 *
 *     decision            writes                                   compares besides
 *     ------------------  ---------------------------------------  -----------------------------------------------
 *     allocate            block, address; host, for a new block    host, blackouts of the network; no address of that name
 *     release             block; host, for the block's last        its block guards the address
 *     hosts               hosts, topology revision
 *     blackouts           blackouts of the network                 topology revision; blocks within, hosts of groups within
 *     topology, import    all that differs                         no change of any host, block or blackout
 *
 * A host that gets or loses a block is written again as it is: so whoever removes or moves it, or lays a blackout over its group, and did not see that,
 * loses the compare. Hosts never contend with each other. Addresses name no network, so that a topology update leaves them as they are.
 */
export function createDraft(context: TransactionContext): Draft {
  const draft: Draft = {
    values: new Map(),
    compare: new Map(),
    unchanged: new Map(),
    written: { addresses: new Map(), blocks: new Map() },
    size: 0,
  };
  compare(context, draft, context.keys.topology);
  compare(context, draft, context.keys.generation);
  return draft;
}

/** The transaction that makes one decision durable. Where it compares more than `limits` allow, it compares everything of a kind instead of each. */
export function transactionOf(
  context: TransactionContext,
  changes: readonly Change[],
  limits: StoreLimits,
): Transaction {
  const draft = createDraft(context);
  for (const change of changes) {
    addChange(context, draft, change);
  }
  return finish(context, draft, limits.operations);
}

/** `maxCompares`: see `transactionOf`. */
export function finish(context: TransactionContext, draft: Draft, maxCompares: number): Transaction {
  const operations = [...draft.values].map(([key, value]): StoreOperation =>
    value === undefined ? { kind: "delete", key } : { kind: "put", key, value },
  );
  for (const prefix of [context.keys.blocks, context.keys.hosts]) {
    if (draft.compare.size + draft.unchanged.size > maxCompares) {
      draft.unchanged.set(prefix, context.revision);
      for (const key of draft.compare.keys()) {
        if (key.startsWith(prefix)) {
          draft.compare.delete(key);
        }
      }
    }
  }
  const compares: Compare[] = [...draft.compare].map(([key, modRevision]) => ({ key, modRevision }));
  for (const [prefix, maxRevision] of draft.unchanged) {
    compares.push({ prefix, maxRevision });
  }
  return { compare: compares, operations };
}

/** Adds one step of a plan, made from the state as it is: before the step is applied to it. Returns the keys on whose compare the step rests. */
export function addAddressChange(
  context: TransactionContext,
  draft: Draft,
  change: AddressChange,
): readonly string[] {
  const { keys, addressing } = context;
  const { name, address, network, pod } = change;
  const length = addressing.state.networksByName.get(network)?.network.blockMask ?? 32;
  const blockKey = keys.block(network, change.first, length);
  const addressKey = keys.address(name);
  const used = [blockKey];
  if (change.kind === "release") {
    if (draft.compare.has(addressKey)) {
      // Allocated in this very draft under a name that was free: nothing is to be deleted.
      draft.values.delete(addressKey);
    } else {
      set(draft, addressKey, undefined);
    }
    if (change.owner === undefined && change.block?.holding !== undefined) {
      used.push(rewriteHost(context, draft, change.block.holding.record.host));
    }
  } else if (change.owner !== undefined) {
    const { host, tenant, segment } = change.owner;
    if (!draft.values.has(addressKey)) {
      draft.compare.set(addressKey, 0);
      used.push(addressKey);
    }
    const record: StoredAddress = { name, address, host, tenant, segment, pod, transaction: context.id };
    const value = writeAddress(record);
    draft.written.addresses.set(value, record);
    set(draft, addressKey, value);
    const blackouts = keys.blackoutsOf(network);
    compare(context, draft, blackouts);
    used.push(blackouts);
    if (change.block?.holding === undefined) {
      used.push(rewriteHost(context, draft, host));
    } else {
      used.push(keys.host(host));
      compare(context, draft, keys.host(host));
    }
  }
  const value = writeBlock(change, length);
  const { first, owner, revision, sequence } = change;
  draft.written.blocks.set(value, { network, first, size: 2 ** (32 - length), owner, revision, sequence });
  write(context, draft, blockKey, value);
  return used;
}

function rewriteHost(context: TransactionContext, draft: Draft, name: string): string {
  const key = context.keys.host(name);
  const record = context.addressing.state.hosts.get(name)?.record;
  if (record !== undefined) {
    write(context, draft, key, writeHost(record));
  }
  return key;
}

function compare({ addressing }: TransactionContext, draft: Draft, key: string): void {
  if (!draft.compare.has(key)) {
    draft.compare.set(key, addressing.revisions.get(key) ?? 0);
  }
}

function set(draft: Draft, key: string, value: string | undefined): void {
  draft.values.set(key, value);
  draft.size += key.length + (value?.length ?? 0);
}

function write(context: TransactionContext, draft: Draft, key: string, value: string | undefined): void {
  compare(context, draft, key);
  set(draft, key, value);
}

function addChange(context: TransactionContext, draft: Draft, change: Change): void {
  const { keys } = context;
  const { state } = context.addressing;
  switch (change.kind) {
    case "allocate":
    case "release":
      addAddressChange(context, draft, change);
      break;
    case "put-block":
    case "put-address":
      break;
    case "put-host":
      write(context, draft, keys.host(change.host.name), writeHost(change.host));
      countHosts(context, draft);
      break;
    case "delete-host":
      write(context, draft, keys.host(change.name), undefined);
      countHosts(context, draft);
      break;
    case "put-blackouts":
      setBlackouts(context, draft, change.blackouts);
      compare(context, draft, keys.topologyRevision);
      addHoldersWithin(context, draft, change.blackouts);
      break;
    case "replace": {
      const { records } = change;
      write(context, draft, keys.topology, context.topology);
      countHosts(context, draft);
      replaceAll(
        draft,
        hostsOf(keys, state),
        records.hosts.map((host) => [keys.host(host.name), writeHost(host)]),
      );
      replaceAll(
        draft,
        blocksOf(keys, state),
        newBlocks(keys, records.blocks, blockLengths(records.topology.networks)),
      );
      replaceAll(
        draft,
        blackoutsOf(keys, state),
        records.blackouts.map((item) => [keys.blackoutsOf(item.network), writeBlackouts(item)]),
      );
      for (const prefix of [keys.hosts, keys.blocks, keys.blackouts]) {
        draft.unchanged.set(prefix, context.revision);
      }
      for (const { network } of state.networks) {
        compare(context, draft, keys.blackoutsOf(network.name));
      }
      break;
    }
  }
}

function countHosts(context: TransactionContext, draft: Draft): void {
  const { keys, addressing } = context;
  write(context, draft, keys.topologyRevision, writeRevision(addressing.topologyRevision + 1));
}

function setBlackouts(context: TransactionContext, draft: Draft, record: BlackoutRecord): void {
  const value = record.cidrs.length === 0 ? undefined : writeBlackouts(record);
  write(context, draft, context.keys.blackoutsOf(record.network), value);
}

function addHoldersWithin(context: TransactionContext, draft: Draft, record: BlackoutRecord): void {
  const { keys } = context;
  const network = context.addressing.state.networksByName.get(record.network);
  if (network === undefined) {
    return;
  }
  const before = new Set(network.blackouts.map(({ cidr }) => cidr));
  for (const cidr of record.cidrs.filter((other) => !before.has(other))) {
    const { first, size } = rangeOf(cidr);
    for (const pool of network.pools.filter((other) => other.first < first + size && other.end > first)) {
      for (const host of pool.leaf.hosts) {
        compare(context, draft, keys.host(host.record.name));
      }
    }
    for (const block of network.blocks.values()) {
      if (block.first < first + size && block.first + block.size > first) {
        compare(context, draft, keys.block(record.network, block.first, network.network.blockMask));
      }
    }
  }
}

type Pair = readonly [key: string, value: string];

function hostsOf(keys: AddressingKeys, state: IpamState): readonly Pair[] {
  return [...state.hosts].map(([name, { record }]) => [keys.host(name), writeHost(record)]);
}

function blocksOf(keys: AddressingKeys, state: IpamState): readonly Pair[] {
  return state.networks.flatMap((network) =>
    [...network.blocks.values()].map(({ first, holding, revision, sequence }): Pair => {
      const { name, blockMask } = network.network;
      const record = { network: name, first, owner: holding?.record, revision, sequence };
      return [keys.block(name, first, blockMask), writeBlock(record, blockMask)];
    }),
  );
}

function newBlocks(
  keys: AddressingKeys,
  blocks: readonly BlockRecord[],
  lengths: ReadonlyMap<string, number>,
): readonly Pair[] {
  return blocks.map((block) => {
    const length = lengths.get(block.network) ?? 32;
    return [keys.block(block.network, block.first, length), writeBlock(block, length)];
  });
}

function blackoutsOf(keys: AddressingKeys, state: IpamState): readonly Pair[] {
  return state.networks.flatMap(({ network: { name }, blackouts }): readonly Pair[] =>
    blackouts.length === 0
      ? []
      : [
          [
            keys.blackoutsOf(name),
            writeBlackouts({ network: name, cidrs: blackouts.map(({ cidr }) => cidr) }),
          ],
        ],
  );
}

/** Writes what differs and deletes what is gone. */
function replaceAll(draft: Draft, before: readonly Pair[], after: readonly Pair[]): void {
  const known = new Map(before);
  for (const [key, value] of after) {
    if (known.get(key) !== value) {
      set(draft, key, value);
    }
    known.delete(key);
  }
  for (const key of known.keys()) {
    set(draft, key, undefined);
  }
}

function blockLengths(
  networks: readonly { readonly network: { readonly name: string; readonly blockMask: number } }[],
): ReadonlyMap<string, number> {
  return new Map(networks.map(({ network }) => [network.name, network.blockMask]));
}
