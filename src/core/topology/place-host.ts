import type { Group } from "./topology.ts";
import type { LeafPlace } from "./walk-groups.ts";

/** The labels that name a host's zone, today's and the former. */
export const ZONE_LABELS = ["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"] as const;

/** Labels that mean the same, whichever of them a document or a host names (decision 7). */
const SAME_LABEL: ReadonlyMap<string, string> = new Map([
  [ZONE_LABELS[0], ZONE_LABELS[1]],
  [ZONE_LABELS[1], ZONE_LABELS[0]],
  ["topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"],
  ["failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"],
]);

type Labels = Readonly<Record<string, string>>;

export interface PlacementOptions {
  /** Number of hosts in a leaf. */
  readonly load: (leaf: Group) => number;
  /** What a leaf allows beside its labels, such as its subnet (decision 7). Absent: everything. */
  readonly eligible?: (leaf: Group) => boolean;
}

/**
 * The leaf for a host: of all leaves whose assignment and whose parents' assignments its labels satisfy, the one with the fewest
 * hosts, and the first of them in document order on a tie. Reserve and dummy groups are never chosen. `undefined` when none is left.
 */
export function placeHost(root: Group, tags: Labels, options: PlacementOptions): LeafPlace | undefined {
  const { load, eligible = () => true } = options;
  let best: LeafPlace | undefined;
  let fewest = Infinity;
  for (const place of candidates(root, tags, [])) {
    const hosts = eligible(place.leaf) ? load(place.leaf) : Infinity;
    if (hosts < fewest) {
      best = place;
      fewest = hosts;
    }
  }
  return best;
}

/** True when the labels satisfy every entry of an assignment; more labels do no harm, an empty assignment takes any host. */
export function matchesAssignment(tags: Labels, assignment: Labels): boolean {
  return unmet(tags, assignment) === undefined;
}

/**
 * Why `placeHost` finds no leaf, in one sentence without a full stop: which labels are missing or differ and what the groups want, and
 * how many groups match but are closed to this host, by what: `closedBy` in words.
 */
export function explainPlacement(
  root: Group,
  tags: Labels,
  eligible: (leaf: Group) => boolean = () => true,
  closedBy = "bound to another subnet",
): string {
  const wanted = new Map<string, Set<string>>();
  collectUnmet(root, tags, wanted);
  const matching = [...candidates(root, tags, [])].map(({ leaf }) => leaf);
  const open = matching.filter((leaf) => eligible(leaf)).length;
  if (open > 0) {
    return `${groupCount(open)} of network "${root.network}" would take the host`;
  }
  const reasons = [...wanted].map(([key, values]) => {
    const actual = labelOf(tags, key);
    const have = actual === undefined ? "missing" : `"${actual}"`;
    return `label ${key} is ${have}, groups want ${listed(values)}`;
  });
  if (matching.length > 0) {
    const match = matching.length === 1 ? "matches its labels but is" : "match its labels but are";
    reasons.push(`${groupCount(matching.length)} ${match} closed to it (${closedBy})`);
  }
  const why = reasons.length === 0 ? "it has no group that takes hosts" : reasons.join("; ");
  return `no group of network "${root.network}" takes the host: ${why}`;
}

/** All leaves that match, depth-first. A group that does not match closes everything below it. */
function* candidates(
  group: Group,
  tags: Labels,
  path: readonly number[],
): Generator<LeafPlace, void, undefined> {
  if (group.kind !== "group" || !matchesAssignment(tags, group.assignment)) {
    return;
  }
  if (group.children.length === 0) {
    yield { leaf: group, path };
  }
  for (const [index, child] of group.children.entries()) {
    yield* candidates(child, tags, [...path, index]);
  }
}

/** Notes, for each group that stops the host, the first label that it misses. */
function collectUnmet(group: Group, tags: Labels, wanted: Map<string, Set<string>>): void {
  if (group.kind !== "group") {
    return;
  }
  const missing = unmet(tags, group.assignment);
  if (missing !== undefined) {
    const [key, value] = missing;
    wanted.set(key, (wanted.get(key) ?? new Set<string>()).add(value));
    return;
  }
  for (const child of group.children) {
    collectUnmet(child, tags, wanted);
  }
}

function unmet(tags: Labels, assignment: Labels): readonly [string, string] | undefined {
  return Object.entries(assignment).find(([key, value]) => labelOf(tags, key) !== value);
}

/** The label's value; where the host lacks it, that of the label that means the same. */
export function labelOf(tags: Labels, key: string): string | undefined {
  const same = SAME_LABEL.get(key);
  const name = same !== undefined && !Object.hasOwn(tags, key) ? same : key;
  return Object.hasOwn(tags, name) ? tags[name] : undefined;
}

function listed(values: ReadonlySet<string>): string {
  const shown = [...values].slice(0, 8).map((value) => `"${value}"`);
  return values.size > shown.length ? `${shown.join(", ")}, … (${values.size})` : shown.join(", ");
}

function groupCount(count: number): string {
  return count === 1 ? "1 group" : `${count} groups`;
}
