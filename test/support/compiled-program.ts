import { spawn } from "node:child_process";
import { once } from "node:events";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("../../src/main/cli.ts", import.meta.url));

/**
 * Where Node keeps what it compiled of the program and its packages, from one run of the tests to the next: a process then starts with less than half of the work. In the user's own folder,
 * because compiled code is run as it is found.
 */
export const COMPILED = join(
  process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"),
  "romana",
  "compiled-for-tests",
);

/**
 * Runs once before the integration tests. Node writes what it compiled when a process ends by itself, and most processes of these tests are killed: so one controller is started and told to
 * end, in two seconds the first time and in less than one from then on.
 */
export async function setup(): Promise<void> {
  const args = ["controller", "--store=memory", "--cloud=none", "--listen=127.0.0.1:0", "--log-level=info"];
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: { HOME: "/nonexistent", PATH: process.env["PATH"], NODE_COMPILE_CACHE: COMPILED },
    stdio: ["ignore", "pipe", "ignore"],
    timeout: 30_000,
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    if (output.includes("the controller serves")) {
      child.kill("SIGTERM");
    }
  });
  // What ails the program is for the tests to find.
  await Promise.race([once(child, "close"), once(child, "error")]);
}
