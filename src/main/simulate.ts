import { readFileSync } from "node:fs";

import { MemoryStore } from "../adapters/memory/memory-store.ts";
import type { ControlPlaneUnderTest } from "../adapters/simulation/control-plane-under-test.ts";
import { SeededRandom } from "../adapters/simulation/seeded-random.ts";
import { CLUSTER_NAME, NODE_TAG, SimulatedCluster } from "../adapters/simulation/simulated-cluster.ts";
import { Simulation } from "../adapters/simulation/simulation.ts";
import { VirtualClock } from "../adapters/simulation/virtual-clock.ts";
import type { SimulateOptions } from "../cli/commands/simulate.ts";
import { createSimulationView } from "../cli/simulate-view.ts";
import { readVersion } from "../cli/version.ts";
import { loadControllerConfig } from "../config/load.ts";
import { loadScenario, type Scenario } from "../config/scenario.ts";
import { stripComments } from "../config/strip-comments.ts";
import { NetworkError } from "../core/errors.ts";
import type { HealthOptions } from "../core/health/options.ts";
import { parseCidr } from "../core/net/cidr.ts";
import { awsTopology } from "../core/topology/aws-topology.ts";
import type { SimulationSummary } from "../core/views/simulation-views.ts";
import type { Logger } from "../ports/logger.ts";
import { createLogger } from "../telemetry/logger.ts";
import { createControlPlane, type ControlPlane } from "./create-control-plane.ts";
import type { LeaderDuties } from "./leader-duties.ts";

/** What a simulation is run with beyond the options of the command. */
export interface SimulationSurroundings {
  readonly stdout: { write(text: string): unknown };
  readonly isTTY: boolean;
  /** Ends the simulation early, with its reason. */
  readonly signal?: AbortSignal;
  /** Where the controller logs; nowhere when not given. */
  readonly log?: Logger;
  /** Health options that differ from the controller's defaults. */
  readonly health?: Partial<HealthOptions>;
  /** Instead of those that the options name. */
  readonly scenario?: Scenario;
  readonly topology?: (cluster: SimulatedCluster) => unknown;
  /** Subnets of each zone (default 1). A group serves one subnet, so a zone needs as many groups. */
  readonly subnetsPerZone?: number;
}

const DEFAULT_NODES = 30;
const DEFAULT_PODS = 300;
const MAX_GROUPS_PER_ZONE = 8;
/** A group shall have some nodes that can stand in for each other. */
const NODES_PER_GROUP = 3;
/** Zones of the simulated region; the built-in topology of a region may know more. */
const ZONES = ["a", "b", "c"];

/** What `romana simulate` runs: the exit code is 0 only when the scenario ended as it must. */
export async function runSimulation(options: SimulateOptions, signal: AbortSignal): Promise<number> {
  const { stdout } = process;
  const isTTY = stdout.isTTY && process.env["NO_COLOR"] === undefined;
  const { exitCode } = await simulate(options, { stdout, isTTY, signal });
  return exitCode;
}

/** Runs one simulation to its end. Throws `NetworkError` for options, scenarios and topologies that cannot be. */
export async function simulate(
  options: SimulateOptions,
  surroundings: SimulationSurroundings,
): Promise<{ readonly exitCode: number; readonly summary: SimulationSummary }> {
  const { stdout, isTTY } = surroundings;
  const scenario = surroundings.scenario ?? loadScenario(options.scenario ?? "node-failure");
  const region = options.region ?? "us-west-2";
  const zones = ZONES.map((letter) => `${region}${letter}`);
  const nodes = atLeast("nodes", options.nodes ?? scenario.nodes ?? DEFAULT_NODES, 2);
  const pods = atLeast("pods", options.pods ?? scenario.pods ?? DEFAULT_PODS, 2);
  const seed = options.seed ?? 1;
  const random = new SeededRandom(seed);
  const clock = new VirtualClock();
  const { subnetsPerZone = 1 } = surroundings;
  const cluster = new SimulatedCluster({ clock, random, region, zones, nodes, subnetsPerZone });
  const view = createSimulationView({
    writeLine: (line) => stdout.write(`${line}\n`),
    coloured: isTTY,
  });
  const summary = await new Simulation({
    clock,
    cluster,
    control: new ControllerUnderTest(clock, cluster, surroundings),
    random,
    seed,
    topology:
      surroundings.topology?.(cluster) ??
      readTopology(options.topology, region, zones, nodes, subnetsPerZone),
    pods,
    scenario,
    onEvent: view,
    signal: surroundings.signal ?? new AbortController().signal,
  }).run();
  if (options.json === true) {
    stdout.write(`${JSON.stringify(summary)}\n`);
  }
  return { exitCode: summary.ok ? 0 : 1, summary };
}

/** The very control plane of `romana controller`, built by the same factory on simulated adapters. One after another, as processes are. */
class ControllerUnderTest implements ControlPlaneUnderTest {
  readonly #clock: VirtualClock;
  readonly #cluster: SimulatedCluster;
  readonly #surroundings: SimulationSurroundings;
  readonly #store: MemoryStore;
  readonly #signal = new AbortController().signal;
  #plane: ControlPlane | undefined;
  #lastDuties: LeaderDuties | undefined;

  constructor(clock: VirtualClock, cluster: SimulatedCluster, surroundings: SimulationSurroundings) {
    this.#clock = clock;
    this.#cluster = cluster;
    this.#surroundings = surroundings;
    this.#store = new MemoryStore({ clock });
  }

  async start(): Promise<void> {
    await this.stop();
    const config = loadControllerConfig({
      flags: {
        cloud: "aws",
        cluster: CLUSTER_NAME,
        hostTag: [`${NODE_TAG.key}=${NODE_TAG.value}`],
        region: this.#cluster.region.region,
      },
      environment: {},
    });
    this.#plane = await createControlPlane(
      {
        clock: this.#clock,
        log:
          this.#surroundings.log ?? createLogger({ level: "error", destination: { write: () => undefined } }),
        store: this.#store,
        prefix: "/romana",
        replica: { id: "simulated", url: "" },
        random: () => 0,
        cloud: this.#cluster.cloud,
        prober: this.#cluster.prober,
        config: { ...config, health: { ...config.health, ...this.#surroundings.health } },
        version: readVersion(),
        cloudName: "simulation",
        storeName: "memory",
      },
      this.#signal,
    );
    this.#plane.start();
  }

  async stop(): Promise<void> {
    await this.#plane?.stop();
  }

  async countPlanned(): Promise<number> {
    const view = await this.#duties()?.controller.plan(this.#signal);
    return (view?.operations.length ?? 0) + (view?.sourceDestCheck.length ?? 0);
  }

  async updateTopology(document: unknown): Promise<void> {
    await this.#running().addressing.updateTopology(document, this.#signal);
  }

  async removeHost(name: string): Promise<void> {
    await this.#running().addressing.removeHost(name, this.#signal);
  }

  allocate(request: Parameters<ControlPlaneUnderTest["allocate"]>[0]) {
    return this.#running().addressing.allocate(request, this.#signal);
  }

  networks() {
    return this.#running()
      .addressing.networks()
      .map(({ cidr }) => parseCidr(cidr));
  }

  hosts() {
    return this.#running()
      .addressing.hosts()
      .hosts.map(({ name, ip, groups }) => ({
        name,
        ip,
        groups: groups.map(({ network, cidr }) => ({ network, cidr: parseCidr(cidr) })),
      }));
  }

  blocks() {
    const { blocks } = this.#running().addressing.blocks() ?? { blocks: [] };
    return blocks
      .filter(({ host }) => host !== "")
      .map(({ cidr, host }) => ({ cidr: parseCidr(cidr), host }));
  }

  addresses() {
    return this.#running().addressing.addresses();
  }

  desired() {
    return this.#duties()?.state.snapshot()?.desired ?? [];
  }

  isDown(host: string): boolean {
    return this.#duties()?.monitor?.snapshot().nodes.get(host)?.health === "down";
  }

  /** Those of the last leader; what was stopped still answers what it knew. */
  #duties(): LeaderDuties | undefined {
    this.#lastDuties = this.#running().duties() ?? this.#lastDuties;
    return this.#lastDuties;
  }

  /** The last one started; one that was stopped still answers what it knew. */
  #running(): ControlPlane {
    if (this.#plane === undefined) {
      throw new TypeError("the control plane was not started");
    }
    return this.#plane;
  }
}

function readTopology(
  file: string | undefined,
  region: string,
  zones: readonly string[],
  nodes: number,
  subnetsPerZone: number,
): unknown {
  if (file === undefined) {
    const perZone = Math.floor(nodes / zones.length / NODES_PER_GROUP);
    const groupsPerZone = Math.max(subnetsPerZone, Math.min(MAX_GROUPS_PER_ZONE, perZone));
    return awsTopology({ region, zones, groupsPerZone });
  }
  try {
    return JSON.parse(stripComments(readFileSync(file, "utf8"))) as unknown;
  } catch (error) {
    throw new NetworkError(
      "invalid",
      "TOPOLOGY_UNREADABLE",
      `cannot read the topology ${file}: ${error instanceof Error ? error.message : String(error)}`,
      { path: file },
      error,
    );
  }
}

function atLeast(name: string, value: number, least: number): number {
  if (value < least) {
    throw new NetworkError(
      "invalid",
      "SIMULATION_INVALID",
      `--${name} is ${value}; a simulation needs at least ${least}`,
      { [name]: value },
    );
  }
  return value;
}
