import { AddressCollector, type AddressCollectorOptions } from "../../src/controllers/address-collector.ts";
import type { ClusterNode, ClusterPod } from "../../src/core/cluster/objects.ts";
import type { Ipv4 } from "../../src/core/net/ipv4.ts";
import type { ClusterEvent } from "../../src/ports/cluster.ts";
import type { AddressingService } from "../../src/services/addressing-service.ts";
import { AgentReports } from "../../src/services/cluster/agent-reports.ts";
import { ObjectView } from "../../src/services/cluster/object-view.ts";
import {
  createLog,
  createStore,
  hostIn,
  openService,
  signal,
  twoZones,
  type LogLine,
} from "../services/support.ts";
import { FakeClock } from "../support/fake-clock.ts";

export const MINUTE = 60_000;
export const GRACE = 10 * MINUTE;

/** A cluster of two hosts with a collector on it. Reports and Pods come when a test says so. */
export class CollectorWorld {
  readonly clock = new FakeClock();
  readonly pods = new ObjectView<ClusterPod>();
  readonly nodes = new ObjectView<ClusterNode>();
  readonly events: Omit<ClusterEvent, "firstMs">[] = [];
  readonly lines: LogLine[] = [];
  readonly addresses: AddressingService;
  agents: AgentReports;
  problem = "";
  collector: AddressCollector;

  private constructor(addresses: AddressingService, options: Partial<AddressCollectorOptions>) {
    this.addresses = addresses;
    this.agents = new AgentReports(this.clock);
    this.collector = this.#create(options);
  }

  static async create(options: Partial<AddressCollectorOptions> = {}): Promise<CollectorWorld> {
    const addresses = await openService(createStore());
    await addresses.updateTopology(twoZones, signal);
    await addresses.addHost(hostIn("a", "h1", 1), signal);
    await addresses.addHost(hostIn("b", "h2", 2), signal);
    const world = new CollectorWorld(addresses, options);
    world.collector.start();
    return world;
  }

  /** Another replica leads: it has heard of no agent yet. */
  async changeLeader(): Promise<void> {
    await this.collector.stop();
    this.agents = new AgentReports(this.clock);
    this.collector = this.#create({});
    this.collector.start();
  }

  take(name: string, uid: string | undefined, host = "h1", tenant = "shop"): Promise<Ipv4> {
    const pod = uid === undefined ? {} : { pod: { namespace: "shop", name: name.split(".")[0] ?? "", uid } };
    return this.addresses.allocate({ name, host, tenant, segment: "s", ...pod }, signal);
  }

  /** The agent of a host says which interfaces it has. */
  report(host: string, interfaces: Readonly<Record<string, string>> = {}, ready = true): void {
    this.agents.put(host, { ready, endpoints: new Map(Object.entries(interfaces) as [Ipv4, string][]) });
  }

  /** Time passes, in steps, with the same report of each host every 30 s; and every look that falls due ends. */
  async pass(
    ms: number,
    reports: Readonly<Record<string, Readonly<Record<string, string>>>> = {},
  ): Promise<void> {
    for (let left = ms; left > 0; left -= 30_000) {
      Object.entries(reports).forEach(([host, interfaces]) => this.report(host, interfaces));
      await this.clock.advance(Math.min(left, 30_000));
      await this.collector.check(signal);
    }
  }

  names(): readonly string[] {
    return this.addresses.addresses().map(({ name }) => name);
  }

  #create(options: Partial<AddressCollectorOptions>): AddressCollector {
    const { addresses, pods, agents, nodes, clock } = this;
    return new AddressCollector({
      addresses,
      pods,
      podsProblem: () => this.problem,
      agents,
      nodes,
      events: { record: (event) => void this.events.push(event) },
      clock,
      log: createLog(this.lines),
      graceMs: GRACE,
      ...options,
    });
  }
}
