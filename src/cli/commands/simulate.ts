import { InvalidArgumentError, type Command } from "commander";

import { examples } from "../examples.ts";

/** What `romana simulate` was asked to do. What is absent has the simulation's own default. */
export interface SimulateOptions {
  readonly region?: string;
  readonly nodes?: number;
  readonly pods?: number;
  readonly seed?: number;
  /** Name of a built-in scenario, or a file. */
  readonly scenario?: string;
  /** A topology document; absent: generated for the region. */
  readonly topology?: string;
  readonly json?: boolean;
}

/** Runs a simulation to its end and answers the exit code: 0 when it went as the scenario says. */
export type RunSimulation = (options: SimulateOptions, signal: AbortSignal) => Promise<number>;

/** `romana simulate`. */
export function simulateCommand(program: Command, signal: AbortSignal, runSimulation: RunSimulation): void {
  examples(
    program
      .command("simulate")
      .option("--region <name>", "AWS region whose zones are simulated (default: us-west-2)")
      .option("--nodes <n>", "nodes, spread over the zones (default: the scenario's, else 30)", parseCount)
      .option("--pods <n>", "pods, spread over the nodes (default: the scenario's, else 300)", parseCount)
      .option("--seed <n>", "seed of all chance: the same seed gives the same run (default: 1)", parseCount)
      .option(
        "--scenario <name|file>",
        "what happens: a built-in scenario (a wrong name lists them) or a YAML file, ./my.yaml (default: node-failure)",
      )
      .option("--topology <file>", "topology document (default: generated for the region)")
      .option("--json", "a result of one line at the end, for programs")
      .description("run the whole system on a simulated region: no account, no root"),
    [
      ["romana simulate", "a node fails, its routes move, pods stay reachable"],
      ["romana simulate --scenario zone-failure --nodes 60", "a whole zone fails"],
      ["romana simulate --json | tail -n 1", "the result alone"],
    ],
  ).action(async (options: SimulateOptions) => {
    process.exitCode = await runSimulation(options, signal);
  });
}

function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) {
    throw new InvalidArgumentError("Expected a whole number, up to nine digits.");
  }
  return Number(text);
}
