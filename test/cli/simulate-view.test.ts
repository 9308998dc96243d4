import { describe, expect, it } from "vitest";

import { createSimulationView } from "../../src/cli/simulate-view.ts";
import type { SimulationEvent, SimulationSummary } from "../../src/core/views/simulation-views.ts";

const reach = { checked: 1_000, unreachable: 0, groupPairs: 4, causes: {}, example: "" };
const summary: SimulationSummary = {
  scenario: "node-failure",
  seed: 1,
  region: "us-west-2",
  zones: ["us-west-2a"],
  nodes: 3,
  pods: 9,
  groups: 2,
  virtualSeconds: 90,
  convergedMs: 500,
  pairsChecked: 72,
  pairsUnreachable: 0,
  groupPairsChecked: 4,
  strayPacketsChecked: 8,
  strayPacketsLooping: 0,
  failovers: [
    { node: "ip-10-0-0-4", routes: 3, detectedMs: 680, routesMovedMs: 706 },
    { node: "ip-10-0-0-5", routes: 1, detectedMs: 690, routesMovedMs: null },
  ],
  routeMoves: 3,
  routesPerTable: { "rtb-1": 2 },
  ec2Calls: { CreateRoute: 2 },
  probes: { sent: 10, answered: 9, failedSends: 0 },
  foreignChanges: [],
  ok: true,
  problems: [],
};

function show(events: readonly SimulationEvent[], coloured = false): readonly string[] {
  const lines: string[] = [];
  const view = createSimulationView({ writeLine: (line) => void lines.push(line), coloured });
  events.forEach(view);
  return lines;
}

describe("the timeline of a simulation", () => {
  it("says what is simulated", () => {
    const text = show([
      {
        kind: "built",
        scenario: "steady",
        description: "Nothing happens.",
        seed: 7,
        region: "us-west-2",
        zones: ["us-west-2a", "us-west-2b"],
        nodes: 30,
      },
    ]).join("\n");

    expect(text).toContain("steady on 30 nodes in us-west-2\nNothing happens.\n");
    expect(text).toContain("zones us-west-2a, us-west-2b · seed 7");
  });

  it.for([
    [0, "0:00.000"],
    [61_234.6, "1:01.235"],
    [3_600_000, "1:00:00.000"],
    [86_400_000, "24:00:00.000"],
  ] as const)("puts virtual time in front: %d ms is %s", ([atMs, text]) => {
    expect(show([{ kind: "step", atMs, text: "it happens" }])[0]?.trim()).toBe(`${text}  ▶ it happens`);
  });

  it("draws a line for each zone, with the gateway of each group and a mark on a dead one", () => {
    const cell = (zone: string, destination: string, gateway: string, alive: boolean) => ({
      zone,
      destination,
      gateway,
      alive,
    });

    const lines = show([
      {
        kind: "picture",
        cells: [
          cell("us-west-2a", "100.96.0.0/16", "ip-10-0-0-4", true),
          cell("us-west-2a", "100.97.0.0/16", "ip-10-0-0-5", false),
          cell("us-west-2b", "100.104.0.0/16", "", false),
        ],
      },
    ]).filter((line) => line !== "");

    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(
      /us-west-2a +100\.96\.0\.0\/16 +→ ip-10-0-0-4 +100\.97\.0\.0\/16 +→ ip-10-0-0-5 ✗/,
    );
    expect(lines[1]).toMatch(/us-west-2b +100\.104\.0\.0\/16 +→ nobody/);
  });

  it("tells moved, new and deleted routes apart, and does not flood the terminal", () => {
    const change = (destination: string, from: string, to: string) => ({ destination, from, to, tables: 3 });
    const many = Array.from({ length: 10 }, (_, index) => change(`100.${index}.0.0/16`, "a", "b"));

    const text = show([
      {
        kind: "routes",
        atMs: 0,
        changes: [
          change("100.96.0.0/16", "a", "b"),
          change("100.97.0.0/16", "", "b"),
          change("100.98.0.0/16", "a", ""),
        ],
      },
    ]).join("\n");
    const long = show([{ kind: "routes", atMs: 0, changes: many }]);

    expect(text).toContain("~ 100.96.0.0/16: a → b, in 3 tables");
    expect(text).toContain("+ 100.97.0.0/16 → b, in 3 tables");
    expect(text).toContain("− 100.98.0.0/16 → a, in 3 tables");
    expect(long).toHaveLength(8);
    expect(long.at(-1)).toContain("and 4 more");
  });

  it("never rounds up to all pairs", () => {
    const text = show([
      {
        kind: "reach",
        atMs: 0,
        phase: "during",
        reach: { ...reach, checked: 100_000, unreachable: 1, example: "a → b: why" },
      },
    ]).join("\n");

    expect(text).toContain("during 99999 of 100000 pairs of pods reach each other (99.9 %)");
    expect(text).toContain("a → b: why");
    expect(show([{ kind: "reach", atMs: 0, phase: "end", reach }])[0]).toContain("(100 %)");
  });

  it("closes with the failovers and the verdict", () => {
    const good = show([{ kind: "end", atMs: 0, summary }]).join("\n");
    const bad = show([
      { kind: "end", atMs: 0, summary: { ...summary, ok: false, problems: ["one", "two"] } },
    ]).join("\n");

    expect(good).toContain("ip-10-0-0-4: 3 routes, found down after 680 ms, moved after 706 ms");
    expect(good).toContain(
      "ip-10-0-0-5: 1 route, found down after 690 ms, its routes did not move (no stand-in)",
    );
    expect(good).toContain("✓ it ended as it must");
    expect(bad).toContain("✗ it did not end as it must: one; two");
  });

  it("has colours only where they are wanted", () => {
    const events: SimulationEvent[] = [
      { kind: "verdict", atMs: 0, node: "n", afterMs: 680 },
      { kind: "converged", atMs: 0, tables: { "rtb-1": 2 }, checksOff: 3 },
      { kind: "placed", atMs: 0, pods: 9, blocks: 3 },
    ];

    expect(show(events).join("")).not.toContain("\u001B[");
    expect(show(events, true).join("")).toContain("\u001B[");
  });
});
