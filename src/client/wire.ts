// The documents of the REST API as a client reads them (`docs/rest-api.md`). Field names are those on the wire.

/** A host as `GET /hosts?full=true` shows it. */
export interface HostDocument {
  readonly ip: string;
  readonly name: string;
  readonly agent_port: number;
  readonly tags: Readonly<Record<string, string>> | null;
  readonly k8s_info: null;
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
}

/** What `POST /address` takes. */
export interface AddressRequestDocument {
  readonly name: string;
  readonly host: string;
  readonly tenant?: string;
  readonly segment?: string;
  readonly address?: string;
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
