import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { type AddressInfo } from "node:net";

import { afterEach, expect, it } from "vitest";

import { listen } from "../../src/api/listen.ts";
import { RomanaClient } from "../../src/client/client.ts";
import { exchange, formatEndpoint, parseEndpoint, type Endpoint } from "../../src/client/http.ts";
import { NetworkError } from "../../src/core/errors.ts";
import { serverWithOneHost } from "../api/support.ts";

const closers: (() => Promise<unknown>)[] = [];
const never = new AbortController().signal;

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) {
    await close();
  }
});

/** A server that is not Romana's, at an endpoint. */
async function stranger(listener: RequestListener): Promise<Endpoint> {
  const server: Server = createServer(listener);
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  closers.push(
    () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  );
  return { kind: "tcp", host: "127.0.0.1", port: (server.address() as AddressInfo).port };
}

async function romana() {
  const parts = await serverWithOneHost();
  closers.push(() => parts.app.close());
  const endpoint = parseEndpoint(await listen(parts.app, { kind: "tcp", host: "127.0.0.1", port: 0 }), 9600);
  return { ...parts, endpoint, client: new RomanaClient({ endpoint, signal: never }) };
}

it("takes names with any characters through paths and queries", async () => {
  const { client } = await romana();
  const name = 'a/b c?d=e&f#g%"ü';
  await client.addHost({ name, ip: "192.168.0.2", tags: { zone: "b" } });
  await client.setLabels(name, { zone: "c" });

  const address = await client.allocate({ name, host: name, tenant: "t" });
  const held = await client.addresses();
  await client.release(name);

  expect((await client.host(name)).tags).toEqual({ zone: "c" });
  expect(held).toEqual([expect.objectContaining({ name, address, host: name })]);
  await client.removeHost(name);
  await expect(client.host(name)).rejects.toMatchObject({ kind: "not-found", code: "HOST_NOT_FOUND" });
});

it.for([
  ["conflict", "ADDRESS_EXISTS", { name: "p", host: "node-1" }],
  ["not-found", "HOST_NOT_FOUND", { name: "q", host: "none" }],
  ["invalid", "ADDRESS_NAME_MISSING", { name: "", host: "node-1" }],
] as const)("turns a refusal back into the error that it was: %s %s", async ([kind, code, request]) => {
  const { client } = await romana();
  await client.allocate({ name: "p", host: "node-1" });

  await expect(client.allocate(request)).rejects.toMatchObject({ name: "NetworkError", kind, code });
});

it("tells a full network from a taken name, though both are 409", async () => {
  const { client, addressing } = await romana();
  addressing.allocate = () =>
    Promise.reject(new NetworkError("exhausted", "NETWORK_FULL", "all groups are full"));

  await expect(client.allocate({ name: "one-more", host: "node-1" })).rejects.toMatchObject({
    kind: "exhausted",
  });
});

it("says how long a DELETE's body is", async () => {
  const seen: IncomingMessage["headers"][] = [];
  const endpoint = await stranger((request, response) => {
    seen.push(request.headers);
    request.resume();
    response.end("null");
  });

  await exchange(endpoint, { method: "DELETE", path: "/x", body: { id: "1" }, deadlineMs: 5000 }, never);

  expect(seen).toEqual([expect.objectContaining({ "content-length": "10" })]);
  expect(seen[0]).not.toHaveProperty("transfer-encoding");
});

it.for([
  [404, "not-found"],
  [409, "conflict"],
  [400, "invalid"],
  [413, "invalid"],
  [429, "transient"],
  [500, "transient"],
  [502, "transient"],
] as const)("reads a bare status %i as %s", async ([status, kind]) => {
  const endpoint = await stranger((_request, response) => {
    response.statusCode = status;
    response.end("<html>");
  });

  const answer = exchange(endpoint, { method: "GET", path: "/", deadlineMs: 5000 }, never);

  await expect(answer).rejects.toMatchObject({ kind, code: "REQUEST_REFUSED" });
});

it("does not take something else for a controller", async () => {
  const endpoint = await stranger((_request, response) => response.end("<html>hello</html>"));

  const answer = exchange(endpoint, { method: "GET", path: "/", deadlineMs: 5000 }, never);

  await expect(answer).rejects.toMatchObject({ kind: "invalid", code: "ANSWER_MALFORMED" });
});

it("gives up at its deadline, also in the middle of an answer", async () => {
  const silent = await stranger((request) => request.resume());
  const halfway = await stranger((_request, response) => {
    response.write("[");
  });

  const answers = [silent, halfway].map((endpoint) =>
    exchange(endpoint, { method: "GET", path: "/", deadlineMs: 30 }, never),
  );

  for (const answer of answers) {
    await expect(answer).rejects.toMatchObject({ kind: "transient", code: "SERVER_TIMED_OUT" });
  }
});

it("fails when the connection breaks in the middle of an answer", async () => {
  const endpoint = await stranger((_request, response) => {
    response.writeHead(200, { "content-length": "100" });
    response.write("[", () => response.destroy());
  });

  const answer = exchange(endpoint, { method: "GET", path: "/", deadlineMs: 5000 }, never);

  await expect(answer).rejects.toMatchObject({ kind: "transient", code: "SERVER_UNREACHABLE" });
});

it("ends with the signal's reason when it is aborted", async () => {
  const stop = new AbortController();
  const endpoint = await stranger(() => stop.abort(new Error("enough")));

  const answer = exchange(endpoint, { method: "GET", path: "/", deadlineMs: 5000 }, stop.signal);

  await expect(answer).rejects.toThrow("enough");
});

it.for([
  ["http://127.0.0.1:9600", "http://127.0.0.1:9600"],
  ["http://controller", "http://controller:9600"],
  ["controller:80/", "http://controller:80"],
  ["http://controller:80", "http://controller:80"],
  ["http://[::1]:9601", "http://[::1]:9601"],
  ["https://controller", "https://controller:9600"],
  ["https://controller:443", "https://controller:443"],
  ["https://[::1]:9601/", "https://[::1]:9601"],
  ["unix:/run/romana.sock", "unix:/run/romana.sock"],
  ["unix:///run/romana.sock", "unix:/run/romana.sock"],
] as const)("reads the endpoint %s", ([text, expected]) => {
  expect(formatEndpoint(parseEndpoint(text, 9600))).toBe(expected);
});

it.for(["", "ftp://x", "https://", "https://u:pw@x", "http://x/path", "http://", "a b"])(
  "refuses the endpoint %j",
  (text) => {
    expect(() => parseEndpoint(text, 9600)).toThrow(expect.objectContaining({ code: "SERVER_URL_INVALID" }));
  },
);

it("does not repeat a password that somebody wrote into the address", () => {
  const parse = () => parseEndpoint("https://admin:hunter2@controller", 9600);

  expect(parse).toThrow(expect.objectContaining({ code: "SERVER_URL_INVALID" }));
  expect(parse).not.toThrow(/hunter2/);
});
