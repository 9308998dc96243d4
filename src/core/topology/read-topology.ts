import { NetworkError } from "../errors.ts";
import type { Ipv4 } from "../net/ipv4.ts";
import { carveGroups, ROOT_NAME } from "./carve-groups.ts";
import {
  checkDummyGroups,
  checkGroupSizes,
  checkHosts,
  checkRanges,
  type EntryNode,
  type ReservedRange,
} from "./check-topology.ts";
import {
  keyPlace,
  kindOf,
  readList,
  readObject,
  refuse,
  warn,
  type Findings,
  type Problem,
} from "./document-reader.ts";
import { MAX_ITEMS, readMap, type Budget, type GroupNode, type HostNode } from "./read-groups.ts";
import { networkFrom, readNetworks, type NetworkNode } from "./read-networks.ts";
import type { GroupDocument, MapDocument, NetworkDocument, TopologyDocument } from "./topology-document.ts";
import type { CarvedNetwork, Group, Network } from "./topology.ts";

export type { Problem } from "./document-reader.ts";
export type { TopologyDocument } from "./topology-document.ts";

/** One element of `topologies`: its networks share the shape of their trees. */
export interface TopologyEntry {
  readonly networks: readonly CarvedNetwork[];
}

/** A host that the document lists. */
export interface DocumentHost {
  readonly name: string;
  readonly ip: Ipv4;
  /** The entry's `assignment`. */
  readonly tags: Readonly<Record<string, string>>;
  readonly agentPort: number;
  /** Index of its element of `topologies`. */
  readonly entry: number;
  /** Child indices from the root to its leaf, the same in each network of the entry. */
  readonly path: readonly number[];
  /** Where it stands in the document. */
  readonly place: string;
}

/** A document that was read, checked and carved. */
export interface Topology {
  /** The same in one canonical form: reading it again gives the same topology. */
  readonly document: TopologyDocument;
  readonly entries: readonly TopologyEntry[];
  /** In document order. */
  readonly networks: readonly CarvedNetwork[];
  readonly hosts: readonly DocumentHost[];
  readonly warnings: readonly Problem[];
}

export interface ReadContext {
  /** Ranges that no network may overlap: the service range, the CIDRs of the VPC. */
  readonly reserved: readonly ReservedRange[];
}

/** Port of a host's agent (the original forces it, whatever a document says). */
const AGENT_PORT = 9604;

/** An error names this many problems; the rest are counted. */
const MAX_REPORTED = 1000;

/**
 * Reads a parsed JSON document (`docs/topology.md`), checks it whole and carves its groups. `null` and a document without networks and
 * topologies give the empty topology.
 *
 * Throws one `NetworkError` `TOPOLOGY_INVALID` that lists every problem with its place; its `details.problems` (and `details.warnings`)
 * hold them as `place: problem`. What is odd but harmless comes back as `warnings`.
 */
export function readTopology(document: unknown, context: ReadContext): Topology {
  const findings: Findings = { problems: [], warnings: [] };
  const object = document === null ? {} : readObject(findings, document, "", ["networks", "topologies"]);
  const { nodes: networks, names } = readNetworks(findings, object?.["networks"]);
  const entries = readEntries(findings, object?.["topologies"], networks, names);

  checkRanges(findings, networks, context.reserved);
  checkEntries(findings, networks, entries);
  if (findings.problems.length > 0) {
    throw invalid(findings);
  }
  const hosts = entries.flatMap(({ map }, entry) => hostsOf(map, entry));
  checkHosts(findings, hosts, networks);
  return topologyFrom(findings, networks, entries, hosts);
}

function readEntries(
  findings: Findings,
  value: unknown,
  networks: readonly NetworkNode[],
  defined: ReadonlySet<string>,
): readonly EntryNode[] {
  const budget: Budget = { left: MAX_ITEMS };
  const byName = new Map(networks.map((node) => [node.network.name, node]));
  const mapped = new Map<string, string>();
  return readList(findings, value, "topologies").map((item, index) => {
    const place = `topologies[${index}]`;
    const object = readObject(findings, item, place, ["networks", "map"]);
    const names = readList(findings, object?.["networks"], keyPlace(place, "networks"));
    const found = names.flatMap((name, position) => {
      const fresh = isFreshName(findings, name, `${place}.networks[${position}]`, defined, mapped);
      return fresh ? (byName.get(name) ?? []) : [];
    });
    const map = readMap(findings, object?.["map"], keyPlace(place, "map"), budget);
    if (object !== undefined && names.length === 0) {
      reportNoNetworks(findings, keyPlace(place, "networks"), map.length === 0);
    } else if (object !== undefined && map.length === 0) {
      warn(findings, keyPlace(place, "map"), "the map has no groups: its networks take no hosts");
    }
    return { place, networks: found, map };
  });
}

function reportNoNetworks(findings: Findings, place: string, isEmpty: boolean): void {
  if (isEmpty) {
    warn(findings, place, "this topology has neither networks nor groups: it has no effect");
  } else {
    refuse(findings, place, "this topology names no network: its groups would have no addresses");
  }
}

/** True for the name of a defined network that has no map yet. `mapped`: where each name was first given a map. */
function isFreshName(
  findings: Findings,
  name: unknown,
  place: string,
  defined: ReadonlySet<string>,
  mapped: Map<string, string>,
): name is string {
  if (typeof name !== "string") {
    refuse(findings, place, `expected the name of a network, found ${kindOf(name)}`);
    return false;
  }
  const earlier = mapped.get(name);
  if (!defined.has(name)) {
    refuse(findings, place, `network "${name}" is not defined by "networks"`);
  } else if (earlier === undefined) {
    mapped.set(name, place);
    return true;
  } else {
    refuse(findings, place, `network "${name}" already has a map by ${earlier}: a network has one`);
  }
  return false;
}

function checkEntries(
  findings: Findings,
  networks: readonly NetworkNode[],
  entries: readonly EntryNode[],
): void {
  const mapped = new Set(entries.flatMap((entry) => entry.networks.map(({ network }) => network.name)));
  for (const { network, place } of networks) {
    if (!mapped.has(network.name)) {
      refuse(
        findings,
        place,
        `network "${network.name}" is in no topology: add it to the "networks" of one, or remove it`,
      );
    }
  }
  checkGroupSizes(findings, entries);
  for (const { map } of entries) {
    checkDummyGroups(findings, map);
  }
}

function invalid({ problems, warnings }: Findings): NetworkError {
  const lines = linesOf(problems);
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  return new NetworkError(
    "invalid",
    "TOPOLOGY_INVALID",
    `the topology document has ${count}, nothing was changed: ${lines.join("; ")}`,
    { problems: lines, warnings: linesOf(warnings) },
  );
}

function linesOf(problems: readonly Problem[]): readonly string[] {
  const lines = problems.slice(0, MAX_REPORTED).map(({ place, message }) => `${place}: ${message}`);
  const more = problems.length - MAX_REPORTED;
  return more > 0 ? [...lines, `document: ${more} more like these`] : lines;
}

interface HostPlace {
  readonly host: HostNode;
  readonly entry: number;
  readonly path: readonly number[];
}

/** The hosts of a map with their paths: a one-element map's element is the root, so its own index is no step. */
function hostsOf(map: readonly GroupNode[], entry: number): readonly HostPlace[] {
  const below = (group: GroupNode, path: readonly number[]): readonly HostPlace[] => [
    ...group.hosts.map((host) => ({ host, entry, path })),
    ...group.children.flatMap((child, index) => below(child, [...path, index])),
  ];
  return map.flatMap((group, index) => below(group, map.length === 1 ? [] : [index]));
}

function topologyFrom(
  findings: Findings,
  networks: readonly NetworkNode[],
  entries: readonly EntryNode[],
  hosts: readonly HostPlace[],
): Topology {
  const carved = entries.map(({ networks: nodes, map }) => ({
    networks: nodes.map(({ network }) => carveGroups(network, map)),
  }));
  for (const [index, { map }] of entries.entries()) {
    const roots = carved[index]?.networks.map(({ root }) => root) ?? [];
    warnOfStatedCidrs(
      findings,
      map,
      map.length === 1 ? [roots] : map.map((_, child) => childrenAt(roots, child)),
    );
  }
  const byName = new Map(
    carved.flatMap((entry) => entry.networks.map((item) => [item.network.name, item] as const)),
  );
  return {
    document: {
      networks: networks.map(({ network }) => networkDocument(network)),
      topologies: entries.map(mapDocument),
    },
    entries: carved,
    networks: networks.flatMap(({ network }) => byName.get(network.name) ?? []),
    hosts: hosts.flatMap(({ host: { name, ip, assignment, place }, entry, path }) =>
      ip === undefined ? [] : [{ name, ip, tags: assignment, agentPort: AGENT_PORT, entry, path, place }],
    ),
    warnings: findings.warnings,
  };
}

function childrenAt(groups: readonly Group[], index: number): readonly Group[] {
  return groups.flatMap(({ children }) => children[index] ?? []);
}

/** `carved[i]`: the groups that `nodes[i]` became, one per network. */
function warnOfStatedCidrs(
  findings: Findings,
  nodes: readonly GroupNode[],
  carved: readonly (readonly Group[])[],
): void {
  for (const [index, node] of nodes.entries()) {
    const groups = carved[index] ?? [];
    const actual = groups.map(({ cidr }) => cidr);
    const stated = networkFrom(node.statedCidr);
    if (node.statedCidr !== "" && (stated === undefined || !actual.includes(stated))) {
      warn(
        findings,
        keyPlace(node.place, "cidr"),
        `"${node.statedCidr}" is ignored: ranges follow from the order of the groups, this one has ${actual.join(", ")}`,
      );
    }
    warnOfStatedCidrs(
      findings,
      node.children,
      node.children.map((_, child) => childrenAt(groups, child)),
    );
  }
}

function networkDocument({ name, cidr, blockMask, tenants }: Network): NetworkDocument {
  return { name, cidr, block_mask: blockMask, tenants: tenants.length === 0 ? ["*"] : tenants };
}

function mapDocument({ networks, map }: EntryNode): MapDocument {
  return {
    networks: networks.map(({ network }) => network.name),
    map: withoutRoot(map).map((group) => groupDocument(group, false)),
  };
}

/** `[{name: "/", groups: [a, b]}]` carves the same tree as `[a, b]`, whose root a document need not name: the second is canonical. */
function withoutRoot(map: readonly GroupNode[]): readonly GroupNode[] {
  const [first, ...rest] = map;
  if (first === undefined || rest.length > 0 || first.name !== ROOT_NAME) {
    return map;
  }
  const { assignment, routing, dummy, children } = first;
  const plain = !dummy && routing === "" && Object.keys(assignment).length === 0;
  return plain && children.length >= 2 ? children : map;
}

function groupDocument(group: GroupNode, insideDummy: boolean): GroupDocument {
  const { name, assignment, routing, children, hosts } = group;
  const dummy = insideDummy || group.dummy;
  const groups = [...children.map((child) => groupDocument(child, dummy)), ...hosts.map(hostDocument)];
  return {
    name,
    ...(Object.keys(assignment).length > 0 ? { assignment } : {}),
    ...(routing === "" ? {} : { routing }),
    ...(dummy ? { dummy } : {}),
    ...(groups.length > 0 ? { groups } : {}),
  };
}

function hostDocument({ name, ip, assignment }: HostNode): GroupDocument {
  return {
    name,
    ...(ip === undefined ? {} : { ip }),
    ...(Object.keys(assignment).length > 0 ? { assignment } : {}),
  };
}
