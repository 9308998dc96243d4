import { explainPlacement, placeHost } from "../topology/place-host.ts";
import type { Change } from "./change.ts";
import type { HostGroup, HostRecord } from "./records.ts";
import { SUBNET_LABEL, type BlockState, type HostState, type IpamState, type LeafState } from "./state.ts";
import { bindableLeaves, takes } from "./subnet-room.ts";

type Labels = Readonly<Record<string, string>>;

/** Hosts and subnets of leaves as they will be, while a decision places hosts one after the other; the state stays as it is. */
export interface PlacementDraft {
  readonly state: IpamState;
  readonly leaves: Map<LeafState, { hosts: number; subnet: string }>;
}

/** A draft in which nothing was moved yet. */
export function createDraft(state: IpamState): PlacementDraft {
  return { state, leaves: new Map() };
}

/** Counts a host of the given subnet ("" for none) in; a leaf that is bound to none is bound to it. Returns the host's groups there. */
export function joinLeaf(draft: PlacementDraft, leaf: LeafState, subnet: string): readonly HostGroup[] {
  const view = viewOf(draft, leaf);
  const bound = leaf.namedSubnet === "" ? view.subnet || subnet : "";
  draft.leaves.set(leaf, { hosts: view.hosts + 1, subnet: bound });
  const own = bound === subnet ? subnet : "";
  return leaf.pools.map(({ network, group }) => ({
    network: network.network.name,
    cidr: group.cidr,
    subnet: own,
  }));
}

/** Counts a host out; a leaf without hosts is bound to no subnet any more (decision 7). */
export function leaveLeaf(draft: PlacementDraft, leaf: LeafState): void {
  const { hosts, subnet } = viewOf(draft, leaf);
  draft.leaves.set(leaf, { hosts: hosts - 1, subnet: hosts === 1 ? "" : subnet });
}

/** True when the leaf takes hosts, the labels satisfy its assignment and those above it, and it is not bound to another subnet. */
export function fitsLeaf(draft: PlacementDraft, leaf: LeafState, tags: Labels): boolean {
  return takes(leaf, tags) && isOpen(draft, leaf, tags);
}

/**
 * The groups that a new host gets in one entry of the topology, and counts it in there; empty when no group takes it. Each entry by itself: of the leaves that
 * match, are bound to its subnet, or may be bound to it (`bindableLeaves`), the one with the fewest hosts. A host without the label of a subnet binds nothing, and goes to
 * any unbound one.
 */
export function placeInEntry(draft: PlacementDraft, entry: number, tags: Labels): readonly HostGroup[] {
  const { state } = draft;
  const root = state.topology.entries[entry]?.networks[0]?.root;
  const leafOf = (group: LeafState["groups"][number]): LeafState | undefined => state.leafOfGroup.get(group);
  const mayJoin = joinable(draft, entry, tags);
  const place =
    root === undefined
      ? undefined
      : placeHost(root, tags, {
          load: (group) => hostsIn(draft, leafOf(group)),
          eligible: (group) => mayJoin(leafOf(group)),
        });
  const leaf = place === undefined ? undefined : leafOf(place.leaf);
  return leaf === undefined ? [] : joinLeaf(draft, leaf, tags[SUBNET_LABEL] ?? "");
}

/** The groups of a new host, entry by entry. */
export function placeEverywhere(draft: PlacementDraft, tags: Labels): readonly HostGroup[] {
  return draft.state.topology.entries.flatMap((_, entry) => placeInEntry(draft, entry, tags));
}

/**
 * The host's record after its labels or its blocks changed, entry by entry:
 *
 *     it is in a leaf  that fits its labels  it has blocks there  → result
 *     ---------------  --------------------  -------------------  ---------------------------------
 *     no                                                          placed if a leaf takes it
 *     yes              yes                                        stays
 *     yes              yes, and binds it   no                     stays, or leaves where placement would not bind it
 *     yes              no                    yes                  stays, misplaced
 *     yes              no                    no                   leaves; placed if a leaf takes it
 *
 * A host of the document stays where the document has it. `without`: a block that the same decision empties.
 */
export function replaceHost(
  draft: PlacementDraft,
  host: HostState,
  tags: Labels,
  without?: BlockState,
): HostRecord {
  const { record } = host;
  const isListed = record.origin === "document";
  const subnet = tags[SUBNET_LABEL] ?? "";
  const leaves = leavesOfHost(host);
  let misplaced = false;
  const groups = draft.state.topology.entries.flatMap((_, entry): readonly HostGroup[] => {
    const leaf = leaves.get(entry);
    if (leaf === undefined) {
      return isListed ? [] : placeInEntry(draft, entry, tags);
    }
    const before = groupsIn(host, leaf);
    const hasAddresses = hasBlocks(host, leaf, without);
    const fits = isListed || fitsLeaf(draft, leaf, tags);
    if (fits && (isListed || hasAddresses || joinable(draft, entry, tags)(leaf))) {
      leaveLeaf(draft, leaf);
      return joinLeaf(draft, leaf, subnet);
    }
    if (hasAddresses) {
      misplaced = true;
      return before;
    }
    leaveLeaf(draft, leaf);
    return placeInEntry(draft, entry, tags);
  });
  return { ...record, tags, groups, misplaced };
}

/** Places hosts that had no group, now that something became free; in the order of their registration. */
export function adoptUnplaced(draft: PlacementDraft, except: string): readonly Change[] {
  const changes: Change[] = [];
  for (const { record } of draft.state.hosts.values()) {
    if (record.groups.length === 0 && record.name !== except) {
      const groups = placeEverywhere(draft, record.tags);
      if (groups.length > 0) {
        changes.push({ kind: "put-host", host: { ...record, groups } });
      }
    }
  }
  return changes;
}

/** Why the host is in no group, network by network. */
export function explainUnplaced(state: IpamState, tags: Labels): string {
  const draft = createDraft(state);
  const reasons = state.topology.entries.flatMap(({ networks: [carved] }, entry) =>
    carved === undefined
      ? []
      : [
          explainPlacement(
            carved.root,
            tags,
            (group) => isOpen(draft, state.leafOfGroup.get(group), tags),
            closedBy(state, entry, tags),
          ),
        ],
  );
  return reasons.length === 0 ? "there are no networks; set a topology" : reasons.join("; ");
}

/** The leaves that the host is in, by entry. */
export function leavesOfHost(host: HostState): ReadonlyMap<number, LeafState> {
  return new Map([...host.placements.values()].map(({ leaf }) => [leaf.entry, leaf]));
}

/** Why leaves that match the host are closed to it, and the way out. */
function closedBy(state: IpamState, entry: number, tags: Labels): string {
  if (tags[SUBNET_LABEL] === undefined) {
    return `bound to subnets, and the host has no label ${SUBNET_LABEL}`;
  }
  const matching = (state.leaves[entry] ?? []).filter((leaf) => takes(leaf, tags));
  const others = new Set(matching.map(({ subnet }) => subnet)).size;
  const subnets = others === 1 ? "another subnet" : `${others} other subnets`;
  return `bound to ${subnets}, and a group serves one; more groups are needed, at least one per subnet`;
}

function groupsIn(host: HostState, leaf: LeafState): readonly HostGroup[] {
  const names = new Set(leaf.pools.map(({ network }) => network.network.name));
  return host.record.groups.filter(({ network }) => names.has(network));
}

function hasBlocks(host: HostState, leaf: LeafState, without: BlockState | undefined): boolean {
  return [...host.blocks].some((block) => block !== without && block.pool.leaf === leaf);
}

/** Which leaves of an entry, of those that match the labels, a host may join that is not in one: bound to its subnet, or bindable to it. */
function joinable(
  draft: PlacementDraft,
  entry: number,
  tags: Labels,
): (leaf: LeafState | undefined) => boolean {
  const { subnets, leaves } = draft.state;
  const boundTo = (leaf: LeafState): string => viewOf(draft, leaf).subnet;
  const isFree = (leaf: LeafState): boolean => leaf.namedSubnet === "" && boundTo(leaf) === "";
  const mayBind =
    subnets.length === 0 || (tags[SUBNET_LABEL] ?? "") === ""
      ? () => true
      : bindableLeaves({ leaves: leaves[entry] ?? [], subnets, boundTo }, tags);
  return (leaf) => leaf !== undefined && isOpen(draft, leaf, tags) && (!isFree(leaf) || mayBind(leaf));
}

/** A leaf that is bound to a subnet takes only hosts of it. */
function isOpen(draft: PlacementDraft, leaf: LeafState | undefined, tags: Labels): boolean {
  if (leaf === undefined || leaf.namedSubnet !== "") {
    return leaf !== undefined;
  }
  const { subnet } = viewOf(draft, leaf);
  return subnet === "" || tags[SUBNET_LABEL] === subnet;
}

function hostsIn(draft: PlacementDraft, leaf: LeafState | undefined): number {
  return leaf === undefined ? Infinity : viewOf(draft, leaf).hosts;
}

function viewOf(draft: PlacementDraft, leaf: LeafState): { readonly hosts: number; readonly subnet: string } {
  return draft.leaves.get(leaf) ?? { hosts: leaf.hosts.size, subnet: leaf.subnet };
}
