import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { fenceAttempt, FencedHandler } from "../../../src/adapters/aws/fenced-handler.ts";
import { TestAuthority } from "../../support/test-authority.ts";

const CONNECT_MS = 1_000;

describe("FencedHandler", () => {
  let server: Server;
  let bodies: string[];
  let handler: FencedHandler;

  beforeEach(async () => {
    bodies = [];
    server = createServer((request, response) => {
      let body = "";
      request.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      request.once("end", () => {
        bodies.push(`${request.method} ${request.url} ${body}`);
        response.setHeader("x-answer", "yes").end(`heard ${body}`);
      });
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    handler = new FencedHandler({ keepAlive: true, maxSockets: 8 }, CONNECT_MS);
  });
  afterEach(async () => {
    handler.destroy();
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  });

  async function send(body: string, fence?: () => void, signal = new AbortController().signal) {
    if (fence !== undefined) {
      fenceAttempt(signal, fence);
    }
    const { port } = server.address() as AddressInfo;
    const { response } = await handler.handle(
      {
        protocol: "http:",
        hostname: "127.0.0.1",
        port,
        method: "POST",
        path: "/",
        query: { version: "1" },
        headers: { "content-length": String(Buffer.byteLength(body)) },
        body,
      },
      { abortSignal: signal },
    );
    let text = "";
    for await (const chunk of response.body.setEncoding("utf8")) {
      text += String(chunk);
    }
    return { status: response.statusCode, answer: response.headers["x-answer"], text };
  }

  it("sends what it is given and answers what comes back, over new and kept connections", async () => {
    const first = await send("a");
    const second = await send("b");

    expect([first, second]).toEqual([
      { status: 200, answer: "yes", text: "heard a" },
      { status: 200, answer: "yes", text: "heard b" },
    ]);
    expect(bodies).toEqual(["POST /?version=1 a", "POST /?version=1 b"]);
  });

  it.for(["new", "kept"])(
    "asks the fence when a %s connection stands, and sends nothing when it refuses",
    async (which) => {
      if (which === "kept") {
        await send("before");
      }
      const refusal = new Error("too late");
      const refused = send("refused", () => {
        throw refusal;
      });

      await expect(refused).rejects.toBe(refusal);
      expect(await send("after")).toMatchObject({ status: 200 });
      expect(bodies.map((body) => body.split(" ")[2])).toEqual([
        ...(which === "kept" ? ["before"] : []),
        "after",
      ]);
    },
  );

  it("sends none of the requests whose time passed while the process stood still", async () => {
    const deadline = performance.now() + 100;
    const fence = (): void => {
      if (performance.now() > deadline) {
        throw new Error("too late");
      }
    };
    const requests = ["a", "b", "c"].map((body) => send(body, fence));
    // The connections are asked for before this turn of the event loop ends, and none stands before the next one: in between, time passes.
    await new Promise<void>((resolve) => {
      process.nextTick(() => process.nextTick(resolve));
    });
    while (performance.now() <= deadline);
    const outcomes = await Promise.allSettled(requests);

    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    expect(bodies).toEqual([]);
  });

  it("gives a request up when its signal says so, before and after it was sent", async () => {
    const early = new AbortController();
    early.abort();
    const late = new AbortController();
    server.removeAllListeners("request").on("request", () => late.abort());

    await expect(send("early", undefined, early.signal)).rejects.toMatchObject({ name: "AbortError" });
    await expect(send("late", undefined, late.signal)).rejects.toMatchObject({ name: "AbortError" });
  });

  it("tells a refused connection by its code", async () => {
    const { port } = server.address() as AddressInfo;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
    const request = { protocol: "http:", hostname: "127.0.0.1", port, method: "GET", path: "/", headers: {} };

    await expect(handler.handle(request)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  it("asks the fence after the TLS handshake, and not before", async () => {
    const folder = mkdtempSync(join(tmpdir(), "romana-fence-"));
    const authority = await TestAuthority.create();
    const { cert, key } = await authority.issue(folder, "ec2");
    const heard: string[] = [];
    const tls = createTlsServer(
      { cert: readFileSync(cert), key: readFileSync(key), maxVersion: "TLSv1.2" },
      (_, response) => {
        heard.push("request");
        response.end("ok");
      },
    );
    tls.on("secureConnection", () => heard.push("handshake"));
    await new Promise<void>((resolve) => {
      tls.listen(0, "127.0.0.1", resolve);
    });
    const secure = new FencedHandler({ keepAlive: true, ca: readFileSync(authority.ca) }, CONNECT_MS);
    const { port } = tls.address() as AddressInfo;
    const request = {
      protocol: "https:",
      hostname: "127.0.0.1",
      port,
      method: "POST",
      path: "/",
      headers: {},
    };
    const held = new AbortController().signal;
    let secured = false;
    fenceAttempt(held, () => {
      secured = heard.includes("handshake");
    });
    try {
      const { response } = await secure.handle(request, { abortSignal: held });
      response.body.resume();

      expect(response.statusCode).toBe(200);
      expect(secured).toBe(true);
      expect(heard).toEqual(["handshake", "request"]);
    } finally {
      secure.destroy();
      tls.closeAllConnections();
      await new Promise<void>((resolve) => {
        tls.close(() => resolve());
      });
      authority.remove();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
