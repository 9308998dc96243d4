// The documents of the REST API as a client reads them (`docs/rest-api.md`). Field names are those on the wire.

/** A host as `GET /hosts?full=true` shows it. */
export interface HostDocument {
  readonly ip: string;
  readonly name: string;
  readonly agent_port: number;
  readonly tags: Readonly<Record<string, string>> | null;
  /** The Node that it stands for; null for a host that was not learned from Kubernetes. */
  readonly k8s_info: { readonly uid: string; readonly instance_id: string } | null;
  readonly placed: boolean;
  readonly misplaced: boolean;
  /** Why it is unplaced or misplaced; "" otherwise. */
  readonly reason: string;
  readonly origin: string;
  readonly groups: readonly { readonly network: string; readonly cidr: string }[];
}

export interface HostListDocument {
  readonly hosts: readonly HostDocument[];
  readonly revision: number;
}

export interface NetworkListEntry {
  readonly revision: number;
  /** The network's name. */
  readonly id: string;
  readonly cidr: string;
}

export interface BlockDocument {
  readonly revision: number;
  readonly cidr: string;
  readonly tenant: string;
  readonly segment: string;
  readonly host: string;
  readonly allocated_ip_count: number;
}

export interface BlockListDocument {
  readonly revision: number;
  readonly blocks: readonly BlockDocument[];
}

export interface AddressDocument {
  readonly name: string;
  readonly address: string;
  readonly host: string;
  readonly tenant: string;
  readonly segment: string;
  readonly network: string;
  /** The Pod that it was given to, where that was said. */
  readonly pod?: { readonly namespace: string; readonly name: string; readonly uid: string };
}

/** What `POST /address` takes. */
export interface AddressRequestDocument {
  readonly name: string;
  readonly host: string;
  readonly tenant?: string;
  readonly segment?: string;
  readonly address?: string;
  /** The Pod that it is for: all three, or none. Without a tenant it is of the namespace's. */
  readonly namespace?: string;
  readonly pod?: string;
  readonly podUID?: string;
}

/** What `POST /hosts` takes. */
export interface HostRequestDocument {
  readonly name: string;
  readonly ip: string;
  readonly agent_port?: number;
  readonly tags?: Readonly<Record<string, string>>;
}

export interface BlackoutDocument {
  readonly cidr: string;
}

export interface TopologyStatusDocument {
  readonly revision: number;
  readonly warnings: readonly { readonly place: string; readonly message: string }[];
}

/** A group of `GET /topology`, or a host when it has an `ip`. */
export interface GroupEntry {
  readonly name?: string;
  readonly ip?: string;
  readonly cidr?: string;
  readonly assignment?: Readonly<Record<string, string>>;
  readonly routing?: string;
  readonly groups?: readonly GroupEntry[] | null;
  readonly hosts?: readonly GroupEntry[] | null;
}

/** `GET /topology`, as far as a client looks into it. */
export interface TopologyEntry {
  readonly networks:
    | readonly {
        readonly name: string;
        readonly cidr: string;
        readonly block_mask?: number;
        readonly tenants?: readonly string[] | null;
      }[]
    | null;
  readonly topologies:
    | readonly { readonly networks: readonly string[] | null; readonly map: readonly GroupEntry[] | null }[]
    | null;
}

/** A tenant of `GET /tenants`: created by a call (`declared`), or known because it owns blocks. */
export interface TenantDocument {
  readonly name: string;
  readonly declared: boolean;
  readonly segments: readonly string[];
  /** Names of the networks that it may use. */
  readonly networks: readonly string[];
  /** How many addresses it has in use, and in how many blocks. */
  readonly addresses: number;
  readonly blocks: number;
}

/** A segment of `GET /tenants/{name}/segments`. */
export interface SegmentDocument {
  readonly name: string;
  readonly declared: boolean;
  readonly addresses: number;
  readonly blocks: number;
}

/** Who leads, as `GET /leader` says. */
export interface LeaderDocument {
  readonly id: string;
  readonly url: string | null;
  readonly epoch: string | number;
  readonly since: string | number;
  /** Whether it is the one that answers. */
  readonly self: boolean;
}

/** An end of a policy: fields of the original's form and of the manual's. */
export interface PolicyEndpoint {
  readonly peer?: string;
  readonly cidr?: string;
  readonly dest?: string;
  readonly tenant_id?: string;
  readonly segment_id?: string;
  readonly tenant?: string;
  readonly segment?: string;
}

export interface PolicyRule {
  readonly protocol?: string;
  readonly ports?: readonly number[] | null;
  readonly port_ranges?: readonly (readonly number[])[] | null;
  readonly icmp_type?: number;
  readonly icmp_code?: number;
  readonly is_stateful?: boolean;
}

/** A policy in either form: peers and rules stand below `ingress`, or at the top. */
export interface PolicyDocument {
  readonly id: string;
  readonly name?: string;
  readonly direction?: string;
  readonly description?: string;
  readonly applied_to?: readonly PolicyEndpoint[] | null;
  readonly ingress?:
    | readonly {
        readonly peers?: readonly PolicyEndpoint[] | null;
        readonly rules?: readonly PolicyRule[] | null;
      }[]
    | null;
  readonly peers?: readonly PolicyEndpoint[] | null;
  readonly rules?: readonly PolicyRule[] | null;
}
