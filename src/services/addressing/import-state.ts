import { NetworkError } from "../../core/errors.ts";
import { buildState } from "../../core/ipam/commit.ts";
import type { PodReference } from "../../core/ipam/pod-reference.ts";
import type {
  BlackoutRecord,
  BlockRecord,
  HostRecord,
  IpamRecords,
  RevisionBase,
} from "../../core/ipam/records.ts";
import { createState, networkAt, type IpamState } from "../../core/ipam/state.ts";
import { readTopology, type Topology } from "../../core/topology/read-topology.ts";
import type { StoreOperation } from "../../ports/store.ts";
import type { AddressingKeys } from "../keys.ts";
import { writeAddress, writeRevision } from "../stored-records.ts";

/** A whole state that takes the place of the one there is. */
export interface ImportedState {
  /** A topology document, `null` for none. */
  readonly document: unknown;
  readonly revisionBase: RevisionBase;
  /** Topology updates and changes of hosts so far. */
  readonly topologyRevision: number;
  readonly hosts: readonly HostRecord[];
  readonly blocks: readonly BlockRecord[];
  /** Addresses in use, unsigned; the owner is that of the block. */
  readonly addresses: readonly {
    readonly name: string;
    readonly address: number;
    readonly pod?: PodReference | undefined;
  }[];
  readonly blackouts: readonly BlackoutRecord[];
}

/** What an import comes to. */
export interface ImportPlan {
  readonly topology: Topology;
  readonly records: IpamRecords;
  /** The state that the records make. */
  readonly state: IpamState;
}

/**
 * Reads an imported state and builds it, which is the check that its parts fit together. Throws `TOPOLOGY_INVALID` and `STATE_INCONSISTENT` (invalid), and
 * `STATE_IN_USE` (conflict) while the present state has addresses in use.
 */
export function planImport(
  present: IpamState,
  imported: ImportedState,
  reserved: Parameters<typeof readTopology>[1]["reserved"],
): ImportPlan {
  if (present.names.size > 0) {
    throw new NetworkError(
      "conflict",
      "STATE_IN_USE",
      `nothing was imported: ${present.names.size} addresses are in use; release them first, or import into an empty store`,
      { addresses: present.names.size },
    );
  }
  const topology = readTopology(imported.document, { reserved });
  const outline = createState(topology);
  const { hosts, blocks, blackouts, revisionBase } = imported;
  const addresses = imported.addresses.map(({ name, address, pod }) => ({
    name,
    address,
    pod,
    network: networkAt(outline, address)?.network.name ?? "",
  }));
  const records = { topology, revisionBase, hosts, blocks, addresses, blackouts };
  return { topology, records, state: buildState(records) };
}

/** What an import writes beside networks, hosts, blocks and blackouts. The revision of the topology does not go back. */
export function importOperations(
  keys: AddressingKeys,
  { state }: ImportPlan,
  counters: { readonly imported: number; readonly present: number },
): readonly StoreOperation[] {
  const addresses = [...state.names.values()].map(({ name, address, block, pod }): StoreOperation => {
    const { host = "", tenant = "", segment = "" } = block.holding?.record ?? {};
    const value = writeAddress({ name, address, host, tenant, segment, pod, transaction: "" });
    return { kind: "put", key: keys.address(name), value };
  });
  const revision = Math.max(counters.imported, counters.present + 1);
  return [{ kind: "put", key: keys.topologyRevision, value: writeRevision(revision) }, ...addresses];
}
