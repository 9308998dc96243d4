import type { Cidr } from "../net/cidr.ts";
import type { Direction } from "./policy.ts";

/**
 * What every policy comes to, whoever wrote it: Romana's own documents, the NetworkPolicies of Kubernetes and isolated namespaces (`docs/policies.md`). It is plain JSON: kept in the store,
 * streamed by `GET /watch/policies`, compiled for each node. `canonicalModel` brings it into the one form in which the same policy is the same text.
 *
 *     model       = targets, the directions that it closes for them, and what it allows in each
 *     targets     = target OR target OR …
 *     ingress     = allowance OR allowance OR …              (egress likewise)
 *     allowance   = (peer OR peer …) AND (traffic OR traffic …)
 *     peer (pods) = namespaces AND pods                      a selector = requirement AND requirement …; none: everything
 *
 * An endpoint is closed in a direction when a model targets it and closes that direction; then it may do there what the models which target it allow together. An empty list of
 * targets, allowances, peers, traffic or ports is nobody, or nothing: only `any`, `all` and a selector without requirements are everybody or everything.
 */
export interface PolicyModel {
  /** Unique among all models: `romana.<id>`, `kube.<namespace>.<name>.<uid>`, `isolation.<namespace>.<uid>`. */
  readonly id: string;
  readonly source: PolicySource;
  readonly targets: readonly PolicyTarget[];
  /** What it closes for its targets, ingress before egress. */
  readonly isolates: readonly Direction[];
  /** What may come in. Empty unless it closes ingress. */
  readonly ingress: readonly Allowance[];
  /** What may go out. Empty unless it closes egress. */
  readonly egress: readonly Allowance[];
}

/** Where a model comes from. */
export type PolicySource =
  | { readonly kind: "romana"; readonly id: string; readonly name?: string }
  | {
      readonly kind: "network-policy";
      readonly namespace: string;
      readonly name: string;
      readonly uid: string;
    }
  | { readonly kind: "isolation"; readonly namespace: string; readonly uid: string };

/** Whom a policy is for. `cidr`: endpoints with an address in it; `host`: the hosts, against what endpoints send to them. */
export type PolicyTarget = PodSet | TenantSet | CidrTarget | { readonly kind: "host" };

/** With whom traffic is allowed. `any`: whoever it is; `local`: endpoints on the same host. */
export type PolicyPeer =
  | PodSet
  | TenantSet
  | CidrPeer
  | { readonly kind: "any" }
  | { readonly kind: "local" };

/** Pods with fitting labels in fitting namespaces. Pods in the network of their host are in no such set: their address is the host's. */
export interface PodSet {
  readonly kind: "pods";
  readonly namespaces: NamespaceSet;
  readonly pods: Selector;
}

/** One namespace by its name, or those with fitting labels. */
export type NamespaceSet =
  | { readonly kind: "named"; readonly name: string }
  | { readonly kind: "labelled"; readonly selector: Selector };

/** All endpoints of a tenant (the pods of the namespace of that name), or those of one segment (the value of the label `--segment-label`, `default` without it). */
export interface TenantSet {
  readonly kind: "tenant";
  readonly tenant: string;
  readonly segment?: string;
}

export interface CidrTarget {
  readonly kind: "cidr";
  readonly cidr: Cidr;
}

/** Whoever has an address in `cidr` and in none of `except`, pods included. */
export interface CidrPeer {
  readonly kind: "cidr";
  readonly cidr: Cidr;
  readonly except: readonly Cidr[];
}

/** All requirements must hold; without any it selects everything. */
export type Selector = readonly Requirement[];

/** One condition on labels. `not-in` and `not-exists` hold too where the key is absent. */
export type Requirement =
  | { readonly key: string; readonly operator: "in" | "not-in"; readonly values: readonly string[] }
  | { readonly key: string; readonly operator: "exists" | "not-exists" };

/** Traffic with one of the peers. */
export interface Allowance {
  readonly peers: readonly PolicyPeer[];
  readonly traffic: readonly Traffic[];
}

/** `any`: every protocol there is. Without a type every ICMP, without a code every code of that type. */
export type Traffic =
  | { readonly protocol: "any" }
  | { readonly protocol: PortProtocol; readonly ports: "all" | readonly PortMatch[] }
  | { readonly protocol: "icmp"; readonly type?: number; readonly code?: number };

export type PortProtocol = "sctp" | "tcp" | "udp";

/**
 * A destination port: its number; the lowest and the highest of a range, both included; or the name of a container's port of that protocol, which is looked up in the Pod that is
 * sent to (the target for ingress, the peer for egress) and fits nothing where no Pod has it.
 */
export type PortMatch = number | readonly [number, number] | string;

/** Something that a policy says and the model cannot: it allows nothing instead. `place` is that of the manifest: `spec.ingress[0].from[1].ipBlock.cidr`. */
export interface PolicyProblem {
  readonly place: string;
  /** What is wrong, what follows, and what to write instead. */
  readonly message: string;
}

/** A model with all that could not be expressed in it. */
export interface Translation {
  readonly model: PolicyModel;
  readonly problems: readonly PolicyProblem[];
}

/** The id of the model of a NetworkPolicy. */
export function networkPolicyId(policy: {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}): string {
  return `kube.${policy.namespace}.${policy.name}.${policy.uid}`;
}

/** The id of the model that isolates a namespace. */
export function isolationId(namespace: { readonly name: string; readonly uid: string }): string {
  return `isolation.${namespace.name}.${namespace.uid}`;
}
