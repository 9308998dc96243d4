import { NetworkError } from "../core/errors.ts";
import { buildState } from "../core/ipam/commit.ts";
import type { AddressRecord, BlockRecord } from "../core/ipam/records.ts";
import { networkAt, createState, type IpamState } from "../core/ipam/state.ts";
import { formatIpv4 } from "../core/net/ipv4.ts";
import { readTopology, type Problem, type Topology } from "../core/topology/read-topology.ts";
import type { Store, StoreEntry } from "../ports/store.ts";
import type { AddressingKeys } from "./keys.ts";
import {
  readAddress,
  readBlackouts,
  readBlock,
  readHost,
  readRevision,
  readStoredTopology,
  type StoredAddress,
} from "./stored-records.ts";

/** Everything about addresses as the store has it. */
export interface Addressing {
  readonly state: IpamState;
  readonly topology: Topology;
  /** Of the last topology update. */
  readonly warnings: readonly Problem[];
  readonly topologyRevision: number;
  /** `modRevision` of each stored object, by key. */
  readonly revisions: Map<string, number>;
}

/** What was read, and the stored objects that it was read from. */
export interface Loading {
  readonly addressing: Addressing;
  readonly entries: ReadonlyMap<string, StoreEntry>;
}

/**
 * Reads everything from the store as of one revision and checks that it fits together. Throws `STATE_UNREADABLE` for a record that cannot be read,
 * `STATE_INCONSISTENT` for records that contradict each other (both invalid), and what the store throws.
 */
export async function loadAddressing(
  store: Store,
  keys: AddressingKeys,
  signal: AbortSignal,
): Promise<Loading> {
  const listed = await store.list(keys.root, signal);
  const entries = new Map(listed.entries.map((entry) => [entry.key, entry]));
  const all = [...entries.values()];
  const under = (prefix: string): readonly StoreEntry[] => all.filter(({ key }) => key.startsWith(prefix));
  const stored = entries.get(keys.topology);
  const { document, warnings, revisionBase } =
    stored === undefined
      ? { document: null, warnings: [], revisionBase: { total: 0, networks: {} } }
      : readStoredTopology(stored.key, stored.value);
  const topology = readTopology(document, { reserved: [] });
  const addresses = under(keys.addresses).map(({ key, value }) => readAddress(key, value));
  const outline = createState(topology);
  const state = buildState({
    topology,
    revisionBase,
    hosts: under(keys.hosts).map(({ key, value }) => readHost(key, value)),
    blocks: under(keys.blocks).map(({ key, value }) => sized(outline, key, readBlock(key, value))),
    addresses: addresses.map((address) => located(outline, address)),
    blackouts: under(keys.blackouts).map(({ key, value }) => readBlackouts(key, value)),
  });
  checkOwners(state, addresses);
  const counter = entries.get(keys.topologyRevision);
  const topologyRevision = counter === undefined ? 0 : readRevision(counter.key, counter.value);
  const revisions = new Map(all.map(({ key, modRevision }) => [key, modRevision]));
  return { addressing: { state, topology, warnings, topologyRevision, revisions }, entries };
}

/** A block whose size is its network's; a network that is missing is found when the state is built. */
function sized(
  outline: IpamState,
  key: string,
  { size, ...block }: BlockRecord & { readonly size: number },
): BlockRecord {
  const network = outline.networksByName.get(block.network);
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

function located(outline: IpamState, { name, address }: StoredAddress): AddressRecord {
  return { name, address, network: networkAt(outline, address)?.network.name ?? "" };
}

/** The owner that an address repeats must be that of its block. */
function checkOwners(state: IpamState, addresses: readonly StoredAddress[]): void {
  for (const { name, address, host, tenant, segment } of addresses) {
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
}
