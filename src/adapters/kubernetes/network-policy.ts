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

// A policy is read strictly, unlike all else: what were left out of it could open a pod. Whatever is odd anywhere in its spec, a field of a later API among it, makes all of it
// unreadable.

/** Every one of them, or none. Go writes an empty list as `null`. */
function every<T>(item: z.ZodType<T>): z.ZodType<readonly T[]> {
  return z
    .array(item)
    .nullish()
    .transform((list) => list ?? []);
}

const strictLabels = z
  .unknown()
  .optional()
  .refine(
    (raw) =>
      raw === null ||
      raw === undefined ||
      (typeof raw === "object" &&
        !Array.isArray(raw) &&
        // A requirement that no map can hold must not get lost (`parts.ts`).
        Object.entries(raw).every(([key, value]) => key !== "__proto__" && typeof value === "string")),
    "these are no labels",
  )
  .transform((raw) => labels.parse(raw));

const Selector: z.ZodType<LabelSelector> = z.strictObject({
  matchLabels: strictLabels,
  matchExpressions: every(
    z.strictObject({
      key: z.string().transform(shared),
      operator: z.string().transform(shared),
      values: every(z.string().transform(shared)),
    }),
  ),
});

const Peer = z
  .strictObject({
    podSelector: Selector.nullish(),
    namespaceSelector: Selector.nullish(),
    ipBlock: z.strictObject({ cidr: z.string(), except: every(z.string()) }).nullish(),
  })
  .transform(({ podSelector, namespaceSelector, ipBlock }): NetworkPolicyPeer => ({
    ...(podSelector ? { podSelector } : {}),
    ...(namespaceSelector ? { namespaceSelector } : {}),
    ...(ipBlock ? { ipBlock } : {}),
  }));

const Port = z
  .strictObject({
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
  z.strictObject({ [peers]: every(Peer), ports: every(Port) }).transform((read) => ({
    peers: read[peers] as readonly NetworkPolicyPeer[],
    ports: read["ports"] as readonly NetworkPolicyPort[],
  }));

const NetworkPolicy = z.object({
  spec: z.strictObject({
    podSelector: Selector.nullish(),
    policyTypes: every(z.string().transform(shared)),
    ingress: every(rule("from")),
    egress: z.array(rule("to")).nullish(),
  }),
});

/** An event's note has room for no more. */
const MAX_PROBLEM = 300;

const EVERYTHING: LabelSelector = { matchLabels: {}, matchExpressions: [] };
const WithSelector = z.object({ spec: z.object({ podSelector: Selector }) });

/**
 * Reads a NetworkPolicy (networking.k8s.io/v1). One that cannot be read does not vanish: its pods (all of its namespace, when not even that can be read) are closed in both
 * directions, and `unreadable` says why, until somebody mends it. What it said before does not count: a controller that starts later could not know it.
 */
export function readNetworkPolicy(raw: unknown, identity: ClusterObject): Reading<ClusterNetworkPolicy> {
  const { success, data, error } = NetworkPolicy.safeParse(raw);
  if (!success) {
    const [issue] = error.issues;
    const problem = `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "odd"}`.slice(0, MAX_PROBLEM);
    return { ok: false, problem, object: closed(raw, identity, problem) };
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
      unreadable: "",
    },
  };
}

function closed(raw: unknown, identity: ClusterObject, unreadable: string): ClusterNetworkPolicy {
  const selected = WithSelector.safeParse(raw);
  return {
    ...identity,
    podSelector: selected.data?.spec.podSelector ?? EVERYTHING,
    policyTypes: ["Ingress", "Egress"],
    ingress: [],
    egress: [],
    hasEgress: true,
    unreadable,
  };
}
