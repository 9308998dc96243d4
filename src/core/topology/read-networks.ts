import { networkOf, rangeOf, type Cidr } from "../net/cidr.ts";
import {
  keyPlace,
  kindOf,
  readList,
  readObject,
  readPathName,
  readText,
  refuse,
  warn,
  type Findings,
  type JsonObject,
} from "./document-reader.ts";
import type { Network } from "./topology.ts";

/** A network of a document with its place. */
export interface NetworkNode {
  readonly network: Network;
  readonly place: string;
}

const NETWORK_KEYS = ["name", "cidr", "block_mask", "tenants"];

/** Block mask of a network that states none (the original's default). */
const DEFAULT_BLOCK_MASK = 29;

/** The networks that could be read, and every name that the document defines, those with a problem included. */
export interface NetworksReading {
  readonly nodes: readonly NetworkNode[];
  readonly names: ReadonlySet<string>;
}

/** Reads `networks`. An element with a problem that leaves it without name or range is no node of the result. */
export function readNetworks(findings: Findings, value: unknown): NetworksReading {
  const nodes: NetworkNode[] = [];
  const places = new Map<string, string>();
  for (const [index, item] of readList(findings, value, "networks").entries()) {
    const place = `networks[${index}]`;
    const object = readObject(findings, item, place, NETWORK_KEYS);
    if (object === undefined) {
      continue;
    }
    const name = readName(findings, object, place, places);
    const cidr = readCidr(findings, object["cidr"], keyPlace(place, "cidr"));
    const tenants = readTenants(findings, object["tenants"], keyPlace(place, "tenants"));
    const blockMask = readBlockMask(findings, object["block_mask"], keyPlace(place, "block_mask"), cidr);
    if (name !== "" && cidr !== undefined) {
      nodes.push({ network: { name, cidr, blockMask, tenants }, place });
    }
  }
  return { nodes, names: new Set(places.keys()) };
}

/** `places`: where each name was defined first; the new name is added. */
function readName(
  findings: Findings,
  object: JsonObject,
  place: string,
  places: Map<string, string>,
): string {
  const at = keyPlace(place, "name");
  const name = readPathName(findings, object["name"], at);
  const earlier = places.get(name);
  if ((object["name"] ?? "") === "") {
    refuse(findings, at, "a network needs a name: topologies refer to it");
  } else if (earlier !== undefined) {
    refuse(findings, at, `network "${name}" is already defined by ${earlier}`);
  } else if (name !== "") {
    places.set(name, place);
  }
  return name;
}

function readCidr(findings: Findings, value: unknown, place: string): Cidr | undefined {
  const text = readText(findings, value, place);
  if (text === "") {
    if ((value ?? "") === "") {
      refuse(findings, place, "a network needs its cidr: the range that pod addresses are taken from");
    }
    return undefined;
  }
  if (text.includes(":")) {
    refuse(findings, place, `"${text}" is an IPv6 network: only IPv4 is supported`);
    return undefined;
  }
  const cidr = networkFrom(text);
  if (cidr === undefined) {
    refuse(findings, place, `"${text}" is not an IPv4 network: write it as a.b.c.d/length`);
  } else if (cidr !== text) {
    warn(findings, place, `the host bits of "${text}" are cleared: the network is ${cidr}`);
  }
  return cidr;
}

/** The network that a text names, host bits cleared, or `undefined`. */
export function networkFrom(text: string): Cidr | undefined {
  try {
    return networkOf(text);
  } catch {
    return undefined;
  }
}

function readBlockMask(findings: Findings, value: unknown, place: string, cidr: Cidr | undefined): number {
  const length = cidr === undefined ? 0 : rangeOf(cidr).length;
  if (value === undefined || value === null || value === 0) {
    return Math.max(DEFAULT_BLOCK_MASK, length);
  }
  if (typeof value !== "number" || !Number.isInteger(value)) {
    refuse(findings, place, `expected a whole number, found ${kindOf(value)}`);
  } else if (value < length || value > 32) {
    const lowest = cidr === undefined ? "the network's own length" : `${length} (the length of ${cidr})`;
    refuse(findings, place, `a block_mask of ${value} is not possible: it must be ${lowest} to 32`);
  } else {
    return value;
  }
  return Math.max(DEFAULT_BLOCK_MASK, length);
}

function readTenants(findings: Findings, value: unknown, place: string): readonly string[] {
  const tenants = new Set<string>();
  const list = readList(findings, value, place);
  if (list.length === 1 && list[0] === "*") {
    return [];
  }
  for (const [index, item] of list.entries()) {
    const at = `${place}[${index}]`;
    if (typeof item !== "string") {
      refuse(findings, at, `expected a text, found ${kindOf(item)}`);
    } else if (item === "*") {
      refuse(
        findings,
        at,
        '"*" means any tenant and stands alone: leave the other tenants out, or leave it out',
      );
    } else if (!/^[a-zA-Z0-9_-]*$/.test(item)) {
      refuse(findings, at, `tenant "${item}" may hold letters, digits, "_" and "-" only`);
    } else if (tenants.has(item)) {
      warn(findings, at, `tenant "${item}" is listed twice`);
    } else {
      tenants.add(item);
    }
  }
  return [...tenants];
}
