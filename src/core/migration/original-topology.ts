import { NetworkError } from "../errors.ts";
import { overlaps, type Cidr } from "../net/cidr.ts";
import { ROOT_NAME, siblingBits } from "../topology/carve-groups.ts";
import { networkFrom } from "../topology/read-networks.ts";
import { readTopology } from "../topology/read-topology.ts";
import type { GroupDocument, NetworkDocument } from "../topology/topology-document.ts";
import type { CarvedNetwork, Group } from "../topology/topology.ts";
import type { FindingList } from "./finding.ts";
import type { BlobGroup, BlobNetwork, OriginalBlob } from "./original-blob.ts";

/** A leaf of the original beside the same leaf of ours. */
export interface LeafPair {
  readonly group: BlobGroup;
  readonly leaf: Group;
  /** The groups of ours above the leaf, the root first, and the leaf itself. */
  readonly chain: readonly Group[];
}

/** A network that was taken, with its part of the topology document. */
export interface TakenNetwork {
  readonly source: BlobNetwork;
  readonly document: NetworkDocument;
  readonly map: readonly GroupDocument[];
  readonly carved: CarvedNetwork;
  readonly leaves: readonly LeafPair[];
}

/** The tenants of a network, as our document names them: none for any. */
type TenantsOf = ReadonlyMap<string, readonly string[]>;

/**
 * Turns the networks and group trees of the original into a topology document whose ranges are the same, range by range. A network that cannot be had so is left out,
 * with a finding. The order of networks is that of the lists of tenants, which keep the order of definition.
 */
export function readNetworks(blob: OriginalBlob, findings: FindingList): readonly TakenNetwork[] {
  const tenants = tenantsOf(blob, findings);
  const taken: TakenNetwork[] = [];
  for (const network of inOrder(blob, findings)) {
    const found = takeNetwork(network, tenants.get(network.name) ?? [], findings);
    const other = taken.find(
      ({ carved }) => found !== undefined && overlaps(carved.network.cidr, found.carved.network.cidr),
    );
    if (other !== undefined) {
      findings.unsound(
        "network-overlaps",
        network.place,
        `network "${network.name}" (${network.cidr}) overlaps network "${other.source.name}" (${other.source.cidr})`,
        "the network is left out, with its blocks and addresses",
      );
    } else if (found !== undefined) {
      taken.push(found);
    }
  }
  return taken;
}

function takeNetwork(
  source: BlobNetwork,
  tenants: readonly string[],
  findings: FindingList,
): TakenNetwork | undefined {
  const document: NetworkDocument = {
    name: source.name,
    cidr: source.cidr,
    block_mask: source.blockMask,
    tenants: tenants.length === 0 ? ["*"] : tenants,
  };
  const map = source.root === undefined ? [] : mapOf(source.root, findings);
  const left = "the network is left out, with its blocks and addresses";
  try {
    const topology = readTopology(
      { networks: [document], topologies: [{ networks: [source.name], map }] },
      { reserved: [] },
    );
    const [carved] = topology.networks;
    const moved = carved === undefined ? undefined : firstMoved(source.root, carved.root);
    if (carved === undefined || moved !== undefined) {
      findings.unsound(
        "group-moved",
        moved?.group.place ?? source.place,
        `the group is ${moved?.group.cidr ?? "missing"}, and its place among its siblings gives ${moved?.cidr ?? "none"}`,
        left,
      );
      return undefined;
    }
    return { source, document, map, carved, leaves: pairLeaves(source.root, carved.root, []) };
  } catch (error) {
    if (!(error instanceof NetworkError)) {
      throw error;
    }
    const problems = error.details["problems"];
    const reasons = Array.isArray(problems) ? (problems as readonly string[]) : [error.message];
    findings.unsound(
      "network-refused",
      source.place,
      `network "${source.name}" is not sound: ${reasons.join("; ")}`,
      left,
    );
    return undefined;
  }
}

/** The map of a network: the elements below a root that stands for several, else the root itself. */
function mapOf(root: BlobGroup, findings: FindingList): readonly GroupDocument[] {
  if (root.groups.length === 0 && root.cidr === "") {
    return [];
  }
  const plain = root.name === ROOT_NAME && isPlain({ ...root, name: "" });
  return plain && root.groups.length >= 2
    ? childrenOf(root, findings)
    : [groupDocument(root, root.name, findings)];
}

/**
 * The children as a document lists them. What the original added behind them to reach a power of two is left out, as it follows from their number, unless hosts
 * or blocks are in it: then it has to be a group, and what is unused before it a dummy one.
 */
function childrenOf({ groups }: BlobGroup, findings: FindingList): readonly GroupDocument[] {
  const end = paddingStart(groups);
  const lastUsed = groups.findLastIndex((group, index) => index >= end && isUsed(group));
  return groups.slice(0, Math.max(end, lastUsed + 1)).map((group, index) => {
    if (index < end) {
      return groupDocument(group, group.name, findings);
    }
    const name = `padding-${index + 1}`;
    if (!isUsed(group)) {
      return { name, dummy: true };
    }
    findings.unsound(
      "hosts-in-padding",
      group.place,
      `hosts ${group.hosts.map((host) => host.name).join(", ") || "-"} or blocks stand in ${group.cidr}, which only rounds the groups up to a power of two and takes no hosts`,
      `${group.cidr} becomes a group of its own, "${name}", without labels: it goes on taking hosts; give it an assignment, or drain and remove them`,
    );
    return groupDocument(group, name, findings);
  });
}

function groupDocument(group: BlobGroup, name: string, findings: FindingList): GroupDocument {
  const { assignment, routing } = group;
  const dummy = group.dummy && !holdsAny(group);
  if (group.dummy && !dummy) {
    findings.unsound(
      "hosts-in-dummy",
      group.place,
      `hosts or blocks stand in ${group.cidr}, a dummy group, which takes no hosts`,
      "the group is an ordinary one",
    );
  }
  const hosts = group.hosts
    .filter(({ agentPort }) => agentPort === 0)
    .map(({ name: host, ip, tags }) => ({ name: host, ip, assignment: tags }));
  return {
    name,
    assignment,
    routing,
    ...(dummy ? { dummy } : {}),
    groups: group.groups.length > 0 ? childrenOf(group, findings) : hosts,
  };
}

/** Where the padding of a list of siblings begins; its length where there is none. Of siblings that are all plain and nameless none can be told from padding. */
function paddingStart(groups: readonly BlobGroup[]): number {
  if (groups.every(isPlain)) {
    return groups.length;
  }
  let end = groups.length;
  while (end > 1 && siblingBits(end - 1) === siblingBits(groups.length) && isPadding(groups[end - 1])) {
    end -= 1;
  }
  return end;
}

function isPadding(group: BlobGroup | undefined): boolean {
  return group !== undefined && isPlain(group) && group.groups.length === 0;
}

function isPlain({ name, assignment, routing, dummy }: BlobGroup): boolean {
  return name === "" && routing === "" && !dummy && Object.keys(assignment).length === 0;
}

function isUsed({ hosts, blocks }: BlobGroup): boolean {
  return hosts.length > 0 || blocks.length > 0;
}

function holdsAny(group: BlobGroup): boolean {
  return isUsed(group) || group.groups.some(holdsAny);
}

/** The first group whose range is not that of the group in the same place of our tree. */
function firstMoved(
  group: BlobGroup | undefined,
  ours: Group,
): { readonly group: BlobGroup; readonly cidr: Cidr } | undefined {
  if (group === undefined) {
    return undefined;
  }
  const empty = group.cidr === "" && group.groups.length === 0;
  if (!empty && (!sameRange(group.cidr, ours.cidr) || group.groups.length !== ours.children.length)) {
    return { group, cidr: ours.cidr };
  }
  for (const [index, child] of group.groups.entries()) {
    const twin = ours.children[index];
    const moved = twin === undefined ? undefined : firstMoved(child, twin);
    if (moved !== undefined) {
      return moved;
    }
  }
  return undefined;
}

/** "" is the root above several groups, which stands for the whole network. */
function sameRange(text: string, cidr: Cidr): boolean {
  return text === "" || networkFrom(text) === cidr;
}

function pairLeaves(
  group: BlobGroup | undefined,
  ours: Group,
  parents: readonly Group[],
): readonly LeafPair[] {
  const chain = [...parents, ours];
  if (group === undefined || group.groups.length === 0) {
    return group === undefined ? [] : [{ group, leaf: ours, chain }];
  }
  return group.groups.flatMap((child, index) => {
    const twin = ours.children[index];
    return twin === undefined ? [] : pairLeaves(child, twin, chain);
  });
}

/** Which tenants each network is for. */
function tenantsOf({ networks, tenants }: OriginalBlob, findings: FindingList): TenantsOf {
  const known = new Map(networks.map(({ name }) => [name, new Set<string>()]));
  for (const [tenant, names] of tenants) {
    for (const name of names) {
      const list = known.get(name);
      if (list === undefined) {
        findings.unsound(
          "tenant-network-unknown",
          `tenant_to_network["${tenant}"]`,
          `tenant "${tenant}" may use network "${name}", which does not exist`,
          "the entry is left out",
        );
      }
      list?.add(tenant);
    }
  }
  return new Map(
    networks.map(({ name, place }) => {
      const list = known.get(name) ?? new Set<string>();
      if (list.size === 0) {
        findings.unsound(
          "network-without-tenant",
          place,
          `network "${name}" is for no tenant at all`,
          "the network is for any tenant",
        );
      } else if (list.has("*") && list.size > 1) {
        findings.note(
          "tenant-and-any",
          place,
          `network "${name}" is for any tenant, and some are named beside it`,
          "the network is for any tenant, after those that name a tenant",
        );
      }
      return [name, list.has("*") ? [] : [...list].toSorted()];
    }),
  );
}

/** The networks in an order that agrees with every tenant's list, by name where the lists leave it open. */
function inOrder({ networks, tenants }: OriginalBlob, findings: FindingList): readonly BlobNetwork[] {
  const before = new Map(networks.map(({ name }) => [name, new Set<string>()]));
  for (const names of tenants.values()) {
    for (const [index, name] of names.entries()) {
      const previous = names[index - 1];
      if (previous !== undefined && previous !== name) {
        before.get(name)?.add(previous);
      }
    }
  }
  const open = networks.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const sorted: BlobNetwork[] = [];
  while (open.length > 0) {
    const index = open.findIndex(
      ({ name }) => !open.some((other) => before.get(name)?.has(other.name) === true),
    );
    if (index < 0) {
      findings.note(
        "network-order",
        "tenant_to_network",
        `the tenants' lists contradict each other about the order of ${open.map(({ name }) => name).join(", ")}`,
        "they come by name",
      );
    }
    sorted.push(...open.splice(Math.max(index, 0), 1));
  }
  return sorted;
}
