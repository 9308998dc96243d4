import { NetworkError } from "../errors.ts";

/** How quickly silence is noticed and how surely it is confirmed. All times in milliseconds. */
export interface HealthOptions {
  /** Between two probes of a gateway, of a rising node and of one that has no verdict yet. */
  readonly intervalMs: number;
  /** Between two probes of a stand-in. */
  readonly standbyIntervalMs: number;
  /** A probe that is unanswered for this long is lost. */
  readonly timeoutMs: number;
  /** Probes lost in a row that make a node suspect. */
  readonly fall: number;
  /** Probes of the burst that confirms or clears a suspicion. */
  readonly burst: number;
  /** Between two probes of a burst. */
  readonly burstIntervalMs: number;
  /** A probe of a burst that is unanswered for this long is lost. */
  readonly burstTimeoutMs: number;
  /** Stand-ins that get the burst with a suspect: the first this many that are up, in the order in which the caller ranks them. */
  readonly burstStandIns: number;
  /** Bursts under way at once. A suspect beyond that waits for its next probe. Bounds what a large outage makes us send. */
  readonly maxBursts: number;
  /** Answers in a row before a node may be chosen. */
  readonly rise: number;
  /** How long a node that went down may not be chosen, whatever it answers. */
  readonly holdDownMs: number;
  /** A node that goes down again within this time of the last time has its hold-down doubled. */
  readonly holdDownWindowMs: number;
  /** The longest hold-down. */
  readonly holdDownMaxMs: number;
}

/** Silence is found after 550 to 750 ms; an interruption of less than 450 ms moves nothing (`detectionBounds`). */
export const DEFAULT_HEALTH_OPTIONS: HealthOptions = {
  intervalMs: 200,
  standbyIntervalMs: 2_000,
  timeoutMs: 150,
  fall: 2,
  burst: 5,
  burstIntervalMs: 25,
  burstTimeoutMs: 100,
  burstStandIns: 8,
  maxBursts: 100,
  rise: 5,
  holdDownMs: 10_000,
  holdDownWindowMs: 600_000,
  holdDownMaxMs: 300_000,
};

/** A prober gives up on an answer after this time (`ports/prober`), so no probe may wait longer. */
const LONGEST_ANSWER_MS = 1_000;
/** The longest time that any option may name, a week: beyond it is a mistake of the unit. */
const LONGEST_MS = 7 * 86_400_000;

type Problem = readonly [name: keyof HealthOptions, wanted: string];

/**
 * The defaults with `changes` laid over them. Throws `NetworkError` `HEALTH_OPTIONS_INVALID` that names every option that cannot be: times
 * are 1 ms to a week, counts are whole; a time-out fits its interval, or losses would not come one by one; no time-out is longer than
 * the second for which a prober listens.
 */
export function healthOptions(changes: Partial<HealthOptions> = {}): HealthOptions {
  const options = { ...DEFAULT_HEALTH_OPTIONS, ...changes };
  const problems = [...rangeProblems(options), ...relationProblems(options)];
  if (problems.length > 0) {
    const text = problems
      .map(([name, wanted]) => `${name} is ${options[name]}, must be ${wanted}`)
      .join("; ");
    throw new NetworkError(
      "invalid",
      "HEALTH_OPTIONS_INVALID",
      `the health options do not fit together: ${text}`,
      {
        options: problems.map(([name]) => name),
      },
    );
  }
  return options;
}

function rangeProblems(options: HealthOptions): Problem[] {
  const counts = {
    fall: [1, 100],
    burst: [2, 100],
    burstStandIns: [0, 1_000],
    maxBursts: [1, 10_000],
    rise: [1, 1_000],
  } as const;
  const problems: Problem[] = [];
  for (const name of Object.keys(DEFAULT_HEALTH_OPTIONS) as (keyof HealthOptions)[]) {
    const [least, most] =
      name in counts
        ? counts[name as keyof typeof counts]
        : [name.startsWith("holdDown") ? 0 : 1, LONGEST_MS];
    const value = options[name];
    if (!(value >= least && value <= most) || (name in counts && !Number.isInteger(value))) {
      problems.push([name, `${name in counts ? "a whole number" : "a time in ms"} from ${least} to ${most}`]);
    }
  }
  return problems;
}

function relationProblems(options: HealthOptions): Problem[] {
  const {
    intervalMs,
    standbyIntervalMs,
    timeoutMs,
    burstIntervalMs,
    burstTimeoutMs,
    holdDownMs,
    holdDownMaxMs,
  } = options;
  const longest = Math.min(intervalMs, LONGEST_ANSWER_MS);
  const problems: Problem[] = [];
  if (timeoutMs > longest) {
    problems.push([
      "timeoutMs",
      `at most ${longest} (intervalMs, and ${LONGEST_ANSWER_MS} ms, after which no answer is listened for)`,
    ]);
  }
  if (standbyIntervalMs < intervalMs) {
    problems.push(["standbyIntervalMs", `at least intervalMs (${intervalMs})`]);
  }
  if (burstIntervalMs > intervalMs) {
    problems.push(["burstIntervalMs", `at most intervalMs (${intervalMs})`]);
  }
  if (burstTimeoutMs > LONGEST_ANSWER_MS) {
    problems.push(["burstTimeoutMs", `at most ${LONGEST_ANSWER_MS}, after which no answer is listened for`]);
  }
  if (holdDownMaxMs < holdDownMs) {
    problems.push(["holdDownMaxMs", `at least holdDownMs (${holdDownMs})`]);
  }
  return problems;
}

/** What follows from the options for a gateway, in milliseconds, by construction; timers and answers that come late are not counted. */
export interface DetectionBounds {
  /** From the moment a node falls silent until its verdict: at least, at most. */
  readonly fastestMs: number;
  readonly slowestMs: number;
  /** An interruption that is shorter moves nothing. */
  readonly harmlessMs: number;
}

/**
 * The bounds of detection. With the defaults, for a node that falls silent just before the probe at t:
 *
 *     t      t+150  t+200  t+350                 t+450     t+550
 *     probe  lost   probe  lost: suspect, burst  its last  lost: down
 *
 * The silence began at most one interval before t. It moves something only if it lasts until the burst's last probe was sent.
 */
export function detectionBounds(options: HealthOptions): DetectionBounds {
  const suspectMs = (options.fall - 1) * options.intervalMs + options.timeoutMs;
  const harmlessMs = suspectMs + (options.burst - 1) * options.burstIntervalMs;
  const fastestMs = harmlessMs + options.burstTimeoutMs;
  return { fastestMs, slowestMs: fastestMs + options.intervalMs, harmlessMs };
}
