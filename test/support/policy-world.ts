import type {
  ClusterNetworkPolicy,
  LabelSelector,
  NetworkPolicyRule,
} from "../../src/core/cluster/objects.ts";
import { containsAddress } from "../../src/core/net/cidr.ts";
import { parseIpv4 } from "../../src/core/net/ipv4.ts";
import type {
  Allowance,
  PodSet,
  PolicyModel,
  PolicyPeer,
  PortMatch,
  Traffic,
} from "../../src/core/policy/model.ts";
import type { Direction } from "../../src/core/policy/policy.ts";
import { matchesLabels } from "../../src/core/policy/selectors.ts";

// A small world in which policies are tried out, twice: by their model, and by what is written in a NetworkPolicy, each with code of its own.

/** Somebody with an address: a pod when it has a namespace. */
export interface Party {
  readonly ip: string;
  readonly namespace?: string;
  readonly namespaceLabels?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly namedPorts?: readonly {
    readonly name: string;
    readonly port: number;
    readonly protocol: string;
  }[];
}

/** A packet's protocol (`TCP`, `UDP`, `SCTP`, `ICMP`) and destination port. */
export interface Packet {
  readonly protocol: string;
  readonly port: number;
}

/** A NetworkPolicy "p" with UID "u" of namespace "shop", for all its Pods. */
export function networkPolicy(fields: Partial<ClusterNetworkPolicy> = {}): ClusterNetworkPolicy {
  return {
    uid: "u",
    namespace: "shop",
    name: "p",
    resourceVersion: "1",
    deleting: false,
    podSelector: selector(),
    policyTypes: [],
    ingress: [],
    egress: [],
    hasEgress: false,
    unreadable: "",
    ...fields,
  };
}

export function selector(
  matchLabels: LabelSelector["matchLabels"] = {},
  matchExpressions: LabelSelector["matchExpressions"] = [],
): LabelSelector {
  return { matchLabels, matchExpressions };
}

/** Whether a model closes a party in a direction. */
export function modelCloses(model: PolicyModel, direction: Direction, party: Party): boolean {
  return model.isolates.includes(direction) && model.targets.some((target) => isIn(target, party));
}

/** Whether what a model allows in a direction covers a packet between one of its targets and the other side. */
export function modelAllows(
  model: PolicyModel,
  direction: Direction,
  { own, other, packet }: { readonly own: Party; readonly other: Party; readonly packet: Packet },
): boolean {
  const receiver = direction === "ingress" ? own : other;
  const fits = ({ peers, traffic }: Allowance): boolean =>
    peers.some((peer) => isIn(peer, other)) && traffic.some((item) => carries(item, packet, receiver));
  return modelCloses(model, direction, own) && model[direction].some(fits);
}

function isIn(set: PolicyPeer | PolicyModel["targets"][number], party: Party): boolean {
  switch (set.kind) {
    case "any":
      return true;
    case "local":
    case "host":
      return false;
    case "cidr":
      return (
        containsAddress(set.cidr, parseIpv4(party.ip)) &&
        !("except" in set && set.except.some((cidr) => containsAddress(cidr, parseIpv4(party.ip))))
      );
    case "tenant":
      return (
        party.namespace === set.tenant &&
        (set.segment === undefined || (party.labels?.["romana.io/segment"] ?? "default") === set.segment)
      );
    case "pods":
      return isPodIn(set, party);
  }
}

function isPodIn(
  { namespaces, pods }: PodSet,
  { namespace, namespaceLabels = {}, labels = {} }: Party,
): boolean {
  return (
    namespace !== undefined &&
    (namespaces.kind === "named"
      ? namespaces.name === namespace
      : matchesLabels(namespaces.selector, namespaceLabels)) &&
    matchesLabels(pods, labels)
  );
}

function carries(traffic: Traffic, { protocol, port }: Packet, receiver: Party): boolean {
  if (traffic.protocol === "any") {
    return true;
  }
  if (traffic.protocol !== protocol.toLowerCase() || traffic.protocol === "icmp") {
    return traffic.protocol === protocol.toLowerCase();
  }
  const matches = (match: PortMatch): boolean => {
    if (typeof match === "string") {
      return (receiver.namedPorts ?? []).some(
        (named) => named.name === match && named.port === port && named.protocol === protocol,
      );
    }
    const [low, high] = typeof match === "number" ? [match, match] : match;
    return low <= port && port <= high;
  };
  return traffic.ports === "all" || traffic.ports.some(matches);
}

/** Whether a NetworkPolicy selects a party and closes the direction, read from the manifest; for policies without anything that cannot be expressed. */
export function writtenCloses(policy: ClusterNetworkPolicy, direction: Direction, party: Party): boolean {
  const types =
    policy.policyTypes.length > 0
      ? policy.policyTypes
      : policy.hasEgress
        ? ["Ingress", "Egress"]
        : ["Ingress"];
  return (
    types.includes(direction === "ingress" ? "Ingress" : "Egress") &&
    party.namespace === policy.namespace &&
    writtenSelects(policy.podSelector, party.labels ?? {})
  );
}

/** The same for what it allows. */
export function writtenAllows(
  policy: ClusterNetworkPolicy,
  direction: Direction,
  { own, other, packet }: { readonly own: Party; readonly other: Party; readonly packet: Packet },
): boolean {
  const receiver = direction === "ingress" ? own : other;
  const allowed = ({ peers, ports }: NetworkPolicyRule): boolean => {
    const peerFits =
      peers.length === 0 ||
      peers.some(({ podSelector, namespaceSelector, ipBlock }) => {
        if (ipBlock !== undefined) {
          const holds = (cidr: string): boolean => inCidr(other.ip, cidr);
          return holds(ipBlock.cidr) && !ipBlock.except.some(holds);
        }
        const namespaceFits =
          namespaceSelector === undefined
            ? other.namespace === policy.namespace
            : other.namespace !== undefined && writtenSelects(namespaceSelector, other.namespaceLabels ?? {});
        return (
          namespaceFits && (podSelector === undefined || writtenSelects(podSelector, other.labels ?? {}))
        );
      });
    const portFits =
      ports.length === 0 ||
      ports.some(({ protocol, port, endPort }) => {
        if (protocol !== packet.protocol) {
          return false;
        }
        if (typeof port === "string") {
          const named = receiver.namedPorts?.find((item) => item.name === port && item.protocol === protocol);
          return named?.port === packet.port;
        }
        return port === undefined || (port <= packet.port && packet.port <= (endPort ?? port));
      });
    return peerFits && portFits;
  };
  return writtenCloses(policy, direction, own) && policy[direction].some(allowed);
}

/** As the API's reference words it: `In`: the label's value is one of these; `NotIn`: it is none of these; and both results are ANDed. */
export function writtenSelects(
  { matchLabels, matchExpressions }: LabelSelector,
  labels: Readonly<Record<string, string>>,
): boolean {
  const known = new Map(Object.entries(labels));
  for (const [key, value] of Object.entries(matchLabels)) {
    if (!known.has(key) || known.get(key) !== value) {
      return false;
    }
  }
  for (const { key, operator, values } of matchExpressions) {
    const isListed = known.has(key) && values.indexOf(known.get(key) ?? "") >= 0;
    const holds: Readonly<Record<string, boolean>> = {
      In: isListed,
      NotIn: !isListed,
      Exists: known.has(key),
      DoesNotExist: !known.has(key),
    };
    if (holds[operator] !== true) {
      return false;
    }
  }
  return true;
}

function inCidr(ip: string, cidr: string): boolean {
  const [network = "", length = "32"] = cidr.split("/");
  const bits = (text: string): string =>
    text
      .split(".")
      .map((octet) => Number(octet).toString(2).padStart(8, "0"))
      .join("");
  return bits(ip).slice(0, Number(length)) === bits(network).slice(0, Number(length));
}
