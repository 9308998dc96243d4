import { NetworkError } from "../core/errors.ts";
import { buildState, commit } from "../core/ipam/commit.ts";
import type { BlackoutRecord, BlockRecord, HostRecord } from "../core/ipam/records.ts";
import { networkAt, createState, type IpamState } from "../core/ipam/state.ts";
import { formatIpv4 } from "../core/net/ipv4.ts";
import { readTopology, type Problem, type Topology } from "../core/topology/read-topology.ts";
import type { StoreEntry, StoreOperation } from "../ports/store.ts";
import type { AddressingKeys } from "./keys.ts";
import {
  NO_GENERATION,
  readAddress,
  readBlackouts,
  readBlock,
  readChunk,
  readGeneration,
  readHost,
  readRevision,
  readStoredTopology,
  type Generation,
  type StoredAddress,
} from "./stored-records.ts";

/** Everything about addresses as the store has it. */
export interface Addressing {
  readonly state: IpamState;
  readonly topology: Topology;
  /** Of the last topology update. */
  readonly warnings: readonly Problem[];
  topologyRevision: number;
  generation: Generation;
  /** `modRevision` of each stored object but the addresses, which their blocks guard, by key. */
  readonly revisions: Map<string, number>;
}

/** A stored value under its key; `modRevision` is 0 where a staged change has not put it there yet. */
type Stored = Pick<StoreEntry, "key" | "value" | "modRevision">;

/**
 * What the entries describe: everything under the root of the keys, sorted, as of one revision. A staged change that is valid counts as done. Throws
 * `STATE_UNREADABLE` for a record that cannot be read and `STATE_INCONSISTENT` for records that contradict each other (both invalid).
 */
export function loadAddressing(keys: AddressingKeys, listed: readonly StoreEntry[]): Addressing {
  const steps = loadInSteps(keys, listed);
  for (;;) {
    const step = steps.next();
    if (step.done === true) {
      return step.value;
    }
  }
}

/** Records that are read between two steps. */
const STEP = 4_000;

/** The same in steps of some ten milliseconds, for a process that has other work meanwhile: leaders have a lease to keep while 250,000 addresses are read. */
export function* loadInSteps(
  keys: AddressingKeys,
  listed: readonly StoreEntry[],
): Generator<undefined, Addressing, void> {
  const marked = listed.find(({ key }) => key === keys.generation);
  const generation = marked === undefined ? NO_GENERATION : readGeneration(marked.key, marked.value);
  const entries = generation.staged === undefined ? listed : yield* overlaid(keys, listed, generation);
  const revisions = new Map<string, number>();
  const hosts: HostRecord[] = [];
  const blocks: (BlockRecord & { readonly key: string; readonly size: number })[] = [];
  const blackouts: BlackoutRecord[] = [];
  let stored: Stored | undefined;
  let topologyRevision = 0;
  for (const [index, entry] of entries.entries()) {
    if (index % STEP === STEP - 1) {
      yield;
    }
    const { key, value, modRevision } = entry;
    if (key.startsWith(keys.addresses) || key.startsWith(keys.staged)) {
      continue;
    }
    if (key.startsWith(keys.hosts)) {
      hosts.push(readHost(key, value));
    } else if (key.startsWith(keys.blocks)) {
      blocks.push({ key, ...readBlock(key, value) });
    } else if (key.startsWith(keys.blackouts)) {
      blackouts.push(readBlackouts(key, value));
    } else if (key === keys.topology) {
      stored = entry;
    } else if (key === keys.topologyRevision) {
      topologyRevision = readRevision(key, value);
    } else if (key !== keys.generation) {
      continue;
    }
    revisions.set(key, modRevision);
  }
  const { document, warnings, revisionBase } =
    stored === undefined
      ? { document: null, warnings: [], revisionBase: { total: 0, networks: {} } }
      : readStoredTopology(stored.key, stored.value);
  const topology = readTopology(document, { reserved: [] });
  const outline = createState(topology);
  const sizedBlocks = blocks.map(({ key, ...block }) => sized(outline, key, block));
  const state = buildState({ topology, revisionBase, hosts, blocks: sizedBlocks, addresses: [], blackouts });
  for (const [index, { key, value }] of entries.entries()) {
    if (index % STEP === STEP - 1) {
      yield;
    }
    if (key.startsWith(keys.addresses)) {
      holdAddress(state, readAddress(key, value));
    }
  }
  return { state, topology, warnings, topologyRevision, generation, revisions };
}

/** Gives an address to its name. The owner that it repeats must be that of its block. Throws `STATE_INCONSISTENT`. */
export function holdAddress(
  state: IpamState,
  { name, address, host, tenant, segment, pod }: StoredAddress,
): void {
  const network = networkAt(state, address)?.network.name ?? "";
  commit(state, [{ kind: "put-address", name, address, network, pod }]);
  const record = state.names.get(name)?.block.holding?.record;
  if (record?.host !== host || record.tenant !== tenant || record.segment !== segment) {
    throw new NetworkError(
      "invalid",
      "STATE_INCONSISTENT",
      `the stored address ${formatIpv4(address)} ("${name}") is of host ${host}, tenant "${tenant}", segment "${segment}", and its block is not`,
      { name, host, tenant, segment },
    );
  }
}

/** A block whose size is its network's; a network that is missing is found when the block is put. Throws `STATE_INCONSISTENT`. */
export function sized(
  state: IpamState,
  key: string,
  { size, ...block }: BlockRecord & { readonly size: number },
): BlockRecord {
  const network = state.networksByName.get(block.network);
  if (network !== undefined && network.blockSize !== size) {
    throw new NetworkError(
      "invalid",
      "STATE_INCONSISTENT",
      `the stored record ${key} has ${size} addresses, and blocks of network "${block.network}" have ${network.blockSize}`,
      { key },
    );
  }
  return block;
}

/** The entries with the operations of the valid staged change over them. */
function* overlaid(
  keys: AddressingKeys,
  listed: readonly StoreEntry[],
  { staged = "", chunks }: Generation,
): Generator<undefined, readonly Stored[], void> {
  const under = keys.stagedUnder(staged);
  const found = listed.filter(({ key }) => key.startsWith(under) && key !== keys.marker(staged));
  if (found.length !== chunks) {
    throw new NetworkError(
      "invalid",
      "STATE_INCONSISTENT",
      `the staged change ${staged} has ${found.length} of ${chunks} parts; restore the store from a backup`,
      { staged },
    );
  }
  const operations = new Map<string, StoreOperation>();
  let left = STEP;
  for (const { key, value } of found) {
    for (const item of readChunk(key, value)) {
      operations.set(item.key, item);
      left -= 1;
    }
    if (left <= 0) {
      yield;
      left = STEP;
    }
  }
  const kept = listed.filter(({ key }) => !operations.has(key));
  const known = new Map(
    listed.filter(({ key }) => operations.has(key)).map(({ key, modRevision }) => [key, modRevision]),
  );
  const put = [...operations.values()].flatMap((item) =>
    item.kind === "put" ? [{ key: item.key, value: item.value, modRevision: known.get(item.key) ?? 0 }] : [],
  );
  return [...kept, ...put];
}
