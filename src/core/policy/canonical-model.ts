import { compareCidr, containsCidr, type Cidr } from "../net/cidr.ts";
import type {
  Allowance,
  NamespaceSet,
  PolicyModel,
  PolicyPeer,
  PolicySource,
  PolicyTarget,
  PortMatch,
  PortProtocol,
  Requirement,
  Selector,
  Traffic,
} from "./model.ts";
import type { Direction } from "./policy.ts";

const DIRECTIONS: readonly Direction[] = ["ingress", "egress"];

/**
 * The same policy in the one form that all others of its meaning share as far as order and repetition go: keys in the order of their types, lists sorted and without doubles, ports of a protocol
 * merged, and without what something beside it covers (`any`, `all`, an ICMP type without a code). What allows nothing is left out.
 */
export function canonicalModel(model: PolicyModel): PolicyModel {
  const closes = (direction: Direction): boolean => model.isolates.includes(direction);
  return {
    id: model.id,
    source: canonicalSource(model.source),
    targets: sorted(model.targets.map(canonicalTarget)),
    isolates: DIRECTIONS.filter(closes),
    ingress: closes("ingress") ? canonicalAllowances(model.ingress) : [],
    egress: closes("egress") ? canonicalAllowances(model.egress) : [],
  };
}

/** Sorted by key, then operator, then values; without doubles. */
export function canonicalSelector(selector: Selector): Selector {
  return sorted(
    selector.map((requirement): Requirement => {
      const { key, operator } = requirement;
      return operator === "in" || operator === "not-in"
        ? { key, operator, values: [...new Set(requirement.values)].toSorted(compareText) }
        : { key, operator };
    }),
  );
}

function canonicalSource(source: PolicySource): PolicySource {
  switch (source.kind) {
    case "romana":
      return {
        kind: source.kind,
        id: source.id,
        ...(source.name === undefined ? {} : { name: source.name }),
      };
    case "network-policy":
      return { kind: source.kind, namespace: source.namespace, name: source.name, uid: source.uid };
    case "isolation":
      return { kind: source.kind, namespace: source.namespace, uid: source.uid };
  }
}

function canonicalTarget(target: PolicyTarget): PolicyTarget {
  switch (target.kind) {
    case "pods":
    case "tenant":
      return canonicalSet(target);
    case "cidr":
      return { kind: target.kind, cidr: target.cidr };
    case "host":
      return { kind: target.kind };
  }
}

function canonicalPeer(peer: PolicyPeer): PolicyPeer {
  switch (peer.kind) {
    case "pods":
    case "tenant":
      return canonicalSet(peer);
    case "cidr":
      return { kind: peer.kind, cidr: peer.cidr, except: canonicalCidrs(peer.except) };
    case "any":
    case "local":
      return { kind: peer.kind };
  }
}

type EndpointSet = Extract<PolicyPeer, { readonly kind: "pods" | "tenant" }>;

function canonicalSet(set: EndpointSet): EndpointSet {
  if (set.kind === "pods") {
    return {
      kind: set.kind,
      namespaces: canonicalNamespaces(set.namespaces),
      pods: canonicalSelector(set.pods),
    };
  }
  const { kind, tenant, segment } = set;
  return { kind, tenant, ...(segment === undefined ? {} : { segment }) };
}

function canonicalNamespaces(namespaces: NamespaceSet): NamespaceSet {
  return namespaces.kind === "named"
    ? { kind: namespaces.kind, name: namespaces.name }
    : { kind: namespaces.kind, selector: canonicalSelector(namespaces.selector) };
}

function canonicalAllowances(allowances: readonly Allowance[]): readonly Allowance[] {
  return sorted(
    allowances
      .map(({ peers, traffic }) => ({ peers: canonicalPeers(peers), traffic: canonicalTraffic(traffic) }))
      .filter(({ peers, traffic }) => peers.length > 0 && traffic.length > 0),
  );
}

function canonicalPeers(peers: readonly PolicyPeer[]): readonly PolicyPeer[] {
  return peers.some(({ kind }) => kind === "any") ? [{ kind: "any" }] : sorted(peers.map(canonicalPeer));
}

/** Sorted by address; what lies in another one is left out. */
function canonicalCidrs(cidrs: readonly Cidr[]): readonly Cidr[] {
  const kept: Cidr[] = [];
  for (const cidr of cidrs.toSorted(compareCidr)) {
    const last = kept.at(-1);
    if (last === undefined || !containsCidr(last, cidr)) {
      kept.push(cidr);
    }
  }
  return kept;
}

function canonicalTraffic(traffic: readonly Traffic[]): readonly Traffic[] {
  if (traffic.some(({ protocol }) => protocol === "any")) {
    return [{ protocol: "any" }];
  }
  return [
    ...canonicalIcmp(traffic),
    ...portTraffic("sctp", traffic),
    ...portTraffic("tcp", traffic),
    ...portTraffic("udp", traffic),
  ];
}

function canonicalIcmp(traffic: readonly Traffic[]): readonly Traffic[] {
  const icmp = traffic.filter((item) => item.protocol === "icmp");
  if (icmp.some(({ type }) => type === undefined)) {
    return [{ protocol: "icmp" }];
  }
  const whole = new Set(icmp.filter(({ code }) => code === undefined).map(({ type }) => type));
  const kept = icmp.filter(({ type, code }) => code === undefined || !whole.has(type));
  return unique(
    kept
      .toSorted((a, b) => (a.type ?? 0) - (b.type ?? 0) || (a.code ?? 0) - (b.code ?? 0))
      .map(({ protocol, type, code }) => ({
        protocol,
        ...(type === undefined ? {} : { type }),
        ...(code === undefined ? {} : { code }),
      })),
  );
}

function portTraffic(protocol: PortProtocol, traffic: readonly Traffic[]): readonly Traffic[] {
  const matches: PortMatch[] = [];
  for (const item of traffic) {
    if (item.protocol !== protocol) {
      continue;
    }
    if (item.ports === "all") {
      return [{ protocol, ports: "all" }];
    }
    matches.push(...item.ports);
  }
  return matches.length === 0 ? [] : [{ protocol, ports: canonicalPorts(matches) }];
}

/** Numbers and ranges by number, those that touch or overlap merged; then names. */
function canonicalPorts(matches: readonly PortMatch[]): readonly PortMatch[] {
  const names = matches.filter((match) => typeof match === "string");
  const ranges = matches
    .filter((match) => typeof match !== "string")
    .map((match): readonly [number, number] => (typeof match === "number" ? [match, match] : match))
    .toSorted(([a], [b]) => a - b);
  const merged: (readonly [number, number])[] = [];
  for (const [low, high] of ranges) {
    const last = merged.at(-1);
    if (last !== undefined && low <= last[1] + 1) {
      merged[merged.length - 1] = [last[0], Math.max(last[1], high)];
    } else {
      merged.push([low, high]);
    }
  }
  return [
    ...merged.map((range): PortMatch => (range[0] === range[1] ? range[0] : range)),
    ...[...new Set(names)].toSorted(compareText),
  ];
}

/** By their JSON text, without doubles. */
function sorted<T>(items: readonly T[]): readonly T[] {
  if (items.length < 2) {
    return items;
  }
  const byText = new Map(items.map((item) => [JSON.stringify(item), item]));
  return [...byText].toSorted(([a], [b]) => compareText(a, b)).map(([, item]) => item);
}

function unique<T>(items: readonly T[]): readonly T[] {
  return [...new Map(items.map((item) => [JSON.stringify(item), item])).values()];
}

/** By UTF-16 code units: the same everywhere. */
function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
