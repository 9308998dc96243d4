import fc from "fast-check";
import { expect, it } from "vitest";

import { parseScenario, type Scenario } from "../../src/config/scenario.ts";
import { NetworkError } from "../../src/core/errors.ts";
import { awsTopology } from "../../src/core/topology/aws-topology.ts";
import { simulate } from "../../src/main/simulate.ts";

const target = fc.constantFrom("random", "{ gateway-of: random }", "{ zone: random }");
const trouble = fc.oneof(
  target.map((nodes) => `do: kill, target: ${nodes}`),
  fc.constantFrom(
    "do: heal",
    "do: kill, target: last",
    "do: terminate, target: random",
    "do: terminate, target: { gateway-of: random }",
    "do: remove-node, target: random",
    "do: add-node",
    "do: add-node, count: 3",
    "do: edit, change: delete, count: 4",
    "do: edit, change: retarget, count: 4",
    "do: check-on, target: random",
    "do: check-on, target: { gateway-of: random }",
    "do: loss, percent: 5",
    "do: burst-loss, percent: 3, mean-outage: 200ms",
    "do: cut",
    "do: cut, mode: send-failures",
    "do: reconnect",
    "do: throttle, capacity: 3, per-second: 1",
    "do: latency, min: 300ms, rest: 1s",
    "do: deny, action: ReplaceRoute",
    "do: deny, action: DescribeRouteTables",
    "do: stop-controller",
    "do: start-controller",
  ),
);

/** Whatever was done is undone; what the controller can repair is left to it. */
const END = [
  "do: heal",
  "do: reconnect",
  "do: loss, percent: 0",
  "do: throttle, capacity: 50, per-second: 5",
  "do: latency, min: 20ms, rest: 20ms",
  "do: allow, action: ReplaceRoute",
  "do: allow, action: DescribeRouteTables",
  "do: start-controller",
];

function scenarioOf(steps: readonly { readonly gapMs: number; readonly text: string }[]): Scenario {
  let at = 0;
  const lines = steps.map(({ gapMs, text }) => {
    at += gapMs;
    return `  - { at: ${at}ms, ${text} }`;
  });
  const end = END.map((text) => `  - { at: ${at + 5_000}ms, ${text} }`);
  const text = `name: random\ndescription: random\nduration: ${at + 1_200_000}ms\nsteps:\n${[...lines, ...end].join("\n")}\n`;
  return parseScenario(text, "random");
}

const runs = fc.record({
  seed: fc.nat(1_000_000),
  nodes: fc.integer({ min: 12, max: 40 }),
  podsPerNode: fc.integer({ min: 1, max: 6 }),
  subnetsPerZone: fc.integer({ min: 1, max: 2 }),
  moreGroups: fc.integer({ min: 0, max: 4 }),
  steps: fc.array(fc.record({ gapMs: fc.constantFrom(1, 150, 700, 3_000, 20_000, 70_000), text: trouble }), {
    minLength: 1,
    maxLength: 6,
  }),
});

const silent = { stdout: { write: () => true }, isTTY: false };

it(
  "comes to rest after any trouble: every pod reaches every other, nothing foreign is touched, no address is held twice",
  { timeout: 120_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(runs, async ({ seed, nodes, podsPerNode, subnetsPerZone, moreGroups, steps }) => {
        const run = simulate(
          { seed, nodes, pods: nodes * podsPerNode },
          {
            ...silent,
            scenario: scenarioOf(steps),
            subnetsPerZone,
            topology: (cluster) =>
              awsTopology({
                region: "us-west-2",
                zones: cluster.zones(),
                groupsPerZone: subnetsPerZone + moreGroups,
              }),
          },
        );
        const { summary } = await run.catch((error: unknown) => {
          // A story in which "last" means nobody is none that can be told: fast-check takes another one.
          fc.pre(!(error instanceof NetworkError && error.message.includes('there is no "last" node')));
          throw error;
        });

        // `problems` holds all of it: unreachable pairs, loops, what a further pass would still do, foreign changes, double addresses.
        expect(summary.problems).toEqual([]);
      }),
      { numRuns: Number(process.env["RANDOM_CLUSTERS"] ?? 25), seed: 20_261_121 },
    );
  },
);
