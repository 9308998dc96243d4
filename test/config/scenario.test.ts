import { describe, expect, it } from "vitest";

import { builtInScenarios, loadScenario, parseScenario } from "../../src/config/scenario.ts";
import { NetworkError } from "../../src/core/errors.ts";

const parse = (steps: string, rest = "") =>
  parseScenario(`name: s\ndescription: d\nduration: 1m\n${rest}steps:\n${steps}\n`, "s.yaml");

function problemsOf(work: () => unknown): readonly string[] {
  try {
    work();
  } catch (error) {
    if (error instanceof NetworkError && error.code === "SCENARIO_INVALID") {
      return error.details["problems"] as readonly string[];
    }
    throw error;
  }
  return [];
}

describe("a scenario file", () => {
  it("is read with times in milliseconds and its steps in order", () => {
    const scenario = parse(
      [
        "  - { at: 1.5s, do: loss, percent: 2 }",
        "  - { at: 200ms, do: kill, target: { gateway-of: 100.96.0.0/16 } }",
        "  - { at: 1m, do: add-node, zone: us-west-2a, count: 2 }",
      ].join("\n"),
      "expect: { unreachable: some }\n",
    );

    expect(scenario).toEqual({
      name: "s",
      description: "d",
      duration: 60_000,
      denied: [],
      expect: { unreachable: "some", failovers: 0, moves: "any" },
      steps: [
        { at: 200, do: "kill", target: { "gateway-of": "100.96.0.0/16" } },
        { at: 1_500, do: "loss", percent: 2, target: "all" },
        { at: 60_000, do: "add-node", zone: "us-west-2a", count: 2 },
      ],
    });
  });

  it("is refused with all of its problems, each with its place", () => {
    const problems = problemsOf(() =>
      parse(
        [
          "  - { at: 10, do: kill, target: a }",
          "  - { at: 1s, do: explode }",
          "  - { at: 1s, do: loss, percent: 200, targets: a }",
          "  - at: 1s",
          "    do: kill",
          "    target: { gateway-of: 100.96.0.1/16 }",
        ].join("\n"),
      ),
    );

    expect(problems.map((problem) => problem.split(": ").slice(0, 2).join(": "))).toEqual([
      "s.yaml:5:7: steps[0].at",
      "s.yaml:6:15: steps[1].do",
      "s.yaml:7:25: steps[2].percent",
      "s.yaml:7:5: steps[2]",
      "s.yaml:10:5: steps[3].target",
    ]);
  });

  it.for([
    ["a step after the end", "  - { at: 2m, do: heal }", "s.yaml:5:7: steps[0].at: the step is later"],
    ["broken YAML", "  - { at: 2m", "s.yaml:6:1: Flow map in block collection"],
    ["two keys of one name", "  - { at: 1s, at: 2s, do: heal }", "s.yaml:5:15: Map keys must be unique"],
  ] as const)("is refused for %s", ([, steps, problem]) => {
    expect(problemsOf(() => parse(steps))[0]).toContain(problem);
  });

  it.for([
    [
      "a verb",
      "{ at: 1s, do: heel }",
      'steps[0].do: nothing is called "heel" (did you mean heal?); there are kill, ',
    ],
    ["no verb", "{ at: 1s }", "steps[0].do: is missing; there are kill, "],
    [
      "a field",
      "{ at: 1s, do: loss, percent: 1, targe: a }",
      'steps[0]: there is no field "targe" (did you mean target?); there are at, do, percent, target',
    ],
    ["no field", "{ at: 1s, do: loss }", "steps[0].percent: is missing"],
    ["no step", "kill", "steps[0]: expected fields (key: value)"],
  ] as const)("says what may have been meant: %s", ([, step, words]) => {
    expect(problemsOf(() => parse(`  - ${step}`))[0]).toContain(words);
  });

  it("is refused when it is empty, or no map", () => {
    expect(problemsOf(() => parseScenario("", "s.yaml"))).toHaveLength(1);
    expect(problemsOf(() => parseScenario("- 1", "s.yaml"))).toHaveLength(1);
  });
});

describe("the built-in scenarios", () => {
  it("are these, and each is read and bears the name of its file", () => {
    expect(builtInScenarios()).toEqual([
      "check-left-on",
      "flapping",
      "hand-edit",
      "no-repair",
      "node-failure",
      "observer-cut-off",
      "packet-loss",
      "scale",
      "steady",
      "throttled",
      "zone-failure",
    ]);
    for (const name of builtInScenarios()) {
      expect(loadScenario(name).name).toBe(name);
    }
  });

  it("are listed when a name is none of them; a path is a file", () => {
    expect(() => loadScenario("stedy")).toThrow(
      /no scenario "stedy" \(did you mean steady\?\); the built-in ones are check-left-on, /,
    );
    expect(() => loadScenario("./none.yaml")).toThrow('cannot read the scenario "./none.yaml"');
  });
});
