import { MemoryStore } from "../../src/adapters/memory/memory-store.ts";
import { SeededRandom } from "../../src/adapters/simulation/seeded-random.ts";
import { SimulatedCloud } from "../../src/adapters/simulation/simulated-cloud.ts";
import { AWS_SETTINGS, SimulatedEc2 } from "../../src/adapters/simulation/simulated-ec2.ts";
import { SimulatedProber } from "../../src/adapters/simulation/simulated-prober.ts";
import { SimulatedRegion } from "../../src/adapters/simulation/simulated-region.ts";
import { VirtualClock } from "../../src/adapters/simulation/virtual-clock.ts";
import { loadRouterConfig } from "../../src/config/load-router.ts";
import { readRouteSpec } from "../../src/config/route-spec.ts";
import { parseCidr } from "../../src/core/net/cidr.ts";
import { parseIpv4, type Ipv4 } from "../../src/core/net/ipv4.ts";
import { createVpcRouter, type VpcRouter } from "../../src/main/create-vpc-router.ts";
import type { Store } from "../../src/ports/store.ts";
import { MemoryLogger } from "../api/support.ts";

const never = new AbortController().signal;

/**
 * A VPC of two zones, 10.0.0.0/16. Zone a: gateway machines 10.0.0.5 and 10.0.0.6, and 10.0.0.7, whose interface has the secondary address 10.0.0.107; a table of
 * its own. Zone b: 10.0.1.5, on the main table. A subnet without gateways, 10.0.2.0/24, with a table of its own.
 */
export class ListedRegion {
  readonly clock = new VirtualClock();
  readonly random = new SeededRandom(11);
  readonly region = new SimulatedRegion({ clock: this.clock, vpcCidrs: [parseCidr("10.0.0.0/16")] });
  readonly ec2 = new SimulatedEc2({
    region: this.region,
    clock: this.clock,
    random: this.random,
    settings: AWS_SETTINGS,
  });
  readonly store = new MemoryStore({ clock: this.clock });
  readonly log = new MemoryLogger();
  readonly main: string;
  readonly tableA: string;
  readonly otherTable: string;
  readonly prober: SimulatedProber;
  readonly #instances = new Map<string, string>();
  readonly #routers: VpcRouter[] = [];

  constructor() {
    this.main = this.region.addRouteTable({ main: true }).id;
    const subnets = [0, 1, 2].map((third) =>
      this.region.addSubnet(third === 1 ? "us-west-2b" : "us-west-2a", parseCidr(`10.0.${third}.0/24`)),
    );
    const [a, b, other] = subnets.map(({ id }) => id) as [string, string, string];
    this.tableA = this.region.addRouteTable({ subnetIds: [a] }).id;
    this.otherTable = this.region.addRouteTable({ subnetIds: [other] }).id;
    this.launch("10.0.0.5", a);
    this.launch("10.0.0.6", a);
    this.launch("10.0.0.7", a, "10.0.0.107");
    this.launch("10.0.1.5", b);
    this.prober = new SimulatedProber({
      clock: this.clock,
      region: this.region,
      random: this.random,
      observer: { zone: "us-west-2a" },
    });
  }

  launch(address: string, subnetId: string, ...moreAddresses: readonly string[]): void {
    const { id } = this.region.launch({
      subnetId,
      address: parseIpv4(address),
      moreAddresses: moreAddresses.map(parseIpv4),
      isOld: true,
    });
    this.#instances.set(address, id);
  }

  /** The instance stands still. */
  hang(address: string, hung = true): void {
    const instance = this.region.instances.get(this.instanceOf(address));
    if (instance !== undefined) {
      instance.hung = hung;
    }
  }

  /** This one address no longer answers, whatever its machine does. */
  silence(address: string): void {
    this.prober.setLoss({ kind: "independent", probability: 1 }, [parseIpv4(address)]);
  }

  instanceOf(address: string): string {
    return this.#instances.get(address) ?? "";
  }

  interfaceOf(address: string): string {
    return this.region.interfaceAt(address as Ipv4)?.id ?? "";
  }

  /** A router with this list; without one, until a list is taken. Flags as on the command line, in camelCase. */
  async router(
    list: Readonly<Record<string, readonly string[]>> | undefined,
    flags: Readonly<Record<string, string | boolean>> = {},
    store: Store = this.store,
  ): Promise<VpcRouter> {
    const config = loadRouterConfig({ flags: { listen: "127.0.0.1:0", ...flags }, environment: {} });
    const { clock, region, ec2, random } = this;
    const router = await createVpcRouter(
      {
        clock,
        log: this.log,
        store,
        cloud: new SimulatedCloud({ region, ec2, clock, random, attempts: 2 }),
        prober: this.prober,
        config,
        file: undefined,
        read: (text, source) => readRouteSpec(text, { source, allowEmpty: config.allowEmpty }),
        isOwn: undefined,
        version: "test",
        cloudName: "simulation",
        storeName: "memory",
      },
      never,
    );
    this.#routers.push(router);
    if (list !== undefined) {
      await router.routeSpec.take(JSON.stringify(list), never);
    }
    router.start();
    return router;
  }

  /** The routes of a table as "cidr address", sorted; local ones left out, targets that are no gateway machine as they are. */
  routes(table = this.tableA): string[] {
    const names = new Map([...this.#instances.keys()].map((address) => [this.interfaceOf(address), address]));
    const found = this.region.routeTables.get(table);
    return (found === undefined ? [] : this.region.routesAt(found, this.clock.monotonic()))
      .flatMap(({ destination, target }) =>
        target.kind === "local" ? [] : [`${destination} ${names.get(target.id) ?? target.id}`],
      )
      .toSorted();
  }

  /** EC2 calls that change something, by action. */
  writes(): Readonly<Record<string, number>> {
    return Object.fromEntries(
      Object.entries(this.ec2.calls()).filter(([action]) => !action.startsWith("Describe")),
    );
  }

  async stop(): Promise<void> {
    for (const router of this.#routers) {
      await this.clock.runUntilSettled(router.stop());
    }
  }
}
