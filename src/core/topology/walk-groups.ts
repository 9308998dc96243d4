import { containsAddress, rangeOf, type Cidr } from "../net/cidr.ts";
import type { Group } from "./topology.ts";

/** A leaf with the child indices that lead to it from the root. */
export interface LeafPlace {
  readonly leaf: Group;
  readonly path: readonly number[];
}

/** All groups of the tree, the root included, depth-first: a parent before its children. */
export function groupsOf(root: Group): readonly Group[] {
  return [root, ...root.children.flatMap(groupsOf)];
}

/** All leaves, reserve and dummy ones included, depth-first: in order of their addresses. */
export function leavesOf(root: Group): readonly Group[] {
  return root.children.length === 0 ? [root] : root.children.flatMap(leavesOf);
}

/** All leaves with their paths, in the order of `leavesOf`. */
export function leafPlacesOf(root: Group): readonly LeafPlace[] {
  return placesBelow(root, []);
}

/** The group at the end of a path of child indices; the empty path is the root. `undefined` where the path leaves the tree. */
export function groupAt(root: Group, path: readonly number[]): Group | undefined {
  return path.reduce<Group | undefined>((group, index) => group?.children[index], root);
}

/** The groups above the one at `path`, the root first; empty for the root. Stops where the path leaves the tree. */
export function parentsOf(root: Group, path: readonly number[]): readonly Group[] {
  return path
    .map((_, depth) => groupAt(root, path.slice(0, depth)))
    .filter((group): group is Group => group !== undefined);
}

/** The leaf whose range holds the address (unsigned value), or `undefined` when the tree does not. Takes one step per level. */
export function leafContaining(root: Group, address: number): Group | undefined {
  const path = containsAddress(root.cidr, address) ? pathTo(root, address) : undefined;
  return path === undefined ? undefined : groupAt(root, path);
}

/** The path to the leaf that has exactly this range, or `undefined` when there is none. */
export function pathOfLeaf(root: Group, cidr: Cidr): readonly number[] | undefined {
  const { first } = rangeOf(cidr);
  const path = containsAddress(root.cidr, first) ? pathTo(root, first) : undefined;
  return path !== undefined && groupAt(root, path)?.cidr === cidr ? path : undefined;
}

/** Siblings are of one size and tile their parent, so the child is found by division. The root must contain the address. */
function pathTo(root: Group, address: number): readonly number[] {
  const path: number[] = [];
  let group: Group | undefined = root;
  while (group !== undefined && group.children.length > 0) {
    const { first, size } = rangeOf(group.cidr);
    const index = Math.floor((address - first) / (size / group.children.length));
    path.push(index);
    group = group.children[index];
  }
  return path;
}

function placesBelow(group: Group, path: readonly number[]): readonly LeafPlace[] {
  return group.children.length === 0
    ? [{ leaf: group, path }]
    : group.children.flatMap((child, index) => placesBelow(child, [...path, index]));
}
