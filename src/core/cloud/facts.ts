import type { Cidr } from "../net/cidr.ts";
import type { Ipv4 } from "../net/ipv4.ts";

/** EC2's instance states (EC2 API, InstanceState). */
export type InstanceState = "pending" | "running" | "shutting-down" | "terminated" | "stopping" | "stopped";

export interface CloudInterface {
  readonly id: string;
  readonly subnetId: string;
  /** Private IPv4 addresses, the primary one first. */
  readonly addresses: readonly Ipv4[];
  readonly sourceDestCheck: boolean;
}

export interface CloudInstance {
  readonly id: string;
  readonly state: InstanceState;
  readonly zone: string;
  readonly tags: Readonly<Record<string, string>>;
  /** Attached interfaces, the primary one (device index 0) first. */
  readonly interfaces: readonly CloudInterface[];
}

export interface CloudSubnet {
  readonly id: string;
  readonly zone: string;
  readonly cidr: Cidr;
}

/** Where a route leads. EC2 names the fields; `other` keeps the id of any kind that we do not write. */
export type RouteTarget =
  | { readonly kind: "interface"; readonly id: string }
  | { readonly kind: "local" }
  | { readonly kind: "other"; readonly id: string };

/** An IPv4 route as EC2 reports it. */
export interface ActualRoute {
  readonly destination: Cidr;
  readonly target: RouteTarget;
  readonly state: "active" | "blackhole";
}

export interface CloudRouteTable {
  readonly id: string;
  /** The VPC's main table serves every subnet without an explicit association. */
  readonly main: boolean;
  readonly subnetIds: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
  /** IPv4 routes, the local ones included. */
  readonly routes: readonly ActualRoute[];
  /** Everything that counts against the quota: IPv4, IPv6 and prefix-list routes; a local route of the VPC does not. */
  readonly routeCount: number;
}

/** One look at a VPC. Lists come sorted by id. */
export interface CloudFacts {
  readonly vpcId: string;
  readonly region: string;
  readonly vpcCidrs: readonly Cidr[];
  readonly instances: readonly CloudInstance[];
  /**
   * Ids of instances that exist but whose description could not be read. `instances` holds what was last known of each, or nothing: such an
   * instance must never be taken for absent.
   */
  readonly unreadableInstanceIds?: readonly string[];
  readonly subnets: readonly CloudSubnet[];
  readonly routeTables: readonly CloudRouteTable[];
}
