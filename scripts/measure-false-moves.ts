/**
 * How often a healthy node would lose its routes under bursty loss, and how soon a dead one does, for several settings of the health options, on a
 * virtual clock: the tables of docs/health.md.
 *
 *     node scripts/measure-false-moves.ts [--node-days 100] [--loss 0.02] [--kills 2000] [--seed 1]
 *
 * Loss comes in outages of each node's path, on and off (Gilbert-Elliott with certain loss in the bad state): the lengths of outages and of the gaps
 * between them are exponential, `--loss` is the share of time in outage. The hold-down is off, so that every node stays exposed for all of the time.
 */
import { parseArgs } from "node:util";

import { HealthMonitor } from "../src/controllers/health-monitor.ts";
import { detectionBounds, type HealthOptions, healthOptions } from "../src/core/health/options.ts";
import {
  ANSWER,
  FateProber,
  InstantClock,
  ListLogger,
  type NodePlan,
  targetsOf,
} from "../test/support/health-world.ts";

const DAY_MS = 86_400_000;
const ROUND_TRIP_MS = 0.5;
/** Lossy nodes per run, beside one node that always answers. */
const NODES = 50;
const OUTAGES_MS = [10, 50, 100];

const SETTINGS: readonly { readonly name: string; readonly changes: Partial<HealthOptions> }[] = [
  { name: "default", changes: {} },
  { name: "patient", changes: { fall: 3, burst: 10, burstIntervalMs: 50 } },
  {
    name: "slow",
    changes: {
      intervalMs: 500,
      timeoutMs: 300,
      fall: 3,
      burst: 10,
      burstIntervalMs: 100,
      burstTimeoutMs: 200,
    },
  },
];

/** Numbers from 0 (included) to 1 (excluded), the same for the same seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d_2b_79_f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Whether a path is in outage, asked at times that never go back. */
function outages(meanMs: number, share: number, random: () => number): (nowMs: number) => boolean {
  const gapMs = (meanMs * (1 - share)) / share;
  const exponential = (mean: number): number => -mean * Math.log(1 - random());
  let fromMs = exponential(gapMs);
  let untilMs = fromMs + exponential(meanMs);
  return (nowMs) => {
    while (nowMs >= untilMs) {
      fromMs = untilMs + exponential(gapMs);
      untilMs = fromMs + exponential(meanMs);
    }
    return nowMs >= fromMs;
  };
}

interface Run {
  readonly clock: InstantClock;
  readonly downs: { readonly host: string; readonly atMs: number }[];
}

/** A monitor over lossy gateways `n0 …` and a witness. `silent` decides whether a probe to a gateway is lost. */
function monitorOf(
  changes: Partial<HealthOptions>,
  nodes: number,
  silent: (host: string, nowMs: number) => boolean,
): Run {
  const plans = Array.from({ length: nodes }, (_, index): NodePlan => ({
    host: `n${index}`,
    zone: "a",
    role: "gateway",
  }));
  const targets = targetsOf([...plans, { host: "witness", zone: "b", role: "gateway" }]);
  const clock = new InstantClock();
  const hosts = new Map(targets.map(({ address, host }) => [address, host]));
  const prober = new FateProber(clock, hosts, (host, nowMs) =>
    host !== "witness" && silent(host, nowMs) ? "silence" : { afterMs: ROUND_TRIP_MS, outcome: ANSWER },
  );
  prober.record = false;
  const downs: Run["downs"] = [];
  const monitor = new HealthMonitor({
    prober,
    clock,
    log: new ListLogger(),
    options: healthOptions({ ...changes, holdDownMs: 0, holdDownMaxMs: 0 }),
    onVerdict: (verdict) => {
      if (verdict.kind === "down") {
        downs.push({ host: verdict.host, atMs: verdict.at });
      }
    },
  });
  monitor.setTargets(targets);
  monitor.start();
  return { clock, downs };
}

/** False moves over `nodeDays` of nodes that never die. */
function falseMoves(
  changes: Partial<HealthOptions>,
  meanMs: number,
  share: number,
  nodeDays: number,
  seed: number,
): number {
  const paths = new Map(
    Array.from({ length: NODES }, (_, index) => [
      `n${index}`,
      outages(meanMs, share, randomFrom(seed * 1_000 + index)),
    ]),
  );
  const { clock, downs } = monitorOf(changes, NODES, (host, nowMs) => paths.get(host)?.(nowMs) ?? false);
  clock.run((nodeDays / NODES) * DAY_MS);
  return downs.length;
}

/** Milliseconds from silence to verdict, sorted, of nodes that die at random moments without any other loss. */
function detectionTimes(changes: Partial<HealthOptions>, kills: number, seed: number): number[] {
  const random = randomFrom(seed);
  const diesMs = new Map(
    Array.from({ length: kills }, (_, index) => [`n${index}`, 10_000 + random() * 60_000]),
  );
  // The bound on bursts is out of the way: hundreds of nodes that die within a minute are here for the statistics only.
  const { clock, downs } = monitorOf(
    { ...changes, maxBursts: 10_000 },
    kills,
    (host, nowMs) => nowMs >= (diesMs.get(host) ?? Infinity),
  );
  clock.run(80_000);
  return downs.map(({ host, atMs }) => atMs - (diesMs.get(host) ?? Number.NaN)).toSorted((a, b) => a - b);
}

/** A rate as `12.3`, or as the bound below which it lies with 95 % confidence where nothing was seen. */
function perNodeDay(moves: number, nodeDays: number): string {
  return moves === 0 ? `< ${(3 / nodeDays).toFixed(2)}` : (moves / nodeDays).toFixed(2);
}

function main(): void {
  const { values } = parseArgs({
    options: {
      "node-days": { type: "string", default: "100" },
      loss: { type: "string", default: "0.02" },
      kills: { type: "string", default: "2000" },
      seed: { type: "string", default: "1" },
    },
  });
  const [nodeDays, loss, kills, seed] = [values["node-days"], values.loss, values.kills, values.seed].map(
    Number,
  );
  if (
    !nodeDays ||
    !loss ||
    !kills ||
    seed === undefined ||
    !(nodeDays > 0 && loss > 0 && loss < 1 && kills > 0)
  ) {
    throw new Error("--node-days and --kills must be above 0, --loss between 0 and 1, --seed a number");
  }
  console.log(
    `| setting | interruption that moves nothing | detection min / median / max | ${OUTAGES_MS.map((ms) => `outages of ${ms} ms`).join(" | ")} |`,
  );
  console.log(`|---|---|---|${"---|".repeat(OUTAGES_MS.length)}`);
  for (const { name, changes } of SETTINGS) {
    const times = detectionTimes(changes, kills, seed);
    const [least, median, most] = [times[0], times[times.length >> 1], times.at(-1)].map((ms) =>
      Math.round(ms ?? Number.NaN),
    );
    const { harmlessMs } = detectionBounds(healthOptions(changes));
    const rates = OUTAGES_MS.map((meanMs) =>
      perNodeDay(falseMoves(changes, meanMs, loss, nodeDays, seed), nodeDays),
    );
    console.log(`| ${name} | ${harmlessMs} ms | ${least} / ${median} / ${most} ms | ${rates.join(" | ")} |`);
  }
}

main();
