import type { Change } from "../core/ipam/change.ts";
import type { BlackoutRecord, BlockRecord, HostRecord } from "../core/ipam/records.ts";
import type { IpamState } from "../core/ipam/state.ts";
import { rangeOf } from "../core/net/cidr.ts";
import type { StoreOperation, Transaction } from "../ports/store.ts";
import type { AddressingKeys } from "./keys.ts";
import { writeAddress, writeBlackouts, writeBlock, writeHost, writeRevision } from "./stored-records.ts";

/** What a transaction is made from. */
export interface TransactionContext {
  readonly keys: AddressingKeys;
  readonly state: IpamState;
  readonly topologyRevision: number;
  /** `modRevision` of each stored object, by key; none means that it does not exist. */
  readonly revisions: ReadonlyMap<string, number>;
  /** The value of the topology's key after a `replace`. */
  readonly topology: string | undefined;
}

/** What a decision touches: values to write (`undefined`: delete), and keys that it was made from. */
interface Draft {
  readonly values: Map<string, string | undefined>;
  readonly read: Set<string>;
}

/**
 * The transaction that makes the changes of one decision durable. It compares everything that it writes and everything that the decision was made from:
 *
 *     decision            writes                                   compares besides
 *     ------------------  ---------------------------------------  -----------------------------------------------
 *     allocate            block, address; host, for a new block    topology, host, blackouts of the network
 *     release             block, address                           topology
 *     hosts               hosts, topology revision                 topology
 *     blackouts           blackouts of the network                 topology; blocks within, hosts of groups within
 *     topology            all that differs                         every host, block and blackout
 *
 * A host that gets a block is written again as it is: so whoever removes or moves it, or lays a blackout over its group, and did not see that block,
 * loses the compare. Hosts never contend with each other. Addresses name no network, so that a topology update leaves them as they are.
 */
export function transactionOf(context: TransactionContext, changes: readonly Change[]): Transaction {
  const draft: Draft = { values: new Map(), read: new Set([context.keys.topology]) };
  for (const change of changes) {
    addChange(context, draft, change);
  }
  const operations = [...draft.values].map(([key, value]): StoreOperation =>
    value === undefined ? { kind: "delete", key } : { kind: "put", key, value },
  );
  const compared = new Set([...draft.read, ...draft.values.keys()]);
  const compare = [...compared].map((key) => ({ key, modRevision: context.revisions.get(key) ?? 0 }));
  return { compare, operations };
}

function addChange(context: TransactionContext, draft: Draft, change: Change): void {
  const { keys, state } = context;
  switch (change.kind) {
    case "allocate":
      if (change.owner !== undefined) {
        const { host, tenant, segment } = change.owner;
        const { name, address } = change;
        draft.values.set(keys.address(name), writeAddress({ name, address, host, tenant, segment }));
        draft.read.add(keys.host(host)).add(keys.blackoutsOf(change.network));
        const { record } = state.hosts.get(host) ?? {};
        if (change.block?.holding === undefined && record !== undefined) {
          draft.values.set(keys.host(host), writeHost(record));
        }
      }
      setBlock(context, draft, change);
      break;
    case "release":
      draft.values.set(keys.address(change.name), undefined);
      setBlock(context, draft, change);
      break;
    case "put-block":
      setBlock(context, draft, change);
      break;
    case "put-address":
      break;
    case "put-host":
      draft.values.set(keys.host(change.host.name), writeHost(change.host));
      countHosts(context, draft);
      break;
    case "delete-host":
      draft.values.set(keys.host(change.name), undefined);
      countHosts(context, draft);
      break;
    case "put-blackouts":
      setBlackouts(keys, draft, change.blackouts);
      addHoldersWithin(keys, draft, state, change.blackouts);
      break;
    case "replace":
      draft.values.set(keys.topology, context.topology);
      countHosts(context, draft);
      replaceHosts(context, draft, change.records.hosts);
      replaceBlocks(context, draft, change.records.blocks, blockLengths(change.records.topology.networks));
      replaceBlackouts(context, draft, change.records.blackouts);
      break;
  }
}

function setBlock({ keys, state }: TransactionContext, draft: Draft, record: BlockRecord): void {
  const length = state.networksByName.get(record.network)?.network.blockMask ?? 32;
  draft.values.set(keys.block(record.network, record.first, length), writeBlock(record, length));
}

function countHosts({ keys, topologyRevision }: TransactionContext, draft: Draft): void {
  draft.values.set(keys.topologyRevision, writeRevision(topologyRevision + 1));
}

function setBlackouts(keys: AddressingKeys, draft: Draft, record: BlackoutRecord): void {
  draft.values.set(
    keys.blackoutsOf(record.network),
    record.cidrs.length === 0 ? undefined : writeBlackouts(record),
  );
}

function addHoldersWithin(
  keys: AddressingKeys,
  draft: Draft,
  state: IpamState,
  record: BlackoutRecord,
): void {
  const network = state.networksByName.get(record.network);
  if (network === undefined) {
    return;
  }
  const before = new Set(network.blackouts.map(({ cidr }) => cidr));
  for (const cidr of record.cidrs.filter((other) => !before.has(other))) {
    const { first, size } = rangeOf(cidr);
    for (const pool of network.pools.filter((other) => other.first < first + size && other.end > first)) {
      for (const host of pool.leaf.hosts) {
        draft.read.add(keys.host(host.record.name));
      }
    }
    for (const block of network.blocks.values()) {
      if (block.first < first + size && block.first + block.size > first) {
        draft.read.add(keys.block(record.network, block.first, network.network.blockMask));
      }
    }
  }
}

function replaceHosts({ keys, state }: TransactionContext, draft: Draft, hosts: readonly HostRecord[]): void {
  const gone = new Map([...state.hosts].map(([name, { record }]) => [keys.host(name), writeHost(record)]));
  replaceAll(draft, gone, new Map(hosts.map((host) => [keys.host(host.name), writeHost(host)])));
}

function replaceBlocks(
  { keys, state }: TransactionContext,
  draft: Draft,
  blocks: readonly BlockRecord[],
  lengths: ReadonlyMap<string, number>,
): void {
  const before = state.networks.flatMap((network) =>
    [...network.blocks.values()].map(({ first, holding, revision, sequence }): [string, string] => {
      const { name, blockMask } = network.network;
      const record = { network: name, first, owner: holding?.record, revision, sequence };
      return [keys.block(name, first, blockMask), writeBlock(record, blockMask)];
    }),
  );
  const after = blocks.map((block): [string, string] => {
    const length = lengths.get(block.network) ?? 32;
    return [keys.block(block.network, block.first, length), writeBlock(block, length)];
  });
  replaceAll(draft, new Map(before), new Map(after));
}

function replaceBlackouts(
  { keys, state }: TransactionContext,
  draft: Draft,
  records: readonly BlackoutRecord[],
): void {
  const before = state.networks.flatMap(({ network: { name }, blackouts }): [string, string][] =>
    blackouts.length === 0
      ? []
      : [
          [
            keys.blackoutsOf(name),
            writeBlackouts({ network: name, cidrs: blackouts.map(({ cidr }) => cidr) }),
          ],
        ],
  );
  const after = records.map((record): [string, string] => [
    keys.blackoutsOf(record.network),
    writeBlackouts(record),
  ]);
  replaceAll(draft, new Map(before), new Map(after));
}

/** Writes what differs, deletes what is gone, compares all that was there. */
function replaceAll(
  draft: Draft,
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): void {
  for (const key of before.keys()) {
    draft.read.add(key);
    if (!after.has(key)) {
      draft.values.set(key, undefined);
    }
  }
  for (const [key, value] of after) {
    if (before.get(key) !== value) {
      draft.values.set(key, value);
    }
  }
}

function blockLengths(
  networks: readonly { readonly network: { readonly name: string; readonly blockMask: number } }[],
): ReadonlyMap<string, number> {
  return new Map(networks.map(({ network }) => [network.name, network.blockMask]));
}
