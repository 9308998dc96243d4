import { NetworkError } from "../../core/errors.ts";
import { containsCidr, formatCidr, parseCidr, type Cidr } from "../../core/net/cidr.ts";
import { ipv4Value, type Ipv4 } from "../../core/net/ipv4.ts";
import type { Clock } from "../../ports/clock.ts";
import type { HostTables, WalkMachine, WalkWorld } from "./forwarding-walk.ts";
import {
  Ec2Error,
  type SimulatedInstance,
  type SimulatedInterface,
  type SimulatedRouteTable,
} from "./region-state.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { SimulatedCloud } from "./simulated-cloud.ts";
import { SimulatedEc2, type Ec2Settings } from "./simulated-ec2.ts";
import { SimulatedProber } from "./simulated-prober.ts";
import { SimulatedRegion } from "./simulated-region.ts";

/** Tag of the cluster's instances, as Kubernetes tools set it. */
export const CLUSTER_NAME = "romana";
const CLUSTER_TAG = `kubernetes.io/cluster/${CLUSTER_NAME}`;
/** Tag by which the controller knows an instance as a node, key and value. */
export const NODE_TAG = { key: "romana.io/node", value: "true" } as const;

export interface SimulatedClusterOptions {
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly region: string;
  /** Full names, `us-west-2a`. One subnet and one route table each. */
  readonly zones: readonly string[];
  readonly nodes: number;
  readonly ec2?: Ec2Settings;
  /** Subnets per zone (default 1); its nodes are spread over them. */
  readonly subnetsPerZone?: number;
}

export interface SimulatedNode {
  /** Named after its address as the controller names it, `ip-10-0-1-7`. */
  readonly name: string;
  readonly address: Ipv4;
  readonly zone: string;
  readonly subnetId: string;
  readonly instance: SimulatedInstance;
  readonly card: SimulatedInterface;
}

const VPC = parseCidr("10.0.0.0/16");
/** Subnets of nodes are /21 (2,043 addresses), one after another from the start of the VPC; the last one is somebody else's. */
const SUBNET_LENGTH = 21;
const MAX_SUBNETS = 2 ** (SUBNET_LENGTH - 16) - 1;

/**
 * A cluster in a simulated region, and things of other people beside it that nobody may touch: default and peering routes in every
 * table, a VPN machine with a route of its own, a database in a subnet and table of its own, second interfaces on some nodes.
 */
export class SimulatedCluster {
  readonly region: SimulatedRegion;
  readonly ec2: SimulatedEc2;
  readonly cloud: SimulatedCloud;
  readonly prober: SimulatedProber;
  /** Nodes by name, those that hang included, removed ones not. */
  readonly nodes = new Map<string, SimulatedNode>();
  /** Route tables of the nodes' subnets, by zone. */
  readonly tables = new Map<string, SimulatedRouteTable>();
  readonly #subnets = new Map<string, readonly string[]>();
  readonly #counts = new Map<string, number>();

  constructor(options: SimulatedClusterOptions) {
    const { clock, random, zones, subnetsPerZone = 1 } = options;
    const [firstZone] = zones;
    if (firstZone === undefined || zones.length * subnetsPerZone > MAX_SUBNETS) {
      throw new NetworkError(
        "invalid",
        "SIMULATION_INVALID",
        `a simulated VPC has 1 to ${MAX_SUBNETS} subnets of nodes, not ${zones.length * subnetsPerZone}; choose fewer zones`,
        { zones },
      );
    }
    this.region = new SimulatedRegion({ clock, region: options.region, vpcCidrs: [VPC] });
    this.ec2 = new SimulatedEc2({
      region: this.region,
      clock,
      random: random.fork("ec2"),
      ...(options.ec2 === undefined ? {} : { settings: options.ec2 }),
    });
    this.cloud = new SimulatedCloud({
      region: this.region,
      ec2: this.ec2,
      clock,
      random: random.fork("cloud"),
      clusterTag: CLUSTER_TAG,
    });
    this.prober = new SimulatedProber({
      clock,
      region: this.region,
      random: random.fork("probes"),
      observer: { zone: firstZone },
    });
    this.region.addRouteTable({ main: true });
    for (const [index, zone] of zones.entries()) {
      const ids = Array.from(
        { length: subnetsPerZone },
        (_, number) => this.region.addSubnet(zone, subnetCidr(index * subnetsPerZone + number)).id,
      );
      this.#subnets.set(zone, ids);
      this.tables.set(zone, this.region.addRouteTable({ subnetIds: ids, tags: { Name: `nodes ${zone}` } }));
    }
    for (let index = 0; index < options.nodes; index += 1) {
      this.addNode(zones[index % zones.length] ?? firstZone, true);
    }
    this.#addStrangers(firstZone, `${options.region}z`);
  }

  zones(): readonly string[] {
    return [...this.tables.keys()];
  }

  /** Launches a node (`isOld`: it stood before the simulation began); every tenth of a zone has a second interface that is none of ours. */
  addNode(zone: string, isOld = false): SimulatedNode {
    const subnets = this.#subnets.get(zone);
    const count = (this.#counts.get(zone) ?? 0) + 1;
    const subnetId = subnets?.[(count - 1) % subnets.length];
    if (subnetId === undefined) {
      throw new NetworkError(
        "not-found",
        "ZONE_UNKNOWN",
        `there is no zone "${zone}" in this simulation; it has ${this.zones().join(", ")}`,
        { zone },
      );
    }
    this.#counts.set(zone, count);
    const instance = this.#launch(zone, {
      subnetId,
      tags: { [CLUSTER_TAG]: "owned", [NODE_TAG.key]: NODE_TAG.value },
      isOld,
      ...(count % 10 === 0 ? { moreInterfaces: [subnetId] } : {}),
    });
    const [card] = instance.interfaces;
    const [address] = card?.addresses ?? [];
    if (card === undefined || address === undefined) {
      throw new TypeError("an instance was launched without an interface");
    }
    const name = `ip-${address.replaceAll(".", "-")}`;
    const node: SimulatedNode = { name, address, zone, subnetId, instance, card };
    this.nodes.set(name, node);
    return node;
  }

  #launch(zone: string, request: Parameters<SimulatedRegion["launch"]>[0]): SimulatedInstance {
    try {
      return this.region.launch(request);
    } catch (error) {
      throw error instanceof Ec2Error
        ? new NetworkError(
            "invalid",
            "SIMULATION_INVALID",
            `zone "${zone}" takes no more nodes after ${this.#nodesIn(zone)}: a subnet of the simulated VPC has ${2 ** (32 - SUBNET_LENGTH) - 5} addresses; simulate fewer nodes`,
            { zone },
            error,
          )
        : error;
    }
  }

  #nodesIn(zone: string): number {
    return [...this.nodes.values()].filter((node) => node.zone === zone).length;
  }

  /** Terminates a node's instance; it is a node no more. */
  removeNode(name: string): void {
    this.region.terminate(this.node(name).instance.id);
    this.nodes.delete(name);
  }

  /** Throws `HOST_UNKNOWN`. */
  node(name: string): SimulatedNode {
    const node = this.nodes.get(name);
    if (node === undefined) {
      throw new NetworkError("not-found", "HOST_UNKNOWN", `there is no node "${name}" in this simulation`, {
        name,
      });
    }
    return node;
  }

  isAlive(name: string): boolean {
    const node = this.nodes.get(name);
    return node !== undefined && this.region.isAlive(node.instance.id);
  }

  /** Routes of the nodes' tables inside these networks that lead to each node now: node name → destination → number of tables. */
  routesByNode(networks: readonly Cidr[]): ReadonlyMap<string, ReadonlyMap<Cidr, number>> {
    const nodeOf = new Map([...this.nodes.values()].map(({ name, card }) => [card.id, name]));
    const held = new Map<string, Map<Cidr, number>>();
    for (const table of this.tables.values()) {
      for (const { destination, target } of this.region.routesAt(table, this.region.time())) {
        const name = target.kind === "interface" ? nodeOf.get(target.id) : undefined;
        if (name !== undefined && isInside(networks, destination)) {
          const destinations = held.get(name) ?? new Map<Cidr, number>();
          destinations.set(destination, (destinations.get(destination) ?? 0) + 1);
          held.set(name, destinations);
        }
      }
    }
    return held;
  }

  /** The region as packets meet it now, with the routes that agents have put on their hosts. */
  walkWorld(hostTables: ReadonlyMap<string, HostTables>): WalkWorld {
    const at = this.region.time();
    const nameOf = new Map([...this.nodes.values()].map(({ name, instance }) => [instance.id, name]));
    const machines: WalkMachine[] = [];
    for (const instance of this.region.instances.values()) {
      const cards = instance.interfaces.filter((card) => this.region.interfaces.has(card.id));
      const [primary] = cards;
      if (primary !== undefined) {
        const name = nameOf.get(instance.id) ?? instance.tags["Name"] ?? instance.id;
        machines.push({
          name,
          alive: this.region.isAlive(instance.id),
          primary: primary.id,
          interfaces: cards.map((card) => ({
            id: card.id,
            subnetId: card.subnetId,
            addresses: card.addresses.map(ipv4Value),
            sourceDestCheck: card.sourceDestCheck.at(at),
          })),
          tables: hostTables.get(name),
        });
      }
    }
    const tableOfSubnet = new Map<string, string>();
    for (const { id } of this.region.subnets.values()) {
      const table = this.region.tableOf(id);
      if (table !== undefined) {
        tableOfSubnet.set(id, table.id);
      }
    }
    const routeTables = [...this.region.routeTables.values()].map((table) => ({
      id: table.id,
      routes: this.region.routesAt(table, at),
    }));
    return { machines, routeTables, tableOfSubnet };
  }

  /**
   * Everything that is not ours, one line each: routes outside the networks, all routes of tables that serve no node, source/dest checks of
   * interfaces that own no node's address. Two lists are equal when nobody touched any of it in between.
   */
  foreignState(networks: readonly Cidr[]): readonly string[] {
    const at = this.region.time();
    const ours = new Set([...this.tables.values()].map(({ id }) => id));
    const cards = new Set([...this.nodes.values()].map(({ card }) => card.id));
    const lines: string[] = [];
    for (const table of this.region.routeTables.values()) {
      for (const { destination, target } of this.region.routesAt(table, at)) {
        if (!ours.has(table.id) || !isInside(networks, destination)) {
          lines.push(`${table.id} ${destination} → ${target.kind === "local" ? "local" : target.id}`);
        }
      }
    }
    for (const instance of this.region.instances.values()) {
      for (const card of instance.interfaces) {
        const isNode =
          cards.has(card.id) || (instance.goneAt !== undefined && card === instance.interfaces[0]);
        if (!isNode) {
          lines.push(`${card.id} source/dest check ${card.sourceDestCheck.at(at) ? "on" : "off"}`);
        }
      }
    }
    return lines.toSorted();
  }

  /** The database stands in a zone without nodes: Romana would keep a group for each subnet of a zone with nodes. */
  #addStrangers(zone: string, dataZone: string): void {
    const [subnetId = ""] = this.#subnets.get(zone) ?? [];
    const vpn = this.region.launch({ subnetId, tags: { Name: "vpn" }, sourceDestCheck: false });
    const dataSubnet = this.region.addSubnet(dataZone, subnetCidr(MAX_SUBNETS));
    this.region.launch({ subnetId: dataSubnet.id, tags: { Name: "database" } });
    const data = this.region.addRouteTable({ subnetIds: [dataSubnet.id], tags: { Name: "data" } });
    for (const table of [...this.tables.values(), data]) {
      this.region.createRoute(table.id, parseCidr("0.0.0.0/0"), { kind: "other", id: "igw-1" });
      this.region.createRoute(table.id, parseCidr("192.168.0.0/16"), { kind: "other", id: "pcx-1" });
      this.region.createRoute(table.id, parseCidr("172.16.0.0/12"), {
        kind: "interface",
        id: vpn.interfaces[0]?.id ?? "",
      });
    }
  }
}

function subnetCidr(index: number): Cidr {
  return formatCidr(ipv4Value("10.0.0.0" as Ipv4) + index * 2 ** (32 - SUBNET_LENGTH), SUBNET_LENGTH);
}

function isInside(networks: readonly Cidr[], destination: Cidr): boolean {
  return networks.some((network) => containsCidr(network, destination));
}
