import { run } from "../../src/cli/run.ts";
import { processTerminal } from "../../src/cli/terminal.ts";
import type { RomanaResult } from "./romana.ts";

/** Runs a command in this process, which is faster, with an environment of its own. Nothing is coloured, and nobody answers questions. */
export async function romanaHere(
  args: readonly string[],
  { env = {}, stdin = "" }: { readonly env?: Readonly<Record<string, string>>; readonly stdin?: string } = {},
): Promise<RomanaResult> {
  const real = processTerminal();
  let stdout = "";
  let stderr = "";
  const code = await run(args, {
    version: "2.0.0",
    terminal: {
      ...real,
      env: { HOME: "/nonexistent", ...env },
      coloured: false,
      width: undefined,
      write: (text) => {
        stdout += text;
      },
      note: (line) => {
        stderr += `${line}\n`;
      },
      read: (file) => (file === "-" ? Promise.resolve(stdin) : real.read(file)),
    },
    signal: new AbortController().signal,
    runController: () => Promise.reject(new Error("not run here")),
    runVpcRouter: () => Promise.reject(new Error("not run here")),
    runSimulation: () => Promise.reject(new Error("not run here")),
    createCertificates: () => Promise.reject(new Error("not run here")),
    installCertificates: () => Promise.reject(new Error("not run here")),
    uninstallRoutes: () => Promise.reject(new Error("not run here")),
  });
  return { code, stdout, stderr };
}
