import {
  keyPlace,
  kindOf,
  readFlag,
  readList,
  readText,
  refuse,
  warn,
  type Findings,
  type JsonObject,
} from "../topology/document-reader.ts";
import { policyLimits, type PolicyRule, type Protocol } from "./policy.ts";
import { readExactly } from "./read-endpoint.ts";

const RULE_KEYS = ["protocol", "ports", "port_ranges", "icmp_type", "icmp_code", "is_stateful"];

const PROTOCOLS: readonly Protocol[] = ["tcp", "udp", "icmp", "any"];

const MAX_PORT = 65_535;
const MAX_ICMP_TYPE = 255;

/** Highest code of an ICMP type; 0 for all others (RFC 792, and RFC 1812 section 5.2.7.1 for the types' later codes). */
const MAX_ICMP_CODE: ReadonlyMap<number, number> = new Map([
  [3, 15],
  [5, 3],
  [11, 1],
]);

/** A list of at most `policyLimits.items` elements; the rest is not read, with a problem. */
export function readItems(findings: Findings, value: unknown, place: string): readonly unknown[] {
  const list = readList(findings, value, place);
  if (list.length > policyLimits.items) {
    refuse(findings, place, `${list.length} elements, at most ${policyLimits.items} are taken`);
  }
  return list.slice(0, policyLimits.items);
}

/** One element of `rules`; `undefined`, with problems, when it cannot be kept as it is. */
export function readRule(findings: Findings, value: unknown, place: string): PolicyRule | undefined {
  const before = findings.problems.length;
  const object = readExactly(findings, value, place, RULE_KEYS);
  if (object === undefined) {
    return undefined;
  }
  const protocol = readProtocol(findings, object["protocol"], keyPlace(place, "protocol"));
  const ports = readPorts(findings, object["ports"], keyPlace(place, "ports"));
  const ranges = readRanges(findings, object["port_ranges"], keyPlace(place, "port_ranges"));
  if ((protocol === "any" || protocol === "icmp") && ports.length + ranges.length > 0) {
    refuse(
      findings,
      place,
      `protocol "${protocol}" has no ports: name them under "tcp" or "udp", or leave them out`,
    );
  }
  const icmp = readIcmp(findings, object, place, protocol);
  const stateful = readFlag(findings, object["is_stateful"], keyPlace(place, "is_stateful"));
  if (protocol === undefined || findings.problems.length > before) {
    return undefined;
  }
  return {
    protocol,
    ...(ports.length === 0 ? {} : { ports }),
    ...(ranges.length === 0 ? {} : { port_ranges: ranges }),
    ...icmp,
    ...(stateful ? { is_stateful: true } : {}),
  };
}

function readProtocol(findings: Findings, value: unknown, place: string): Protocol | undefined {
  const text = readText(findings, value, place).toLowerCase();
  const protocol = PROTOCOLS.find((known) => known === text);
  if (protocol === undefined && (text !== "" || value === undefined || value === null || value === "")) {
    refuse(findings, place, `expected one of ${PROTOCOLS.join(", ")}, found ${kindOf(value)}`);
  }
  return protocol;
}

function readPorts(findings: Findings, value: unknown, place: string): readonly number[] {
  return readItems(findings, value, place).flatMap((item, index) => {
    const port = readWhole(findings, item, `${place}[${index}]`, MAX_PORT);
    if (port === 0) {
      warn(findings, `${place}[${index}]`, "nothing is sent to port 0: it allows no traffic");
    }
    return port ?? [];
  });
}

function readRanges(
  findings: Findings,
  value: unknown,
  place: string,
): readonly (readonly [number, number])[] {
  return readItems(findings, value, place).flatMap((item, index) => {
    const at = `${place}[${index}]`;
    if (!Array.isArray(item) || item.length !== 2) {
      refuse(findings, at, `expected [lowest, highest], found ${kindOf(item)}`);
      return [];
    }
    const [low, high] = [0, 1].map((end) => readWhole(findings, item[end], `${at}[${end}]`, MAX_PORT));
    if (low === undefined || high === undefined) {
      return [];
    }
    if (low > high) {
      refuse(findings, at, `${low} to ${high} is empty: give the lower port first`);
      return [];
    }
    return [[low, high] as const];
  });
}

/** Type and code. Beside another protocol than ICMP a 0 is absence: some programs write every field. */
function readIcmp(
  findings: Findings,
  object: JsonObject,
  place: string,
  protocol: Protocol | undefined,
): Pick<PolicyRule, "icmp_type" | "icmp_code"> {
  const at = (key: string): number | undefined => {
    const value = object[key];
    return value === undefined || value === null
      ? undefined
      : readWhole(findings, value, keyPlace(place, key), MAX_ICMP_TYPE);
  };
  const type = at("icmp_type");
  const code = at("icmp_code");
  if (protocol !== "icmp") {
    if (protocol !== undefined && ((type ?? 0) > 0 || (code ?? 0) > 0)) {
      refuse(findings, place, `"icmp_type" and "icmp_code" go with protocol "icmp", not with "${protocol}"`);
    }
    return {};
  }
  if (type === undefined) {
    if (code !== undefined) {
      refuse(
        findings,
        keyPlace(place, "icmp_code"),
        'a code means something only with its "icmp_type": add it',
      );
    }
    return {};
  }
  const most = MAX_ICMP_CODE.get(type) ?? 0;
  if (code !== undefined && code > most) {
    refuse(
      findings,
      keyPlace(place, "icmp_code"),
      `ICMP type ${type} has codes up to ${most}, found ${code}`,
    );
  }
  return { icmp_type: type, ...(code === undefined ? {} : { icmp_code: code }) };
}

function readWhole(findings: Findings, value: unknown, place: string, most: number): number | undefined {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most) {
    // Not -0, which JSON can say and which is written as 0.
    return value + 0;
  }
  refuse(findings, place, `expected a whole number from 0 to ${most}, found ${kindOf(value)}`);
  return undefined;
}
