import { NetworkError } from "../errors.ts";
import { networkOf, type Cidr } from "../net/cidr.ts";
import {
  isAbsent,
  keyPlace,
  kindOf,
  readObject,
  readText,
  refuse,
  suggestion,
  type Findings,
  type JsonObject,
} from "../topology/document-reader.ts";
import { policyLimits, type Direction, type PolicyEndpoint } from "./policy.ts";

const ENDPOINT_KEYS = ["peer", "cidr", "dest", "tenant_id", "segment_id", "tenant", "segment"];

/** What an endpoint names. */
type EndpointKind = "any" | "local" | "host" | "cidr" | "tenant" | "tenant and segment";

/** An endpoint that was read, with where it stood. */
export interface PlacedEndpoint {
  readonly place: string;
  readonly endpoint: PolicyEndpoint;
}

/**
 * Which peers a target may have, in which directions:
 *
 *     target                            peer                                   direction
 *     tenant, tenant and segment, cidr  any, cidr, tenant, tenant and segment  both
 *     host                              tenant, tenant and segment, local      ingress
 */
const COMBINATIONS: readonly {
  readonly targets: readonly EndpointKind[];
  readonly peers: readonly EndpointKind[];
  readonly directions: readonly Direction[];
}[] = [
  {
    targets: ["tenant", "tenant and segment", "cidr"],
    peers: ["any", "cidr", "tenant", "tenant and segment"],
    directions: ["ingress", "egress"],
  },
  { targets: ["host"], peers: ["tenant", "tenant and segment", "local"], directions: ["ingress"] },
];

/**
 * An object whose every key counts: an unknown one is a problem, for a condition that nobody reads would let more traffic pass than was written down.
 * What says nothing (`null`, "", 0, an empty list) may stand.
 */
export function readExactly(
  findings: Findings,
  value: unknown,
  place: string,
  knownKeys: readonly string[],
): JsonObject | undefined {
  const object = readObject({ problems: findings.problems, warnings: [] }, value, place, knownKeys);
  for (const [key, item] of Object.entries(object ?? {})) {
    if (!knownKeys.includes(key) && !isAbsent(item)) {
      refuse(
        findings,
        keyPlace(place, key),
        `unknown key "${key}": it would be left out of what is checked${suggestion(key, knownKeys)}`,
      );
    }
  }
  return object;
}

/** A text of at most `limit` characters; "" when absent. */
export function readName(findings: Findings, value: unknown, place: string, limit: number): string {
  const text = readText(findings, value, place);
  if (text.length > limit) {
    refuse(findings, place, `${text.length} characters, at most ${limit} are taken`);
  }
  return text;
}

/** One element of `applied_to` or `peers`; `undefined`, with a problem, unless it names exactly one thing. */
export function readEndpoint(findings: Findings, value: unknown, place: string): PlacedEndpoint | undefined {
  const problems = findings.problems.length;
  const object = readExactly(findings, value, place, ENDPOINT_KEYS);
  if (object === undefined) {
    return undefined;
  }
  const text = (key: string): string =>
    readName(findings, object[key], keyPlace(place, key), policyLimits.name);
  const peer = text("peer");
  const cidr = text("cidr");
  const dest = text("dest");
  const tenant = eitherOf(findings, place, "tenant", text);
  const segment = eitherOf(findings, place, "segment", text);
  const said = Object.entries({ peer, cidr, dest, tenant_id: tenant }).filter(([, item]) => item !== "");
  if (said.length > 1) {
    const names = said.map(([key]) => key).join(" and ");
    refuse(findings, place, `says ${names}: an endpoint names one thing, make one of each`);
  } else if (segment !== "" && tenant === "") {
    refuse(findings, place, `segment "${segment}" needs its tenant: add "tenant_id"`);
  } else if (said.length === 0 && findings.problems.length === problems) {
    refuse(findings, place, 'names nothing: give one of "tenant_id", "cidr", "peer", "dest"');
  }
  const endpoint: PolicyEndpoint = {
    ...(peer === "" ? {} : readPeer(findings, peer, keyPlace(place, "peer"))),
    ...(cidr === "" ? {} : readCidr(findings, cidr, keyPlace(place, "cidr"))),
    ...(dest === "" ? {} : readDest(findings, dest, keyPlace(place, "dest"))),
    ...(tenant === "" ? {} : { tenant_id: tenant }),
    ...(segment === "" ? {} : { segment_id: segment }),
  };
  return findings.problems.length === problems ? { place, endpoint } : undefined;
}

/** Adds a problem for each peer that no such target may have in this direction, and for each target that is none. */
export function checkCombinations(
  findings: Findings,
  direction: Direction,
  targets: readonly PlacedEndpoint[],
  peers: readonly PlacedEndpoint[],
): void {
  const fitting = targets.filter(({ place, endpoint }) => {
    const kind = endpointKind(endpoint);
    const rows = COMBINATIONS.filter((row) => row.targets.includes(kind));
    if (rows.length === 0) {
      refuse(
        findings,
        place,
        `"${kind}" is no target: a policy applies to a tenant, its segment, a cidr or the host`,
      );
    } else if (!rows.some((row) => row.directions.includes(direction))) {
      refuse(
        findings,
        place,
        `the host is no target of ${direction}: only what comes in to it can be governed`,
      );
      return false;
    }
    return rows.length > 0;
  });
  const kinds = new Set(fitting.map(({ endpoint }) => endpointKind(endpoint)));
  for (const { place, endpoint } of peers) {
    const peer = endpointKind(endpoint);
    for (const target of kinds) {
      const row = COMBINATIONS.find(({ targets: list }) => list.includes(target));
      if (row !== undefined && !row.peers.includes(peer)) {
        refuse(
          findings,
          place,
          `"${peer}" is no peer of a ${target}; such a target may have: ${row.peers.join(", ")}`,
        );
      }
    }
  }
}

function endpointKind({ peer, cidr, dest, segment_id: segment }: PolicyEndpoint): EndpointKind {
  if (peer !== undefined) {
    return peer;
  }
  if (cidr !== undefined) {
    return "cidr";
  }
  if (dest !== undefined) {
    return "host";
  }
  return segment === undefined ? "tenant" : "tenant and segment";
}

/** `tenant_id` of the later code's form or `tenant` of the manual's; both only if they say the same. */
function eitherOf(
  findings: Findings,
  place: string,
  key: "tenant" | "segment",
  text: (key: string) => string,
): string {
  const later = text(`${key}_id`);
  const manual = text(key);
  if (later !== "" && manual !== "" && later !== manual) {
    refuse(findings, place, `"${key}" is "${manual}" and "${key}_id" is "${later}": give one of them`);
  }
  return later === "" ? manual : later;
}

function readPeer(findings: Findings, peer: string, place: string): Pick<PolicyEndpoint, "peer"> {
  if (peer === "any" || peer === "local") {
    return { peer };
  }
  refuse(
    findings,
    place,
    peer === "host"
      ? 'a host always reaches its own endpoints, no policy is needed for that: leave the peer "host" out'
      : `expected "any" or "local", found ${kindOf(peer)}`,
  );
  return {};
}

function readDest(findings: Findings, dest: string, place: string): Pick<PolicyEndpoint, "dest"> {
  if (dest === "host") {
    return { dest };
  }
  refuse(
    findings,
    place,
    dest === "local"
      ? 'endpoints of "this host" are no target, for a policy is the same on every host: name their tenant'
      : `expected "host", found ${kindOf(dest)}`,
  );
  return {};
}

/** Host bits are cleared and one address is a network of its own, as packet filters read them. */
function readCidr(findings: Findings, text: string, place: string): { readonly cidr?: Cidr } {
  try {
    return { cidr: networkOf(text.includes("/") ? text : `${text}/32`) };
  } catch (error) {
    if (!(error instanceof NetworkError)) {
      throw error;
    }
    refuse(findings, place, error.message);
    return {};
  }
}
