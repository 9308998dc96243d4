import type { Cidr } from "../../core/net/cidr.ts";
import type { Ipv4 } from "../../core/net/ipv4.ts";

export interface TestedHost {
  readonly name: string;
  readonly ip: Ipv4;
  /** Leaf groups, one per network that placed it; empty while it is unplaced. */
  readonly groups: readonly { readonly network: string; readonly cidr: Cidr }[];
}

/** The control plane as a simulation drives and questions it. Methods that return a promise wait for virtual time. */
export interface ControlPlaneUnderTest {
  start(): Promise<void>;
  stop(): Promise<void>;
  updateTopology(document: unknown): Promise<void>;
  removeHost(name: string): Promise<void>;
  allocate(request: {
    readonly name: string;
    readonly host: string;
    readonly tenant: string;
    readonly segment: string;
  }): Promise<Ipv4>;
  /** How many writes a pass would make now. */
  countPlanned(): Promise<number>;
  networks(): readonly Cidr[];
  hosts(): readonly TestedHost[];
  blocks(): readonly { readonly cidr: Cidr; readonly host: string }[];
  addresses(): readonly { readonly name: string; readonly address: Ipv4; readonly host: string }[];
  /** Routes that every table shall have; empty before the first pass. */
  desired(): readonly {
    readonly destination: Cidr;
    readonly host: string;
    readonly candidates: readonly string[];
  }[];
  /** Whether the host is held for dead. */
  isDown(host: string): boolean;
}
