import type { Command } from "commander";

/** The commands below a command that people are told of, in the order in which they are registered; those that only scripts call are left out. */
export function visibleCommands(command: Command): readonly Command[] {
  const visible = command.createHelp().visibleCommands(command);
  return command.commands.filter((child) => visible.includes(child));
}
