import { readTopology, type Topology } from "../topology/read-topology.ts";
import { buildState } from "./commit.ts";
import type { PodReference } from "./pod-reference.ts";
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
  readonly pod?: PodReference | undefined;
}

/**
 * Everything about networks, hosts, blocks and addresses as one value: what an export reads and what an import puts in place of the
 * state there is. Lists are sorted: hosts and blocks by their sequence, addresses by value, blackouts by network.
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

/** The state as one value; equal states give equal values, whatever their history. Linear in hosts, blocks and addresses. */
export function exportState(state: IpamState, topology: Topology, topologyRevision: number): ImportedState {
  const sums = new Map(
    state.networks.map(({ network, blocks }) => [
      network.name,
      [...blocks.values()].reduce((sum, { revision }) => sum + revision, 0),
    ]),
  );
  const total = [...sums.values()].reduce((sum, count) => sum + count, 0);
  return {
    document: topology.networks.length === 0 && topology.entries.length === 0 ? null : topology.document,
    revisionBase: {
      total: state.revision - total,
      networks: Object.fromEntries(
        state.networks
          .map(({ network: { name }, revision }): [string, number] => [
            name,
            revision - (sums.get(name) ?? 0),
          ])
          .toSorted(([a], [b]) => compareText(a, b)),
      ),
    },
    topologyRevision,
    hosts: [...state.hosts.values()]
      .map(({ record }) => ({ ...record, tags: sortedLabels(record.tags) }))
      .toSorted((a, b) => a.sequence - b.sequence || compareText(a.name, b.name)),
    blocks: state.networks
      .flatMap(({ network, blocks }) =>
        [...blocks.values()].map(({ first, holding, revision, sequence }) => ({
          network: network.name,
          first,
          owner: holding?.record,
          revision,
          sequence,
        })),
      )
      .toSorted((a, b) => a.sequence - b.sequence || a.first - b.first),
    addresses: [...state.names.values()]
      .map(({ name, address, block, pod }) => {
        const { host = "", tenant = "", segment = "" } = block.holding?.record ?? {};
        return { name, address, host, tenant, segment, ...(pod === undefined ? {} : { pod }) };
      })
      .toSorted((a, b) => a.address - b.address),
    blackouts: state.networks
      .filter(({ blackouts }) => blackouts.length > 0)
      .map(({ network, blackouts }) => ({
        network: network.name,
        cidrs: blackouts.map(({ cidr }) => cidr),
      }))
      .toSorted((a, b) => compareText(a.network, b.network)),
  };
}

/** The topology of an imported state, and its records as `buildState` and the store take them. Throws `TOPOLOGY_INVALID`. */
export function importedRecords(imported: ImportedState): {
  readonly topology: Topology;
  readonly records: IpamRecords;
} {
  const topology = readTopology(imported.document, { reserved: [] });
  const networks = topology.networks.map(({ network }) => network);
  const outline = buildState({
    topology,
    revisionBase: imported.revisionBase,
    hosts: [],
    blocks: [],
    addresses: [],
    blackouts: [],
  });
  const records = {
    topology,
    revisionBase: {
      total: imported.revisionBase.total,
      networks: Object.fromEntries(
        networks.map(({ name }) => [name, imported.revisionBase.networks[name] ?? 0]),
      ),
    },
    hosts: imported.hosts,
    blocks: imported.blocks,
    addresses: imported.addresses.map(({ name, address, pod }) => ({
      name,
      address,
      pod,
      network: networkAt(outline, address)?.network.name ?? "",
    })),
    blackouts: imported.blackouts,
  };
  return { topology, records };
}

/** The order of texts by their code units, the same everywhere. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function sortedLabels(labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(labels).toSorted(([a], [b]) => compareText(a, b)));
}
