import { Argument, type Command } from "commander";

import { completionScript, completionTree, shells, type Shell } from "../completion.ts";
import { examples } from "../examples.ts";
import type { Terminal } from "../terminal.ts";

/** `romana completion`. */
export function completionCommand(program: Command, terminal: Terminal): void {
  examples(
    program
      .command("completion")
      .addArgument(new Argument("<shell>", "which shell").choices(shells))
      .description("print a script that completes commands and options in a shell"),
    [
      ["source <(romana completion bash)", "in ~/.bashrc"],
      ['romana completion zsh > "${fpath[1]}/_romana"', "once"],
      ["romana completion fish > ~/.config/fish/completions/romana.fish", "once"],
    ],
  ).action((shell: Shell) => {
    terminal.write(completionScript(shell, completionTree(program)));
  });
}
