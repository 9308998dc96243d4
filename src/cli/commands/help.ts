import type { Command } from "commander";

import { NetworkError } from "../../core/errors.ts";
import { examples } from "../examples.ts";

/** `romana help`, for a command of any depth. */
export function helpCommand(program: Command): void {
  examples(
    program
      .helpCommand(false)
      .command("help")
      .argument("[command...]", "a command, such as host add")
      .description("explain a command, as --help does"),
    [
      ["romana help", "all commands"],
      ["romana help host add", "one of them"],
    ],
  ).action((names: readonly string[]) => {
    let found = program;
    for (const name of names) {
      const child = found.commands.find((each) => each.name() === name || each.aliases().includes(name));
      if (child === undefined) {
        throw new NetworkError(
          "invalid",
          "COMMAND_UNKNOWN",
          `no help for "${names.join(" ")}": ${found.name()} has no command "${name}"; "romana help" lists what there is`,
          { command: names },
        );
      }
      found = child;
    }
    found.outputHelp();
  });
}
