import type { Command, Option } from "commander";

import { alignExamples, examplesOf } from "./examples.ts";
import { visibleCommands } from "./visible-commands.ts";

/** Every command as Markdown, in the order in which they are registered: usage, arguments, options, examples. */
export function renderCommands(program: Command): string {
  return `${leaves(program, program.name())
    .map(({ command, path }) => renderCommand(command, path))
    .join("\n\n")}\n`;
}

/** The options that every command takes, as a Markdown list. */
export function renderGlobalOptions(program: Command): string {
  return `${renderOptions(program)}\n`;
}

function leaves(command: Command, path: string): readonly { command: Command; path: string }[] {
  const children = visibleCommands(command);
  return children.length === 0
    ? [{ command, path }]
    : children.flatMap((child) => leaves(child, `${path} ${child.name()}`));
}

function renderCommand(command: Command, path: string): string {
  const aliases = command.aliases().map((alias) => `\`${alias}\``);
  const parts = [
    `### ${path}`,
    `${sentence(command.description())}${aliases.length > 0 ? ` Also: ${aliases.join(", ")}.` : ""}`,
    `\`\`\`\n${path} ${command.usage()}\n\`\`\``,
    command.registeredArguments
      .map((argument) => `- \`${argument.name()}\`: ${argument.description}`)
      .join("\n"),
    command.name() === "controller"
      ? "Its options stand in [configuration.md](configuration.md); `--config` names a file with them."
      : renderOptions(command),
    `\`\`\`\n${alignExamples(examplesOf(command), "")}\n\`\`\``,
  ];
  return parts.filter((part) => part !== "").join("\n\n");
}

function renderOptions(command: Command): string {
  return command.options
    .filter(({ hidden }) => !hidden)
    .map(renderOption)
    .join("\n");
}

function renderOption(option: Option): string {
  const fallback = option.defaultValue as string | number | undefined;
  const shown = fallback === undefined || fallback === "" ? "" : ` (default: ${fallback})`;
  return `- \`${option.flags}\`: ${option.description}${shown}${option.mandatory ? " (required)" : ""}`;
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
