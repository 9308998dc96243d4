import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { request as plainRequest } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { connect } from "node:tls";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { romana } from "../../cli/romana.ts";
import { COMPILED } from "../../support/compiled-program.ts";
import { textOf, Trial } from "../../support/trial.ts";

const admin = "admin-token-4f0b3c9d8e7a6152";
const agent = "agent-token-9c8b7a6f5e4d3c2b";
const later = "later-token-0a1b2c3d4e5f6071";

let trial: Trial;
let running: Running | undefined;

beforeEach(async () => {
  trial = await Trial.create();
  await writeFile(trial.path("tokens.csv"), `${admin},ann,admin\n${agent},agents,agent:node-1\n`);
});

afterEach(async () => {
  await running?.stop();
  running = undefined;
  await trial.remove();
});

/** A controller as a process of its own, with everything that it wrote. */
class Running {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  output = "";

  constructor(args: readonly string[]) {
    this.#child = spawn(process.execPath, ["src/main/cli.ts", "controller", ...args], {
      env: { HOME: "/nonexistent", PATH: process.env["PATH"], NODE_COMPILE_CACHE: COMPILED },
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        this.output += chunk.toString();
      });
    }
    this.#ended = once(this.#child, "close");
  }

  /** Waits until it has written what matches; answers that. */
  async wrote(pattern: RegExp): Promise<RegExpExecArray> {
    const untilMs = performance.now() + 20_000;
    for (;;) {
      const found = pattern.exec(this.output);
      if (found !== null) {
        return found;
      }
      if (performance.now() > untilMs || this.#child.exitCode !== null) {
        throw new Error(`nothing like ${String(pattern)} in:\n${this.output}`);
      }
      await delay(20);
    }
  }

  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#ended;
  }
}

/** Starts a controller on loopback, in plain and with TLS; answers both addresses. */
async function start(
  ...more: readonly string[]
): Promise<{ plain: string; secure: string; controller: Running }> {
  const controller = new Running([
    "--store=memory",
    "--log-level=debug",
    "--listen=127.0.0.1:0,https://127.0.0.1:0",
    `--tls-cert=${trial.path("server.crt")}`,
    `--tls-key=${trial.path("server.key")}`,
    `--tls-client-ca=${trial.path("ca.crt")}`,
    `--token-file=${trial.path("tokens.csv")}`,
    "--topology=builtin:kubeadm",
    ...more,
  ]);
  running = controller;
  const [, plain = "", secure = ""] = await controller.wrote(/"address":"(127\.0\.0\.1:\d+), (https:[^"]+)"/);
  return { plain: `http://${plain}`, secure, controller };
}

/** The CLI with a token, or with a client certificate. */
function cli(url: string, as: { token: string } | { certificate: string }, ...args: readonly string[]) {
  const env = {
    ROMANA_URL: url,
    ROMANA_CACERT: trial.path("ca.crt"),
    ...("token" in as
      ? { ROMANA_TOKEN: as.token }
      : {
          ROMANA_CLIENT_CERT: trial.path(`${as.certificate}.crt`),
          ROMANA_CLIENT_KEY: trial.path(`${as.certificate}.key`),
        }),
  };
  return romana(args, { env });
}

describe("romana controller with TLS", () => {
  it("serves the CLI by certificate and by token, and each may do what its role says", async () => {
    const { plain, secure } = await start();

    const added = await cli(secure, { certificate: "admin" }, "host", "add", "node-1", "192.168.0.1");
    const denied = await cli(secure, { certificate: "reader" }, "host", "remove", "node-1", "--yes");
    const listed = await cli(secure, { token: agent }, "host", "list");
    const unknown = await cli(secure, { token: `${agent}-x` }, "host", "list");
    const local = await romana(["host", "list"], { env: { ROMANA_URL: plain } });

    expect([added.code, denied.code, listed.code, unknown.code, local.code]).toEqual([0, 2, 0, 2, 0]);
    expect(denied.stderr).toContain("may not DELETE");
    expect(unknown.stderr).toContain("is not known here");
    expect([listed.stdout, local.stdout].every((text) => text.includes("node-1"))).toBe(true);
  });

  it("takes new tokens and certificates within seconds, and stays with the old where new ones are bad", async () => {
    const { secure, controller } = await start();
    await writeFile(trial.path("tokens.csv"), `${later},ann,admin`);
    await controller.wrote(/changed files are in use/);
    const taken = await cli(secure, { token: later }, "host", "list");
    const gone = await cli(secure, { token: admin }, "host", "list");

    await writeFile(trial.path("tokens.csv"), `${admin},ann`);
    const [line = ""] = await controller.wrote(/.*changed files are refused.*/);
    const kept = await cli(secure, { token: later }, "host", "list");

    expect([taken.code, gone.code, kept.code]).toEqual([0, 2, 0]);
    expect(line).toContain("line 1: 2 parts between commas");
  });

  it("writes no secret, whatever it is asked and however it is configured", async () => {
    const { plain, secure, controller } = await start();
    const others = await Trial.files();
    const url = new URL(secure);
    const wild = `Bearer ${later}`;
    const bad: readonly (readonly [string, string, string])[] = [
      ["POST", "/address", '{"name":'],
      ["POST", "/hosts", "{}"],
      ["DELETE", "/hosts/%zz", ""],
      ["GET", `/hosts/${"n".repeat(2000)}`, ""],
      ["GET", "/nowhere/", ""],
      ["PUT", "/hosts/node-1/labels", "[]"],
    ];
    for (const authorization of [`Bearer ${admin}`, `Bearer ${agent}`, wild]) {
      for (const [method, path, body] of bad) {
        await send(plain, method, path, authorization, body);
      }
    }
    // A request that is none, over TLS, and a handshake that is none.
    await broken(url, `GET / HTTP/1.1\r\nAuthorization: ${wild}\r\nHost: a b\r\nX: \0\r\n\r\n`);
    await send(secure.replace("https:", "http:"), "GET", "/", wild, "").catch(() => undefined);
    await cli(secure, { certificate: "admin" }, "--verbose", "host", "list");
    const cliSaid = await cli(secure, { token: later }, "--verbose", "host", "list");
    await trial.replace("server.key", textOf(others, "server.key"));
    await writeFile(trial.path("tokens.csv"), `${later},ann,${admin}`);
    await controller.wrote(/TLS_FILES_INVALID/);
    await controller.wrote(/TOKEN_FILE_INVALID/);
    await controller.stop();

    const keys = await Promise.all(["server.key", "admin.key", "ca.key"].map((name) => trial.read(name)));
    const secrets = [admin, agent, later, ...keys.map((key) => key.split("\n")[1] ?? "")];
    const written = controller.output + cliSaid.stdout + cliSaid.stderr;
    expect(secrets.filter((secret) => written.includes(secret))).toEqual([]);
    expect(controller.output.split("\n").length).toBeGreaterThan(20);
  });

  it.for([
    [["--listen=0.0.0.0:0"], 2, /"romana certs init" makes them for a trial/],
    [["--tls-cert=none.crt", "--tls-key=none.key"], 3, /cannot read none\.crt/],
    [["--token-file=src/main/cli.ts"], 2, /TOKEN,USER,ROLE/],
  ] as const)(
    "does not start with %j (exit code %i), and says the way out",
    async ([args, exitCode, message]) => {
      const { code, stderr } = await romana(["controller", "--store=memory", ...args]);

      expect([code, stderr]).toEqual([exitCode, expect.stringMatching(message)]);
    },
  );
});

it("gives certificates with which the controller starts and the CLI is let in", async () => {
  const made = await romana(["certs", "init", "--dir", trial.path("made"), "--agent", "node-1"]);
  const again = await romana(["certs", "init", "--dir", trial.path("made")]);
  const [, flags = ""] = /romana controller ([^]*?)\n\n/.exec(made.stdout) ?? [];
  const [, settings = ""] = /\.romana\.yaml\n([^]*)$/.exec(made.stdout) ?? [];
  const words = flags
    .replaceAll("\\\n", " ")
    .split(/\s+/)
    .map((word) => word.replace(":9600", ":0"));

  running = new Running(["--store=memory", ...words]);
  const [, url = ""] = await running.wrote(/"address":"(https:[^"]+)"/);
  await writeFile(trial.path("cli.yaml"), settings.replaceAll(/^ +/gm, "").replace(/https:\S+/, url));
  const listed = await romana(["host", "list", "--config", trial.path("cli.yaml")]);

  expect([made.code, again.code, listed.code, listed.stderr]).toEqual([0, 4, 0, "No hosts.\n"]);
  expect(again.stderr).toContain("nothing is overwritten");
});

function send(
  base: string,
  method: string,
  path: string,
  authorization: string,
  body: string,
): Promise<number> {
  const { hostname, port } = new URL(base);
  return new Promise((resolve, reject) => {
    const headers = { authorization, "content-type": "application/json" };
    const sent = plainRequest({ host: hostname, port, method, path, headers, agent: false }, (response) => {
      response.resume().once("end", () => resolve(response.statusCode ?? 0));
    });
    sent.once("error", reject).end(body);
  });
}

async function broken({ hostname, port }: URL, text: string): Promise<void> {
  const socket = connect({ host: hostname, port: Number(port), ca: await trial.read("ca.crt") });
  socket.once("error", () => undefined);
  socket.write(text);
  await new Promise((resolve) => {
    socket.resume().once("close", resolve);
  });
}
