/**
 * The topology document as JSON has it (`docs/topology.md`). Field names are those of the wire format, hence the snake case.
 *
 * `null` stands for an absent list, as an empty topology is written.
 */
export interface TopologyDocument {
  readonly networks: readonly NetworkDocument[] | null;
  readonly topologies: readonly MapDocument[] | null;
}

export interface NetworkDocument {
  readonly name: string;
  readonly cidr: string;
  /** Prefix length of a block; absent: 29, or the network's own length if that is longer. */
  readonly block_mask?: number;
  /** Tenants that may use the network; absent, empty or `["*"]`: any. */
  readonly tenants?: readonly string[];
}

/** The networks that share one map of groups. */
export interface MapDocument {
  readonly networks: readonly string[];
  readonly map: readonly GroupDocument[];
}

/** A group, or a host when it has an `ip`. `cidr` is filled in on output and has no effect on input. */
export interface GroupDocument {
  readonly name?: string;
  readonly ip?: string;
  readonly cidr?: string;
  readonly assignment?: Readonly<Record<string, string>>;
  readonly routing?: string;
  readonly dummy?: boolean;
  readonly groups?: readonly GroupDocument[];
  readonly hosts?: readonly GroupDocument[];
}
