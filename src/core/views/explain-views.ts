import type { Cidr } from "../net/cidr.ts";
import type { Ipv4 } from "../net/ipv4.ts";
import type { Group } from "../topology/topology.ts";
import type { FailedWrite, GatewayView, RouteSync } from "./route-facts.ts";

// What `romana explain` tells: the documents of `GET /explain/ip/{address}` and `GET /explain/route`.

/**
 * What an address is.
 *
 * - `in-use`: a pod holds it. `free`: it lies in a network, and nobody holds it.
 * - `node`: a host's own. `vpc`: in a CIDR of the VPC. `outside`: none of these.
 */
export type AddressKind = "in-use" | "free" | "node" | "vpc" | "outside";

/** How one route table leads to the address. */
export interface AddressRoute {
  readonly routeTableId: string;
  /** Subnets that use the table by name; the main table serves all others. */
  readonly subnetIds: readonly string[];
  readonly main: boolean;
  /** The longest prefix that contains the address; "" when no route does. */
  readonly destination: string;
  readonly ownership: "ours" | "foreign" | "local" | "missing";
  readonly state: "active" | "blackhole" | "missing";
  readonly sync: RouteSync;
  /** Where the route leads: an interface, or what EC2 calls it; "" without a route. */
  readonly target: string;
  /** The node behind it; null where the target is no interface. */
  readonly gateway: GatewayView | null;
  /** Why the last write failed; "" when none did. */
  readonly failure: string;
  /** Who takes over should that gateway die: its name, or "" when the route stays where it is. */
  readonly standIn: string;
}

/** Everything about one address. Absent things are null. */
export interface IpExplanation {
  readonly address: Ipv4;
  readonly kind: AddressKind;
  /** In a sentence. */
  readonly summary: string;
  readonly network: {
    readonly name: string;
    readonly cidr: Cidr;
    readonly tenants: readonly string[];
  } | null;
  /** From the root of the network down to the leaf. */
  readonly groups: readonly { readonly name: string; readonly cidr: Cidr; readonly kind: Group["kind"] }[];
  readonly block: {
    readonly cidr: Cidr;
    /** `owned`, `returned` (empty, for any owner of the group), or `unused`. */
    readonly state: "owned" | "returned" | "unused";
    readonly revision: number;
    readonly inUse: number;
    readonly size: number;
  } | null;
  /** The blackout that the address lies in. */
  readonly blackout: Cidr | null;
  /** Who holds the address: the name that it was given to, such as `pod.namespace.id`. */
  readonly holder: string | null;
  /** The Pod that the address was given to, or whose status has it. Labels and phase are null while the Pod is not known, or gone. */
  readonly pod: {
    readonly namespace: string;
    readonly name: string;
    readonly uid: string;
    readonly labels: Readonly<Record<string, string>> | null;
    /** See `ClusterPod.phase`. */
    readonly phase: string | null;
  } | null;
  readonly tenant: string | null;
  readonly segment: string | null;
  /** The host of the block, or the node whose own address it is. */
  readonly host: {
    readonly name: string;
    readonly ip: string;
    readonly state: "placed" | "misplaced" | "unplaced";
    readonly reason: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly gateway: GatewayView | null;
  } | null;
  /** When the route tables were read, null where no routes are known. */
  readonly readAt: string | null;
  /** By table. */
  readonly routes: readonly AddressRoute[];
  /** What else one should know, a sentence each. */
  readonly notes: readonly string[];
}

/** One table beside the route that is asked about. */
export interface TableRoute {
  readonly routeTableId: string;
  readonly main: boolean;
  /** Routes that count against the quota, and the quota. */
  readonly routeCount: number;
  readonly quota: number;
  readonly state: "active" | "blackhole" | "missing";
  readonly ownership: "ours" | "foreign" | "missing";
  readonly sync: RouteSync;
  /** Where it leads; "" without a route. */
  readonly target: string;
  readonly gateway: GatewayView | null;
  /** The interface that the journal names; "" when the route is not on record. */
  readonly recorded: string;
  readonly failure: FailedWrite | null;
  /** Why it is left alone; "" when it is not. */
  readonly skipped: string;
}

/** A node that might be the gateway. */
export interface CandidateView extends GatewayView {
  /** Routes that lead to it in each table. */
  readonly routes: number;
  /** 1 for the one that takes over first; 0 for the gateway itself and for those who cannot. */
  readonly rank: number;
  readonly verdict: "gateway" | "stand-in" | "no";
  /** A sentence part: why, or why not. */
  readonly reason: string;
}

/** Everything about one route. */
export interface RouteExplanation {
  readonly cidr: Cidr;
  /**
   * - `wanted`: the plan has it. `covered`: a wider route carries its traffic. `split`: finer ones do. `refused`: it is wanted and cannot be had.
   * - `unwanted`: inside a network of ours, and no group wants it. `outside`: no network of ours, so never touched.
   */
  readonly kind: "wanted" | "covered" | "split" | "refused" | "unwanted" | "outside";
  readonly summary: string;
  readonly network: string | null;
  /** Path of the group in its tree. */
  readonly group: string | null;
  /** One leaf group's, a whole subtree's, or one block's (where a group spans subnets). */
  readonly level: "group" | "parent" | "block" | "listed" | null;
  /** The gateway that the plan names, and why it. */
  readonly gateway: string | null;
  readonly choice: "kept" | "chosen" | "stays" | null;
  /** How fine the plan is, and why. */
  readonly granularity: string;
  /** Routes of the plan that contain it, or that it contains. */
  readonly related: readonly Cidr[];
  readonly readAt: string | null;
  readonly tables: readonly TableRoute[];
  /** The gateway first, then by rank, then by name; at most fifty. */
  readonly candidates: readonly CandidateView[];
  readonly notes: readonly string[];
}
