import { once } from "node:events";
import { connect, type Socket } from "node:net";

import { expect, it } from "vitest";

import { listen } from "../../src/api/listen.ts";
import { parseIpv4 } from "../../src/core/net/ipv4.ts";
import { emptyServer, serverWithOneHost } from "./support.ts";

/** A connection of our own, so that a test decides what is sent when; `answer` waits for its end. */
async function open(address: string) {
  const socket: Socket = connect(Number(address.split(":")[1]), "127.0.0.1");
  let text = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  await once(socket, "connect");
  return {
    send: (data: string) => new Promise<void>((resolve) => socket.write(data, () => resolve())),
    answer: async () => {
      if (!socket.closed) {
        await once(socket, "close");
      }
      const [head = "", body = ""] = text.split("\r\n\r\n");
      return { head: head.toLowerCase(), body, status: Number(head.split(" ")[1]) };
    },
  };
}

function request(method: string, path: string, body = ""): string {
  return `${method} ${path} HTTP/1.1\r\nhost: romana\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

it("finishes what it took, ends those connections with the answer, and refuses what comes afterwards", async () => {
  const { app, addressing } = await serverWithOneHost();
  const allocation = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  addressing.allocate = async () => {
    started.resolve();
    await allocation.promise;
    return parseIpv4("10.0.0.9");
  };
  const address = await listen(app, { kind: "tcp", host: "127.0.0.1", port: 0 });
  const working = await open(address);
  const late = await open(address);
  await working.send(request("POST", "/address", '{"name":"p","host":"node-1"}'));
  await late.send("GET /hosts HTTP/1.1\r\nhost: romana\r\n");
  await started.promise;

  const closed = app.close();
  await expect
    .poll(async () => (await open(address).catch((error: NodeJS.ErrnoException) => error)) instanceof Error)
    .toBe(true);
  await late.send("\r\n");
  const refused = await late.answer();
  allocation.resolve();
  const answered = await working.answer();
  await closed;

  expect([refused.status, JSON.parse(refused.body)]).toEqual([
    503,
    expect.objectContaining({ type: "urn:romana:error:transient:SERVER_CLOSING" }),
  ]);
  expect(refused.head).toMatch(/^connection: close$/m);
  expect(refused.head).toMatch(/^retry-after: 1$/m);
  expect([answered.status, answered.body]).toEqual([200, '"10.0.0.9"']);
  expect(answered.head).toMatch(/^connection: close$/m);
});

it("answers 431 to headers of more than 16 KiB", async () => {
  const { app } = await emptyServer();
  const address = await listen(app, { kind: "tcp", host: "127.0.0.1", port: 0 });
  const client = await open(address);

  await client.send(`GET /hosts HTTP/1.1\r\nhost: romana\r\nx-long: ${"x".repeat(17 * 1024)}\r\n\r\n`);
  const { status, head, body } = await client.answer();

  expect(status).toBe(431);
  expect(head).toMatch(/^content-type: application\/problem\+json$/m);
  expect(JSON.parse(body)).toMatchObject({
    status_code: 431,
    type: "urn:romana:error:invalid:REQUEST_HEAD_TOO_LARGE",
    title: "Request Header Fields Too Large",
  });
  await app.close();
});

it("answers 408 to a request that does not arrive, and ends its connection", async () => {
  const { app } = await emptyServer({ receiveTimeoutMs: 50 });
  const address = await listen(app, { kind: "tcp", host: "127.0.0.1", port: 0 });
  const client = await open(address);

  await client.send("POST /address HTTP/1.1\r\nhost: romana\r\ncontent-length: 100\r\n\r\n{");
  const { status, head, body } = await client.answer();

  expect([status, JSON.parse(body)]).toEqual([
    408,
    expect.objectContaining({ type: "urn:romana:error:transient:REQUEST_SLOW" }),
  ]);
  expect(head).toMatch(/^connection: close$/m);
  await app.close();
});

it("answers 400 to what is no HTTP", async () => {
  const { app } = await emptyServer();
  const address = await listen(app, { kind: "tcp", host: "127.0.0.1", port: 0 });
  const client = await open(address);

  await client.send("what is this\r\n\r\n");
  const { status, body } = await client.answer();

  expect([status, JSON.parse(body)]).toEqual([
    400,
    expect.objectContaining({ type: "urn:romana:error:invalid:REQUEST_MALFORMED" }),
  ]);
  await app.close();
});

it("answers HEAD as GET without the body, and takes OPTIONS for a wrong method", async () => {
  const { app } = await serverWithOneHost();

  const get = await app.inject("/networks");
  const head = await app.inject({ method: "HEAD", url: "/networks" });
  const options = await app.inject({ method: "OPTIONS", url: "/networks" });

  expect([head.statusCode, head.body, head.headers["content-length"]]).toEqual([
    200,
    "",
    get.headers["content-length"],
  ]);
  expect(options.statusCode).toBe(404);
  expect(options.headers).not.toHaveProperty("access-control-allow-origin");
});
