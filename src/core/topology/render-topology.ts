import type { Cidr } from "../net/cidr.ts";
import { ROOT_NAME } from "./carve-groups.ts";
import type { Topology, TopologyEntry } from "./read-topology.ts";
import type { GroupDocument, TopologyDocument } from "./topology-document.ts";
import type { CarvedNetwork, Group, Host } from "./topology.ts";
import { leafPlacesOf } from "./walk-groups.ts";

/** The hosts of a leaf, in the order in which they shall be shown. */
export type HostsOfLeaf = (network: string, leafCidr: Cidr) => readonly Host[];

/**
 * The document of `GET /topology`: as posted, with the ranges and all hosts filled in. Reading it again gives the same networks and
 * groups, with the hosts at the same leaves (decision 4).
 *
 * `cidr` of a group is that of the entry's first network. A host of several networks of an entry is listed once, where the first of
 * them has it. Reserve groups follow from the number of their siblings and are left out.
 */
export function renderTopology(topology: Topology, hostsOf: HostsOfLeaf): TopologyDocument {
  if (topology.networks.length === 0) {
    return { networks: null, topologies: null };
  }
  return {
    networks: topology.networks.map(({ network: { name, cidr, blockMask, tenants } }) => ({
      name,
      cidr,
      block_mask: blockMask,
      tenants: tenants.length === 0 ? ["*"] : tenants,
    })),
    topologies: topology.entries.map((entry) => ({
      networks: entry.networks.map(({ network }) => network.name),
      map: renderMap(entry, hostsOf),
    })),
  };
}

function renderMap({ networks }: TopologyEntry, hostsOf: HostsOfLeaf): readonly GroupDocument[] {
  const root = networks[0]?.root;
  if (root === undefined || root.kind === "reserve") {
    return [];
  }
  const hosts = hostsByPath(networks, hostsOf);
  return isImplied(root) ? renderChildren(root, [], hosts) : [renderGroup(root, [], hosts)];
}

/** True for the root that stands above two or more elements of a map, which a document does not name. */
function isImplied({ name, kind, children, assignment, routing }: Group): boolean {
  const named = children.filter((child) => child.kind !== "reserve").length;
  const plain = kind === "group" && routing === "" && Object.keys(assignment).length === 0;
  return name === ROOT_NAME && plain && named >= 2;
}

type HostsByPath = ReadonlyMap<string, readonly GroupDocument[]>;

function hostsByPath(networks: readonly CarvedNetwork[], hostsOf: HostsOfLeaf): HostsByPath {
  const shown = new Set<string>();
  const byPath = new Map<string, readonly GroupDocument[]>();
  for (const { network, root } of networks) {
    const places = leafPlacesOf(root).filter(({ leaf }) => leaf.kind === "group");
    const found = places.map(({ leaf, path }) => ({
      key: path.join("."),
      hosts: hostsOf(network.name, leaf.cidr).filter(({ name }) => !shown.has(name)),
    }));
    for (const { key, hosts } of found) {
      byPath.set(key, [...(byPath.get(key) ?? []), ...hosts.map(renderHost)]);
      hosts.forEach(({ name }) => shown.add(name));
    }
  }
  return byPath;
}

function renderChildren(group: Group, path: readonly number[], hosts: HostsByPath): readonly GroupDocument[] {
  return group.children.flatMap((child, index) =>
    child.kind === "reserve" ? [] : [renderGroup(child, [...path, index], hosts)],
  );
}

function renderGroup(group: Group, path: readonly number[], hosts: HostsByPath): GroupDocument {
  const { name, cidr, assignment, routing, kind, children } = group;
  const groups =
    children.length === 0 ? (hosts.get(path.join(".")) ?? []) : renderChildren(group, path, hosts);
  return {
    name,
    cidr,
    ...(Object.keys(assignment).length > 0 ? { assignment } : {}),
    ...(routing === "" ? {} : { routing }),
    ...(kind === "dummy" ? { dummy: true } : {}),
    ...(groups.length > 0 ? { groups } : {}),
  };
}

function renderHost({ name, ip, tags }: Host): GroupDocument {
  return { name, ip, ...(Object.keys(tags).length > 0 ? { assignment: tags } : {}) };
}
