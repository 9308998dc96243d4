import { compareCidr, containsAddress, containsCidr, overlaps, rangeOf, type Cidr } from "../net/cidr.ts";
import { ipv4Value } from "../net/ipv4.ts";
import { siblingBits } from "./carve-groups.ts";
import { keyPlace, refuse, warn, type Findings } from "./document-reader.ts";
import { MAX_ITEMS, type GroupNode, type HostNode } from "./read-groups.ts";
import type { NetworkNode } from "./read-networks.ts";
import type { Network } from "./topology.ts";

/** A range that no network may overlap, and what it is: `the service range`, `CIDR of VPC vpc-1`. */
export interface ReservedRange {
  readonly cidr: Cidr;
  readonly what: string;
}

/** One element of `topologies` before it is carved: the networks it names that exist, and its groups. */
export interface EntryNode {
  readonly networks: readonly NetworkNode[];
  readonly map: readonly GroupNode[];
  readonly place: string;
}

/** Refuses networks that overlap each other (each is compared with the narrowest one around it) or a reserved range. */
export function checkRanges(
  findings: Findings,
  nodes: readonly NetworkNode[],
  reserved: readonly ReservedRange[],
): void {
  const order = new Map(nodes.map((node, index) => [node, index]));
  const open: NetworkNode[] = [];
  for (const node of nodes.toSorted((a, b) => compareCidr(a.network.cidr, b.network.cidr))) {
    while (
      open.length > 0 &&
      !containsCidr(open.at(-1)?.network.cidr ?? node.network.cidr, node.network.cidr)
    ) {
      open.pop();
    }
    const around = open.at(-1);
    if (around !== undefined) {
      const [earlier, later] =
        (order.get(around) ?? 0) < (order.get(node) ?? 0) ? [around, node] : [node, around];
      refuse(
        findings,
        keyPlace(later.place, "cidr"),
        `${describe(later.network)} overlaps ${describe(earlier.network)}: networks must not share addresses`,
      );
    }
    open.push(node);
  }
  for (const { network, place } of nodes) {
    for (const { cidr, what } of reserved.filter((range) => overlaps(range.cidr, network.cidr))) {
      refuse(
        findings,
        keyPlace(place, "cidr"),
        `${describe(network)} overlaps ${what} ${cidr}: choose a range outside it`,
      );
    }
  }
}

/** Refuses groups that are too small for a block of one of their networks, and documents that carve into too many groups. */
export function checkGroupSizes(findings: Findings, entries: readonly EntryNode[]): void {
  const carved = entries.reduce((sum, { networks, map }) => sum + networks.length * countGroups(map), 0);
  if (carved > MAX_ITEMS) {
    refuse(
      findings,
      "topologies",
      `all networks together would have ${carved} groups, ${MAX_ITEMS} are possible: use fewer groups or networks`,
    );
    return;
  }
  for (const { networks, map } of entries) {
    const leaves = leafBits(map, siblingBits(map.length));
    for (const node of networks) {
      checkLeaves(findings, node, leaves);
    }
  }
}

interface LeafBits {
  readonly group: GroupNode;
  readonly bits: number;
}

/** The leaves with the number of bits that their prefix is longer than the network's. `bits`: those of the groups given. */
function leafBits(groups: readonly GroupNode[], bits: number): readonly LeafBits[] {
  return groups.flatMap((group) =>
    group.children.length === 0
      ? [{ group, bits }]
      : leafBits(group.children, bits + siblingBits(group.children.length)),
  );
}

function countGroups(groups: readonly GroupNode[]): number {
  return groups.reduce((sum, { children }) => sum + 1 + countGroups(children), 0);
}

function checkLeaves(findings: Findings, { network, place }: NetworkNode, leaves: readonly LeafBits[]): void {
  const { length } = rangeOf(network.cidr);
  const small = leaves.filter(({ bits }) => length + bits > network.blockMask);
  const [first] = small;
  if (first === undefined) {
    return;
  }
  const longest = length + small.reduce((most, { bits }) => Math.max(most, bits), 0);
  const others = small.length === 1 ? "" : ` (so would ${small.length - 1} more)`;
  const name = first.group.name === "" ? "the group" : `group "${first.group.name}"`;
  const carved = `${name} of ${describe(network)} would be a /${length + first.bits}${others}`;
  if (longest > 32) {
    refuse(
      findings,
      first.group.place,
      `${carved}, but /32 is the smallest there is: use fewer groups or a wider network`,
    );
  } else {
    refuse(
      findings,
      first.group.place,
      `${carved}, longer than its block_mask ${network.blockMask}, and a block must fit into its group: ` +
        `use fewer groups, a wider network, or a block_mask of ${longest} (${keyPlace(place, "block_mask")})`,
    );
  }
}

/** Refuses hosts in dummy groups. */
export function checkDummyGroups(
  findings: Findings,
  groups: readonly GroupNode[],
  insideDummy = false,
): void {
  for (const group of groups) {
    const dummy = insideDummy || group.dummy;
    const [host] = group.hosts;
    if (dummy && host !== undefined) {
      refuse(findings, host.place, "a dummy group takes no hosts: remove its hosts, or the flag");
    }
    checkDummyGroups(findings, group.children, dummy);
  }
}

/** A host entry with the index of its topology. */
export interface PlacedHost {
  readonly host: HostNode;
  readonly entry: number;
}

/**
 * Warns of hosts that share a name or an address, and of networks that hold a host's own address. One host may stand in several
 * topologies: they give it addresses from their networks.
 */
export function checkHosts(
  findings: Findings,
  hosts: readonly PlacedHost[],
  networks: readonly NetworkNode[],
): void {
  const byName = new Map<string, PlacedHost>();
  const byIp = new Map<string, PlacedHost>();
  const seen = new Set<string>();
  const ranges = networks.map(({ network }) => network).toSorted((a, b) => compareCidr(a.cidr, b.cidr));
  for (const placed of hosts) {
    const { host, entry } = placed;
    const ip = host.ip ?? "";
    const name = byName.get(host.name);
    const address = byIp.get(ip);
    const key = JSON.stringify([entry, host.name, ip]);
    if (seen.has(key)) {
      warn(findings, host.place, `host "${host.name}" ${ip} is listed twice in one topology`);
    } else if (name !== undefined && name.host.ip !== host.ip) {
      warn(findings, host.place, `host "${host.name}" has another ip at ${name.host.place}`);
    } else if (name !== undefined && !sameLabels(name.host.assignment, host.assignment)) {
      warn(findings, host.place, `host "${host.name}" has another assignment at ${name.host.place}`);
    } else if (address !== undefined && address.host.name !== host.name) {
      warn(
        findings,
        host.place,
        `ip ${ip} is also that of host "${address.host.name}" at ${address.host.place}`,
      );
    }
    seen.add(key);
    byName.set(host.name, name ?? placed);
    byIp.set(ip, address ?? placed);
    const around = host.ip === undefined ? undefined : networkWith(ranges, host.ip);
    if (around !== undefined) {
      warn(
        findings,
        host.place,
        `ip ${ip} of host "${host.name}" lies in ${describe(around)}, which is for pods`,
      );
    }
  }
}

/** The network that holds an address, found by halving. `ranges`: by first address, disjoint. */
function networkWith(ranges: readonly Network[], ip: NonNullable<HostNode["ip"]>): Network | undefined {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const network = ranges[middle];
    if (network !== undefined && containsAddress(network.cidr, ip)) {
      return network;
    }
    if (network !== undefined && rangeOf(network.cidr).first < ipv4Value(ip)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return undefined;
}

function sameLabels(a: HostNode["assignment"], b: HostNode["assignment"]): boolean {
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key])
  );
}

function describe({ name, cidr }: Network): string {
  return `network "${name}" ${cidr}`;
}
