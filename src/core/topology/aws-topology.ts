import { NetworkError } from "../errors.ts";
import { networkOf, rangeOf } from "../net/cidr.ts";
import { siblingBits } from "./carve-groups.ts";
import { MAX_ITEMS } from "./read-groups.ts";
import type { GroupDocument, TopologyDocument } from "./topology-document.ts";

/** Prefix of the two labels that a group's assignment names. Hosts match either (`matchesAssignment`). */
export type ZoneLabel = "topology.kubernetes.io" | "failure-domain.beta.kubernetes.io";

export interface AwsTopologyOptions {
  readonly region: string;
  /** Letters (`a`) or full names (`us-west-2a`, `us-west-2-lax-1a`). Absent or empty: all that the region is known to have. */
  readonly zones?: readonly string[];
  /** Leaf groups of each zone; a zone serves nodes in as many subnets. Default 8. */
  readonly groupsPerZone?: number;
  /** Range of the pods, outside every CIDR of the VPC. Default 100.96.0.0/11. */
  readonly cidr?: string;
  /** Prefix length of a block. Default 29. */
  readonly blockMask?: number;
  /** Default `topology.kubernetes.io`. */
  readonly label?: ZoneLabel;
  /** Hold a place for a zone to come where rounding leaves none; default false. */
  readonly roomForZone?: boolean;
}

/**
 * Zone letters per region that accounts have been given, as of November 2026. General knowledge of AWS, not checked against an account,
 * and not every account sees every letter: it is enough to leave room. `describe-availability-zones` knows better; name the zones then.
 */
const ZONE_LETTERS: ReadonlyMap<string, string> = new Map([
  ["af-south-1", "abc"],
  ["ap-east-1", "abc"],
  ["ap-east-2", "abc"],
  ["ap-northeast-1", "abcd"],
  ["ap-northeast-2", "abcd"],
  ["ap-northeast-3", "abc"],
  ["ap-south-1", "abc"],
  ["ap-south-2", "abc"],
  ["ap-southeast-1", "abc"],
  ["ap-southeast-2", "abc"],
  ["ap-southeast-3", "abc"],
  ["ap-southeast-4", "abc"],
  ["ap-southeast-5", "abc"],
  ["ap-southeast-6", "abc"],
  ["ap-southeast-7", "abc"],
  ["ca-central-1", "abd"],
  ["ca-west-1", "abc"],
  ["cn-north-1", "abd"],
  ["cn-northwest-1", "abc"],
  ["eu-central-1", "abc"],
  ["eu-central-2", "abc"],
  ["eu-north-1", "abc"],
  ["eu-south-1", "abc"],
  ["eu-south-2", "abc"],
  ["eu-west-1", "abc"],
  ["eu-west-2", "abc"],
  ["eu-west-3", "abc"],
  ["il-central-1", "abc"],
  ["me-central-1", "abc"],
  ["me-south-1", "abc"],
  ["mx-central-1", "abc"],
  ["sa-east-1", "abc"],
  ["us-east-1", "abcdef"],
  ["us-east-2", "abc"],
  ["us-gov-east-1", "abc"],
  ["us-gov-west-1", "abc"],
  ["us-west-1", "abc"],
  ["us-west-2", "abcd"],
]);

/**
 * A topology for a region: one network, a group per zone, and in it the leaf groups that take the zone's nodes.
 *
 * The ranges of zones and of leaf groups are rounded up to a power of two. Zones that the document names take hosts as soon as they
 * have some; what the rounding leaves is a reserve for zones to come. A list of `zones` is carved as given, so name those too that
 * shall have room later; or ask for `roomForZone`, which appends dummy groups where the zones alone would fill a power of two: each holds the range of a zone,
 * and is replaced by it later.
 *
 * Throws `NetworkError` `TOPOLOGY_INVALID` for a region or zone that cannot be one, an unknown region without zones, or groups that
 * would be smaller than a block.
 */
export function awsTopology(options: AwsTopologyOptions): TopologyDocument {
  const {
    region,
    groupsPerZone = 8,
    cidr = "100.96.0.0/11",
    blockMask = 29,
    label = "topology.kubernetes.io",
    roomForZone = false,
  } = options;
  const zones = zonesOf(region, options.zones ?? []);
  const places = roomForZone ? placesWithRoom(zones.length) : zones.length;
  checkSizes(places, groupsPerZone, cidr, blockMask);
  return {
    networks: [{ name: "romana-network", cidr: networkOf(cidr), block_mask: blockMask }],
    topologies: [
      {
        networks: ["romana-network"],
        map: [
          ...zones.map((zone) => zoneGroup(region, zone, groupsPerZone, label)),
          ...Array.from({ length: places - zones.length }, () => ({
            name: "room for a zone to come",
            dummy: true,
          })),
        ],
      },
    ],
  };
}

/** Elements of a map that leaves room: three at least, so that its ranges are quarters, and no power of two. */
function placesWithRoom(zones: number): number {
  const isFull = 2 ** siblingBits(zones) === zones;
  return Math.max(3, isFull ? zones + 1 : zones);
}

function zoneGroup(region: string, zone: string, count: number, label: ZoneLabel): GroupDocument {
  const assignment = { [`${label}/region`]: region, [`${label}/zone`]: zone };
  const groups = Array.from({ length: count }, (_, index) => ({
    name: `${zone}-group-${String(index + 1).padStart(2, "0")}`,
    assignment,
    groups: [],
  }));
  return { name: `failure-domain: ${zone}`, groups };
}

function zonesOf(region: string, given: readonly string[]): readonly string[] {
  if (!/^[a-z]{2,}(-[a-z]+)+-\d+$/.test(region)) {
    throw invalid(`"${region}" cannot be an AWS region: expected a name such as us-west-2`, { region });
  }
  const letters = ZONE_LETTERS.get(region);
  if (given.length === 0 && letters === undefined) {
    throw invalid(`the zones of region "${region}" are not known: name them, such as a,b,c`, { region });
  }
  const zones = given.length > 0 ? given.map((zone) => zoneName(region, zone)) : letterZones(region, letters);
  const twice = zones.find((zone, index) => zones.indexOf(zone) !== index);
  if (twice !== undefined) {
    throw invalid(`zone "${twice}" is named twice: name each zone once`, { region, zone: twice });
  }
  return zones;
}

function letterZones(region: string, letters = ""): readonly string[] {
  return letters.split("").map((letter) => `${region}${letter}`);
}

function zoneName(region: string, zone: string): string {
  if (/^[a-z]$/.test(zone)) {
    return `${region}${zone}`;
  }
  // Availability zones end in a letter; local and wavelength zones have a place in between: us-west-2-lax-1a.
  if (zone.startsWith(region) && /^(-[a-z0-9]+)*[a-z]$/.test(zone.slice(region.length))) {
    return zone;
  }
  throw invalid(
    `"${zone}" cannot be a zone of region "${region}": give its letter (a) or its name (${region}a)`,
    {
      region,
      zone,
    },
  );
}

function checkSizes(zones: number, groupsPerZone: number, cidr: string, blockMask: number): void {
  if (!Number.isInteger(groupsPerZone) || groupsPerZone < 1 || zones * (groupsPerZone + 1) > MAX_ITEMS) {
    throw invalid(
      `${groupsPerZone} groups per zone are not possible: give a whole number, with at most ${MAX_ITEMS} groups in all`,
      { groupsPerZone },
    );
  }
  const { length } = rangeOf(networkOf(cidr));
  if (!Number.isInteger(blockMask) || blockMask < length || blockMask > 32) {
    throw invalid(`a block mask of ${blockMask} does not fit ${cidr}: it must be ${length} to 32`, {
      cidr,
      blockMask,
    });
  }
  const leaf = length + siblingBits(zones) + siblingBits(groupsPerZone);
  if (leaf > blockMask) {
    throw invalid(
      `${zones} zones of ${groupsPerZone} groups make groups of /${leaf} in ${cidr}, smaller than a block of /${blockMask}: ` +
        "take a wider range, fewer groups per zone, or smaller blocks",
      { cidr, blockMask, zones, groupsPerZone },
    );
  }
}

function invalid(message: string, details: Readonly<Record<string, string | number>>): NetworkError {
  return new NetworkError("invalid", "TOPOLOGY_INVALID", message, details);
}
