import { NetworkError } from "../../core/errors.ts";
import type { ReachView, SimulationEvent, SimulationSummary } from "../../core/views/simulation-views.ts";
import { checkPairs, checkStrays, type PairReport } from "./check-pairs.ts";
import { ClusterSurvey } from "./cluster-survey.ts";
import type { ControlPlaneUnderTest } from "./control-plane-under-test.ts";
import { FailoverRecorder } from "./failover-recorder.ts";
import { HostAgents } from "./host-agents.ts";
import { foreignDifferences, judgeSimulation } from "./judge-simulation.ts";
import { RouteLog } from "./route-log.ts";
import { ScenarioDirector } from "./scenario-director.ts";
import type { SimulatedScenario } from "./scenario-step.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { SimulatedCluster } from "./simulated-cluster.ts";
import type { VirtualClock } from "./virtual-clock.ts";

export interface SimulationOptions {
  readonly clock: VirtualClock;
  readonly cluster: SimulatedCluster;
  readonly control: ControlPlaneUnderTest;
  readonly random: SeededRandom;
  readonly seed: number;
  readonly topology: unknown;
  readonly pods: number;
  readonly scenario: SimulatedScenario;
  /** From a change in the control plane to the hosts' routes, milliseconds (default 0). */
  readonly agentDelayMs?: number;
  readonly onEvent: (event: SimulationEvent) => void;
  /** Ends the run early, with its reason. */
  readonly signal: AbortSignal;
}

const TENANTS: readonly (readonly [tenant: string, segment: string])[] = [
  ["default", "frontend"],
  ["default", "backend"],
  ["blue", "web"],
  ["green", "batch"],
];
/** Pairs of pods of the last check. */
const PAIRS_AT_THE_END = 100_000;
const LOOK_EVERY_MS = 50;
/** Nodes are found in the first pass or, when EC2 lags, in the next one. */
const PLACED_WITHIN_MS = 120_000;
const CONVERGES_WITHIN_MS = 3_600_000;

/** Runs one scenario on a simulated cluster with a real control plane, and judges how it ends. */
export class Simulation {
  readonly #options: SimulationOptions;
  readonly #survey: ClusterSurvey;
  readonly #firstNodes: number;
  #stopped = false;

  constructor(options: SimulationOptions) {
    this.#options = options;
    const { clock, cluster, control, agentDelayMs = 0 } = options;
    this.#firstNodes = cluster.nodes.size;
    this.#survey = new ClusterSurvey({ cluster, control, agents: new HostAgents(clock, agentDelayMs) });
  }

  /** Throws what the control plane throws when it cannot even be set up (an invalid topology, no room for the pods). */
  async run(): Promise<SimulationSummary> {
    const { clock, cluster, control, scenario, onEvent, seed } = this.#options;
    onEvent({
      kind: "built",
      scenario: scenario.name,
      description: scenario.description,
      seed,
      region: cluster.region.region,
      zones: cluster.zones(),
      nodes: cluster.nodes.size,
    });
    for (const action of scenario.denied) {
      cluster.ec2.deny(action);
    }
    await clock.runUntilSettled(control.start());
    await clock.runUntilSettled(control.updateTopology(this.#options.topology));
    const networks = control.networks();
    const foreign = cluster.foreignState(networks);
    await this.#placePods();
    const convergedMs = await this.#converge();

    const recorder = new FailoverRecorder({
      clock,
      cluster,
      networks,
      isDown: (node) => !this.#stopped && control.isDown(node),
      onDetected: (node, afterMs) => onEvent({ kind: "verdict", atMs: clock.monotonic(), node, afterMs }),
    });
    const routes = new RouteLog(cluster, networks);
    await this.#perform(recorder, routes);
    this.#tellRoutes(routes);

    const pods = this.#survey.livingPods();
    const walk = this.#survey.walk();
    const last = checkPairs(walk, pods, PAIRS_AT_THE_END, this.#options.random.fork("last check"));
    onEvent({ kind: "reach", atMs: clock.monotonic(), phase: "end", reach: reachOf(last) });
    this.#tellPicture();
    const operationsLeft = this.#stopped ? null : await clock.runUntilSettled(control.countPlanned());
    const strays = checkStrays(walk, pods, this.#survey.strayAddresses());
    const foreignChanges = foreignDifferences(foreign, cluster.foreignState(networks));
    const summary = {
      scenario: scenario.name,
      seed,
      region: cluster.region.region,
      zones: cluster.zones(),
      nodes: cluster.nodes.size,
      pods: control.addresses().length,
      groups: this.#survey.groups().length,
      virtualSeconds: Math.round(clock.monotonic() / 1_000),
      convergedMs,
      pairsChecked: last.checked,
      pairsUnreachable: last.unreachable,
      groupPairsChecked: last.groupPairs,
      strayPacketsChecked: strays.checked,
      strayPacketsLooping: strays.loops,
      failovers: recorder.failovers(),
      routeMoves: recorder.moves(),
      operationsLeft,
      routesPerTable: this.#survey.routesPerTable(),
      ec2Calls: cluster.cloud.calls(),
      probes: cluster.prober.counts(),
      foreignChanges,
    };
    const problems = judgeSimulation({
      summary,
      expect: scenario.expect,
      groups: new Set(pods.map(({ group }) => group)).size,
      straysDelivered: strays.delivered,
      addresses: control.addresses(),
    });
    const judged: SimulationSummary = { ...summary, ok: problems.length === 0, problems };
    onEvent({ kind: "end", atMs: clock.monotonic(), summary: judged });
    if (!this.#stopped) {
      await clock.runUntilSettled(control.stop());
    }
    return judged;
  }

  /** Waits until the controller has registered all nodes, then spreads pods over them. */
  async #placePods(): Promise<void> {
    const { clock, cluster, control, pods, onEvent } = this.#options;
    const unplaced = () => {
      const placed = new Set(
        control.hosts().flatMap(({ name, groups }) => (groups.length > 0 ? [name] : [])),
      );
      return [...cluster.nodes.keys()].filter((name) => !placed.has(name));
    };
    const until = clock.monotonic() + PLACED_WITHIN_MS;
    while (unplaced().length > 0 && clock.monotonic() < until) {
      await clock.runFor(LOOK_EVERY_MS);
    }
    const [first] = unplaced();
    if (first !== undefined) {
      throw new NetworkError(
        "invalid",
        "SIMULATION_INVALID",
        `the topology takes ${cluster.nodes.size - unplaced().length} of ${cluster.nodes.size} nodes (not ${first}, for one): give every zone and subnet groups of its own, or simulate fewer nodes`,
        { unplaced: unplaced() },
      );
    }
    const hosts = control.hosts();
    for (let index = 0; index < pods; index += 1) {
      const host = hosts[index % hosts.length];
      if (host !== undefined) {
        await this.#placePod(`pod-${index + 1}`, host.name, index);
      }
    }
    onEvent({
      kind: "placed",
      atMs: clock.monotonic(),
      pods: control.addresses().length,
      blocks: control.blocks().length,
    });
  }

  async #placePod(name: string, host: string, index: number): Promise<void> {
    const { clock, control, cluster } = this.#options;
    const [tenant, segment] = TENANTS[Math.floor(index / cluster.nodes.size) % TENANTS.length] ?? [
      "default",
      "",
    ];
    await clock.runUntilSettled(control.allocate({ name, host, tenant, segment }));
  }

  /** Nodes that came later get pods of their own. */
  async #placeMissingPods(): Promise<void> {
    const { control, cluster, pods } = this.#options;
    const used = new Set(control.addresses().map(({ host }) => host));
    const bare = control
      .hosts()
      .filter(({ name, groups }) => groups.length > 0 && !used.has(name) && cluster.isAlive(name));
    const each = Math.max(1, Math.round(pods / this.#firstNodes));
    for (const { name } of bare.slice(0, this.#stopped ? 0 : undefined)) {
      for (let index = 0; index < each; index += 1) {
        await this.#placePod(`pod-${name}-${index + 1}`, name, index);
      }
    }
  }

  /** Until every table has every desired route and every check that may be turned off is off. Null when that never came. */
  async #converge(): Promise<number | null> {
    const { clock, onEvent, cluster } = this.#options;
    let convergedMs: number | null = null;
    while (convergedMs === null && clock.monotonic() < CONVERGES_WITHIN_MS) {
      this.#options.signal.throwIfAborted();
      await clock.runFor(500);
      convergedMs = this.#isConverged() ? Math.round(clock.monotonic()) : null;
    }
    const cards = [...cluster.nodes.values()].map(({ card }) => card.sourceDestCheck.at(clock.monotonic()));
    onEvent({
      kind: "converged",
      atMs: clock.monotonic(),
      tables: this.#survey.routesPerTable(),
      checksOff: cards.filter((on) => !on).length,
    });
    this.#tellPicture();
    this.#tellReach("before");
    return convergedMs;
  }

  #isConverged(): boolean {
    const { cluster, control, scenario, clock } = this.#options;
    const desired = control.desired();
    const now = clock.monotonic();
    const written = [...cluster.tables.values()].every((table) =>
      desired.every(({ destination, host }) => {
        const target = table.routes.get(destination)?.at(now);
        return target?.kind === "interface" && target.id === cluster.nodes.get(host)?.card.id;
      }),
    );
    const checksDenied = scenario.denied.includes("ModifyNetworkInterfaceAttribute");
    const checksOff =
      checksDenied || [...cluster.nodes.values()].every(({ card }) => !card.sourceDestCheck.at(now));
    return desired.length > 0 && written && checksOff;
  }

  async #perform(recorder: FailoverRecorder, routes: RouteLog): Promise<void> {
    const { clock, scenario, onEvent } = this.#options;
    const director = this.#director();
    const start = clock.monotonic();
    for (const [index, step] of scenario.steps.entries()) {
      await this.#runUntil(start + step.at, routes);
      const report = await clock.runUntilSettled(director.perform(step)).catch((error: unknown) => {
        throw error instanceof NetworkError ? inStep(error, step.do, step.at) : error;
      });
      recorder.onDeath(report.killed);
      recorder.onHeal(report.healed);
      onEvent({ kind: "step", atMs: clock.monotonic(), text: report.text });
      await this.#watch(start + (scenario.steps[index + 1]?.at ?? scenario.duration), routes);
    }
    await this.#runUntil(start + scenario.duration, routes);
  }

  #director(): ScenarioDirector {
    const { cluster, control, random } = this.#options;
    return new ScenarioDirector({
      cluster,
      random: random.fork("scenario"),
      networks: control.networks(),
      operator: {
        startController: async () => {
          await control.start();
          this.#stopped = false;
        },
        stopController: async () => {
          this.#stopped = true;
          await control.stop();
        },
        removeHost: (name) => control.removeHost(name),
        candidatesOf: (destination) =>
          control.desired().find((route) => route.destination === destination)?.candidates ?? [],
      },
    });
  }

  /** After a step: how many pods are out of reach, and when the last of them is reached again. */
  async #watch(until: number, routes: RouteLog): Promise<void> {
    const { clock } = this.#options;
    let lost = this.#tellReach();
    let seen = routes.count();
    while (lost > 0 && clock.monotonic() < until) {
      await clock.runFor(Math.min(LOOK_EVERY_MS, until - clock.monotonic()));
      if (routes.count() !== seen) {
        seen = routes.count();
        lost = this.#survey.reach(this.#checkRandom()).unreachable;
      }
      if (lost === 0) {
        this.#tellRoutes(routes);
        this.#tellReach("after");
      }
    }
  }

  async #runUntil(until: number, routes: RouteLog): Promise<void> {
    const { clock } = this.#options;
    // Those that happened while pods were watched: they come before the next step.
    this.#tellRoutes(routes);
    while (clock.monotonic() < until) {
      this.#options.signal.throwIfAborted();
      await clock.runUntil(Math.min(until, clock.monotonic() + 60_000));
      this.#tellRoutes(routes);
      await this.#placeMissingPods();
    }
  }

  #tellRoutes(routes: RouteLog): void {
    for (const { atMs, changes } of routes.take()) {
      this.#options.onEvent({ kind: "routes", atMs, changes });
    }
  }

  #tellReach(known?: "before" | "after"): number {
    const { clock, onEvent } = this.#options;
    const report = this.#survey.reach(this.#checkRandom());
    const phase = known ?? (report.unreachable === 0 ? "after" : "during");
    onEvent({ kind: "reach", atMs: clock.monotonic(), phase, reach: reachOf(report) });
    return report.unreachable;
  }

  #checkRandom(): SeededRandom {
    return this.#options.random.fork(`check at ${this.#options.clock.monotonic()}`);
  }

  #tellPicture(): void {
    this.#options.onEvent({ kind: "picture", cells: this.#survey.picture() });
  }
}

/** The same problem, with the step that has it. */
function inStep({ kind, code, message, details }: NetworkError, verb: string, at: number): NetworkError {
  return new NetworkError(kind, code, `the step "${verb}" at ${at / 1_000} s: ${message}`, details);
}

function reachOf(report: PairReport): ReachView {
  const [example] = report.examples;
  return {
    checked: report.checked,
    unreachable: report.unreachable,
    groupPairs: report.groupPairs,
    causes: report.causes,
    example: example === undefined ? "" : `${example.from} → ${example.to}: ${example.result.why}`,
  };
}
