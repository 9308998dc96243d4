import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { Agent, get } from "node:http";
import { connect, createServer as createNetServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, expect, it } from "vitest";

import { endStreams, listen, type ListenAddress } from "../../src/api/listen.ts";
import type { ServerLimits } from "../../src/api/server.ts";
import { serverWithOneHost } from "./support.ts";

const anyPort: ListenAddress & { kind: "tcp" } = { kind: "tcp", host: "127.0.0.1", port: 0 };

const cleanUp: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const undo of cleanUp.splice(0).toReversed()) {
    await undo();
  }
});

async function temporarySocket(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "romana-"));
  cleanUp.push(() => rm(directory, { recursive: true }));
  return join(directory, "api.sock");
}

async function server(limits: Partial<ServerLimits> = {}) {
  const { app } = await serverWithOneHost(limits);
  cleanUp.push(() => app.close());
  return app;
}

it("listens on any free port and says which", async () => {
  const address = await listen(await server(), anyPort);

  const response = await fetch(`http://${address}/healthz`);

  expect(address).toMatch(/^127\.0\.0\.1:[1-9]\d*$/);
  expect(await response.json()).toEqual({ status: "ok" });
});

it("keeps its unix socket to its owner and removes it when it closes", async () => {
  const path = await temporarySocket();
  const app = await server();

  const address = await listen(app, { kind: "unix", path });
  const { mode } = await stat(path);
  await app.close();

  expect(address).toBe(`unix:${path}`);
  expect((mode & 0o777).toString(8)).toBe("600");
  await expect(stat(path)).rejects.toMatchObject({ code: "ENOENT" });
});

it("does not take a connection whose address cannot be told any more, because its client cut it, for one of the unix socket", async () => {
  const address = await listen(await server(), anyPort);
  const forget = (message: unknown): void => {
    Object.defineProperty((message as { socket: Socket }).socket, "remoteAddress", { value: undefined });
  };
  subscribe("http.server.request.start", forget);
  cleanUp.push(async () => unsubscribe("http.server.request.start", forget));

  const status = (host: string) =>
    new Promise((resolve, reject) => {
      get(`http://${address}/hosts`, { headers: { host }, agent: false }, (response) => {
        response.resume().once("end", () => resolve(response.statusCode));
      }).once("error", reject);
    });

  expect(await status("attacker.example")).toBe(401);
  expect(await status("127.0.0.1")).toBe(200);
});

it("takes over the socket of a process that died", async () => {
  const path = await temporarySocket();
  await leaveStaleSocket(path);

  const address = await listen(await server(), { kind: "unix", path });

  expect(address).toBe(`unix:${path}`);
});

it("leaves a socket alone on which somebody answers", async () => {
  const path = await temporarySocket();
  await listen(await server(), { kind: "unix", path });

  const second = listen(await server(), { kind: "unix", path });

  await expect(second).rejects.toMatchObject({ kind: "conflict", code: "LISTEN_ADDRESS_TAKEN" });
});

it("leaves a file alone that is no socket", async () => {
  const path = await temporarySocket();
  await writeFile(path, "precious");

  const attempt = listen(await server(), { kind: "unix", path });

  await expect(attempt).rejects.toMatchObject({ code: "LISTEN_FAILED" });
  expect((await stat(path)).size).toBe(8);
});

it("says when another process has the port", async () => {
  const address = await listen(await server(), anyPort);

  const second = listen(await server(), { ...anyPort, port: Number(address.split(":")[1]) });

  await expect(second).rejects.toMatchObject({ kind: "conflict", code: "LISTEN_ADDRESS_TAKEN" });
});

/** A socket file as a killed process leaves it: bound once, and nobody listens. */
async function leaveStaleSocket(path: string): Promise<void> {
  const owner = createNetServer();
  await new Promise<void>((resolve) => owner.listen(`${path}.alive`, resolve));
  const { rename } = await import("node:fs/promises");
  await rename(`${path}.alive`, path);
  await new Promise((resolve) => owner.close(resolve));
}

it("listens on several addresses at once and closes them all", async () => {
  const path = await temporarySocket();
  const app = await server();
  const first = await listen(app, anyPort);
  const second = await listen(app, { ...anyPort, host: "127.0.0.2" });
  await listen(app, { kind: "unix", path });

  const answers = await Promise.all([first, second].map((address) => fetch(`http://${address}/healthz`)));
  await app.close();

  expect(answers.map(({ status }) => status)).toEqual([200, 200]);
  await expect(stat(path)).rejects.toMatchObject({ code: "ENOENT" });
  await expect(fetch(`http://${first}/healthz`)).rejects.toThrow("fetch failed");
  await expect(fetch(`http://${second}/healthz`)).rejects.toThrow("fetch failed");
});

it("gives the answers that it owes before it closes, and waits for no idle connection", async () => {
  const app = await server();
  let started = (): void => undefined;
  let finish = (): void => undefined;
  const isWaiting = new Promise<void>((resolve) => {
    started = resolve;
  });
  const hold = new Promise<void>((resolve) => {
    finish = resolve;
  });
  app.addHook("preHandler", async (request) => {
    if (request.url === "/status") {
      started();
      await hold;
    }
  });
  const address = await listen(app, anyPort);
  const idle = new Agent({ keepAlive: true });
  await new Promise((resolve) => {
    get(`http://${address}/healthz`, { agent: idle }, (response) => response.resume().once("end", resolve));
  });
  const answer = fetch(`http://${address}/status`);
  await isWaiting;

  const closed = app.close();
  const knock = () =>
    fetch(`http://${address}/healthz`).then(
      () => "open",
      () => "closed",
    );
  await expect.poll(knock).toBe("closed");
  finish();
  const { status, headers } = await answer;
  await closed;
  idle.destroy();

  expect([status, headers.get("connection")]).toEqual([200, "close"]);
});

it("ends its streams in order when it closes", async () => {
  const app = await server();
  app.get("/stream", { config: { stream: true } }, (_request, reply) => {
    reply.hijack();
    reply.raw.write("data: 1\n\n");
  });
  const address = await listen(app, anyPort);
  const stream = await fetch(`http://${address}/stream`);

  await app.close();

  expect(await stream.text()).toBe("data: 1\n\n");
});

it.for([
  ["a stream", true],
  ["an answer", false],
] as const)("closes though somebody takes nothing of %s", async ([, isStream]) => {
  const app = await server({ closingMs: 50 });
  const { promise: written, resolve } = Promise.withResolvers<void>();
  app.get("/much", { config: isStream ? { stream: true } : {} }, (_request, reply) => {
    reply.hijack();
    reply.raw.write(Buffer.alloc(50_000_000));
    resolve();
  });
  const address = await listen(app, anyPort);
  const reader = connect(Number(address.split(":")[1]), "127.0.0.1").pause();
  cleanUp.push(async () => reader.destroy());
  reader.on("error", () => undefined).write("GET /much HTTP/1.1\r\nHost: romana\r\n\r\n");
  await written;

  await app.close();

  await expect(fetch(`http://${address}/healthz`)).rejects.toThrow("fetch failed");
});

it("cuts its streams when it is told to, and nothing else", async () => {
  const app = await server();
  app.get("/stream", { config: { stream: true } }, (_request, reply) => {
    reply.hijack();
    reply.raw.write("data: 1\n\n");
  });
  const address = await listen(app, anyPort);
  const other = new Agent({ keepAlive: true, maxSockets: 1 });
  const ask = () =>
    new Promise<boolean>((resolve) => {
      const sent = get(`http://${address}/healthz`, { agent: other }, (response) =>
        response.resume().once("end", () => resolve(sent.reusedSocket)),
      );
    });
  await ask();
  const stream = await fetch(`http://${address}/stream`);

  endStreams(app);

  await expect(stream.text()).rejects.toThrow("terminated");
  expect(await ask()).toBe(true);
  other.destroy();
});
