import { Argument, type Command } from "commander";

import type { RomanaClient } from "../../client/client.ts";
import { NetworkError } from "../../core/errors.ts";
import {
  completionScript,
  completionTree,
  nameKinds,
  shells,
  type NameKind,
  type Shell,
} from "../completion.ts";
import { examples } from "../examples.ts";
import type { OpenSession } from "../session.ts";
import type { Terminal } from "../terminal.ts";

/** How long somebody who presses the tab key may wait for names. */
const patienceMs = 1000;

/** `romana completion`, and what its scripts call to learn names. */
export function completionCommand(program: Command, terminal: Terminal, open: OpenSession): void {
  examples(
    program
      .command("completion")
      .addArgument(new Argument("<shell>", "which shell").choices(shells))
      .description("print a script that completes commands, options and names in a shell"),
    [
      ["source <(romana completion bash)", "in ~/.bashrc"],
      ['romana completion zsh > "${fpath[1]}/_romana"', "once"],
      ["romana completion fish > ~/.config/fish/completions/romana.fish", "once"],
    ],
  ).action((shell: Shell) => {
    terminal.write(completionScript(shell, completionTree(program)));
  });

  examples(
    program
      .command("complete-names", { hidden: true })
      .addArgument(new Argument("<kind>", "names of what").choices(nameKinds))
      .description("print names for a shell's completion, nothing when they cannot be had at once"),
    [["romana complete-names host", "the hosts, one a line"]],
  ).action(async (kind: NameKind, _options, command: Command) => {
    try {
      const { client } = await open(command, { patienceMs });
      const names = await namesOf(client, kind);
      terminal.write(
        names
          .filter(isPlain)
          .map((name) => `${name}\n`)
          .join(""),
      );
    } catch (error) {
      // Who is typing wants no message; what takes too long or fails is no help.
      if (!(error instanceof NetworkError) && !(error instanceof DOMException)) {
        throw error;
      }
    }
  });
}

async function namesOf(client: RomanaClient, kind: NameKind): Promise<readonly string[]> {
  switch (kind) {
    case "host":
      return (await client.hosts()).hosts.map(({ name }) => name);
    case "network":
      return (await client.networks()).map(({ id }) => id);
    case "tenant":
      return (await client.tenants()).map(({ name }) => name);
    case "policy":
      return (await client.policies()).map(({ id }) => id);
  }
}

/** A shell evaluates the words it completes: a name with anything else in it would have to be quoted, and could run a program. */
function isPlain(name: string): boolean {
  return /^[A-Za-z0-9_.:@/][A-Za-z0-9_.:@/-]*$/.test(name);
}
