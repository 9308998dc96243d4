import { compareCidr, containsCidr, rangeOf, type Cidr } from "../../core/net/cidr.ts";
import { ipv4Value } from "../../core/net/ipv4.ts";
import type { GroupCell } from "../../core/views/simulation-views.ts";
import { checkPairs, type CheckedPod, type PairReport } from "./check-pairs.ts";
import type { ControlPlaneUnderTest } from "./control-plane-under-test.ts";
import { ForwardingWalk } from "./forwarding-walk.ts";
import type { HostAgents } from "./host-agents.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { SimulatedCluster } from "./simulated-cluster.ts";

/** Pairs of pods of a check on the way. */
const PAIRS_ON_THE_WAY = 20_000;

/** Looks at a simulated cluster from outside: who reaches whom, which node serves which group. Changes nothing but what agents hear. */
export class ClusterSurvey {
  readonly #cluster: SimulatedCluster;
  readonly #control: ControlPlaneUnderTest;
  readonly #agents: HostAgents;

  constructor(options: {
    readonly cluster: SimulatedCluster;
    readonly control: ControlPlaneUnderTest;
    readonly agents: HostAgents;
  }) {
    this.#cluster = options.cluster;
    this.#control = options.control;
    this.#agents = options.agents;
  }

  /** A check of pairs of pods, as the region is now. */
  reach(random: SeededRandom): PairReport {
    return checkPairs(this.walk(), this.livingPods(), PAIRS_ON_THE_WAY, random);
  }

  /** The region as packets meet it now. */
  walk(): ForwardingWalk {
    const hosts = this.#control.hosts().flatMap(({ name, ip }) => {
      const node = this.#cluster.nodes.get(name);
      return node === undefined ? [] : [{ name, address: ip, subnetId: node.subnetId }];
    });
    this.#agents.hear({
      hosts,
      blocks: this.#control.blocks(),
      pods: this.#control.addresses(),
      routes: this.#control.desired().map(({ destination, host }) => ({ destination, gateway: host })),
    });
    return new ForwardingWalk(this.#cluster.walkWorld(this.#agents.tables()));
  }

  /** Pods whose nodes live. */
  livingPods(): readonly CheckedPod[] {
    const groupsOf = new Map(this.#control.hosts().map(({ name, groups }) => [name, groups]));
    return this.#control.addresses().flatMap(({ name, address, host }) => {
      const value = ipv4Value(address);
      const group = groupsOf.get(host)?.find(({ cidr }) => isWithin(cidr, value))?.cidr;
      return group === undefined || !this.#cluster.isAlive(host)
        ? []
        : [{ name, address: value, host, group }];
    });
  }

  /** Leaf groups that have hosts, sorted. */
  groups(): readonly Cidr[] {
    const groups = this.#control.hosts().flatMap(({ groups: own }) => own.map(({ cidr }) => cidr));
    return [...new Set(groups)].toSorted(compareCidr);
  }

  /** Addresses that nobody holds: one in a block of each group, the last one of each group, the last one of each network. */
  strayAddresses(): readonly number[] {
    const held = new Set(this.#control.addresses().map(({ address }) => ipv4Value(address)));
    const blocks = this.#control.blocks();
    const inBlocks = this.groups().flatMap((group) => {
      const block = blocks.find(({ cidr }) => containsCidr(group, cidr));
      return block === undefined ? [] : [lastOf(block.cidr)];
    });
    const candidates = [...inBlocks, ...this.groups().map(lastOf), ...this.#control.networks().map(lastOf)];
    return [...new Set(candidates)].filter((address) => !held.has(address));
  }

  /** Routes of ours in each table of the nodes. */
  routesPerTable(): Readonly<Record<string, number>> {
    const at = this.#cluster.region.time();
    return Object.fromEntries(
      [...this.#cluster.tables.values()].map((table) => [
        table.id,
        this.#cluster.region
          .routesAt(table, at)
          .filter(({ destination }) =>
            this.#control.networks().some((network) => containsCidr(network, destination)),
          ).length,
      ]),
    );
  }

  /** Every destination that is wanted or stands, with the node that it leads to; sorted. */
  picture(): readonly GroupCell[] {
    const holders = new Map(
      [...this.#cluster.routesByNode(this.#control.networks())].flatMap(([name, destinations]) =>
        [...destinations.keys()].map((destination) => [destination, name] as const),
      ),
    );
    const desired = this.#control.desired().map(({ destination }) => destination);
    return [...new Set([...desired, ...holders.keys()])]
      .toSorted(compareCidr)
      .map((destination): GroupCell => {
        const gateway = holders.get(destination) ?? "";
        const member = gateway === "" ? this.#memberOf(destination) : gateway;
        const zone = this.#cluster.nodes.get(member)?.zone ?? "";
        return { zone, destination, gateway, alive: gateway !== "" && this.#cluster.isAlive(gateway) };
      });
  }

  #memberOf(destination: Cidr): string {
    const host = this.#control
      .hosts()
      .find(({ groups }) => groups.some(({ cidr }) => containsCidr(destination, cidr)));
    return host?.name ?? "";
  }
}

function isWithin(cidr: Cidr, address: number): boolean {
  const { first, size } = rangeOf(cidr);
  return address >= first && address < first + size;
}

function lastOf(cidr: Cidr): number {
  const { first, size } = rangeOf(cidr);
  return first + size - 1;
}
