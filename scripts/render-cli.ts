/** Writes the reference in docs/cli.md anew from the program's own commands. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { createProgram } from "../src/cli/program.ts";
import { renderCommands, renderGlobalOptions } from "../src/cli/render-commands.ts";
import { processTerminal } from "../src/cli/terminal.ts";

const program = createProgram({
  version: "",
  terminal: processTerminal(),
  signal: AbortSignal.abort(),
  runController: () => Promise.reject(new Error("nothing is run here")),
  runVpcRouter: () => Promise.reject(new Error("nothing is run here")),
  runSimulation: () => Promise.reject(new Error("nothing is run here")),
  createCertificates: () => Promise.reject(new Error("nothing is run here")),
  installCertificates: () => Promise.reject(new Error("nothing is run here")),
  uninstallRoutes: () => Promise.reject(new Error("nothing is run here")),
});

const page = fileURLToPath(new URL("../docs/cli.md", import.meta.url));
let text = readFileSync(page, "utf8");
for (const [mark, rendered] of [
  ["global-options", renderGlobalOptions(program)],
  ["commands", renderCommands(program)],
] as const) {
  const marked = new RegExp(`(<!-- ${mark} -->\n)[^]*(<!-- /${mark} -->)`);
  if (!marked.test(text)) {
    throw new Error(`${page} has no place for ${mark} (<!-- ${mark} --> … <!-- /${mark} -->)`);
  }
  text = text.replace(marked, (_, start: string, end: string) => `${start}\n${rendered}\n${end}`);
}
writeFileSync(page, text);
