import type { Command } from "commander";

/** Adds examples to a command's help: what one types, and what it does. */
export function examples(
  command: Command,
  lines: readonly (readonly [typed: string, meaning: string])[],
): Command {
  const width = Math.max(...lines.map(([typed]) => typed.length));
  const text = lines.map(([typed, meaning]) => `  $ ${typed.padEnd(width)}  # ${meaning}`).join("\n");
  return command.addHelpText("after", `\nExamples:\n${text}`);
}
