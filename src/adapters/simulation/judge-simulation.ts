import type { SimulationSummary } from "../../core/views/simulation-views.ts";
import type { SimulatedScenario } from "./scenario-step.ts";

export interface JudgedSimulation {
  readonly summary: Omit<SimulationSummary, "ok" | "problems">;
  readonly expect: SimulatedScenario["expect"];
  /** Groups that have living pods. */
  readonly groups: number;
  readonly straysDelivered: number;
  readonly addresses: readonly { readonly name: string; readonly address: string }[];
}

/** Everything that must not be at the end of a simulation, as sentences; none when it ended as its scenario wants. */
export function judgeSimulation(judged: JudgedSimulation): readonly string[] {
  const { summary, expect, groups, straysDelivered } = judged;
  const detected = summary.failovers.filter(({ detectedMs }) => detectedMs !== null).length;
  const problems: (string | false)[] = [
    summary.pairsChecked === 0 && "no pair of pods was checked",
    summary.groupPairsChecked < groups * (groups - 1) &&
      `only ${summary.groupPairsChecked} ordered pairs of the ${groups} groups were checked`,
    summary.convergedMs === null && "the routes never stood as planned before the scenario began",
    expect.unreachable === "none" &&
      summary.pairsUnreachable > 0 &&
      `${summary.pairsUnreachable} pairs of pods are out of reach at the end`,
    expect.unreachable === "none" &&
      (summary.operationsLeft ?? 0) > 0 &&
      `a further pass would make ${summary.operationsLeft} writes: the controller has not come to rest`,
    expect.unreachable === "some" &&
      summary.pairsUnreachable === 0 &&
      "all pods reach each other at the end, although this scenario must end otherwise",
    detected < expect.failovers &&
      `${detected} nodes that held routes were found dead, at least ${expect.failovers} had to be`,
    expect.moves === "none" && summary.routeMoves > 0 && `${summary.routeMoves} routes moved, none may`,
    summary.strayPacketsLooping > 0 &&
      `${summary.strayPacketsLooping} packets for addresses that nobody holds went in a circle`,
    straysDelivered > 0 && `${straysDelivered} packets for addresses that nobody holds were delivered`,
    summary.foreignChanges.length > 0 &&
      `something that is not ours was changed: ${summary.foreignChanges.join("; ")}`,
  ];
  return [...problems.filter((problem) => problem !== false), ...doubleAddresses(judged.addresses)];
}

function doubleAddresses(addresses: JudgedSimulation["addresses"]): readonly string[] {
  const seen = new Map<string, string>();
  const problems: string[] = [];
  for (const { name, address } of addresses) {
    const other = seen.get(address);
    if (other !== undefined) {
      problems.push(`${name} and ${other} both hold ${address}`);
    }
    seen.set(address, name);
  }
  return problems;
}

/**
 * What changed between two lists of `SimulatedCluster.foreignState`. An interface that came in between, with a new instance, is no change.
 */
export function foreignDifferences(before: readonly string[], after: readonly string[]): readonly string[] {
  const old = new Set(before);
  const now = new Set(after);
  const known = new Set(before.map(subjectOf));
  return [
    ...before.filter((line) => !now.has(line)).map((line) => `gone: ${line}`),
    ...after
      .filter((line) => !old.has(line) && !(line.startsWith("eni-") && !known.has(subjectOf(line))))
      .map((line) => `new: ${line}`),
  ];
}

function subjectOf(line: string): string {
  return line.slice(0, line.indexOf(" "));
}
