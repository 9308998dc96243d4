import { labelOf, matchesAssignment, ZONE_LABELS } from "../topology/place-host.ts";
import { SUBNET_LABEL, type KnownSubnet, type LeafState } from "./state.ts";

type Labels = Readonly<Record<string, string>>;

/** What there is to place a host in one entry of a topology. */
export interface SubnetRoom {
  /** All leaves of the entry. */
  readonly leaves: readonly LeafState[];
  /** The subnets that are known, with and without hosts. */
  readonly subnets: readonly KnownSubnet[];
  /** The subnet that a leaf is bound to now, "" for none. */
  readonly boundTo: (leaf: LeafState) => string;
}

/**
 * Which of the unbound leaves a host with these labels may bind to its subnet, so that every known subnet that has no host yet finds a leaf later (decision 7). The
 * answer is for unbound leaves that match the host.
 *
 *     the host's subnet has a matching leaf  →
 *     -------------------------------------  -----------------------------------------------------------------------
 *     yes                                    only leaves that no other subnet will need
 *     no                                     the same where there are such leaves, else any
 *
 * Who needs what is counted with the host's other labels as they are: of the leaves that would take such a host of some zone and subnet, those of a zone serve the
 * subnets of that zone, those that name no zone serve what is left over in all zones. Leaves that name a subnet serve that subnet and are nobody else's. Leaves that
 * some other label closes to the host (another rack) are not counted: a host with that label sees to them.
 */
export function bindableLeaves(room: SubnetRoom, tags: Labels): (leaf: LeafState) => boolean {
  const own = tags[SUBNET_LABEL] ?? "";
  const subnetOf = (leaf: LeafState): string => leaf.namedSubnet || room.boundTo(leaf);
  const matching = room.leaves.filter((leaf) => takes(leaf, tags));
  const { free, waiting } = countRoom(room, tags, new Set(matching.map(({ zone }) => zone)));
  const lacking = [...waiting].reduce(
    (sum, [zone, need]) => sum + Math.max(0, need - (free.get(zone) ?? 0)),
    0,
  );
  const hasSpare = (free.get("") ?? 0) > lacking;
  const isSpare = ({ zone }: LeafState): boolean =>
    hasSpare || (zone !== "" && (free.get(zone) ?? 0) > (waiting.get(zone) ?? 0));
  const isServed = matching.some((leaf) => subnetOf(leaf) === own);
  const anySpare = matching.some((leaf) => subnetOf(leaf) === "" && isSpare(leaf));
  return isServed || anySpare ? isSpare : () => true;
}

/** By zone: the unbound leaves, "" for those that name none, and the known subnets without a leaf; the host's own waits no more. */
function countRoom(
  { leaves, subnets, boundTo }: SubnetRoom,
  tags: Labels,
  zones: ReadonlySet<string>,
): { readonly free: ReadonlyMap<string, number>; readonly waiting: ReadonlyMap<string, number> } {
  const free = new Map<string, number>();
  const served = new Set([tags[SUBNET_LABEL] ?? ""]);
  const labels = new Map<string, Labels>();
  for (const leaf of leaves) {
    const { zone, namedSubnet } = leaf;
    // Leaves without zone serve every zone; while none of them matches, the other zones do not matter.
    if (zones.has("") || zones.has(zone)) {
      const there = labels.get(zone) ?? inZone(tags, zone);
      labels.set(zone, there);
      if (namedSubnet !== "" && takes(leaf, { ...there, [SUBNET_LABEL]: namedSubnet })) {
        served.add(namedSubnet);
      } else if (namedSubnet === "" && takes(leaf, there)) {
        const subnet = boundTo(leaf);
        if (subnet === "") {
          count(free, zone);
        } else {
          served.add(subnet);
        }
      }
    }
  }
  const waiting = new Map<string, number>();
  for (const { zone } of subnets.filter(({ id }) => !served.has(id))) {
    count(waiting, zone);
  }
  return { free, waiting };
}

/**
 * The hosts in the order in which they are placed together: the first of each zone and subnet, then the second of each, and so on; zones and subnets in the order of
 * their first host, and their hosts in the order given.
 */
export function bySubnetInTurns<T extends { readonly tags: Labels }>(hosts: readonly T[]): readonly T[] {
  const turns = new Map<string, number>();
  return hosts
    .map((host) => {
      const key = JSON.stringify([labelOf(host.tags, ZONE_LABELS[0]), host.tags[SUBNET_LABEL]]);
      const turn = turns.get(key) ?? 0;
      turns.set(key, turn + 1);
      return { host, turn };
    })
    .toSorted((a, b) => a.turn - b.turn)
    .map(({ host }) => host);
}

/** True when the leaf is one for hosts, and the labels satisfy its assignment and those above it. */
export function takes(leaf: LeafState, tags: Labels): boolean {
  return leaf.groups.every(({ kind, assignment }) => kind === "group" && matchesAssignment(tags, assignment));
}

/** The labels as they would be on a host of the zone, "" for its own. */
function inZone(tags: Labels, zone: string): Labels {
  return zone === "" ? tags : { ...tags, ...Object.fromEntries(ZONE_LABELS.map((label) => [label, zone])) };
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
