import { beforeEach, describe, expect, it } from "vitest";

import { NodeReadiness } from "../../src/controllers/node-readiness.ts";
import type { ClusterNode } from "../../src/core/cluster/objects.ts";
import type { KnownHost } from "../../src/core/cluster/plan-nodes.ts";
import { NetworkError } from "../../src/core/errors.ts";
import { parseIpv4 } from "../../src/core/net/ipv4.ts";
import type { ClusterWriter } from "../../src/ports/cluster.ts";
import { AgentReports } from "../../src/services/cluster/agent-reports.ts";
import { ObjectView } from "../../src/services/cluster/object-view.ts";
import { clusterNode } from "../support/cluster-objects.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { silentLog } from "../support/silent-log.ts";

const TAINT = { key: "romana.io/agent-not-ready", value: "", effect: "NoSchedule" };
const OTHER = { key: "example.com/gpu", value: "", effect: "NoSchedule" };

/** An API server with one kind of object: writes take effect in the view, as its watch would show them. */
class FakeNodes implements Pick<ClusterWriter, "removeTaint" | "setCondition"> {
  readonly view = new ObjectView<ClusterNode>();
  readonly writes: string[] = [];
  failures: NetworkError[] = [];
  #version = 1;

  async removeTaint(node: ClusterNode, key: string): Promise<void> {
    this.#failOrNote(`taint ${node.name}`);
    const now = this.view.get(node.name);
    if (now?.resourceVersion !== node.resourceVersion) {
      throw new NetworkError("conflict", "CLUSTER_CONFLICT", "the node changed");
    }
    this.change(node.name, { taints: now.taints.filter((taint) => taint.key !== key) });
  }

  async setCondition(
    { name }: { readonly name: string },
    { type, status, reason }: { type: string; status: string; reason: string },
  ): Promise<void> {
    this.#failOrNote(`${type}=${status} ${reason} ${name}`);
    this.change(name, { networkUnavailable: status === "True" ? "true" : "false" });
  }

  change(name: string, over: Partial<ClusterNode>): void {
    this.#version += 1;
    const node = this.view.get(name) ?? clusterNode({ name });
    this.view.put({ ...node, ...over, resourceVersion: `${this.#version}` });
  }

  #failOrNote(write: string): void {
    this.writes.push(write);
    const failure = this.failures.shift();
    if (failure !== undefined) {
      throw failure;
    }
  }
}

const host: KnownHost = {
  name: "node-1",
  ip: parseIpv4("172.16.0.1"),
  tags: {},
  origin: "kubernetes",
  node: { uid: "uid-1", instanceId: "i-1" },
};

describe("the readiness of nodes", () => {
  let clock: FakeClock;
  let agents: AgentReports;
  let cluster: FakeNodes;
  let known: KnownHost | undefined;
  let stand: boolean;
  let readiness: NodeReadiness;
  let hostsChanged: () => void;
  beforeEach(() => {
    clock = new FakeClock();
    agents = new AgentReports(clock);
    cluster = new FakeNodes();
    known = host;
    stand = true;
    readiness = new NodeReadiness({
      nodes: cluster.view,
      hosts: {
        host: (name) => (known?.name === name ? known : undefined),
        onBatch: (listener) => {
          hostsChanged = () => listener({ reset: false, hosts: ["node-1"] });
          return () => undefined;
        },
      },
      agents,
      writer: cluster,
      routes: () => () => stand,
      cloud: true,
      clock,
      log: silentLog,
    });
    cluster.view.replace([clusterNode({ taints: [TAINT, OTHER], networkUnavailable: "true" })]);
    readiness.start();
  });

  const say = async (ready: boolean): Promise<void> => {
    agents.put("node-1", { ready, endpoints: new Map() });
    await clock.advance(0);
  };
  /** Repeats what the agent says, every 30 s. */
  const goOn = async (ready: boolean, ms: number): Promise<void> => {
    for (let past = 0; past < ms; past += 30_000) {
      await say(ready);
      await clock.advance(30_000);
    }
  };
  const done = ["NetworkUnavailable=False RomanaIsUp node-1", "taint node-1"];

  it("is told once the agent is ready: the condition first, then our taint goes and no other", async () => {
    await say(true);
    await goOn(true, 120_000);

    expect(cluster.writes).toEqual(done);
    expect(cluster.view.get("node-1")?.taints).toEqual([OTHER]);
    await readiness.stop();
  });

  it("waits for the routes of the group, and sees within a second that they stand", async () => {
    stand = false;
    await say(true);
    await clock.advance(20_000);
    const before = [...cluster.writes];
    stand = true;
    await clock.advance(600);

    expect(before).toEqual([]);
    expect(cluster.writes).toEqual(done);
  });

  it("waits for the Node to be a host, and is not taken for the Node of another machine", async () => {
    known = { ...host, node: { uid: "uid-0", instanceId: "i-0" } };
    await say(true);
    expect(cluster.writes).toEqual([]);

    known = host;
    hostsChanged();
    await clock.advance(0);
    expect(cluster.writes).toEqual(done);
  });

  it("knows what agents said before the Nodes were listed", async () => {
    const view = new ObjectView<ClusterNode>();
    const writer = new FakeNodes();
    const late = new NodeReadiness({
      nodes: view,
      hosts: { host: () => host, onBatch: () => () => undefined },
      agents,
      writer,
      routes: () => () => true,
      cloud: true,
      clock,
      log: silentLog,
    });
    late.start();
    await say(true);
    view.put(clusterNode({ networkUnavailable: "true" }));
    await clock.advance(0);
    const before = [...writer.writes];
    view.replace([clusterNode({ networkUnavailable: "true" })]);
    await clock.advance(0);

    expect(before).toEqual([]);
    expect(writer.writes).toEqual(["NetworkUnavailable=False RomanaIsUp node-1"]);
  });

  it.for([
    ["a minute of silence", 60_000],
    ["an hour of silence", 3_600_000],
  ] as const)("does not change for %s", async ([, ms]) => {
    await say(true);
    await clock.advance(ms);
    cluster.change("node-1", { ready: "false" });
    await clock.advance(0);

    expect(cluster.writes).toEqual(done);
  });

  it("becomes NetworkUnavailable only when the agent itself says for five minutes that it is not ready", async () => {
    await say(true);
    await goOn(false, 270_000);
    const before = cluster.writes.length;
    await goOn(false, 60_000);
    const after = cluster.writes.slice(2);
    await say(true);

    expect(before).toBe(2);
    expect(after).toEqual(["NetworkUnavailable=True RomanaAgentNotReady node-1"]);
    expect(cluster.writes.slice(3)).toEqual(["NetworkUnavailable=False RomanaIsUp node-1"]);
    expect(cluster.view.get("node-1")?.taints).toEqual([OTHER]);
  });

  it("counts the five minutes anew after a silence", async () => {
    await say(true);
    await goOn(false, 240_000);
    await clock.advance(120_000);
    await goOn(false, 240_000);

    expect(cluster.writes).toHaveLength(2);
  });

  it("is told again, ever later, while the API server is away", async () => {
    const away = () => new NetworkError("transient", "CLUSTER_UNAVAILABLE", "no answer");
    cluster.failures = [away(), away(), away()];
    await say(true);
    await clock.advance(1100);
    const early = cluster.writes.length;
    await clock.advance(10_000);

    expect(early).toBe(2);
    expect(cluster.writes.slice(3)).toEqual(done);
  });

  it("is left to the next change of the node when somebody else changed it", async () => {
    cluster.failures = [new NetworkError("conflict", "CLUSTER_CONFLICT", "changed")];
    await say(true);
    await goOn(true, 60_000);
    const before = cluster.writes.length;
    cluster.change("node-1", { labels: { a: "b" } });
    await clock.advance(0);

    expect(before).toBe(1);
    expect(cluster.writes.slice(1)).toEqual(done);
  });

  it("of one node is not held up by another's refusal", async () => {
    cluster.failures = [new NetworkError("invalid", "CLUSTER_FORBIDDEN", "no")];
    await say(true);
    cluster.change("node-2", { uid: "uid-2", networkUnavailable: "true" });
    known = { ...host, name: "node-2", node: { uid: "uid-2", instanceId: "i-1" } };
    agents.put("node-2", { ready: true, endpoints: new Map() });
    await clock.advance(100);

    expect(cluster.writes.slice(1)).toEqual(["NetworkUnavailable=False RomanaIsUp node-2"]);
  });

  it("of many nodes that wait is looked for in one look at the routes, twice a second", async () => {
    const names = Array.from({ length: 50 }, (_, index) => `many-${index}`);
    const hosts = {
      host: (name: string) => ({ ...host, name, node: { uid: name, instanceId: "i-1" } }),
      onBatch: () => () => undefined,
    };
    const view = new ObjectView<ClusterNode>();
    let looks = 0;
    const routes = () => {
      looks += 1;
      return () => false;
    };
    const rest = { agents, writer: cluster, routes, cloud: true, clock, log: silentLog };
    const many = new NodeReadiness({ nodes: view, hosts, ...rest });
    many.start();
    names.forEach((name) => agents.put(name, { ready: true, endpoints: new Map() }));
    view.replace(names.map((name) => clusterNode({ name, uid: name, networkUnavailable: "true" })));
    await clock.advance(500);

    looks = 0;
    await clock.advance(5000);

    expect(looks).toBe(10);
    await many.stop();
  });

  it("of many nodes is told by a few writes at a time, and of none forgotten", async () => {
    const names = Array.from({ length: 50 }, (_, index) => `many-${index}`);
    const hosts = {
      host: (name: string) => ({ ...host, name, node: { uid: name, instanceId: "i-1" } }),
      onBatch: () => () => undefined,
    };
    const view = new ObjectView<ClusterNode>();
    let now = 0;
    let most = 0;
    const told: string[] = [];
    const writer = {
      removeTaint: () => Promise.reject(new Error("none has a taint")),
      setCondition: async ({ name }: { readonly name: string }): Promise<void> => {
        now += 1;
        most = Math.max(most, now);
        await clock.sleep(10, new AbortController().signal);
        now -= 1;
        told.push(name);
      },
    };
    const rest = { agents, writer, routes: () => () => true, cloud: true, clock, log: silentLog };
    const many = new NodeReadiness({ nodes: view, hosts, ...rest });
    many.start();
    names.forEach((name) => agents.put(name, { ready: true, endpoints: new Map() }));
    view.replace(names.map((name) => clusterNode({ name, uid: name })));
    await clock.advance(1000);

    expect(told.toSorted()).toEqual(names.toSorted());
    expect(most).toBe(8);
    await many.stop();
  });

  it("is not written any more after the end", async () => {
    await readiness.stop();
    await say(true);
    cluster.change("node-1", { labels: {} });
    await clock.advance(60_000);

    expect(cluster.writes).toEqual([]);
    expect(clock.pendingTimers).toBe(0);
  });
});
