import { describe, expect, it } from "vitest";

import type { SimulatedCluster } from "../../src/adapters/simulation/simulated-cluster.ts";
import { builtInScenarios, parseScenario, type Scenario } from "../../src/config/scenario.ts";
import { parseCidr } from "../../src/core/net/cidr.ts";
import { awsTopology } from "../../src/core/topology/aws-topology.ts";
import type { SimulationSummary } from "../../src/core/views/simulation-views.ts";
import { simulate, type SimulationSurroundings } from "../../src/main/simulate.ts";

type Options = Parameters<typeof simulate>[0];

async function run(options: Options, surroundings: Partial<SimulationSurroundings> = {}) {
  let output = "";
  const stdout = { write: (text: string) => void (output += text) };
  const { exitCode, summary } = await simulate(options, { stdout, isTTY: false, ...surroundings });
  return { exitCode, summary, output };
}

function scenario(steps: readonly string[], rest = "duration: 5m"): Scenario {
  const lines = steps.map((step) => `  - { ${step} }`).join("\n");
  return parseScenario(`name: test\ndescription: test\n${rest}\nsteps:\n${lines}\n`, "test");
}

/** Runs of full size take the defaults; the others are made small enough to be quick. */
const SMALLER: Readonly<Record<string, Options>> = { "packet-loss": { nodes: 9, pods: 101 } };

describe("the built-in scenarios", () => {
  it.for(builtInScenarios())("%s ends as it must", { timeout: 60_000 }, async (name) => {
    const { exitCode, summary } = await run({ scenario: name, ...SMALLER[name] });

    expect(summary.problems).toEqual([]);
    expect(exitCode).toBe(0);
    expect(summary.pairsChecked).toBeGreaterThanOrEqual(10_000);
    expect(summary.groupPairsChecked).toBe(summary.groups ** 2);
    expect(summary.strayPacketsChecked).toBeGreaterThan(0);
  });

  it("end with pods out of reach where nobody repairs, or the check stays on", async () => {
    for (const name of ["no-repair", "check-left-on"]) {
      const { summary } = await run({ scenario: name });

      expect(summary.pairsUnreachable).toBeGreaterThan(0);
    }
  });

  it("fail over a dead gateway within a second", async () => {
    const { summary } = await run({});

    expect(summary.failovers).toHaveLength(1);
    const [failover] = summary.failovers;
    expect(failover?.detectedMs).toBeGreaterThanOrEqual(550);
    expect(failover?.detectedMs).toBeLessThanOrEqual(755);
    expect(failover?.routesMovedMs).toBeLessThan(1_000);
  });
});

describe("a simulation", () => {
  it("tells what happens in the order in which it happens, although nobody repairs before the next step", async () => {
    const { output } = await run(
      { nodes: 9, pods: 30 },
      {
        scenario: scenario([
          "at: 5s, do: stop-controller",
          "at: 10s, do: edit, change: delete",
          "at: 20s, do: edit, change: delete",
        ]),
      },
    );

    const times = [...output.matchAll(/^ +(\d+):(\d\d\.\d+)/gm)].map(
      ([, minutes, seconds]) => Number(minutes) * 60 + Number(seconds),
    );
    expect(times.length).toBeGreaterThan(8);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  it("is refused with more nodes than its subnets have addresses for", async () => {
    await expect(run({ nodes: 6_000 })).rejects.toMatchObject({
      code: "SIMULATION_INVALID",
      message: expect.stringMatching(
        /^zone "us-west-2a" takes no more nodes after 18\d\d: .*simulate fewer nodes$/,
      ) as string,
    });
  });

  it("names the step that cannot be done", async () => {
    const steps = scenario(["at: 5s, do: kill, target: ip-1-2-3-4"]);

    await expect(run({ nodes: 9, pods: 30 }, { scenario: steps })).rejects.toThrow(
      'the step "kill" at 5 s: there is no node "ip-1-2-3-4" in this simulation',
    );
  });

  it("is the same for the same seed, and another for another", async () => {
    const first = await run({ seed: 5, json: true });
    const second = await run({ seed: 5, json: true });
    const third = await run({ seed: 6, json: true });

    expect(second.output).toBe(first.output);
    expect(third.output).not.toBe(first.output);
  });

  it("prints its result as one object on the last line", async () => {
    const { output, summary } = await run({ scenario: "steady", nodes: 12, pods: 110, json: true });

    const last = output.trimEnd().split("\n").at(-1) ?? "";
    expect(JSON.parse(last) as SimulationSummary).toEqual(summary);
    expect(summary).toMatchObject({
      scenario: "steady",
      seed: 1,
      nodes: 12,
      pods: 110,
      failovers: [],
      routeMoves: 0,
    });
  });

  it("tells with exit code 1 when it ends other than it must", async () => {
    const quiet = {
      ...scenario(["at: 1s, do: heal"]),
      expect: { unreachable: "some", failovers: 1, moves: "none" },
    } as const;

    const { exitCode, summary, output } = await run({ nodes: 6, pods: 12 }, { scenario: quiet });

    expect(exitCode).toBe(1);
    expect(summary.problems).toEqual([
      "all pods reach each other at the end, although this scenario must end otherwise",
      "0 nodes that held routes were found dead, at least 1 had to be",
    ]);
    expect(output).toContain("✗ it did not end as it must");
  });

  it("ends early when it is told to", async () => {
    const signal = AbortSignal.abort(new Error("enough"));

    await expect(run({ nodes: 6, pods: 12 }, { signal })).rejects.toThrow("enough");
  });

  it("refuses a cluster that is none", async () => {
    await expect(run({ nodes: 1 })).rejects.toMatchObject({ code: "SIMULATION_INVALID" });
    await expect(run({ pods: 0 })).rejects.toMatchObject({ code: "SIMULATION_INVALID" });
    await expect(run({ topology: "/nonexistent.json" })).rejects.toMatchObject({
      code: "TOPOLOGY_UNREADABLE",
    });
  });

  it("refuses a topology that does not take all nodes, and names one that it leaves out", async () => {
    const onlyFirst = (cluster: SimulatedCluster) => {
      const [node] = cluster.nodes.values();
      return {
        networks: [{ name: "pods", cidr: "100.96.0.0/11" }],
        topologies: [
          {
            networks: ["pods"],
            map: [{ name: "one", assignment: { "topology.kubernetes.io/zone": node?.zone ?? "" } }],
          },
        ],
      };
    };

    await expect(run({ nodes: 6, pods: 12 }, { topology: onlyFirst })).rejects.toThrow(
      /the topology takes 2 of 6 nodes \(not ip-10-0-8-4, for one\)/,
    );
  });

  it("follows nodes that come and go: new ones get pods, the routes of removed ones move", async () => {
    const { summary } = await run(
      { nodes: 12, pods: 120 },
      {
        scenario: scenario([
          "at: 10s, do: add-node, zone: us-west-2b, count: 2",
          "at: 60s, do: terminate, target: { gateway-of: random }",
          "at: 120s, do: remove-node, target: { gateway-of: random }",
        ]),
      },
    );

    expect(summary.problems).toEqual([]);
    expect(summary.nodes).toBe(12);
    expect(summary.pods).toBe(120);
  });

  it("lets a new controller over the same store go on where the last one stopped", async () => {
    const { summary } = await run(
      { nodes: 12, pods: 60 },
      {
        scenario: scenario(
          [
            "at: 10s, do: stop-controller",
            "at: 20s, do: edit, change: delete, count: 2",
            "at: 60s, do: start-controller",
          ],
          "duration: 3m",
        ),
      },
    );

    expect(summary.problems).toEqual([]);
    expect(summary.ec2Calls["CreateRoute"]).toBe(3 * summary.groups + 2);
    expect(summary.ec2Calls["ReplaceRoute"]).toBeUndefined();
  });

  it("serves several subnets of a zone, each by groups of its own", async () => {
    const { summary } = await run({ nodes: 36, pods: 108 }, { subnetsPerZone: 2 });

    expect(summary.problems).toEqual([]);
    expect(summary.groups).toBe(12);
  });

  it("spreads over all groups of a zone, but for one that is kept for each subnet without nodes", async () => {
    const groupsUsed = async (more: readonly string[]) => {
      const topology = (cluster: SimulatedCluster) => {
        more.forEach((zone, index) => cluster.region.addSubnet(zone, parseCidr(`10.0.${index + 100}.0/24`)));
        return awsTopology({ region: "us-west-2", zones: cluster.zones(), groupsPerZone: 4 });
      };
      const { summary } = await run({ nodes: 24, pods: 48, scenario: "steady" }, { topology });
      expect(summary.problems).toEqual([]);
      return summary.groups;
    };

    expect(await groupsUsed([])).toBe(12);
    expect(await groupsUsed(["us-west-2a", "us-west-2a", "us-west-2c"])).toBe(9);
  });
});
