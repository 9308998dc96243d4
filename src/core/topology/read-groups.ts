import { readIpv4, type Ipv4 } from "../net/ipv4.ts";
import type { GroupSpec } from "./carve-groups.ts";
import {
  isAbsent,
  isObject,
  keyPlace,
  readFlag,
  readLabels,
  readList,
  readObject,
  readPathName,
  readText,
  refuse,
  warn,
  type Findings,
  type JsonObject,
} from "./document-reader.ts";

/** Most groups and hosts that one document may hold, and most groups of all its networks together. */
export const MAX_ITEMS = 100_000;

/** Most levels of groups, the elements of `map` being the first (the original shows no more than 20). */
export const MAX_DEPTH = 20;

/** A host entry of a document. */
export interface HostNode {
  readonly name: string;
  /** `undefined` only where a problem was reported. */
  readonly ip: Ipv4 | undefined;
  readonly assignment: Readonly<Record<string, string>>;
  readonly place: string;
}

/** A group of a document, with what is needed to report about it later. */
export interface GroupNode extends GroupSpec {
  readonly children: readonly GroupNode[];
  readonly hosts: readonly HostNode[];
  readonly place: string;
  /** `cidr` as the document states it; it has no effect. */
  readonly statedCidr: string;
}

/** How many more groups and hosts a document may have; shared by all its maps. */
export interface Budget {
  left: number;
}

const GROUP_KEYS = ["name", "groups", "hosts", "assignment", "routing", "dummy", "cidr", "ip"];
const HOST_KEYS = [...GROUP_KEYS];

/**
 * Reads the `map` of a topology. A map that lists hosts (as the original writes a single flat group) is read as one group that
 * holds them.
 */
export function readMap(
  findings: Findings,
  value: unknown,
  place: string,
  budget: Budget,
): readonly GroupNode[] {
  const list = readList(findings, value, place);
  if (!isHostList(list)) {
    return readGroups(findings, list, place, budget, 1);
  }
  warn(findings, place, "the map lists hosts instead of groups: read as one group that holds them all");
  const hosts = readHosts(findings, list, place, budget);
  return [
    { name: "", assignment: {}, routing: "", dummy: false, children: [], hosts, place, statedCidr: "" },
  ];
}

function readGroups(
  findings: Findings,
  list: readonly unknown[],
  place: string,
  budget: Budget,
  depth: number,
): readonly GroupNode[] {
  if (depth > MAX_DEPTH && list.length > 0) {
    refuse(findings, place, `groups may be nested ${MAX_DEPTH} levels deep, this is one more`);
    return [];
  }
  const groups: GroupNode[] = [];
  for (const [index, item] of list.entries()) {
    const at = `${place}[${index}]`;
    if (!spend(findings, budget, at)) {
      break;
    }
    const object = readObject(findings, item, at, GROUP_KEYS);
    if (object !== undefined) {
      groups.push(readGroup(findings, object, at, budget, depth));
    }
  }
  return groups;
}

function readGroup(
  findings: Findings,
  object: JsonObject,
  place: string,
  budget: Budget,
  depth: number,
): GroupNode {
  const name = readText(findings, object["name"], keyPlace(place, "name"));
  const assignment = readLabels(findings, object["assignment"], keyPlace(place, "assignment"));
  const routing = readText(findings, object["routing"], keyPlace(place, "routing"));
  const dummy = readFlag(findings, object["dummy"], keyPlace(place, "dummy"));
  const statedCidr = readText(findings, object["cidr"], keyPlace(place, "cidr"));
  const groups = readList(findings, object["groups"], keyPlace(place, "groups"));
  const hosts = readList(findings, object["hosts"], keyPlace(place, "hosts"));

  if (!isAbsent(object["ip"])) {
    refuse(
      findings,
      keyPlace(place, "ip"),
      'a list holds groups or hosts, not both: its first element has no "ip", so all are groups and take none; ' +
        "give the first one its ip, or move the hosts into a group of their own",
    );
  }
  if (groups.length > 0 && hosts.length > 0) {
    refuse(
      findings,
      place,
      'only one of "hosts" and "groups" may be given: move the hosts into a group of their own',
    );
  }
  const hostsAreGroups = isHostList(groups);
  return {
    name,
    assignment,
    routing,
    dummy,
    statedCidr,
    place,
    children: hostsAreGroups
      ? []
      : readGroups(findings, groups, keyPlace(place, "groups"), budget, depth + 1),
    hosts: [
      ...(hostsAreGroups ? readHosts(findings, groups, keyPlace(place, "groups"), budget) : []),
      ...readHosts(findings, hosts, keyPlace(place, "hosts"), budget),
    ],
  };
}

/** As the original decides it: the first element says what the others are. */
function isHostList(list: readonly unknown[]): boolean {
  const [first] = list;
  return isObject(first) && !isAbsent(first["ip"]);
}

function readHosts(
  findings: Findings,
  list: readonly unknown[],
  place: string,
  budget: Budget,
): readonly HostNode[] {
  const hosts: HostNode[] = [];
  for (const [index, item] of list.entries()) {
    const at = `${place}[${index}]`;
    if (!spend(findings, budget, at)) {
      break;
    }
    const object = readObject(findings, item, at, HOST_KEYS);
    if (object !== undefined) {
      hosts.push(readHost(findings, object, at));
    }
  }
  return hosts;
}

function readHost(findings: Findings, object: JsonObject, place: string): HostNode {
  const name = readPathName(findings, object["name"], keyPlace(place, "name"));
  if (name === "" && isAbsent(object["name"])) {
    refuse(findings, keyPlace(place, "name"), "a host needs a name (the node's name in Kubernetes)");
  }
  for (const key of ["groups", "hosts"]) {
    if (!isAbsent(object[key])) {
      refuse(findings, keyPlace(place, key), `a host holds no ${key}: it is an entry with an ip`);
    }
  }
  for (const key of ["routing", "dummy", "cidr"]) {
    if (!isAbsent(object[key])) {
      warn(findings, keyPlace(place, key), `"${key}" belongs to a group; on a host it is ignored`);
    }
  }
  const assignment = readLabels(findings, object["assignment"], keyPlace(place, "assignment"));
  return { name, ip: readIp(findings, object["ip"], keyPlace(place, "ip")), assignment, place };
}

function readIp(findings: Findings, value: unknown, place: string): Ipv4 | undefined {
  if (isAbsent(value)) {
    refuse(findings, place, "a host needs its ip (the node's address)");
    return undefined;
  }
  const text = readText(findings, value, place);
  if (text.includes(":")) {
    refuse(findings, place, `"${text}" is an IPv6 address: only IPv4 is supported`);
  } else if (readIpv4(text) !== undefined) {
    return text as Ipv4;
  } else if (text !== "") {
    refuse(findings, place, `"${text}" is not an IPv4 address: write it as a.b.c.d`);
  }
  return undefined;
}

/** Takes one from the budget; false, with one problem, when there is none left. */
function spend(findings: Findings, budget: Budget, place: string): boolean {
  if (budget.left === 0) {
    refuse(
      findings,
      place,
      `a document may hold ${MAX_ITEMS} groups and hosts, this is one more: split the cluster`,
    );
  }
  budget.left -= 1;
  return budget.left >= 0;
}
