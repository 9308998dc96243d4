import { canonicalModel } from "./canonical-model.ts";
import type { Allowance, PolicyModel, PolicyPeer, PolicyTarget, Traffic } from "./model.ts";
import type { Policy, PolicyEndpoint, PolicyEntry, PolicyRule } from "./policy.ts";

/** The id of the model of one of Romana's documents. The prefix keeps a document that somebody calls `kube.…` apart from the models of NetworkPolicies. */
export function romanaModelId(policyId: string): string {
  return `${PREFIX}${policyId}`;
}

/** The id of the document that a model comes from, by the model's id; `undefined` for what comes from elsewhere. */
export function romanaPolicyId(modelId: string): string | undefined {
  return modelId.startsWith(PREFIX) ? modelId.slice(PREFIX.length) : undefined;
}

const PREFIX = "romana.";

/**
 * The model of one of Romana's documents. There is nothing in a policy that was read (`readPolicies`) which it cannot say; the description and `is_stateful`, which mean nothing to
 * traffic, are left out. Throws `TypeError` for an endpoint that `readPolicies` would have refused.
 *
 *     document                        model
 *     direction                       isolates: that one alone
 *     applied_to                      targets
 *     ingress, whatever direction     allowances of that direction
 *     protocol tcp, udp without ports ports "all"
 */
export function translateRomanaPolicy(policy: Policy): PolicyModel {
  const { id, name, direction } = policy;
  const allowances = policy.ingress.map(allowanceOf);
  return canonicalModel({
    id: romanaModelId(id),
    source: { kind: "romana", id, ...(name === undefined ? {} : { name }) },
    targets: policy.applied_to.map(targetOf),
    isolates: [direction],
    ingress: direction === "ingress" ? allowances : [],
    egress: direction === "egress" ? allowances : [],
  });
}

function targetOf(endpoint: PolicyEndpoint): PolicyTarget {
  const { cidr, dest } = endpoint;
  if (dest !== undefined) {
    return { kind: dest };
  }
  return cidr === undefined ? tenantOf(endpoint) : { kind: "cidr", cidr };
}

function peerOf(endpoint: PolicyEndpoint): PolicyPeer {
  const { cidr, peer } = endpoint;
  if (peer !== undefined) {
    return { kind: peer };
  }
  return cidr === undefined ? tenantOf(endpoint) : { kind: "cidr", cidr, except: [] };
}

function tenantOf({ tenant_id: tenant, segment_id: segment }: PolicyEndpoint): PolicyTarget & PolicyPeer {
  if (tenant === undefined) {
    throw new TypeError("an endpoint of a policy names nothing");
  }
  return { kind: "tenant", tenant, ...(segment === undefined ? {} : { segment }) };
}

function allowanceOf({ peers, rules }: PolicyEntry): Allowance {
  return { peers: peers.map(peerOf), traffic: rules.map(trafficOf) };
}

function trafficOf({
  protocol,
  ports,
  port_ranges: ranges,
  icmp_type: type,
  icmp_code: code,
}: PolicyRule): Traffic {
  switch (protocol) {
    case "any":
      return { protocol };
    case "icmp":
      return {
        protocol,
        ...(type === undefined ? {} : { type }),
        ...(code === undefined ? {} : { code }),
      };
    case "tcp":
    case "udp":
      return {
        protocol,
        ports: ports === undefined && ranges === undefined ? "all" : [...(ports ?? []), ...(ranges ?? [])],
      };
  }
}
