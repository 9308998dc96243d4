import { z } from "zod";

import type {
  ClusterNetworkPolicy,
  ClusterObject,
  LabelSelector,
  NetworkPolicyPeer,
  NetworkPolicyPort,
  NetworkPolicyRule,
} from "../../core/cluster/objects.ts";
import { labels, shared } from "./parts.ts";
import type { Reading } from "./reading.ts";

// A policy is read strictly, unlike all else: what were left out of it could open a pod. Whatever is odd anywhere in its spec makes all of it unreadable.

/** Every one of them, or none. Go writes an empty list as `null`. */
function every<T>(item: z.ZodType<T>): z.ZodType<readonly T[]> {
  return z
    .array(item)
    .nullish()
    .transform((list) => list ?? []);
}

const strictLabels = z
  .record(z.string(), z.string())
  .nullish()
  .transform((read) => labels.parse(read));

const Selector: z.ZodType<LabelSelector> = z.object({
  matchLabels: strictLabels,
  matchExpressions: every(
    z.object({
      key: z.string().transform(shared),
      operator: z.string().transform(shared),
      values: every(z.string().transform(shared)),
    }),
  ),
});

const Peer = z
  .object({
    podSelector: Selector.nullish(),
    namespaceSelector: Selector.nullish(),
    ipBlock: z.object({ cidr: z.string(), except: every(z.string()) }).nullish(),
  })
  .transform(({ podSelector, namespaceSelector, ipBlock }): NetworkPolicyPeer => ({
    ...(podSelector ? { podSelector } : {}),
    ...(namespaceSelector ? { namespaceSelector } : {}),
    ...(ipBlock ? { ipBlock } : {}),
  }));

const Port = z
  .object({
    protocol: z.string().transform(shared).nullish(),
    port: z.union([z.number().int(), z.string()]).nullish(),
    endPort: z.number().int().nullish(),
  })
  .transform(({ protocol, port, endPort }): NetworkPolicyPort => ({
    protocol: protocol ?? "TCP",
    ...(port === null || port === undefined ? {} : { port }),
    ...(endPort === null || endPort === undefined ? {} : { endPort }),
  }));

const rule = (peers: "from" | "to"): z.ZodType<NetworkPolicyRule> =>
  z.object({ [peers]: every(Peer), ports: every(Port) }).transform((read) => ({
    peers: read[peers] as readonly NetworkPolicyPeer[],
    ports: read["ports"] as readonly NetworkPolicyPort[],
  }));

const NetworkPolicy = z.object({
  spec: z.object({
    podSelector: Selector.nullish(),
    policyTypes: every(z.string().transform(shared)),
    ingress: every(rule("from")),
    egress: z.array(rule("to")).nullish(),
  }),
});

const EVERYTHING: LabelSelector = { matchLabels: {}, matchExpressions: [] };
const WithSelector = z.object({ spec: z.object({ podSelector: Selector }) });

/**
 * Reads a NetworkPolicy (networking.k8s.io/v1). One that cannot be read does not vanish: what was known of it stays in force, and of one that was
 * never read its pods (all of its namespace, when not even that can be read) are closed in both directions, until somebody mends it.
 */
export function readNetworkPolicy(
  raw: unknown,
  identity: ClusterObject,
  known: ClusterNetworkPolicy | undefined,
): Reading<ClusterNetworkPolicy> {
  const { success, data, error } = NetworkPolicy.safeParse(raw);
  if (!success) {
    const [issue] = error.issues;
    const problem = `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "odd"}`;
    return {
      ok: false,
      problem,
      object: known === undefined ? closed(raw, identity) : { ...known, ...identity },
    };
  }
  const { podSelector, policyTypes, ingress, egress } = data.spec;
  return {
    ok: true,
    object: {
      ...identity,
      podSelector: podSelector ?? EVERYTHING,
      policyTypes,
      ingress,
      egress: egress ?? [],
      hasEgress: egress !== null && egress !== undefined,
    },
  };
}

function closed(raw: unknown, identity: ClusterObject): ClusterNetworkPolicy {
  const selected = WithSelector.safeParse(raw);
  return {
    ...identity,
    podSelector: selected.data?.spec.podSelector ?? EVERYTHING,
    policyTypes: ["Ingress", "Egress"],
    ingress: [],
    egress: [],
    hasEgress: true,
  };
}
