import { parseCidr } from "../net/cidr.ts";
import { isObject, kindOf, type JsonObject } from "../topology/document-reader.ts";
import { canonicalModel } from "./canonical-model.ts";
import type {
  Allowance,
  NamespaceSet,
  PodSet,
  PolicyModel,
  PolicyPeer,
  PolicySource,
  PolicyTarget,
  PortMatch,
  Requirement,
  Selector,
  TenantSet,
  Traffic,
} from "./model.ts";
import type { Direction } from "./policy.ts";

const MAX_PORT = 65_535;

/** Reads a model out of parsed JSON, as it is stored and streamed, and checks every field. Throws `TypeError` with the place and `NetworkError` `CIDR_INVALID`: a model that is not understood whole is none. */
export function readModel(value: unknown): PolicyModel {
  const model = object(value, "the model");
  return canonicalModel({
    id: text(model, "id"),
    source: readSource(object(model["source"], "source")),
    targets: list(model, "targets").map(readTarget),
    isolates: list(model, "isolates").map(readDirection),
    ingress: list(model, "ingress").map(readAllowance),
    egress: list(model, "egress").map(readAllowance),
  });
}

function readSource(source: JsonObject): PolicySource {
  const { kind } = source;
  switch (kind) {
    case "romana":
      return {
        kind,
        id: text(source, "id"),
        ...(source["name"] === undefined ? {} : { name: text(source, "name") }),
      };
    case "network-policy":
      return {
        kind,
        namespace: text(source, "namespace"),
        name: text(source, "name"),
        uid: text(source, "uid"),
      };
    case "isolation":
      return { kind, namespace: text(source, "namespace"), uid: text(source, "uid") };
    default:
      return wrong("source.kind", kind);
  }
}

function readTarget(value: unknown): PolicyTarget {
  const target = object(value, "a target");
  const { kind } = target;
  switch (kind) {
    case "pods":
      return readPods(target);
    case "tenant":
      return readTenant(target);
    case "cidr":
      return { kind, cidr: parseCidr(text(target, "cidr")) };
    case "host":
      return { kind };
    default:
      return wrong("kind of a target", kind);
  }
}

function readPeer(value: unknown): PolicyPeer {
  const peer = object(value, "a peer");
  const { kind } = peer;
  switch (kind) {
    case "pods":
      return readPods(peer);
    case "tenant":
      return readTenant(peer);
    case "cidr":
      return {
        kind,
        cidr: parseCidr(text(peer, "cidr")),
        except: list(peer, "except").map((item) => parseCidr(asText(item, "except"))),
      };
    case "any":
    case "local":
      return { kind };
    default:
      return wrong("kind of a peer", kind);
  }
}

function readPods(set: JsonObject): PodSet {
  return {
    kind: "pods",
    namespaces: readNamespaces(object(set["namespaces"], "namespaces")),
    pods: readRequirements(set, "pods"),
  };
}

function readTenant(set: JsonObject): TenantSet {
  const segment = set["segment"];
  return {
    kind: "tenant",
    tenant: text(set, "tenant"),
    ...(segment === undefined ? {} : { segment: asText(segment, "segment") }),
  };
}

function readNamespaces(set: JsonObject): NamespaceSet {
  const { kind } = set;
  switch (kind) {
    case "named":
      return { kind, name: text(set, "name") };
    case "labelled":
      return { kind, selector: readRequirements(set, "selector") };
    default:
      return wrong("kind of namespaces", kind);
  }
}

function readRequirements(of: JsonObject, field: string): Selector {
  return list(of, field).map((value): Requirement => {
    const requirement = object(value, "a requirement");
    const key = text(requirement, "key");
    const { operator } = requirement;
    switch (operator) {
      case "in":
      case "not-in":
        return {
          key,
          operator,
          values: list(requirement, "values").map((item) => asText(item, "values")),
        };
      case "exists":
      case "not-exists":
        return { key, operator };
      default:
        return wrong("operator", operator);
    }
  });
}

function readAllowance(value: unknown): Allowance {
  const allowance = object(value, "an allowance");
  return {
    peers: list(allowance, "peers").map(readPeer),
    traffic: list(allowance, "traffic").map(readTraffic),
  };
}

function readTraffic(value: unknown): Traffic {
  const traffic = object(value, "traffic");
  const { protocol, type, code } = traffic;
  switch (protocol) {
    case "any":
      return { protocol };
    case "icmp":
      return readIcmp(type, code);
    case "sctp":
    case "tcp":
    case "udp":
      return { protocol, ports: traffic["ports"] === "all" ? "all" : list(traffic, "ports").map(readPort) };
    default:
      return wrong("protocol", protocol);
  }
}

/** A code without its type would be read as every ICMP. */
function readIcmp(type: unknown, code: unknown): Traffic {
  if (type === undefined) {
    return code === undefined ? { protocol: "icmp" } : wrong("code without type", code);
  }
  return {
    protocol: "icmp",
    type: whole(type, 255, "type"),
    ...(code === undefined ? {} : { code: whole(code, 255, "code") }),
  };
}

function readPort(value: unknown): PortMatch {
  if (typeof value === "string") {
    return value;
  }
  if (!Array.isArray(value)) {
    return whole(value, MAX_PORT, "ports");
  }
  const [low, high] = [0, 1].map((index) => whole(value[index], MAX_PORT, "ports"));
  return low !== undefined && high !== undefined && low <= high && value.length === 2
    ? [low, high]
    : wrong("ports", value);
}

function readDirection(value: unknown): Direction {
  return value === "ingress" || value === "egress" ? value : wrong("isolates", value);
}

function object(value: unknown, what: string): JsonObject {
  return isObject(value) ? value : wrong(what, value);
}

function list(of: JsonObject, field: string): readonly unknown[] {
  const value = of[field];
  return Array.isArray(value) ? value : wrong(field, value);
}

function text(of: JsonObject, field: string): string {
  return asText(of[field], field);
}

function asText(value: unknown, field: string): string {
  return typeof value === "string" ? value : wrong(field, value);
}

function whole(value: unknown, most: number, field: string): number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most
    ? value
    : wrong(field, value);
}

function wrong(what: string, value: unknown): never {
  throw new TypeError(`not a policy model: ${what}: ${kindOf(value)} is not expected there`);
}
