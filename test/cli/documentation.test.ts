import { readFileSync } from "node:fs";

import type { Command } from "commander";
import { expect, it } from "vitest";

import { examplesOf } from "../../src/cli/examples.ts";
import { createProgram } from "../../src/cli/program.ts";
import { renderCommands, renderGlobalOptions } from "../../src/cli/render-commands.ts";
import { processTerminal } from "../../src/cli/terminal.ts";

const page = readFileSync("docs/cli.md", "utf8");

const program = createProgram({
  version: "",
  terminal: processTerminal(),
  signal: new AbortController().signal,
  runController: () => Promise.reject(new Error("not run here")),
  runVpcRouter: () => Promise.resolve(),
  runSimulation: () => Promise.reject(new Error("not run here")),
  createCertificates: () => Promise.reject(new Error("not run here")),
  installCertificates: () => Promise.reject(new Error("not run here")),
  uninstallRoutes: () => Promise.reject(new Error("not run here")),
});

function commandsOf(command: Command): readonly Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap((child) => commandsOf(child));
}

// When one of these fails: node scripts/render-cli.ts
it.for([
  ["global-options", renderGlobalOptions(program)],
  ["commands", renderCommands(program)],
] as const)("documents the %s of the program as they are", ([mark, expected]) => {
  const [, documented] = new RegExp(`<!-- ${mark} -->\n\n([^]*?)\n<!-- /${mark} -->`).exec(page) ?? [];

  expect(documented).toBe(expected);
});

it("has examples for every command", () => {
  const commands = commandsOf(program);

  expect(commands.length).toBeGreaterThan(25);
  expect(
    commands.filter((command) => examplesOf(command).length === 0).map((command) => command.name()),
  ).toEqual([]);
});

it("gives examples of commands that exist", () => {
  const typed = commandsOf(program).flatMap((command) => examplesOf(command).map(([line]) => line));
  const words = typed.flatMap((line) => line.split("|")).map((line) => line.trim().split(/\s+/));
  const paths = new Set(commandsOf(program).map((command) => pathOf(command)));

  const unknown = words
    .filter(([first]) => first === "romana")
    .filter((line) => !paths.has(line.slice(0, 2).join(" ")) && !paths.has(line.slice(0, 3).join(" ")));

  expect(unknown).toEqual([]);
});

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}
