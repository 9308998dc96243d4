import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { skipUnless } from "./skip.ts";

/** A moto_server of our own. `stop` ends it and may be called twice. */
export interface Moto {
  /** `http://127.0.0.1:PORT` */
  readonly endpoint: string;
  readonly stop: () => Promise<void>;
}

/** How long it may take to start; importing all of it takes seconds on a busy machine. */
const START_MS = 30_000;
const STOP_MS = 5000;

/** Where `scripts/install-servers.sh` puts moto, unless `ROMANA_MOTO_SERVER` names another one. */
function motoServer(): string {
  const cache = process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  return process.env["ROMANA_MOTO_SERVER"] || join(cache, "romana", "venv-moto-5.2.5", "bin", "moto_server");
}

/**
 * For `describe.skipIf`: true when there is no moto on this machine and its tests are to be left out, which is said loudly. With `CI=true` it is
 * always false, and `startMoto` fails.
 */
export function requireMoto(): boolean {
  return skipUnless(existsSync(motoServer()), `moto (${motoServer()}; \`make test\` installs it)`);
}

/** Starts an empty EC2 API on a free port of 127.0.0.1 and waits until it takes connections. `environment` is added to ours. */
export async function startMoto(environment: Readonly<Record<string, string>> = {}): Promise<Moto> {
  const server = motoServer();
  if (!existsSync(server)) {
    throw new Error(`there is no moto at ${server}: run make test, or name one by ROMANA_MOTO_SERVER`);
  }
  const child = spawn(server, ["-H", "127.0.0.1", "-p", "0"], {
    env: { ...process.env, ...environment },
    stdio: ["ignore", "ignore", "pipe"],
  });
  // Not `once(child, "close")`: that rejects when the program cannot be started at all.
  const ended = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
  });
  const kill = (): void => void child.kill("SIGKILL");
  process.once("exit", kill);
  const stop = async (): Promise<void> => {
    process.off("exit", kill);
    child.kill("SIGTERM");
    const patience = new AbortController();
    await Promise.race([
      ended,
      sleep(STOP_MS, undefined, { signal: patience.signal }).then(kill, () => undefined),
    ]);
    patience.abort();
    await ended;
  };
  try {
    const port = await portOf(child, ended);
    await connects(port);
    return { endpoint: `http://127.0.0.1:${port}`, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The port that the kernel chose, from what moto prints; its last words when it ends instead. */
async function portOf(child: ChildProcess, ended: Promise<unknown>): Promise<number> {
  let output = "";
  const { promise, resolve } = deferred<number>();
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    // Each request is logged too: what came last is enough to say why it failed.
    output = (output + chunk).slice(-20_000);
    const port = /Running on http:\/\/127\.0\.0\.1:(\d+)/.exec(output)?.[1];
    if (port !== undefined) {
      resolve(Number(port));
    }
  });
  const failed = once(child, "error").then(([error]) => String(error));
  const patience = new AbortController();
  const outcome = await Promise.race([
    promise,
    failed,
    ended.then(() => "it ended"),
    sleep(START_MS, `it did not say its port within ${START_MS} ms`, { signal: patience.signal }),
  ]);
  patience.abort();
  if (typeof outcome === "string") {
    throw new TypeError(`moto did not start: ${outcome}\n${output}`);
  }
  return outcome;
}

async function connects(port: number): Promise<void> {
  const deadline = performance.now() + START_MS;
  while (!(await connectsOnce(port))) {
    if (performance.now() > deadline) {
      throw new Error(`moto takes no connections on port ${port}`);
    }
    await sleep(20);
  }
}

function connectsOnce(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

function deferred<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
