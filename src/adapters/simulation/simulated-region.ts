import type { InstanceState, RouteTarget } from "../../core/cloud/facts.ts";
import { compareCidr, containsAddress, containsCidr, rangeOf, type Cidr } from "../../core/net/cidr.ts";
import { formatIpv4, type Ipv4 } from "../../core/net/ipv4.ts";
import type { Clock } from "../../ports/clock.ts";
import {
  Ec2Error,
  type RouteChange,
  type SimulatedInstance,
  type SimulatedInterface,
  type SimulatedRouteTable,
  type SimulatedSubnet,
} from "./region-state.ts";
import { Timeline } from "./timeline.ts";

export interface RegionOptions {
  readonly clock: Clock;
  /** `us-west-2` when not given. */
  readonly region?: string;
  /** `vpc-1` when not given. */
  readonly vpcId?: string;
  readonly vpcCidrs: readonly Cidr[];
  /** Names of its availability zones; those of its subnets count too. */
  readonly zones?: readonly string[];
  /** Routes that a table may hold; local ones do not count. AWS' default since June 2025 is 500. */
  readonly routeQuota?: number;
  /** A route whose target is gone is reported as `blackhole` after so many milliseconds (default 60,000). */
  readonly blackholeDelayMs?: number;
  /** From TerminateInstances to `terminated` (default 30,000 ms). */
  readonly shutdownMs?: number;
}

export interface LaunchOptions {
  readonly subnetId: string;
  readonly tags?: Readonly<Record<string, string>>;
  /** Address of the primary interface; the next free one of the subnet when not given. */
  readonly address?: Ipv4;
  /** Secondary addresses of the primary interface. */
  readonly moreAddresses?: readonly Ipv4[];
  /** Subnets of further interfaces, in the order of their device index. */
  readonly moreInterfaces?: readonly string[];
  /** As launched by AWS the check is on. */
  readonly sourceDestCheck?: boolean;
  /** It has been there for long, so that describes which lag see it too. */
  readonly isOld?: boolean;
}

/** EC2 keeps terminated instances in its answers for about an hour. */
const REMEMBERED_MS = 3_600_000;
/** The first four addresses of a subnet and the last one are AWS' own. */
const RESERVED_ADDRESSES = 4;

/**
 * One VPC of a region, with the rules by which EC2 changes it (`SimulatedEc2` puts latency, throttling and permissions in front). Writes
 * take effect at once; reports may be asked for as of an earlier moment.
 */
export class SimulatedRegion {
  readonly region: string;
  readonly vpcId: string;
  readonly vpcCidrs: readonly Cidr[];
  readonly subnets = new Map<string, SimulatedSubnet>();
  readonly routeTables = new Map<string, SimulatedRouteTable>();
  readonly instances = new Map<string, SimulatedInstance>();
  readonly interfaces = new Map<string, SimulatedInterface>();
  /** Routes that a table may hold. */
  routeQuota: number;
  readonly #clock: Clock;
  readonly #zones: readonly string[];
  readonly #blackholeDelayMs: number;
  readonly #shutdownMs: number;
  readonly #interfaceByAddress = new Map<Ipv4, SimulatedInterface>();
  readonly #nextAddress = new Map<string, number>();
  readonly #watchers = new Set<(change: RouteChange) => void>();
  #ids = 0;

  constructor(options: RegionOptions) {
    this.#clock = options.clock;
    this.region = options.region ?? "us-west-2";
    this.vpcId = options.vpcId ?? "vpc-1";
    this.vpcCidrs = options.vpcCidrs;
    this.routeQuota = options.routeQuota ?? 500;
    this.#zones = options.zones ?? [];
    this.#blackholeDelayMs = options.blackholeDelayMs ?? 60_000;
    this.#shutdownMs = options.shutdownMs ?? 30_000;
  }

  /** The moment at which the region is, monotonic milliseconds. */
  time(): number {
    return this.#clock.monotonic();
  }

  /** Names of its availability zones. */
  zones(): readonly string[] {
    return [...new Set([...this.#zones, ...[...this.subnets.values()].map(({ zone }) => zone)])];
  }

  addSubnet(zone: string, cidr: Cidr): SimulatedSubnet {
    const subnet = { id: this.#newId("subnet"), zone, cidr };
    this.subnets.set(subnet.id, subnet);
    return subnet;
  }

  /** A table with the VPC's local routes. The main table serves all subnets that no other table is associated with. */
  addRouteTable(
    options: {
      readonly main?: boolean;
      readonly subnetIds?: readonly string[];
      readonly tags?: Readonly<Record<string, string>>;
      readonly otherRoutes?: number;
    } = {},
  ): SimulatedRouteTable {
    const table: SimulatedRouteTable = {
      id: this.#newId("rtb"),
      main: options.main ?? false,
      subnetIds: new Set(options.subnetIds),
      tags: options.tags ?? {},
      otherRoutes: options.otherRoutes ?? 0,
      routes: new Map(this.vpcCidrs.map((cidr) => [cidr, new Timeline(this.time(), { kind: "local" })])),
    };
    this.routeTables.set(table.id, table);
    return table;
  }

  launch(options: LaunchOptions): SimulatedInstance {
    const at = this.time();
    const id = this.#newId("i");
    const subnet = this.#subnet(options.subnetId);
    const check = options.sourceDestCheck ?? true;
    const addresses = [options.address ?? this.#freeAddress(subnet), ...(options.moreAddresses ?? [])];
    const primary = this.#attach(id, subnet, addresses, check);
    const others = (options.moreInterfaces ?? []).map((subnetId) => {
      const other = this.#subnet(subnetId);
      return this.#attach(id, other, [this.#freeAddress(other)], check);
    });
    const instance: SimulatedInstance = {
      id,
      zone: subnet.zone,
      tags: options.tags ?? {},
      launchedAt: options.isOld === true ? Number.NEGATIVE_INFINITY : at,
      state: new Timeline<InstanceState>(at, "running"),
      interfaces: [primary, ...others],
      hung: false,
      goneAt: undefined,
    };
    this.instances.set(id, instance);
    return instance;
  }

  /** TerminateInstances: it stops forwarding at once, its interfaces go, its routes become blackholes later. */
  terminate(instanceId: string): void {
    const instance = this.#instance(instanceId);
    const at = this.time();
    instance.state.set(at, "shutting-down");
    instance.state.schedule(at + this.#shutdownMs, "terminated");
    instance.goneAt = at + this.#shutdownMs + REMEMBERED_MS;
    for (const card of instance.interfaces) {
      card.unusableSince ??= at;
      this.interfaces.delete(card.id);
      for (const address of card.addresses) {
        if (this.#interfaceByAddress.get(address) === card) {
          this.#interfaceByAddress.delete(address);
        }
      }
    }
  }

  /** A running instance that takes part in forwarding: neither hung nor on its way out. */
  isAlive(instanceId: string): boolean {
    const instance = this.instances.get(instanceId);
    return instance !== undefined && !instance.hung && instance.state.at(this.time()) === "running";
  }

  /** The interface that holds an address of the VPC now. */
  interfaceAt(address: Ipv4): SimulatedInterface | undefined {
    return this.#interfaceByAddress.get(address);
  }

  /** The table that serves a subnet: the associated one, or the main one. */
  tableOf(subnetId: string): SimulatedRouteTable | undefined {
    let main: SimulatedRouteTable | undefined;
    for (const table of this.routeTables.values()) {
      if (table.subnetIds.has(subnetId)) {
        return table;
      }
      main = table.main ? table : main;
    }
    return main;
  }

  /** The IPv4 routes that hold at a moment, sorted by destination. */
  routesAt(
    table: SimulatedRouteTable,
    at: number,
  ): { readonly destination: Cidr; readonly target: RouteTarget }[] {
    const routes: { readonly destination: Cidr; readonly target: RouteTarget }[] = [];
    for (const [destination, timeline] of table.routes) {
      const target = timeline.at(at);
      if (target !== undefined) {
        routes.push({ destination, target });
      }
    }
    return routes.toSorted((a, b) => compareCidr(a.destination, b.destination));
  }

  /** What EC2 reports at a moment: `blackhole` comes late. */
  routeState(target: RouteTarget, at: number): "active" | "blackhole" {
    if (target.kind !== "interface") {
      return "active";
    }
    const card = this.interfaces.get(target.id) ?? this.#detached(target.id);
    const since = card === undefined ? 0 : card.unusableSince;
    return since !== undefined && since + this.#blackholeDelayMs <= at ? "blackhole" : "active";
  }

  /** CreateRoute. Throws `Ec2Error` as EC2 refuses it. */
  createRoute(routeTableId: string, destination: Cidr, target: RouteTarget): void {
    const table = this.#table(routeTableId);
    this.#checkTarget(target);
    if (table.routes.get(destination)?.at(this.time()) !== undefined) {
      throw new Ec2Error(
        "RouteAlreadyExists",
        `The route identified by ${destination} already exists in route table ${routeTableId}.`,
      );
    }
    this.#checkDestination(destination);
    if (this.countRoutes(table, this.time()) >= this.routeQuota) {
      throw new Ec2Error(
        "RouteLimitExceeded",
        `The maximum number of routes (${this.routeQuota}) has been reached for route table ${routeTableId}.`,
      );
    }
    this.#write(table, destination, target);
  }

  /** ReplaceRoute. Throws `Ec2Error` as EC2 refuses it. */
  replaceRoute(routeTableId: string, destination: Cidr, target: RouteTarget): void {
    const table = this.#table(routeTableId);
    this.#checkTarget(target);
    this.#existing(table, destination);
    this.#write(table, destination, target);
  }

  /** DeleteRoute. Throws `Ec2Error` as EC2 refuses it. */
  deleteRoute(routeTableId: string, destination: Cidr): void {
    const table = this.#table(routeTableId);
    if (this.#existing(table, destination).kind === "local") {
      throw new Ec2Error(
        "InvalidParameterValue",
        `cannot remove local route ${destination} in route table ${routeTableId}`,
      );
    }
    this.#write(table, destination, undefined);
  }

  /** ModifyNetworkInterfaceAttribute(SourceDestCheck). Throws `Ec2Error` for an interface that is not there. */
  setSourceDestCheck(interfaceId: string, value: boolean): void {
    this.#interface(interfaceId).sourceDestCheck.set(this.time(), value);
  }

  /** Calls `watcher` on each change of a route, whoever makes it; returns the end of the watch. */
  watchRoutes(watcher: (change: RouteChange) => void): () => void {
    this.#watchers.add(watcher);
    return () => {
      this.#watchers.delete(watcher);
    };
  }

  /** Everything that counts against a table's quota at a moment. */
  countRoutes(table: SimulatedRouteTable, at: number): number {
    let count = table.otherRoutes;
    for (const timeline of table.routes.values()) {
      const target = timeline.at(at);
      count += target === undefined || target.kind === "local" ? 0 : 1;
    }
    return count;
  }

  #write(table: SimulatedRouteTable, destination: Cidr, target: RouteTarget | undefined): void {
    const at = this.time();
    const timeline = table.routes.get(destination);
    const from = timeline?.at(at);
    if (timeline === undefined) {
      const created = new Timeline<RouteTarget | undefined>(Number.NEGATIVE_INFINITY, undefined);
      created.set(at, target);
      table.routes.set(destination, created);
    } else {
      timeline.set(at, target);
    }
    for (const watcher of this.#watchers) {
      watcher({ at, routeTableId: table.id, destination, from, to: target });
    }
  }

  #checkDestination(destination: Cidr): void {
    const local = this.vpcCidrs.find((cidr) => containsCidr(cidr, destination));
    if (local === undefined) {
      return;
    }
    for (const subnet of this.subnets.values()) {
      if (subnet.cidr === destination) {
        return;
      }
    }
    throw new Ec2Error(
      "InvalidParameterValue",
      `The destination CIDR block ${destination} is equal to or more specific than one of this VPC's CIDR blocks. This route can target only an interface or an instance and must be a subnet's CIDR block.`,
    );
  }

  #checkTarget(target: RouteTarget): void {
    if (target.kind === "interface") {
      this.#interface(target.id);
    }
  }

  #existing(table: SimulatedRouteTable, destination: Cidr): RouteTarget {
    const target = table.routes.get(destination)?.at(this.time());
    if (target === undefined) {
      throw new Ec2Error(
        "InvalidRoute.NotFound",
        `no route with destination-cidr-block ${destination} in route table ${table.id}`,
      );
    }
    return target;
  }

  #table(id: string): SimulatedRouteTable {
    const table = this.routeTables.get(id);
    if (table === undefined) {
      throw new Ec2Error("InvalidRouteTableID.NotFound", `The routeTable ID '${id}' does not exist`);
    }
    return table;
  }

  #interface(id: string): SimulatedInterface {
    const card = this.interfaces.get(id);
    if (card === undefined) {
      throw new Ec2Error(
        "InvalidNetworkInterfaceID.NotFound",
        `The networkInterface ID '${id}' does not exist`,
      );
    }
    return card;
  }

  #instance(id: string): SimulatedInstance {
    const instance = this.instances.get(id);
    if (instance === undefined) {
      throw new Ec2Error("InvalidInstanceID.NotFound", `The instance ID '${id}' does not exist`);
    }
    return instance;
  }

  #subnet(id: string): SimulatedSubnet {
    const subnet = this.subnets.get(id);
    if (subnet === undefined) {
      throw new Ec2Error("InvalidSubnetID.NotFound", `The subnet ID '${id}' does not exist`);
    }
    return subnet;
  }

  #attach(
    instanceId: string,
    subnet: SimulatedSubnet,
    addresses: readonly Ipv4[],
    check: boolean,
  ): SimulatedInterface {
    for (const address of addresses) {
      if (!containsAddress(subnet.cidr, address)) {
        throw new Ec2Error(
          "InvalidParameterValue",
          `Address ${address} does not fall within the subnet's address range`,
        );
      }
      if (this.#interfaceByAddress.has(address)) {
        throw new Ec2Error("InvalidIPAddress.InUse", `Address ${address} is in use.`);
      }
    }
    const card: SimulatedInterface = {
      id: this.#newId("eni"),
      instanceId,
      subnetId: subnet.id,
      addresses,
      sourceDestCheck: new Timeline(this.time(), check),
      unusableSince: undefined,
    };
    this.interfaces.set(card.id, card);
    addresses.forEach((address) => this.#interfaceByAddress.set(address, card));
    return card;
  }

  #freeAddress(subnet: SimulatedSubnet): Ipv4 {
    const { first, size } = rangeOf(subnet.cidr);
    const start = this.#nextAddress.get(subnet.id) ?? RESERVED_ADDRESSES;
    for (let offset = start; offset < size - 1; offset += 1) {
      const address = formatIpv4(first + offset);
      if (!this.#interfaceByAddress.has(address)) {
        this.#nextAddress.set(subnet.id, offset + 1);
        return address;
      }
    }
    throw new Ec2Error(
      "InsufficientFreeAddressesInSubnet",
      `There are no free addresses in subnet '${subnet.id}'.`,
    );
  }

  #detached(interfaceId: string): SimulatedInterface | undefined {
    for (const instance of this.instances.values()) {
      const card = instance.interfaces.find(({ id }) => id === interfaceId);
      if (card !== undefined) {
        return card;
      }
    }
    return undefined;
  }

  #newId(kind: string): string {
    this.#ids += 1;
    return `${kind}-${this.#ids.toString(16).padStart(8, "0")}`;
  }
}
