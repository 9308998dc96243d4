import type {
  Allowance,
  PolicyModel,
  PolicyPeer,
  PolicySource,
  PolicyTarget,
  PortMatch,
  Selector,
  Traffic,
} from "../core/policy/model.ts";

/** Where a model comes from: `policy web`, `networkpolicy shop/allow-web`, `namespace shop`. */
export function sourceText(source: PolicySource): string {
  switch (source.kind) {
    case "romana":
      return `policy ${source.id}`;
    case "network-policy":
      return `networkpolicy ${source.namespace}/${source.name}`;
    case "isolation":
      return `namespace ${source.namespace}`;
  }
}

/** Somebody as a person says it: `pods app=web of shop`, `10.0.0.0/8 but 10.1.0.0/16`, `tenant shop, segment web`. */
export function partyText(party: PolicyPeer | PolicyTarget): string {
  switch (party.kind) {
    case "any":
      return "anybody";
    case "local":
      return "its own endpoints";
    case "host":
      return "the hosts";
    case "cidr": {
      const except = "except" in party ? party.except : [];
      return except.length === 0 ? party.cidr : `${party.cidr} but ${except.join(", ")}`;
    }
    case "tenant":
      return party.segment === undefined
        ? `tenant ${party.tenant}`
        : `tenant ${party.tenant}, segment ${party.segment}`;
    case "pods": {
      const { namespaces, pods } = party;
      const who = pods.length === 0 ? "all pods" : `pods ${selectorText(pods)}`;
      if (namespaces.kind === "named") {
        return `${who} of ${namespaces.name}`;
      }
      return namespaces.selector.length === 0
        ? `${who} of all namespaces`
        : `${who} of namespaces ${selectorText(namespaces.selector)}`;
    }
  }
}

/** A selector as `kubectl -l` takes it: `app=web,tier in (a,b),!old`. */
function selectorText(selector: Selector): string {
  return selector
    .map((requirement) => {
      switch (requirement.operator) {
        case "in":
          return requirement.values.length === 1
            ? `${requirement.key}=${requirement.values.join("")}`
            : `${requirement.key} in (${requirement.values.join(",")})`;
        case "not-in":
          return `${requirement.key} notin (${requirement.values.join(",")})`;
        case "exists":
          return requirement.key;
        case "not-exists":
          return `!${requirement.key}`;
      }
    })
    .join(",");
}

/** What a model allows, `nothing` included: `from anybody: tcp 80`. */
export function allowedText({ ingress, egress }: Pick<PolicyModel, "ingress" | "egress">): string {
  const lines = [
    ...ingress.map((allowance) => `from ${allowanceText(allowance)}`),
    ...egress.map((allowance) => `to ${allowanceText(allowance)}`),
  ];
  return lines.length === 0 ? "nothing" : lines.join("; ");
}

function allowanceText({ peers, traffic }: Allowance): string {
  return `${peers.map(partyText).join(" or ")}: ${traffic.map(trafficText).join(" or ")}`;
}

function trafficText(traffic: Traffic): string {
  switch (traffic.protocol) {
    case "any":
      return "everything";
    case "icmp": {
      const { type, code } = traffic;
      return `icmp${type === undefined ? "" : ` type ${type}`}${code === undefined ? "" : ` code ${code}`}`;
    }
    case "sctp":
    case "tcp":
    case "udp":
      return traffic.ports === "all"
        ? traffic.protocol
        : `${traffic.protocol} ${traffic.ports.map(portText).join(",")}`;
  }
}

function portText(port: PortMatch): string {
  return typeof port === "object" ? port.join("-") : String(port);
}
