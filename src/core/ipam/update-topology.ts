import { NetworkError } from "../errors.ts";
import { compareCidr, containsCidr, overlaps } from "../net/cidr.ts";
import type { DocumentHost, Topology } from "../topology/read-topology.ts";
import { carryBlocks, type CarriedBlocks } from "./carry-blocks.ts";
import { carryHosts, type ListedHost } from "./carry-hosts.ts";
import type { Change } from "./change.ts";
import type { BlackoutRecord, HostRecord, IpamRecords } from "./records.ts";
import { createState, networkAt, type IpamState } from "./state.ts";

/** An error names at most this many problems; the rest are counted. */
const MAX_PROBLEMS = 20;

/** What `commit` has to apply once the store took it; `records`: everything that the state then is made of. */
export interface TopologyPlan {
  readonly changes: readonly Change[];
  readonly records: IpamRecords;
}

/**
 * Replaces the topology under the addresses in use, whole or not at all (decision 3). What stays: every address with its name, owner, host and block; empty blocks
 * and the order of their return; revisions; blackouts; and each host's leaf wherever the new document still has it. Hosts:
 *
 *     origin    in the new document  →
 *     --------  -------------------  ------------------------------------------------------------------------
 *     any       yes                  in the groups that list it; a learned host keeps its origin
 *     learned   no                   stays in its leaf if that still is one and fits, else is placed anew
 *     document  no                   goes; refused while it has addresses
 *
 * Throws `TOPOLOGY_IN_USE` (conflict) that names everything in the way in `details.problems`: addresses, hosts, groups, networks.
 */
export function planTopology(state: IpamState, topology: Topology): TopologyPlan {
  const problems: string[] = [];
  const fresh = createState(topology);
  fresh.subnets = state.subnets;
  const blocks = carryBlocks(state, fresh, problems);
  const hosts = carryHosts(state, fresh, listedHosts(topology.hosts), blocks.leaves, problems);
  const blackouts = carryBlackouts(state, fresh, problems);
  if (problems.length > 0) {
    throw refused(problems);
  }
  const records = recordsOf(state, topology, blocks, hosts, blackouts);
  return { records, changes: [{ kind: "replace", records }] };
}

/** The hosts of the document by name, each with the places that list it. The first of two entries with different addresses counts. */
function listedHosts(hosts: readonly DocumentHost[]): ReadonlyMap<string, ListedHost> {
  const byName = new Map<string, { readonly host: DocumentHost; readonly places: DocumentHost[] }>();
  for (const host of hosts) {
    const known = byName.get(host.name);
    if (known === undefined) {
      byName.set(host.name, { host, places: [host] });
    } else if (known.host.ip === host.ip && !known.places.some(({ entry }) => entry === host.entry)) {
      known.places.push(host);
    }
  }
  return byName;
}

function carryBlackouts(state: IpamState, fresh: IpamState, problems: string[]): readonly BlackoutRecord[] {
  const byNetwork = new Map<string, BlackoutRecord["cidrs"]>();
  for (const network of state.networks) {
    for (const { cidr, first } of network.blackouts) {
      const { network: target } = networkAt(fresh, first) ?? {};
      if (target !== undefined && target.cidr !== cidr && containsCidr(target.cidr, cidr)) {
        byNetwork.set(target.name, [...(byNetwork.get(target.name) ?? []), cidr].toSorted(compareCidr));
      } else {
        const over = fresh.networks.find(({ network: other }) => overlaps(other.cidr, cidr))?.network;
        if (over !== undefined) {
          problems.push(
            `blackout ${cidr} of network "${network.network.name}" would cover all of network "${over.name}" (${over.cidr}); remove the blackout first`,
          );
        }
      }
    }
  }
  return [...byNetwork].map(([network, cidrs]) => ({ network, cidrs }));
}

function recordsOf(
  state: IpamState,
  topology: Topology,
  { blocks, moved }: CarriedBlocks,
  hosts: readonly HostRecord[],
  blackouts: readonly BlackoutRecord[],
): IpamRecords {
  const kept = new Map<string, number>();
  for (const { network, revision } of blocks) {
    kept.set(network, (kept.get(network) ?? 0) + revision);
  }
  const total = [...kept.values()].reduce((sum, count) => sum + count, 0);
  const networks = topology.networks.map(({ network: { name } }): [string, number] => {
    const before = state.networksByName.get(name)?.revision ?? 0;
    return [name, Math.max(0, before - (kept.get(name) ?? 0))];
  });
  const addresses = [...state.names.values()].map(({ name, address, block, pod }) => ({
    name,
    address,
    pod,
    network: moved.get(block)?.network ?? block.pool.network.network.name,
  }));
  return {
    topology,
    revisionBase: { total: state.revision - total, networks: Object.fromEntries(networks) },
    hosts,
    blocks,
    addresses,
    blackouts,
  };
}

function refused(problems: readonly string[]): NetworkError {
  const named = problems.slice(0, MAX_PROBLEMS);
  const more = problems.length - named.length;
  const all = more > 0 ? [...named, `${more} more like these`] : named;
  return new NetworkError(
    "conflict",
    "TOPOLOGY_IN_USE",
    `the topology was not changed, what is in use stands in the way: ${all.join("; ")}`,
    { problems: all },
  );
}
