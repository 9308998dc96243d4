import fc from "fast-check";
import { describe, expect, it } from "vitest";

import type { CloudFacts, CloudInstance } from "../../../src/core/cloud/facts.ts";
import {
  countAbsences,
  fateOf,
  type Absence,
  type InstanceWord,
} from "../../../src/core/cluster/instance-fate.ts";
import { machineOf } from "../../../src/core/cluster/node-facts.ts";
import type { ClusterNode } from "../../../src/core/cluster/objects.ts";
import { holdOf, planNodes, type NodePlan, type NodeWorld } from "../../../src/core/cluster/plan-nodes.ts";
import { viewHostAt, viewHostNamed, viewHosts, type HostView } from "../../../src/core/ipam/view.ts";
import { parseIpv4 } from "../../../src/core/net/ipv4.ts";
import { clusterNode } from "../../support/cluster-objects.ts";
import { Cluster } from "../ipam/support.ts";

const NAMES = ["node-1", "node-2", "node-3"];
const GRACE_MS = 100_000;

const document = {
  networks: [{ name: "pods", cidr: "10.0.0.0/24", block_mask: 30 }],
  topologies: [{ networks: ["pods"], map: [{ name: "all" }] }],
};

interface Machine {
  readonly id: string;
  readonly ip: string;
  /** Whether looks at the VPC show it: it may lose the cluster's tag. */
  tagged: boolean;
  running: boolean;
  /** EC2 forgets terminated instances. */
  forgotten: boolean;
}

/** A cluster on AWS or off it, its EC2, and one controller that knows what it was told. */
class Story {
  readonly cloud: boolean;
  readonly ipam = new Cluster(document);
  readonly nodes = new Map<string, ClusterNode>();
  readonly machines: Machine[] = [];
  /** The machine whose pods use the addresses of a host, and by the clock when the host's Node was first known to be gone. */
  readonly machineOfHost = new Map<string, Machine>();
  #facts: CloudFacts | undefined;
  #absences: ReadonlyMap<string, Absence> = new Map();
  #words = new Map<string, InstanceWord>();
  #gone = new Map<string, number>();
  #now = 0;
  #serial = 0;

  constructor(cloud: boolean) {
    this.cloud = cloud;
    this.ipam.addHost("listed-9", {}, "api");
    // A Node that stays, so that the others may go; and one for each name.
    for (const [index, each] of ["anchor", ...NAMES].entries()) {
      this.launch(index === 0 ? 77 : index);
      this.register(each, index);
    }
    this.look(true);
    this.apply(this.plan(this.names()));
  }

  launch(last: number): void {
    const ip = `172.16.0.${last}`;
    if (!this.machines.some((each) => each.running && each.ip === ip)) {
      this.#serial += 1;
      this.machines.push({ id: `i-${this.#serial}`, ip, tagged: true, running: true, forgotten: false });
    }
  }

  register(name: string, pick: number): void {
    const running = this.machines.filter((each) => each.running);
    const machine = running[pick % Math.max(1, running.length)];
    if (machine !== undefined && !this.nodes.has(name)) {
      this.#serial += 1;
      const providerId = this.cloud ? `aws:///a/${machine.id}` : "";
      const node = { name, uid: `uid-${this.#serial}`, providerId, internalIps: [machine.ip], labels: {} };
      this.nodes.set(name, clusterNode(node));
    }
  }

  relabel(name: string): void {
    const node = this.nodes.get(name);
    if (node !== undefined) {
      this.#serial += 1;
      this.nodes.set(name, { ...node, labels: { rack: `${this.#serial}` } });
    }
  }

  terminate(pick: number): void {
    const machine = this.#pick(pick);
    if (machine !== undefined) {
      machine.running = false;
    }
  }

  forget(pick: number): void {
    const machine = this.#pick(pick);
    if (machine !== undefined) {
      machine.forgotten = !machine.running;
    }
  }

  untag(pick: number): void {
    const machine = this.#pick(pick);
    if (machine !== undefined) {
      machine.tagged = false;
    }
  }

  /** The instance of a Node ends, another one with its address takes over its name. */
  replace(name: string): void {
    const node = this.nodes.get(name);
    const machine = this.machines.find(({ running, ip }) => running && ip === node?.internalIps[0]);
    if (machine !== undefined) {
      machine.running = false;
      this.nodes.delete(name);
      this.launch(Number(machine.ip.split(".")[3]));
      this.register(name, this.machines.filter(({ running }) => running).length - 1);
    }
  }

  /** Two Nodes are deleted, and one machine registers under both names. */
  twins(name: string, other: string, pick: number): void {
    this.nodes.delete(name);
    this.nodes.delete(other);
    this.register(name, pick);
    this.register(other, pick);
  }

  /** One of the machines, but for that of the Node that stays; the latest first. */
  #pick(pick: number): Machine | undefined {
    const others = this.machines.slice(1).toReversed();
    return others[pick % Math.max(1, others.length)];
  }

  pass(ms: number): void {
    this.#now += ms;
  }

  /** A look at the VPC; one that cannot read everything proves no absence. */
  look(isWhole: boolean): void {
    const instances = this.machines.filter((each) => each.tagged && !each.forgotten).map(instanceOf);
    const rest = { vpcId: "vpc-1", region: "r", vpcCidrs: [], subnets: [], routeTables: [] };
    this.#facts = { ...rest, instances, unreadableInstanceIds: isWhole ? [] : ["i-x"] };
    this.#absences = countAbsences(this.#absences, this.learned(), this.#facts, this.#now);
  }

  /** Another leader, or this one after a restart. */
  restart(): void {
    this.#facts = undefined;
    this.#absences = new Map();
    this.#words = new Map();
    this.#gone = new Map();
  }

  learned(): readonly HostView[] {
    return viewHosts(this.ipam.state).filter(({ origin }) => origin === "kubernetes");
  }

  goneSince(name: string): number | undefined {
    return this.#gone.get(name);
  }

  plan(names: readonly string[]): NodePlan {
    const world: NodeWorld = {
      cloud: this.cloud,
      region: "r",
      hostGraceMs: GRACE_MS,
      node: (name) => this.nodes.get(name),
      host: (name) => viewHostNamed(this.ipam.state, name),
      hostAt: (ip) => viewHostAt(this.ipam.state, ip),
      instance: (id) => {
        const shown = this.#facts?.instances.find((each) => each.id === id);
        const word = this.#words.get(id);
        return shown ?? (word === undefined ? undefined : (word.instance ?? null));
      },
      fate: (host) =>
        fateOf(host, { facts: this.#facts, absences: this.#absences, words: this.#words }, this.#now),
      goneMs: ({ name }) => {
        const since = this.#gone.get(name);
        return since === undefined ? undefined : this.#now - since;
      },
      hold: () => holdOf(this.nodes, viewHosts(this.ipam.state), world),
    };
    return planNodes(names, world);
  }

  /** Carries a plan out, and asks EC2 what it wants to know. */
  apply(plan: NodePlan): void {
    for (const { name } of plan.removals) {
      this.ipam.removeHost(name);
      this.machineOfHost.delete(name);
      this.#gone.delete(name);
    }
    const outcomes = this.ipam.addHosts(plan.register);
    holds(
      outcomes.every(({ outcome }) => outcome !== "conflict"),
      "what is planned can be registered",
    );
    for (const { change, name, ip } of plan.register) {
      if (change === "add") {
        const machine = this.machines.findLast((each) => each.ip === ip);
        if (machine !== undefined) {
          this.machineOfHost.set(name, machine);
          this.ipam.allocate(`pod of ${name}`, name);
        }
      }
    }
    const waiting = new Set(plan.waits.flatMap((wait) => (wait.kind === "gone" ? [wait.name] : [])));
    for (const wait of plan.waits) {
      if (wait.kind === "gone" && !this.#gone.has(wait.name)) {
        this.#gone.set(wait.name, this.#now);
      } else if (wait.kind === "instance" || wait.kind === "confirm") {
        const found = this.machines.find(({ id, forgotten }) => id === wait.instanceId && !forgotten);
        this.#words.set(wait.instanceId, {
          instance: found === undefined ? undefined : instanceOf(found),
          at: this.#now,
        });
      }
    }
    for (const name of this.#gone.keys()) {
      if (!waiting.has(name)) {
        this.#gone.delete(name);
      }
    }
  }

  isDue(name: string): boolean {
    return this.#now - (this.#gone.get(name) ?? Infinity) >= GRACE_MS;
  }

  names(): readonly string[] {
    return [...this.nodes.keys(), ...viewHosts(this.ipam.state).map(({ name }) => name)];
  }
}

function instanceOf({ id, ip, running }: Machine): CloudInstance {
  const own = { id: `eni-${id}`, subnetId: "subnet-1", addresses: [parseIpv4(ip)], sourceDestCheck: true };
  const state = running ? "running" : "terminated";
  return { id, state, zone: "a", tags: {}, interfaces: running ? [own] : [] };
}

function holds(condition: boolean, law: string): void {
  if (!condition) {
    throw new Error(`does not hold: ${law}`);
  }
}

/** What must hold for every plan, before it is carried out. */
function checkPlan(story: Story, plan: NodePlan): void {
  for (const { name, uid } of plan.removals) {
    holds(
      story.nodes.get(name)?.uid !== (uid || "none"),
      "the host of a Node that is there is never removed",
    );
    if (story.cloud) {
      holds(story.machineOfHost.get(name)?.running === false, `${name}: its machine may still run`);
    } else {
      holds(story.isDue(name), `${name}: its time is not over`);
    }
  }
  for (const { name } of [...plan.removals, ...plan.register]) {
    holds(name !== "listed-9", "hosts of the API are never touched");
  }
}

function checkHosts(story: Story): void {
  const addresses = viewHosts(story.ipam.state).map(({ ip }) => ip);
  holds(new Set(addresses).size === addresses.length, "an address is that of one host");
  for (const { name, ip, node } of story.learned()) {
    const machine = story.machineOfHost.get(name);
    holds(machine?.ip === ip, "a host stays at its address");
    holds(story.ipam.state.names.has(`pod of ${name}`), "addresses are kept while the host is");
    if (story.cloud) {
      const own = [...story.nodes.values()].find(({ uid }) => uid === node?.uid);
      holds(own === undefined || machineOf(own, true) === machine?.id, "its Node is on that machine");
      holds(node?.instanceId === machine?.id, "a host stands for the machine whose pods it has");
    }
  }
}

type Step = (story: Story) => void;

const small = fc.nat(5);
const name = fc.constantFrom(...NAMES);
const steps: fc.Arbitrary<readonly [string, Step]> = fc.oneof(
  fc.nat(2).map((last): [string, Step] => [`launch ${last}`, (story) => story.launch(last + 1)]),
  fc
    .tuple(name, small)
    .map(([who, pick]): [string, Step] => [`register ${who} ${pick}`, (s) => s.register(who, pick)]),
  name.map((who): [string, Step] => [`delete ${who}`, (story) => story.nodes.delete(who)]),
  name.map((who): [string, Step] => [`relabel ${who}`, (story) => story.relabel(who)]),
  name.map((who): [string, Step] => [`replace ${who}`, (story) => story.replace(who)]),
  fc
    .tuple(name, name, small)
    .map(([a, b, pick]): [string, Step] => [`twins ${a} ${b} ${pick}`, (story) => story.twins(a, b, pick)]),
  small.map((pick): [string, Step] => [`terminate ${pick}`, (story) => story.terminate(pick)]),
  small.map((pick): [string, Step] => [`forget ${pick}`, (story) => story.forget(pick)]),
  small.map((pick): [string, Step] => [`untag ${pick}`, (story) => story.untag(pick)]),
  fc
    .constantFrom(1000, 31_000, 101_000)
    .map((ms): [string, Step] => [`pass ${ms}`, (story) => story.pass(ms)]),
  fc.boolean().map((whole): [string, Step] => [`look ${whole}`, (story) => story.look(whole)]),
  fc.constant<[string, Step]>(["restart", (story) => story.restart()]),
);

/** Steps with a plan for all, or for the one name that changed, after each. */
const stories = fc.array(fc.tuple(steps, fc.option(name)), { maxLength: 25 });

function play(cloud: boolean, script: readonly (readonly [readonly [string, Step], string | null])[]): Story {
  const story = new Story(cloud);
  for (const [[, step], only] of script) {
    step(story);
    const plan = story.plan(only === null ? story.names() : [only]);
    checkPlan(story, plan);
    story.apply(plan);
    checkHosts(story);
  }
  return story;
}

/** Lets so much time pass, with looks and answers, that everything that can end has ended. */
function settle(story: Story): NodePlan {
  for (let round = 0; round < 8; round += 1) {
    story.pass(61_000);
    story.look(true);
    const plan = story.plan(story.names());
    checkPlan(story, plan);
    story.apply(plan);
    checkHosts(story);
  }
  return story.plan(story.names());
}

describe.for([
  ["on AWS", true],
  ["without a cloud", false],
] as const)("whatever happens to Nodes and machines, %s", ([, cloud]) => {
  it("no address of a machine that may run is released, and no host of a Node that is there removed", () => {
    fc.assert(fc.property(stories, (script) => void play(cloud, script)));
  });

  it("comes to rest: what is planned was done, and who has no host was told why", () => {
    fc.assert(
      fc.property(stories, (script) => {
        const story = play(cloud, script);

        const plan = settle(story);

        expect([plan.removals, plan.register]).toEqual([[], []]);
        const told = new Set(plan.events.map((event) => event.name));
        for (const node of story.nodes.values()) {
          const host = viewHostNamed(story.ipam.state, node.name);
          expect(
            host?.node?.uid === node.uid || told.has(node.name),
            `${node.name} has no host and no word`,
          ).toBe(true);
        }
      }),
    );
  });

  it("lets no host stay whose Node and machine are gone for good, while others are there", () => {
    fc.assert(
      fc.property(stories, (script) => {
        const story = play(cloud, script);
        settle(story);

        for (const { name: left } of story.learned()) {
          const machine = story.machineOfHost.get(left);
          const claimed = [...story.nodes.values()].some(
            (node) => machineOf(node, cloud) === machine?.id || node.internalIps.includes(machine?.ip ?? ""),
          );
          expect(story.nodes.has(left) || (cloud && machine?.running === true) || claimed).toBe(true);
        }
      }),
    );
  });

  it("plans the same, whatever the order of the names", () => {
    fc.assert(
      fc.property(stories, (script) => {
        const story = play(cloud, script);

        expect(story.plan(story.names().toReversed())).toEqual(story.plan(story.names()));
      }),
      { numRuns: 30 },
    );
  });
});
