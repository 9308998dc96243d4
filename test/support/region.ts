import { MemoryStore } from "../../src/adapters/memory/memory-store.ts";
import { SeededRandom } from "../../src/adapters/simulation/seeded-random.ts";
import { SimulatedCloud } from "../../src/adapters/simulation/simulated-cloud.ts";
import { AWS_SETTINGS, SimulatedEc2, type Ec2Settings } from "../../src/adapters/simulation/simulated-ec2.ts";
import { SimulatedRegion } from "../../src/adapters/simulation/simulated-region.ts";
import { VirtualClock } from "../../src/adapters/simulation/virtual-clock.ts";
import { FailoverController } from "../../src/controllers/failover-controller.ts";
import { RouteController, type RouteControllerOptions } from "../../src/controllers/route-controller.ts";
import { RouteExecutor } from "../../src/controllers/route-executor.ts";
import { RouteState } from "../../src/controllers/route-state.ts";
import { RouteWriter } from "../../src/controllers/route-writer.ts";
import { SourceDestChecks } from "../../src/controllers/source-dest-checks.ts";
import type { HealthSnapshot, NodeHealth } from "../../src/core/health/view.ts";
import { parseCidr, type Cidr } from "../../src/core/net/cidr.ts";
import type { Ipv4 } from "../../src/core/net/ipv4.ts";
import type { RoutingTree } from "../../src/core/routing/aggregate.ts";
import type { Group } from "../../src/core/topology/topology.ts";
import type { Meter, MeteredFailover } from "../../src/ports/meter.ts";
import type { Store } from "../../src/ports/store.ts";
import { RouteJournal } from "../../src/services/route-journal.ts";
import { silentLog } from "./silent-log.ts";

const never = new AbortController().signal;

/** Health by decree. */
export class DecreedHealth {
  blind = false;
  readonly states = new Map<string, NodeHealth>();
  targets: readonly { readonly host: string; readonly role: string }[] = [];

  setTargets(targets: readonly { readonly host: string; readonly role: string }[]): void {
    this.targets = targets;
  }

  snapshot(): HealthSnapshot {
    return {
      blind: this.blind,
      confirmed: () => true,
      nodes: new Map(
        this.targets.map(({ host }) => {
          const health = this.states.get(host) ?? "up";
          return [host, { health, last: health === "down" ? "down" : "up", holdDownUntil: 0 }] as const;
        }),
      ),
    };
  }

  async whenMeasured(): Promise<void> {
    await Promise.resolve();
  }
}

/** Keeps what the controllers count, a line each. */
export class CountedWork implements Meter {
  readonly writes: string[] = [];
  readonly passes: string[] = [];
  readonly failovers: MeteredFailover[] = [];

  write(action: string, outcome: string): void {
    this.writes.push(`${action} ${outcome}`);
  }

  pass(outcome: string): void {
    this.passes.push(outcome);
  }

  failover(failover: MeteredFailover): void {
    this.failovers.push(failover);
  }

  verdict(): void {
    throw new Error("verdicts are counted where the probes are, not here");
  }
}

/** The parts of a controller that tests talk to. */
export interface SmallController {
  readonly passes: RouteController;
  readonly failover: FailoverController;
  readonly state: RouteState;
}

/** Two zones of one subnet and one table each, three nodes a zone in two groups a zone: `a1 a2 | a3`, `b1 b2 | b3`. */
export class SmallRegion {
  readonly meter = new CountedWork();
  readonly clock = new VirtualClock();
  readonly random = new SeededRandom(7);
  readonly region = new SimulatedRegion({ clock: this.clock, vpcCidrs: [parseCidr("10.0.0.0/16")] });
  readonly ec2: SimulatedEc2;
  readonly health = new DecreedHealth();
  readonly store: MemoryStore;
  readonly groups: Record<string, string[]> = {
    "100.96.0.0/16": ["a1", "a2"],
    "100.97.0.0/16": ["a3"],
    "100.104.0.0/16": ["b1", "b2"],
    "100.105.0.0/16": ["b3"],
  };
  readonly instances = new Map<string, { id: string; eni: string; ip: Ipv4; subnetId: string }>();
  readonly tables: string[] = [];
  readonly #controllers: SmallController[] = [];

  constructor(settings: Partial<Ec2Settings> = {}) {
    this.store = new MemoryStore({ clock: this.clock });
    this.ec2 = new SimulatedEc2({
      region: this.region,
      clock: this.clock,
      random: this.random,
      settings: { ...AWS_SETTINGS, ...settings },
    });
    this.region.addRouteTable({ main: true });
    for (const [index, zone] of ["a", "b"].entries()) {
      const subnet = this.region.addSubnet(`us-west-2${zone}`, parseCidr(`10.0.${index}.0/24`));
      this.tables.push(this.region.addRouteTable({ subnetIds: [subnet.id] }).id);
      for (const number of [1, 2, 3]) {
        this.launch(`${zone}${number}`, subnet.id);
      }
    }
  }

  launch(name: string, subnetId: string, address?: Ipv4): void {
    const { id, interfaces } = this.region.launch({
      subnetId,
      ...(address === undefined ? {} : { address }),
    });
    const [primary] = interfaces;
    this.instances.set(name, { id, eni: primary?.id ?? "", ip: primary?.addresses[0] as Ipv4, subnetId });
  }

  /** A controller over this region; several may follow one another over one store. */
  async controller(
    overrides: Partial<RouteControllerOptions & { readonly quota: number }> = {},
    store: Store = this.store,
  ): Promise<SmallController> {
    const cloud = new SimulatedCloud({
      region: this.region,
      ec2: this.ec2,
      clock: this.clock,
      random: this.random,
      attempts: 2,
    });
    const { clock } = this;
    const stopping = new AbortController();
    const { dryRun = false, quota = 500, ...others } = overrides;
    const state = new RouteState({ clock, health: this.health, quota });
    const writer = new RouteWriter({
      cloud,
      clock,
      meter: this.meter,
      bucket: { capacity: 50, refillPerSecond: 5, reserve: 20 },
      concurrency: 8,
      mayWrite: () => Infinity,
    });
    const journal = await RouteJournal.open({ store, prefix: "/romana", guard: undefined }, never);
    const shared = { state, journal, clock, health: this.health, log: silentLog, dryRun, meter: this.meter };
    const executor = new RouteExecutor({ ...shared, writer });
    const failover = new FailoverController({ ...shared, executor, signal: stopping.signal });
    const passes = new RouteController({
      ...shared,
      executor,
      checks: new SourceDestChecks({ ...shared, writer }),
      failover,
      cloud,
      view: () => ({
        trees: [this.#tree()],
        hosts: [...this.instances].map(([name, { ip }]) => ({ name, ip, standing: "ready" as const })),
      }),
      onFacts: async () => undefined,
      tables: { kind: "cluster" },
      reserve: 2,
      ignore: [],
      intervalMs: 30_000,
      ...others,
    });
    const controller = { passes, failover, state };
    this.#controllers.push(controller);
    return controller;
  }

  /** The routes of our networks in a table as "cidr node", sorted; a target that no node owns is shown as it is. */
  routes(table = this.tables[0] ?? ""): string[] {
    const names = new Map([...this.instances].map(([name, { eni }]) => [eni, name]));
    const found = this.region.routeTables.get(table);
    return (found === undefined ? [] : this.region.routesAt(found, this.clock.monotonic()))
      .filter(({ target }) => target.kind !== "local")
      .map(({ destination, target }) => {
        const id = target.kind === "local" ? "local" : target.id;
        return `${destination} ${names.get(id) ?? id}`;
      })
      .toSorted();
  }

  /** Prefixes that a table serves, without their gateways. */
  prefixes(table?: string): string[] {
    return this.routes(table).map((text) => text.split(" ")[0] ?? "");
  }

  gatewayOf(destination: string, table?: string): string | undefined {
    return this.routes(table)
      .find((text) => text.startsWith(`${destination} `))
      ?.split(" ")[1];
  }

  /** Nodes whose interface checks source and destination. */
  checksOn(): string[] {
    const now = this.clock.monotonic();
    return [...this.instances]
      .filter(([, { eni }]) => this.region.interfaces.get(eni)?.sourceDestCheck.at(now) === true)
      .map(([name]) => name);
  }

  writes(): number {
    const calls = this.ec2.calls();
    return ["CreateRoute", "ReplaceRoute", "DeleteRoute"].reduce(
      (sum, action) => sum + (calls[action] ?? 0),
      0,
    );
  }

  async stop(): Promise<void> {
    for (const controller of this.#controllers) {
      const stopped = controller.passes.stop();
      await this.clock.runUntilSettled(stopped);
    }
  }

  #tree(): RoutingTree {
    const leaf = (cidr: string): Group => ({
      network: "pods",
      name: cidr,
      cidr: parseCidr(cidr),
      kind: "group",
      assignment: {},
      routing: "",
      children: [],
    });
    const leaves = Object.keys(this.groups).map(leaf);
    const zone = (cidr: string, second: number): Group => ({
      ...leaf(cidr),
      children: leaves.filter((each) => Number(each.cidr.split(".")[1]) >> 3 === second >> 3),
    });
    return {
      network: "pods",
      root: { ...leaf("100.96.0.0/11"), children: [zone("100.96.0.0/13", 96), zone("100.104.0.0/13", 104)] },
      hostsOf: (cidr: Cidr) => this.groups[cidr] ?? [],
      blocksOf: () => [],
    };
  }
}
