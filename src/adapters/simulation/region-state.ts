import type { InstanceState, RouteTarget } from "../../core/cloud/facts.ts";
import type { Cidr } from "../../core/net/cidr.ts";
import type { Ipv4 } from "../../core/net/ipv4.ts";
import type { Timeline } from "./timeline.ts";

/** How EC2 refuses a call: `code` is the name that its API uses. */
export class Ec2Error extends Error {
  override readonly name = "Ec2Error";
  readonly code: string;

  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

export interface SimulatedSubnet {
  readonly id: string;
  readonly zone: string;
  readonly cidr: Cidr;
}

export interface SimulatedInterface {
  readonly id: string;
  readonly instanceId: string;
  readonly subnetId: string;
  readonly addresses: readonly Ipv4[];
  /** One flag per interface, whichever call sets it. */
  readonly sourceDestCheck: Timeline<boolean>;
  /** Since when it can take no packet: its instance was stopped or terminated. */
  unusableSince: number | undefined;
}

export interface SimulatedInstance {
  readonly id: string;
  readonly zone: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly launchedAt: number;
  readonly state: Timeline<InstanceState>;
  /** The primary one first. */
  readonly interfaces: readonly SimulatedInterface[];
  /** It stands still: EC2 says `running`, but it neither answers nor forwards. */
  hung: boolean;
  /** When EC2 forgets a terminated instance. */
  goneAt: number | undefined;
}

export interface SimulatedRouteTable {
  readonly id: string;
  readonly main: boolean;
  readonly subnetIds: Set<string>;
  readonly tags: Readonly<Record<string, string>>;
  /** IPv6 and prefix-list routes: they count against the quota. */
  readonly otherRoutes: number;
  /** IPv4 routes with their past; `undefined` is "deleted". The local routes are among them. */
  readonly routes: Map<Cidr, Timeline<RouteTarget | undefined>>;
}

/** Told to those who watch the region: somebody changed a route. `from` and `to` are `undefined` where there is none. */
export interface RouteChange {
  readonly at: number;
  readonly routeTableId: string;
  readonly destination: Cidr;
  readonly from: RouteTarget | undefined;
  readonly to: RouteTarget | undefined;
}
