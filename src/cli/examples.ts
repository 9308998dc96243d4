import type { Command } from "commander";

/** What one types, and what it does. */
export type Example = readonly [typed: string, meaning: string];

const known = new WeakMap<Command, readonly Example[]>();

/** Adds examples to a command's help. */
export function examples(command: Command, lines: readonly Example[]): Command {
  known.set(command, lines);
  return command.addHelpText("after", `\nExamples:\n${alignExamples(lines, "  $ ")}`);
}

/** The examples of a command, for its documentation. */
export function examplesOf(command: Command): readonly Example[] {
  return known.get(command) ?? [];
}

/** One a line, their meanings below each other. */
export function alignExamples(lines: readonly Example[], indent: string): string {
  const width = Math.max(...lines.map(([typed]) => typed.length));
  return lines.map(([typed, meaning]) => `${indent}${typed.padEnd(width)}  # ${meaning}`).join("\n");
}
