import { describe, expect, it } from "vitest";

import { ScenarioDirector } from "../../../src/adapters/simulation/scenario-director.ts";
import type { ScenarioStep } from "../../../src/adapters/simulation/scenario-step.ts";
import { SeededRandom } from "../../../src/adapters/simulation/seeded-random.ts";
import { createRoutedCluster, PODS, prefixOf } from "../../support/simulated-cluster.ts";

type Action<Step = ScenarioStep> = Step extends unknown ? Omit<Step, "at"> : never;

function setUp(seed = 1) {
  const world = createRoutedCluster();
  const { cluster, namesIn } = world;
  const asked: string[] = [];
  const director = new ScenarioDirector({
    cluster,
    random: new SeededRandom(seed),
    networks: [PODS],
    operator: {
      startController: async () => void asked.push("start"),
      stopController: async () => void asked.push("stop"),
      removeHost: async (name) => void asked.push(`remove ${name}`),
      candidatesOf: (destination) => namesIn(destination === prefixOf(0) ? "us-west-2a" : "us-west-2b"),
    },
  });
  const perform = (action: Action) => director.perform({ at: 0, ...action });
  const dead = () => [...cluster.nodes.keys()].filter((name) => !cluster.isAlive(name));
  const routes = () =>
    [...cluster.tables.values()].flatMap((table) =>
      cluster.region
        .routesAt(table, cluster.region.time())
        .filter(({ destination }) => destination.startsWith("100."))
        .map(({ destination, target }) => `${destination} ${target.kind === "local" ? "" : target.id}`),
    );
  return { ...world, director, perform, dead, routes, asked };
}

describe("whom a step means", () => {
  it.for([
    ["a name", "ip-10-0-0-5", ["ip-10-0-0-5"]],
    ["the gateway of a destination", { "gateway-of": prefixOf(1) }, ["ip-10-0-8-4"]],
    ["a zone", { zone: "us-west-2b" }, ["ip-10-0-8-4", "ip-10-0-8-5", "ip-10-0-8-6"]],
  ] as const)("%s", async ([, target, killed]) => {
    const { perform, dead } = setUp();

    await perform({ do: "kill", target });

    expect(dead()).toEqual(killed);
  });

  it("one gateway by chance, with a stand-in where there is one, whatever the seed", async () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 20; seed += 1) {
      const { perform, dead } = setUp(seed);
      await perform({ do: "kill", target: { "gateway-of": "random" } });
      seen.add(dead().join());
    }
    expect(seen).toEqual(new Set(["ip-10-0-0-4", "ip-10-0-8-4"]));

    const { perform, dead } = setUp();
    await perform({ do: "kill", target: "ip-10-0-8-5" });
    await perform({ do: "kill", target: "ip-10-0-8-6" });
    await perform({ do: "kill", target: { "gateway-of": "random" } });
    expect(dead()).toEqual(["ip-10-0-0-4", "ip-10-0-8-5", "ip-10-0-8-6"]);
  });

  it("nobody by `last` as long as nobody was killed: that is refused", async () => {
    const { perform } = setUp();

    await expect(perform({ do: "heal", target: "last" })).rejects.toThrow(
      /no "last" node.*change the step's target/,
    );
  });

  it("the nodes of the latest kill, and one living node by chance", async () => {
    const { perform, dead } = setUp();
    await perform({ do: "kill", target: { zone: "us-west-2a" } });
    await perform({ do: "heal", target: "last" });
    expect(dead()).toEqual([]);
    await perform({ do: "kill", target: "last" });
    expect(dead()).toHaveLength(3);

    await perform({ do: "kill", target: "random" });

    expect(dead()).toHaveLength(4);
    await perform({ do: "heal", target: "all" });
    expect(dead()).toEqual([]);
  });

  it.for([
    ["HOST_UNKNOWN", { do: "kill", target: "ip-1-2-3-4" }],
    ["SCENARIO_TARGET_MISSING", { do: "kill", target: { zone: "us-west-2x" } }],
    ["SCENARIO_TARGET_MISSING", { do: "kill", target: { "gateway-of": PODS } }],
    ["SCENARIO_TARGET_MISSING", { do: "edit", change: "delete", table: "rtb-none", count: 1 }],
    ["ZONE_UNKNOWN", { do: "add-node", zone: "us-west-2x", count: 1 }],
  ] as const satisfies readonly (readonly [string, Action])[])(
    "is refused with %s: %j",
    async ([code, action]) => {
      const { perform } = setUp();

      await expect(perform(action)).rejects.toMatchObject({ code });
    },
  );
});

describe("what a step does", () => {
  it("kills silently: EC2 goes on to call the node running, and its routes stay", async () => {
    const { perform, cluster, routes } = setUp();
    const before = routes();

    const report = await perform({ do: "kill", target: "ip-10-0-0-4" });

    const node = cluster.node("ip-10-0-0-4");
    expect(node.instance.state.at(cluster.region.time())).toBe("running");
    expect(routes()).toEqual(before);
    expect(report).toMatchObject({
      text: "ip-10-0-0-4 (us-west-2a) falls silent",
      killed: [{ name: "ip-10-0-0-4" }],
    });
  });

  it("terminates an instance; the operator takes a removed host out first", async () => {
    const { perform, cluster, asked } = setUp();

    await perform({ do: "terminate", target: "ip-10-0-0-5" });
    await perform({ do: "remove-node", target: "ip-10-0-0-6" });

    expect([...cluster.nodes.keys()]).toEqual(["ip-10-0-0-4", "ip-10-0-8-4", "ip-10-0-8-5", "ip-10-0-8-6"]);
    expect(asked).toEqual(["remove ip-10-0-0-6"]);
  });

  it("adds nodes that carry the cluster's tags", async () => {
    const { perform, cluster } = setUp();

    await perform({ do: "add-node", zone: "us-west-2b", count: 2 });

    const added = [...cluster.nodes.values()].slice(6);
    expect(added.map(({ name, zone }) => `${name} ${zone}`)).toEqual([
      "ip-10-0-8-7 us-west-2b",
      "ip-10-0-8-8 us-west-2b",
    ]);
    expect(added[0]?.instance.tags).toEqual(cluster.node("ip-10-0-0-4").instance.tags);
  });

  it("deletes and retargets routes of ours, and only those", async () => {
    const { perform, cluster, routes } = setUp();
    const foreign = cluster.foreignState([PODS]);

    await perform({ do: "edit", change: "delete", table: "all", count: 1 });
    expect(routes()).toHaveLength(3);
    await perform({ do: "edit", change: "retarget", table: "all", count: 99 });

    const vpn = [...cluster.region.instances.values()].find(({ tags }) => tags["Name"] === "vpn");
    expect(new Set(routes().map((line) => line.split(" ")[1]))).toEqual(new Set([vpn?.interfaces[0]?.id]));
    expect(cluster.foreignState([PODS])).toEqual(foreign);
  });

  it("turns checks on, denies and allows, throttles, slows down, stops and starts", async () => {
    const { perform, cluster, asked, clock } = setUp();
    await perform({ do: "check-on", target: "ip-10-0-0-4" });
    expect(cluster.node("ip-10-0-0-4").card.sourceDestCheck.at(clock.monotonic())).toBe(true);
    await perform({ do: "throttle", actions: ["CreateRoute"], capacity: 2, "per-second": 1 });
    await perform({ do: "latency", min: 100, rest: 50 });
    await perform({ do: "stop-controller" });
    await perform({ do: "start-controller" });

    const { buckets, write, describe: reads } = cluster.ec2.settings;
    expect([buckets.CreateRoute, buckets.ReplaceRoute.capacity]).toEqual([{ capacity: 2, perSecond: 1 }, 50]);
    expect([write, reads]).toEqual([
      { minMs: 100, restMs: 50 },
      { minMs: 100, restMs: 50 },
    ]);
    expect(asked).toEqual(["stop", "start"]);
    await perform({ do: "deny", action: "DescribeSubnets" });
    const look = () => clock.runUntilSettled(cluster.cloud.describe(new AbortController().signal));
    await expect(look()).rejects.toMatchObject({ code: "CLOUD_UNAUTHORIZED" });
    await perform({ do: "allow", action: "DescribeSubnets" });
    expect((await look()).instances).toHaveLength(6);
  });

  it("loses probes of all nodes or of some, and cuts the controller off", async () => {
    const { perform, cluster, clock } = setUp();
    const answers = async () => {
      const answered: string[] = [];
      for (const { name, address } of cluster.nodes.values()) {
        cluster.prober.probe(address, ({ kind }) => void answered.push(`${name} ${kind}`));
      }
      await clock.runFor(1_000);
      return answered.length;
    };

    await perform({ do: "loss", percent: 100, target: { zone: "us-west-2a" } });
    expect(await answers()).toBe(3);
    await perform({ do: "loss", percent: 0, target: "all" });
    expect(await answers()).toBe(6);
    await perform({ do: "burst-loss", percent: 99, "mean-outage": 1e9, target: "all" });
    expect(await answers()).toBeLessThan(3);
    await perform({ do: "cut", mode: "silent" });
    expect(await answers()).toBe(0);
    await perform({ do: "reconnect" });
    await perform({ do: "loss", percent: 0, target: "all" });
    expect(await answers()).toBe(6);
  });
});
