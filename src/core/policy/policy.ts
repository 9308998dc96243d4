import type { Cidr } from "../net/cidr.ts";

// Policies as they are stored and shown (`docs/policies.md`). Field names and their order are those of the REST API; what does not apply is left out, so that a
// client of the original reads them as its own.

export type Direction = "ingress" | "egress";

/** One side of the traffic. Exactly one of `peer`, `cidr`, `dest` and `tenant_id` is there; `segment_id` narrows a tenant. */
export interface PolicyEndpoint {
  /** `any`: whoever it is. `local`: endpoints on the same host. */
  readonly peer?: "any" | "local";
  readonly cidr?: Cidr;
  /** The hosts themselves. */
  readonly dest?: "host";
  readonly tenant_id?: string;
  readonly segment_id?: string;
}

export type Protocol = "tcp" | "udp" | "icmp" | "any";

/** Traffic that is allowed. No ports and no ranges: all of the protocol. */
export interface PolicyRule {
  readonly protocol: Protocol;
  readonly ports?: readonly number[];
  /** Pairs of the lowest and the highest port. */
  readonly port_ranges?: readonly (readonly [number, number])[];
  /** Absent: every type; a code stands only beside its type. */
  readonly icmp_type?: number;
  readonly icmp_code?: number;
  readonly is_stateful?: true;
}

/** Peers and what they may use; the field that holds these is called `ingress` whatever the policy's direction. */
export interface PolicyEntry {
  readonly peers: readonly PolicyEndpoint[];
  readonly rules: readonly PolicyRule[];
}

/** A policy in its canonical form: reading it again gives the same. */
export interface Policy {
  readonly id: string;
  /** Of the manual's form; several policies may share one. */
  readonly name?: string;
  readonly direction: Direction;
  readonly description?: string;
  readonly applied_to: readonly PolicyEndpoint[];
  readonly ingress: readonly PolicyEntry[];
}

/** Bounds of what one document may hold. */
export const policyLimits = {
  /** Policies of one document: they are stored in one transaction. */
  policies: 100,
  /** Elements of any one list of a policy. */
  items: 1000,
  /** Characters of an id, a name, a tenant or a segment. */
  name: 253,
  /** Characters of a description. */
  description: 4096,
  /** Characters of a document's policies together, as JSON in their canonical form. */
  characters: 400_000,
} as const;

/** What a policy of a name gets as its id when it has none: different names never get the same. */
export function idOfName(name: string): string {
  return `name.${name}`;
}
