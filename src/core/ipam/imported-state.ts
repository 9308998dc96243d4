import { readTopology, type Topology } from "../topology/read-topology.ts";
import { buildState } from "./commit.ts";
import type { BlackoutRecord, BlockRecord, HostRecord, IpamRecords, RevisionBase } from "./records.ts";
import { networkAt, type IpamState } from "./state.ts";

/** An address in use; owner and host repeat those of its block. */
export interface ImportedAddress {
  readonly name: string;
  /** Unsigned. */
  readonly address: number;
  readonly host: string;
  readonly tenant: string;
  readonly segment: string;
}

/**
 * Everything about networks, hosts, blocks and addresses as one value: what an export reads and what an import puts in place of the
 * state there is. Lists are sorted: networks and blackouts by name, hosts and blocks by their sequence, addresses by value.
 */
export interface ImportedState {
  /** The topology document in its canonical form (`Topology.document`), `null` for none. */
  readonly document: unknown;
  readonly revisionBase: RevisionBase;
  /** Topology updates and changes of hosts so far. */
  readonly topologyRevision: number;
  readonly hosts: readonly HostRecord[];
  readonly blocks: readonly BlockRecord[];
  readonly addresses: readonly ImportedAddress[];
  readonly blackouts: readonly BlackoutRecord[];
}
