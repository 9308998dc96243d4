// How often routes leave living nodes because of lost packets alone: the table in docs/simulator.md. Run it with `node scripts/measure-false-moves.ts`;
// it takes some minutes.
import { parseScenario } from "../src/config/scenario.ts";
import { detectionBounds, healthOptions, type HealthOptions } from "../src/core/health/options.ts";
import { simulate } from "../src/main/simulate.ts";

const SETTINGS: readonly (readonly [name: string, changes: Partial<HealthOptions>])[] = [
  ["default", {}],
  ["careful", { fall: 3, burst: 8, burstIntervalMs: 40 }],
  ["slow", { intervalMs: 500, timeoutMs: 300, fall: 3, burst: 10, burstIntervalMs: 50, burstTimeoutMs: 200 }],
];
const MEAN_OUTAGES_MS = [10, 50, 100];
const PERCENT = 1;

/** Routes that left a living gateway, per gateway and day. */
async function measure(meanOutageMs: number, health: Partial<HealthOptions>): Promise<string> {
  const scenario = parseScenario(
    `name: bursty\ndescription: bursty loss for a day\nduration: 1d\nsteps:\n  - { at: 0s, do: burst-loss, percent: ${PERCENT}, mean-outage: ${meanOutageMs}ms }\n`,
    "bursty",
  );
  const stdout = { write: () => true };
  const { summary } = await simulate({ nodes: 30, pods: 60 }, { stdout, isTTY: false, scenario, health });
  const moves = summary.routeMoves / Object.keys(summary.routesPerTable).length;
  return (moves / summary.groups).toFixed(2);
}

console.log(
  `| settings | silence is found after | harmless | ${MEAN_OUTAGES_MS.map((ms) => `outages of ${ms} ms`).join(" | ")} |`,
);
console.log(`|---|---|---|${MEAN_OUTAGES_MS.map(() => "---|").join("")}`);
for (const [name, changes] of SETTINGS) {
  const { fastestMs, slowestMs, harmlessMs } = detectionBounds(healthOptions(changes));
  const cells: string[] = [];
  for (const meanOutageMs of MEAN_OUTAGES_MS) {
    cells.push(await measure(meanOutageMs, changes));
  }
  console.log(`| ${name} | ${fastestMs}–${slowestMs} ms | ${harmlessMs} ms | ${cells.join(" | ")} |`);
}
