import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";

import { listen } from "../../src/api/listen.ts";
import { serverWithOneHost } from "../api/support.ts";
import { COMPILED } from "../support/compiled-program.ts";

/** How a run of the program ended. */
export interface RomanaResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `romana` as a process of its own, without the environment of whoever runs the tests. */
export async function romana(
  args: readonly string[],
  { stdin = "", env = {} }: { readonly stdin?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<RomanaResult> {
  const child = spawn(process.execPath, ["src/main/cli.ts", ...args], {
    env: { HOME: "/nonexistent", PATH: process.env["PATH"], NODE_COMPILE_CACHE: COMPILED, ...env },
    timeout: 30_000,
  });
  // A program that reads nothing has closed its end before we wrote.
  child.stdin.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") {
      throw error;
    }
  });
  child.stdin.end(stdin);
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  const [code, stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  return { code, stdout, stderr };
}

/** A server with one host on a unix socket, and the program pointed at it. */
export async function servedRomana() {
  const parts = await serverWithOneHost();
  const directory = await mkdtemp(join(tmpdir(), "romana-cli-"));
  const url = await listen(parts.app, { kind: "unix", path: join(directory, "api.sock") });
  const run = (args: readonly string[], stdin?: string): Promise<RomanaResult> =>
    romana(args, { env: { ROMANA_URL: url }, ...(stdin === undefined ? {} : { stdin }) });
  const close = async (): Promise<void> => {
    await parts.app.close();
    await rm(directory, { recursive: true });
  };
  return { ...parts, url, run, close };
}
