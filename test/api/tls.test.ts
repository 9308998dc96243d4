import { once } from "node:events";
import { rm } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { request, Agent, type RequestOptions } from "node:https";
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";

import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import type { PemFile } from "../../src/adapters/certificates/trial-certificates.ts";
import { listen } from "../../src/api/listen.ts";
import { ServerTls } from "../../src/api/tls.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { textOf, Trial } from "../support/trial.ts";
import { examplePlan } from "./fake-routes.ts";
import { as, knownTokens } from "./known-tokens.ts";
import { MemoryLogger, serverWithOneHost } from "./support.ts";

const DAY_MS = 86_400_000;
const anyPort = { kind: "tcp", host: "127.0.0.1", port: 0, tls: true } as const;

let trial: Trial;
/** Files of an authority that nobody trusts at first. */
let others: readonly PemFile[];
const cleanUp: (() => Promise<unknown> | void)[] = [];

beforeAll(async () => {
  others = await Trial.files();
});

beforeEach(async () => {
  trial = await Trial.create();
  cleanUp.push(() => trial.remove());
});

afterEach(async () => {
  for (const undo of cleanUp.splice(0).toReversed()) {
    await undo();
  }
});

/** A server on TLS that takes client certificates of the trial's authority, and tokens. */
async function secureServer({ clientCa = true } = {}) {
  const clock = new FakeClock(Date.now());
  const tlsLog = new MemoryLogger();
  const files = {
    cert: trial.path("server.crt"),
    key: trial.path("server.key"),
    clientCa: clientCa ? trial.path("ca.crt") : undefined,
  };
  const tls = await ServerTls.open(files, { clock, log: tlsLog, intervalMs: 1000 });
  cleanUp.push(() => tls.close());
  const parts = await serverWithOneHost({}, { tokens: [knownTokens], requireAuth: true, clock });
  cleanUp.push(() => parts.app.close());
  const address = await listen(parts.app, anyPort, tls);
  const port = Number(address.split(":").at(-1));
  return { ...parts, tls, tlsLog, clock, address, port };
}

interface Answer {
  readonly status: number | undefined;
  readonly body: string;
}

/** Asks over a connection of its own, or over that of `options.agent`. */
async function ask(port: number, options: RequestOptions = {}): Promise<Answer> {
  const [response] = (await once(
    request({ host: "127.0.0.1", port, path: "/hosts", agent: false, ...options }).end(),
    "response",
  )) as [IncomingMessage];
  let body = "";
  for await (const chunk of response) {
    body += String(chunk);
  }
  return { status: response.statusCode, body };
}

async function open(port: number, options: ConnectionOptions): Promise<TLSSocket> {
  const socket = connect({ host: "127.0.0.1", port, ...options });
  cleanUp.push(() => void socket.destroy());
  // What a server's closing does to it is waited for as its end.
  socket.on("error", () => undefined);
  await once(socket, "secureConnect");
  return socket;
}

describe("the caller behind a client certificate", () => {
  it.for([
    ["admin", 200, 404],
    ["reader", 200, 403],
    ["agent-node-1", 200, 403],
  ] as const)("%s may read (%i) and remove a host (%i)", async ([name, read, removed]) => {
    const { port } = await secureServer();
    const client = await trial.client(name);

    const answers = [
      await ask(port, client),
      await ask(port, { ...client, method: "DELETE", path: "/hosts/none" }),
    ];

    expect(answers.map(({ status }) => status)).toEqual([read, removed]);
  });

  it("is an agent for the host that CN names", async () => {
    const { port, addressing } = await secureServer();
    const allocate = async (name: string) => {
      const options = { ...(await trial.client(name)), agent: false, host: "127.0.0.1", port };
      const sent = request({ ...options, method: "POST", path: "/address" });
      sent.end(JSON.stringify({ name: `pod-of-${name}`, host: "node-1" }));
      const [response] = (await once(sent, "response")) as [IncomingMessage];
      response.resume();
      return response.statusCode;
    };

    expect([await allocate("agent-node-1"), await allocate("agent-node-2")]).toEqual([200, 403]);
    expect(addressing.addresses().map(({ name }) => name)).toEqual(["pod-of-agent-node-1"]);
  });

  it("is nobody without a certificate, and may say so by a token instead", async () => {
    const { port } = await secureServer();
    const ca = await trial.read("ca.crt");

    const refused = await ask(port, { ca });
    const taken = await ask(port, { ca, headers: as("reader") });
    const probed = await ask(port, { ca, path: "/healthz" });

    expect([refused.status, taken.status, probed.status]).toEqual([401, 200, 200]);
    expect(refused.body).toContain("AUTH_REQUIRED");
  });

  it("is nobody with a certificate of another authority, of any subject", async () => {
    const { port } = await secureServer();
    const ca = await trial.read("ca.crt");
    const client = { ca, cert: textOf(others, "admin.crt"), key: textOf(others, "admin.key") };

    const { status, body } = await ask(port, client);

    expect(status).toBe(401);
    expect(body).toContain("CLIENT_CERTIFICATE_REFUSED");
    expect(body).toContain("it is not verified");
  });

  it("is nobody with the server's own certificate, which names no role", async () => {
    const { port } = await secureServer();

    const { status, body } = await ask(port, await trial.client("server"));

    expect(status).toBe(401);
    expect(body).toContain("CLIENT_CERTIFICATE_REFUSED");
  });

  it("is nobody once the certificate has ended, on a standing connection too", async () => {
    const { port, clock } = await secureServer();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    cleanUp.push(() => agent.destroy());
    const client = { ...(await trial.client("admin")), agent };

    const before = await ask(port, client);
    // No file changes meanwhile, so looking at them is left out.
    clock.now = () => Date.now() + 31 * DAY_MS;
    const after = await ask(port, client);

    expect([before.status, after.status]).toEqual([200, 401]);
    expect(after.body).toContain("it has expired");
  });

  it("is not asked for a certificate where none would be taken", async () => {
    const { port } = await secureServer({ clientCa: false });

    const refused = await ask(port, await trial.client("admin"));
    const taken = await ask(port, { ca: await trial.read("ca.crt"), headers: as("admin") });

    expect([refused.status, taken.status]).toEqual([401, 200]);
  });
});

it("speaks TLS 1.2 and 1.3 and nothing older, before and after a change of its files", async () => {
  const { port, tls } = await secureServer();
  const ca = await trial.read("ca.crt");
  const speaks = async (version: "TLSv1.1" | "TLSv1.2" | "TLSv1.3") => {
    const options: ConnectionOptions = {
      ca,
      minVersion: version,
      maxVersion: version,
      ciphers: "ALL:@SECLEVEL=0",
    };
    return await open(port, options).then(
      (socket) => socket.getProtocol(),
      () => "refused",
    );
  };
  const all = async () => [await speaks("TLSv1.1"), await speaks("TLSv1.2"), await speaks("TLSv1.3")];

  const before = await all();
  await trial.replace("ca.crt", `${ca}\n${textOf(others, "ca.crt")}`);
  await tls.look();
  const after = await all();

  expect(before).toEqual(["refused", "TLSv1.2", "TLSv1.3"]);
  expect(after).toEqual(before);
});

describe("when the files change", () => {
  async function useOtherServerPair(): Promise<void> {
    await trial.replace("server.crt", textOf(others, "server.crt"));
    await trial.replace("server.key", textOf(others, "server.key"));
  }

  it("serves the new certificate to new connections, by itself, within the interval", async () => {
    const { port, clock, tls } = await secureServer();
    const changed = new Promise<void>((resolve) => {
      tls.onChange(() => resolve());
    });
    await useOtherServerPair();

    await clock.advance(1000);
    await expect.poll(() => clock.pendingTimers).toBe(1);
    await clock.advance(200);
    await changed;
    const trusted = await ask(port, { ca: textOf(others, "ca.crt"), headers: as("reader") });

    expect(trusted.status).toBe(200);
    await expect(ask(port, { ca: await trial.read("ca.crt") })).rejects.toMatchObject({
      code: expect.stringMatching(/SIGNATURE|UNABLE/),
    });
  });

  it("closes idle connections soon: whoever asks at that moment is answered first", async () => {
    const { port, tls } = await secureServer();
    const socket = await open(port, { ca: await trial.read("ca.crt") });
    const closed = once(socket.resume(), "close");
    await useOtherServerPair();

    await tls.look();

    await closed;
    expect(socket.destroyed).toBe(true);
  });

  it("gives a busy connection its answer, and closes it then", async () => {
    const { port, tls, routes } = await secureServer();
    let started = (): void => undefined;
    let finish = (): void => undefined;
    const isWaiting = new Promise<void>((resolve) => {
      started = resolve;
    });
    routes.reconcile = () => {
      started();
      return new Promise((resolve) => {
        finish = () => resolve(examplePlan);
      });
    };
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    cleanUp.push(() => agent.destroy());
    const answer = ask(port, { ...(await trial.client("admin")), agent, method: "POST", path: "/reconcile" });
    await isWaiting;
    const [socket] = Object.values(agent.sockets).flatMap((sockets) => sockets ?? []);
    const closed = once(socket ?? agent, "close");
    await useOtherServerPair();

    await tls.look();
    const isOpen = socket?.destroyed === false;
    finish();
    const { status } = await answer;
    await closed;

    expect([isOpen, status, socket?.destroyed]).toEqual([true, 200, true]);
  });

  it("loses no request of busy connections while the certificate changes again and again", async () => {
    const { port, tls } = await secureServer();
    const ca = [await trial.read("ca.crt"), textOf(others, "ca.crt")];
    const pairs = [
      [textOf(others, "server.crt"), textOf(others, "server.key")],
      [await trial.read("server.crt"), await trial.read("server.key")],
    ] as const;
    const agents = Array.from({ length: 4 }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
    cleanUp.push(() => agents.forEach((agent) => agent.destroy()));
    const ends: string[] = [];
    const over = new AbortController();
    const clients = agents.map(async (agent) => {
      while (!over.signal.aborted) {
        const end = await ask(port, { agent, ca, headers: as("reader") }).then(
          ({ status }) => String(status),
          (error: Error) => error.message,
        );
        ends.push(end);
      }
    });
    for (const [cert, key] of [...pairs, ...pairs, ...pairs]) {
      await trial.replace("server.crt", cert);
      await trial.replace("server.key", key);
      await tls.look();
      const before = ends.length;
      await expect.poll(() => ends.length).toBeGreaterThan(before + 20);
    }
    over.abort();
    await Promise.all(clients);

    expect(new Set(ends)).toEqual(new Set(["200"]));
  });

  it("hears nothing more on a busy connection while it is being closed", async () => {
    const { port, tls, routes, addressing } = await secureServer();
    let started = (): void => undefined;
    let finish = (): void => undefined;
    const isWaiting = new Promise<void>((resolve) => {
      started = resolve;
    });
    routes.reconcile = () => {
      started();
      return new Promise((resolve) => {
        finish = () => resolve(examplePlan);
      });
    };
    const socket = await open(port, await trial.client("admin"));
    let received = "";
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString();
    });
    const closed = once(socket, "close");
    socket.write("POST /reconcile HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    await isWaiting;
    await useOtherServerPair();
    await tls.look();
    const heard: string[] = [];
    addressing.removeHost = (name) => {
      heard.push(name);
      return Promise.resolve();
    };

    socket.write("DELETE /hosts/node-1 HTTP/1.1\r\nHost: x\r\n\r\n");
    // The server has surely read it when a later request on another connection is answered.
    await ask(port, { ...(await trial.client("admin")), ca: textOf(others, "ca.crt") });
    finish();
    await closed;

    expect(received.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 200"]);
    expect(heard).toEqual([]);
  });

  it("cuts a stream, which has no end", async () => {
    const clock = new FakeClock(Date.now());
    const log = new MemoryLogger();
    const files = { cert: trial.path("server.crt"), key: trial.path("server.key"), clientCa: undefined };
    const tls = await ServerTls.open(files, { clock, log, intervalMs: 1000 });
    cleanUp.push(() => tls.close());
    const { app } = await serverWithOneHost({}, { tokens: [knownTokens], clock });
    cleanUp.push(() => app.close());
    app.get("/stream", { config: { stream: true } }, (_request, reply) => {
      reply.hijack();
      reply.raw.writeHead(200, { "content-type": "text/event-stream" });
      reply.raw.write("data: 1\n\n");
    });
    const address = await listen(app, anyPort, tls);
    const sent = request(`${address}/stream`, {
      ca: await trial.read("ca.crt"),
      headers: as("reader"),
      agent: false,
    });
    const [response] = (await once(sent.end(), "response")) as [IncomingMessage];
    const [chunk] = (await once(response, "data")) as [Buffer];
    response.on("error", () => undefined);
    const ended = new Promise((resolve) => {
      response.once("close", resolve);
    });
    await useOtherServerPair();

    await tls.look();
    await ended;

    expect(String(chunk)).toBe("data: 1\n\n");
  });

  it("takes a client whose authority was removed no more, on a standing connection neither", async () => {
    const { port, tls } = await secureServer();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    cleanUp.push(() => agent.destroy());
    const client = await trial.client("admin");
    const before = await ask(port, { ...client, agent });
    const [socket] = Object.values(agent.freeSockets).flatMap((sockets) => sockets ?? []);
    const closed = once(socket ?? agent, "close");
    await trial.replace("ca.crt", textOf(others, "ca.crt"));

    await tls.look();
    await closed;
    const after = await ask(port, { ...client, agent });

    expect([before.status, after.status]).toEqual([200, 401]);
    expect(after.body).toContain("CLIENT_CERTIFICATE_REFUSED");
  });

  it.for(["TLSv1.2", "TLSv1.3"] as const)(
    "takes it no more when it resumes its session, with %s",
    async (version) => {
      const { port, tls } = await secureServer();
      const client = { ...(await trial.client("admin")), minVersion: version, maxVersion: version };
      const first = connect({ host: "127.0.0.1", port, ...client });
      cleanUp.push(() => void first.destroy());
      const [ticket] = (await once(first, "session")) as [Buffer];
      const [before, wasReused] = await statusWith({ ...client, session: ticket });
      await trial.replace("ca.crt", textOf(others, "ca.crt"));

      await tls.look();
      const [after] = await statusWith({ ...client, session: ticket });

      expect([before, wasReused, after]).toEqual(["HTTP/1.1 200 OK", true, "HTTP/1.1 401 Unauthorized"]);

      async function statusWith(options: ConnectionOptions): Promise<readonly [string | undefined, boolean]> {
        const socket = await open(port, options);
        socket.write("GET /hosts HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        const [answer] = (await once(socket, "data")) as [Buffer];
        return [String(answer).split("\r\n")[0], socket.isSessionReused()];
      }
    },
  );

  it.for([
    ["a key that is another's", "server.key", (): string => textOf(others, "server.key"), /does not belong/],
    [
      "half a certificate",
      "server.crt",
      (): string => textOf(others, "server.crt").slice(0, 100),
      /holds no certificate/,
    ],
    ["no key", "server.key", (): string => "", /holds no private key/],
    ["an authority that is none", "ca.crt", (): string => "nonsense", /ca\.crt holds no certificate/],
  ] as const)("refuses %s with a message, and keeps what it has", async ([, file, text, reason]) => {
    const { port, tls, tlsLog } = await secureServer();
    const client = await trial.client("admin");
    await trial.replace(file, text());

    await tls.look();
    const saidAtOnce = tlsLog.lines.length;
    await tls.look();
    await tls.look();
    const answer = await ask(port, client);

    // At the first look, somebody may be between two files.
    expect(saidAtOnce).toBe(0);
    expect(tlsLog.lines).toEqual([
      expect.objectContaining({
        level: "error",
        fields: expect.objectContaining({
          err: expect.objectContaining({ code: "TLS_FILES_INVALID", message: expect.stringMatching(reason) }),
        }),
      }),
    ]);
    expect(answer.status).toBe(200);
  });

  it("refuses a certificate that has not begun, and takes it by itself once it has", async () => {
    const { tls, tlsLog, port, clock } = await secureServer();
    const early = await Trial.files({ nowMs: Date.now() + DAY_MS });
    await trial.replace("server.crt", textOf(early, "server.crt"));
    await trial.replace("server.key", textOf(early, "server.key"));
    await tls.look();
    await tls.look();
    const before = await ask(port, await trial.client("admin"));

    clock.now = () => Date.now() + DAY_MS;
    await tls.look();

    expect(before.status).toBe(200);
    expect(tlsLog.lines.map(({ level }) => level)).toEqual(["error", "info"]);
  });

  it("refuses a certificate that has ended, and takes the next good one", async () => {
    const { tls, tlsLog, port } = await secureServer();
    const ended = await Trial.files({ nowMs: Date.now() - 60 * DAY_MS });
    await trial.replace("server.crt", textOf(ended, "server.crt"));
    await trial.replace("server.key", textOf(ended, "server.key"));
    await tls.look();
    await tls.look();

    await useOtherServerPair();
    await tls.look();

    expect(tlsLog.lines.map(({ level }) => level)).toEqual(["error", "info"]);
    expect((await ask(port, { ca: textOf(others, "ca.crt"), path: "/healthz" })).status).toBe(200);
  });

  it("goes on while a file is gone, and says so", async () => {
    const { tls, tlsLog, port } = await secureServer();
    const client = await trial.client("admin");
    await rm(trial.path("server.key"));

    await tls.look();
    await tls.look();

    expect(tlsLog.lines).toEqual([
      expect.objectContaining({
        level: "error",
        fields: expect.objectContaining({ err: expect.objectContaining({ code: "FILE_UNREADABLE" }) }),
      }),
    ]);
    expect((await ask(port, client)).status).toBe(200);
  });
});

describe("a server certificate that ends soon", () => {
  async function certificate(days: number) {
    const files = await Trial.files({ days });
    await trial.replace("server.crt", textOf(files, "server.crt"));
    await trial.replace("server.key", textOf(files, "server.key"));
    const log = new MemoryLogger();
    const clock = new FakeClock(Date.now());
    const paths = { cert: trial.path("server.crt"), key: trial.path("server.key"), clientCa: undefined };
    const tls = await ServerTls.open(paths, { clock, log, intervalMs: 1000 });
    cleanUp.push(() => tls.close());
    return { tls, log, clock };
  }

  it("is warned of once a day from two weeks before", async () => {
    const { tls, log, clock } = await certificate(13);
    await tls.look();
    const first = log.lines.length;
    const later = clock.monotonic() + DAY_MS;
    clock.monotonic = () => later;
    await tls.look();

    expect(first).toBe(1);
    expect(log.lines).toHaveLength(2);
    expect(log.lines[0]).toMatchObject({ level: "warn", fields: { days: expect.toBeOneOf([12, 13]) } });
  });

  it("is not warned of earlier, and says when it ends", async () => {
    const { tls, log } = await certificate(15);

    expect(log.lines).toEqual([]);
    expect(Math.abs(tls.notAfterMs - (Date.now() + 15 * DAY_MS))).toBeLessThan(60_000);
  });
});

it("serves plain HTTP and TLS at the same time, each with its own trust", async () => {
  const { app } = await serverWithOneHost({}, { tokens: [knownTokens] });
  cleanUp.push(() => app.close());
  const clock = new FakeClock(Date.now());
  const files = {
    cert: trial.path("server.crt"),
    key: trial.path("server.key"),
    clientCa: trial.path("ca.crt"),
  };
  const tls = await ServerTls.open(files, { clock, log: new MemoryLogger(), intervalMs: 1000 });
  cleanUp.push(() => tls.close());
  const plain = await listen(app, { ...anyPort, tls: false });
  const secure = await listen(app, anyPort, tls);

  const local = await fetch(`http://${plain}/hosts`);
  const stranger = await ask(Number(secure.split(":").at(-1)), { ca: await trial.read("ca.crt") });

  expect([local.status, stranger.status]).toEqual([200, 401]);
});

it("does not open TLS without a certificate", async () => {
  const { app } = await serverWithOneHost();
  cleanUp.push(() => app.close());

  await expect(listen(app, anyPort)).rejects.toMatchObject({ code: "LISTEN_FAILED" });
});
