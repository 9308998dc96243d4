import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import { z } from "zod";

import { NetworkError } from "../core/errors.ts";
import { parseCidr, type Cidr } from "../core/net/cidr.ts";
import { nearestName } from "./nearest-name.ts";

/** The folder of the built-in scenarios, one YAML file each. */
const BUILT_IN = new URL("../../scenarios/", import.meta.url);
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** A file beyond this is no scenario. */
const MAX_BYTES = 1_000_000;

const Duration = z
  .string()
  .regex(/^\d+(\.\d+)?(ms|s|m|h|d)$/, "expected a duration such as 200ms, 10s, 5m or 1d")
  .transform((text) => {
    const unit = /[a-z]+$/.exec(text)?.[0] ?? "";
    return Number(text.slice(0, -unit.length)) * (UNITS[unit] ?? 1);
  });
const Percent = z.number().min(0).max(100);
const Count = z.int().min(1).max(10_000);
const Action = z.enum([
  "CreateRoute",
  "ReplaceRoute",
  "DeleteRoute",
  "ModifyNetworkInterfaceAttribute",
  "DescribeInstances",
  "DescribeRouteTables",
  "DescribeSubnets",
  "DescribeVpcs",
]);
const CidrText = z.string().transform((text, context): Cidr => {
  try {
    return parseCidr(text);
  } catch (error) {
    context.addIssue({ code: "custom", message: error instanceof Error ? error.message : String(error) });
    return z.NEVER;
  }
});

/** Which nodes a step means. */
const Nodes = z.union(
  [
    z.string().min(1),
    z.strictObject({ "gateway-of": z.union([z.literal("random"), CidrText]) }),
    z.strictObject({ zone: z.string().min(1) }),
  ],
  'expected a node\'s name, "random", "all", "last", {gateway-of: CIDR or random} or {zone: name or random}',
);

const at = { at: Duration };
const Step = z.discriminatedUnion("do", [
  z.strictObject({ ...at, do: z.literal("kill"), target: Nodes }),
  z.strictObject({ ...at, do: z.literal("heal"), target: Nodes.default("all") }),
  z.strictObject({ ...at, do: z.literal("terminate"), target: Nodes }),
  z.strictObject({ ...at, do: z.literal("remove-node"), target: Nodes }),
  z.strictObject({
    ...at,
    do: z.literal("add-node"),
    zone: z.string().default("random"),
    count: Count.default(1),
  }),
  z.strictObject({ ...at, do: z.literal("loss"), percent: Percent, target: Nodes.default("all") }),
  z.strictObject({
    ...at,
    do: z.literal("burst-loss"),
    percent: Percent.max(99),
    "mean-outage": Duration,
    target: Nodes.default("all"),
  }),
  z.strictObject({
    ...at,
    do: z.literal("cut"),
    mode: z.enum(["silent", "send-failures"]).default("silent"),
  }),
  z.strictObject({ ...at, do: z.literal("reconnect") }),
  z.strictObject({
    ...at,
    do: z.literal("throttle"),
    actions: z.array(Action).min(1).optional(),
    capacity: z.int().min(1).max(10_000),
    "per-second": z.number().positive().max(10_000),
  }),
  z.strictObject({ ...at, do: z.literal("latency"), min: Duration, rest: Duration.default(0) }),
  z.strictObject({ ...at, do: z.literal("deny"), action: Action }),
  z.strictObject({ ...at, do: z.literal("allow"), action: Action }),
  z.strictObject({
    ...at,
    do: z.literal("edit"),
    change: z.enum(["delete", "retarget"]),
    table: z.string().default("all"),
    count: Count.default(1),
  }),
  z.strictObject({ ...at, do: z.literal("check-on"), target: Nodes }),
  z.strictObject({ ...at, do: z.literal("stop-controller") }),
  z.strictObject({ ...at, do: z.literal("start-controller") }),
]);

const Scenario = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9-]*$/, "expected small letters, digits and dashes"),
  description: z.string().min(1),
  duration: Duration,
  nodes: z.int().min(2).max(5_000).optional(),
  pods: z.int().min(2).max(250_000).optional(),
  denied: z.array(Action).default([]),
  steps: z.array(Step).default([]),
  expect: z
    .strictObject({
      unreachable: z.enum(["none", "some"]).default("none"),
      failovers: z.int().min(0).default(0),
      moves: z.enum(["any", "none"]).default("any"),
    })
    .default({ unreachable: "none", failovers: 0, moves: "any" }),
});

/** What happens to a simulated cluster, and how it must end. Times in milliseconds; steps sorted by time. */
export type Scenario = z.infer<typeof Scenario>;

/** Names of the built-in scenarios, sorted. */
export function builtInScenarios(): readonly string[] {
  return readdirSync(fileURLToPath(BUILT_IN))
    .filter((name) => name.endsWith(".yaml"))
    .map((name) => name.slice(0, -".yaml".length))
    .toSorted();
}

/**
 * Reads a built-in scenario by its name, or a file when the text has a slash or a dot. Throws `NetworkError` `SCENARIO_UNKNOWN` or
 * `SCENARIO_INVALID`; the latter names every problem with line and column.
 */
export function loadScenario(nameOrFile: string): Scenario {
  const isFile = /[./\\]/.test(nameOrFile);
  if (!isFile && !builtInScenarios().includes(nameOrFile)) {
    throw new NetworkError(
      "not-found",
      "SCENARIO_UNKNOWN",
      `there is no scenario "${nameOrFile}"${didYouMean(nameOrFile, builtInScenarios())}; the built-in ones are ${builtInScenarios().join(", ")}; a file is given by its path (./${nameOrFile}.yaml)`,
      { name: nameOrFile },
    );
  }
  const path = isFile ? nameOrFile : fileURLToPath(new URL(`${nameOrFile}.yaml`, BUILT_IN));
  return parseScenario(readScenarioFile(path), nameOrFile);
}

/** Reads the text of a scenario. `source` names it in messages. Throws `NetworkError` `SCENARIO_INVALID`. */
export function parseScenario(text: string, source: string): Scenario {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
  const place = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${source}:${line}:${col}`;
  };
  if (document.errors.length > 0) {
    throw invalid(document.errors.map((error) => `${place(error.pos[0])}: ${firstLine(error.message)}`));
  }
  const result = Scenario.safeParse(document.toJS({ maxAliasCount: 10 }), { error: inWords });
  if (!result.success) {
    throw invalid(
      result.error.issues.map((issue) => {
        const path = issue.path.filter((key) => typeof key !== "symbol");
        return `${place(offsetOf(document.contents, path))}: ${placeOf(path)}${issue.message}`;
      }),
    );
  }
  const scenario = result.data;
  const late = scenario.steps.flatMap((step, index) =>
    step.at > scenario.duration
      ? [
          `${place(offsetOf(document.contents, ["steps", index, "at"]))}: steps[${index}].at: the step is later than the scenario's duration`,
        ]
      : [],
  );
  if (late.length > 0) {
    throw invalid(late);
  }
  return { ...scenario, steps: scenario.steps.toSorted((a, b) => a.at - b.at) };
}

function readScenarioFile(path: string): string {
  try {
    const text = readFileSync(path, "utf8");
    if (text.length > MAX_BYTES) {
      throw invalid([`${path}: the file has more than ${MAX_BYTES} characters`]);
    }
    return text;
  } catch (error) {
    if (error instanceof NetworkError) {
      throw error;
    }
    throw new NetworkError(
      "not-found",
      "SCENARIO_UNKNOWN",
      `cannot read the scenario "${path}" (${reasonOf(error)}): name a file that exists and may be read`,
      { path },
      error,
    );
  }
}

/** The system's short code, such as ENOENT: the rest of its message repeats the path. */
function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
}

/** Words for what people get wrong most; zod has its own for the rest. */
function inWords(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === "unrecognized_keys") {
    const known = issue.inst instanceof z.ZodObject ? Object.keys(issue.inst.shape) : [];
    const hints = issue.keys.map((key) => `"${key}"${didYouMean(key, known)}`);
    return `there is no field ${hints.join(", nor ")}; there are ${known.join(", ")}`;
  }
  if (issue.code === "invalid_union" && issue.discriminator !== undefined) {
    const names = Array.isArray(issue.options) ? issue.options.map(String) : [];
    const { input } = issue;
    const given: unknown = isRecord(input) ? input[issue.discriminator] : undefined;
    return typeof given === "string"
      ? `nothing is called "${given}"${didYouMean(given, names)}; there are ${names.join(", ")}`
      : `is missing; there are ${names.join(", ")}`;
  }
  if (issue.code === "invalid_type" && issue.input === undefined) {
    return "is missing";
  }
  return issue.code === "invalid_type" && issue.expected === "object"
    ? "expected fields (key: value)"
    : undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function didYouMean(text: string, names: readonly string[]): string {
  const nearest = nearestName(text, names);
  return nearest === undefined ? "" : ` (did you mean ${nearest}?)`;
}

function invalid(problems: readonly string[]): NetworkError {
  return new NetworkError(
    "invalid",
    "SCENARIO_INVALID",
    `this is no scenario (docs/simulator.md has the schema):\n${problems.map((problem) => `  ${problem}`).join("\n")}`,
    { problems },
  );
}

/** Where the value of a path starts in the text; of a value that is missing, where its parent starts. */
function offsetOf(root: unknown, path: readonly (string | number)[]): number {
  let node: unknown = root;
  let offset = startOf(root) ?? 0;
  for (const key of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key: found }) => isScalar(found) && found.value === key);
      offset = startOf(pair?.key) ?? offset;
      node = pair?.value;
    } else if (isSeq(node) && typeof key === "number") {
      node = node.items[key];
      offset = startOf(node) ?? offset;
    } else {
      break;
    }
  }
  return offset;
}

function startOf(node: unknown): number | undefined {
  return isScalar(node) || isMap(node) || isSeq(node) || isAlias(node) ? node.range?.[0] : undefined;
}

function placeOf(path: readonly (string | number)[]): string {
  const text = path.reduce<string>(
    (sum, key) => (typeof key === "number" ? `${sum}[${key}]` : sum === "" ? key : `${sum}.${key}`),
    "",
  );
  return text === "" ? "" : `${text}: `;
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}
