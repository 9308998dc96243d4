import { NetworkError } from "../../core/errors.ts";
import { containsCidr, type Cidr } from "../../core/net/cidr.ts";
import type { LossModel } from "./loss-model.ts";
import type { SimulatedRouteTable } from "./region-state.ts";
import type { NodeSelector, ScenarioStep } from "./scenario-step.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { SimulatedCluster, SimulatedNode } from "./simulated-cluster.ts";
import type { Ec2Action } from "./simulated-ec2.ts";

/** What a scenario asks of the controller's side. */
export interface ScenarioOperator {
  startController(): Promise<void>;
  stopController(): Promise<void>;
  /** The operator takes a host out through the API, before its instance goes. */
  removeHost(name: string): Promise<void>;
  /** Hosts that could hold the route to a destination; empty when there is no such route. */
  candidatesOf(destination: Cidr): readonly string[];
}

export interface ScenarioDirectorOptions {
  readonly cluster: SimulatedCluster;
  readonly random: SeededRandom;
  /** The networks whose routes are ours. */
  readonly networks: readonly Cidr[];
  readonly operator: ScenarioOperator;
}

/** What a step did. `killed`, `healed`: nodes that fell silent or came back by it. */
export interface StepReport {
  readonly text: string;
  readonly killed: readonly SimulatedNode[];
  readonly healed: readonly SimulatedNode[];
}

/** Makes happen what a scenario's steps say. */
export class ScenarioDirector {
  readonly #cluster: SimulatedCluster;
  readonly #random: SeededRandom;
  readonly #networks: readonly Cidr[];
  readonly #operator: ScenarioOperator;
  #last: readonly string[] = [];

  constructor(options: ScenarioDirectorOptions) {
    this.#cluster = options.cluster;
    this.#random = options.random;
    this.#networks = options.networks;
    this.#operator = options.operator;
  }

  /** Performs one step now. Throws `NetworkError` `HOST_UNKNOWN`, `ZONE_UNKNOWN` or `SCENARIO_TARGET_MISSING`. */
  async perform(step: ScenarioStep): Promise<StepReport> {
    switch (step.do) {
      case "kill":
        return this.#kill(this.#select(step.target));
      case "heal":
        return this.#heal(this.#select(step.target));
      case "terminate":
        return this.#terminate(this.#select(step.target));
      case "remove-node":
        return this.#remove(this.#select(step.target));
      case "add-node":
        return this.#add(step.zone, step.count);
      case "check-on":
        return this.#checkOn(this.#select(step.target));
      case "loss": {
        const model: LossModel = { kind: "independent", probability: step.percent / 100 };
        return this.#lose(model, step.target, `${step.percent} % of all round trips are lost`);
      }
      case "burst-loss": {
        const outageMs = step["mean-outage"];
        const model: LossModel = { kind: "bursty", probability: step.percent / 100, meanOutageMs: outageMs };
        const text = `${step.percent} % of all round trips are lost, in outages of ${outageMs} ms on average`;
        return this.#lose(model, step.target, text);
      }
      case "cut":
        this.#cluster.prober.cut(step.mode);
        return said(
          step.mode === "silent"
            ? "the controller is cut off: silence"
            : "the controller cannot send any more",
        );
      case "reconnect":
        this.#cluster.prober.cut(undefined);
        return said("the controller is connected again");
      case "throttle":
        return this.#throttle(step.actions, step.capacity, step["per-second"]);
      case "latency": {
        const latency = { minMs: step.min, restMs: step.rest };
        this.#cluster.ec2.settings = { ...this.#cluster.ec2.settings, write: latency, describe: latency };
        return said(`EC2 calls take ${step.min} ms and more, ${step.min + step.rest} ms on average`);
      }
      case "deny":
        this.#cluster.ec2.deny(step.action);
        return said(`IAM denies ${step.action}`);
      case "allow":
        this.#cluster.ec2.allow(step.action);
        return said(`IAM allows ${step.action} again`);
      case "edit":
        return this.#edit(step.change, step.table, step.count);
      case "stop-controller":
        await this.#operator.stopController();
        return said("the controller stops");
      case "start-controller":
        await this.#operator.startController();
        return said("a controller starts");
    }
  }

  #kill(nodes: readonly SimulatedNode[]): StepReport {
    const killed = nodes.filter(({ instance }) => !instance.hung);
    for (const { instance } of killed) {
      instance.hung = true;
    }
    this.#last = nodes.map(({ name }) => name);
    return {
      text: `${namesOf(killed)} ${killed.length > 1 ? "fall" : "falls"} silent`,
      killed,
      healed: [],
    };
  }

  #heal(nodes: readonly SimulatedNode[]): StepReport {
    const healed = nodes.filter(({ instance }) => instance.hung);
    for (const { instance } of healed) {
      instance.hung = false;
    }
    return { text: `${namesOf(healed)} ${verbFor(healed)} back`, killed: [], healed };
  }

  #terminate(nodes: readonly SimulatedNode[]): StepReport {
    for (const { name } of nodes) {
      this.#cluster.removeNode(name);
    }
    this.#last = [];
    return { text: `${namesOf(nodes)} ${verbFor(nodes)} terminated`, killed: nodes, healed: [] };
  }

  async #remove(nodes: readonly SimulatedNode[]): Promise<StepReport> {
    for (const { name } of nodes) {
      await this.#operator.removeHost(name);
    }
    return {
      ...this.#terminate(nodes),
      text: `${namesOf(nodes)} ${verbFor(nodes)} taken out of the cluster and terminated`,
    };
  }

  #add(zone: string, count: number): StepReport {
    const names = Array.from(
      { length: count },
      () => this.#cluster.addNode(zone === "random" ? this.#randomZone() : zone).name,
    );
    return said(`${names.join(", ")} ${count === 1 ? "is" : "are"} launched`);
  }

  #checkOn(nodes: readonly SimulatedNode[]): StepReport {
    for (const { card } of nodes) {
      this.#cluster.region.setSourceDestCheck(card.id, true);
    }
    return said(`somebody turns the source/dest check of ${namesOf(nodes)} on`);
  }

  #lose(model: LossModel, target: NodeSelector, text: string): StepReport {
    const wanted = model.probability === 0 ? undefined : model;
    if (target === "all") {
      this.#cluster.prober.setLoss(wanted);
      return said(wanted === undefined ? "no round trip is lost any more" : text);
    }
    const nodes = this.#select(target);
    this.#cluster.prober.setLoss(
      wanted,
      nodes.map(({ address }) => address),
    );
    return said(`${wanted === undefined ? "nothing is lost any more" : text} to ${namesOf(nodes)}`);
  }

  #throttle(actions: readonly Ec2Action[] | undefined, capacity: number, perSecond: number): StepReport {
    const { settings } = this.#cluster.ec2;
    const changed = actions ?? (Object.keys(settings.buckets) as Ec2Action[]);
    const buckets = { ...settings.buckets };
    for (const action of changed) {
      buckets[action] = { capacity, perSecond };
    }
    this.#cluster.ec2.settings = { ...settings, buckets };
    const what = actions === undefined ? "every EC2 action" : `each of ${actions.join(", ")}`;
    return said(`${what} is down to ${capacity} tokens, ${perSecond} more a second`);
  }

  /** As somebody at the console: past the controller, on routes of ours. */
  #edit(change: "delete" | "retarget", table: string, count: number): StepReport {
    const { region } = this.#cluster;
    const routes = this.#tables(table).flatMap((found) =>
      region
        .routesAt(found, region.time())
        .filter(({ destination }) => this.#networks.some((network) => containsCidr(network, destination)))
        .map(({ destination }) => ({ table: found.id, destination })),
    );
    const chosen = this.#sample(routes, count);
    if (chosen.length === 0) {
      throw missing(`there is no route of ours in ${table === "all" ? "any table" : table} to edit`);
    }
    const stranger = [...region.instances.values()].find(({ tags }) => tags["Name"] === "vpn")?.interfaces[0];
    for (const route of chosen) {
      if (change === "delete" || stranger === undefined) {
        region.deleteRoute(route.table, route.destination);
      } else {
        region.replaceRoute(route.table, route.destination, { kind: "interface", id: stranger.id });
      }
    }
    const what = chosen.map((route) => `${route.destination} in ${route.table}`).join(", ");
    return said(
      change === "delete"
        ? `somebody deletes ${what}`
        : `somebody leads ${what} to a machine that is no node`,
    );
  }

  #tables(table: string): readonly SimulatedRouteTable[] {
    const all = [...this.#cluster.tables.values()];
    if (table === "all") {
      return all;
    }
    const chosen = table === "random" ? this.#random.pick(all) : all.find(({ id }) => id === table);
    if (chosen === undefined) {
      throw missing(
        `there is no route table "${table}"; the nodes' tables are ${all.map(({ id }) => id).join(", ")}`,
      );
    }
    return [chosen];
  }

  #select(selector: NodeSelector): readonly SimulatedNode[] {
    const all = [...this.#cluster.nodes.values()];
    if (typeof selector !== "string") {
      return "zone" in selector ? this.#inZone(selector.zone) : [this.#gateway(selector["gateway-of"])];
    }
    switch (selector) {
      case "all":
        return all;
      case "last":
        if (this.#last.length === 0) {
          throw missing('there is no "last" node: nobody was killed before, or they were terminated since');
        }
        return this.#last.map((name) => this.#cluster.node(name));
      case "random": {
        const living = all.filter(({ name }) => this.#cluster.isAlive(name));
        const node = this.#random.pick(living);
        if (node === undefined) {
          throw missing("there is no living node to choose from");
        }
        return [node];
      }
      default:
        return [this.#cluster.node(selector)];
    }
  }

  #inZone(zone: string): readonly SimulatedNode[] {
    const wanted = zone === "random" ? this.#randomZone() : zone;
    const nodes = [...this.#cluster.nodes.values()].filter((node) => node.zone === wanted);
    if (nodes.length === 0) {
      throw missing(
        `there is no node in zone "${wanted}"; the zones are ${this.#cluster.zones().join(", ")}`,
      );
    }
    return nodes;
  }

  #gateway(destination: "random" | Cidr): SimulatedNode {
    const held = [...this.#cluster.routesByNode(this.#networks)].filter(([name]) =>
      this.#cluster.isAlive(name),
    );
    if (destination !== "random") {
      const holder = held.find(([, destinations]) => destinations.has(destination));
      if (holder === undefined) {
        throw missing(`no living node holds a route to ${destination}`);
      }
      return this.#cluster.node(holder[0]);
    }
    const replaceable = held.filter(([name, destinations]) =>
      [...destinations.keys()].every((route) =>
        this.#operator.candidatesOf(route).some((other) => other !== name && this.#cluster.isAlive(other)),
      ),
    );
    const chosen = this.#random.pick(replaceable) ?? this.#random.pick(held);
    if (chosen === undefined) {
      throw missing("no living node holds a route");
    }
    return this.#cluster.node(chosen[0]);
  }

  #randomZone(): string {
    return this.#random.pick(this.#cluster.zones()) ?? "";
  }

  #sample<T>(items: readonly T[], count: number): readonly T[] {
    const left = [...items];
    const chosen: T[] = [];
    while (chosen.length < count && left.length > 0) {
      chosen.push(...left.splice(this.#random.integer(left.length), 1));
    }
    return chosen;
  }
}

function verbFor(nodes: readonly SimulatedNode[]): string {
  return nodes.length > 1 ? "are" : "is";
}

function said(text: string): StepReport {
  return { text, killed: [], healed: [] };
}

function namesOf(nodes: readonly SimulatedNode[]): string {
  const [first] = nodes;
  if (first === undefined) {
    return "nobody";
  }
  const zones = new Set(nodes.map(({ zone }) => zone));
  const rest = nodes.length > 3 ? ` and ${nodes.length - 2} more` : "";
  const shown = nodes.slice(0, rest === "" ? 3 : 2).map(({ name }) => name);
  return `${shown.join(", ")}${rest} (${[...zones].join(", ")})`;
}

function missing(problem: string): NetworkError {
  return new NetworkError("invalid", "SCENARIO_TARGET_MISSING", `${problem}; change the step's target`, {});
}
