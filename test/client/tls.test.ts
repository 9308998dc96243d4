import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

import { afterAll, beforeAll, expect, it } from "vitest";

import type { PemFile } from "../../src/adapters/certificates/trial-certificates.ts";
import { listen } from "../../src/api/listen.ts";
import { ServerTls } from "../../src/api/tls.ts";
import { RomanaClient } from "../../src/client/client.ts";
import type { Credentials } from "../../src/client/credentials.ts";
import { parseEndpoint } from "../../src/client/http.ts";
import { NetworkError } from "../../src/core/errors.ts";
import { as, knownTokens } from "../api/known-tokens.ts";
import { MemoryLogger, serverWithOneHost } from "../api/support.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { textOf, Trial } from "../support/trial.ts";

const never = new AbortController().signal;

let trial: Trial;
let others: readonly PemFile[];
let secure = "";
let unix = "";
const closers: (() => Promise<unknown> | void)[] = [];

beforeAll(async () => {
  [trial, others] = await Promise.all([Trial.create(), Trial.files()]);
  closers.push(() => trial.remove());
  const clock = new FakeClock(Date.now());
  const files = {
    cert: trial.path("server.crt"),
    key: trial.path("server.key"),
    clientCa: trial.path("ca.crt"),
  };
  const tls = await ServerTls.open(files, { clock, log: new MemoryLogger(), intervalMs: 1000 });
  closers.push(() => tls.close());
  const { app } = await serverWithOneHost({}, { tokens: [knownTokens], requireAuth: true, clock });
  closers.push(() => app.close());
  secure = await listen(app, { kind: "tcp", host: "127.0.0.1", port: 0, tls: true }, tls);
  unix = await listen(app, { kind: "unix", path: trial.path("api.sock") });
});

afterAll(async () => {
  for (const close of closers.toReversed()) {
    await close();
  }
});

function clientOf(credentials: Credentials, url = secure): RomanaClient {
  return new RomanaClient({ endpoint: parseEndpoint(url, 9600), credentials, signal: never });
}

it("asks over TLS with a client certificate", async () => {
  const client = clientOf(await trial.client("admin"));

  await client.addHost({ name: "node-2", ip: "192.168.0.2" });

  expect((await client.hosts()).hosts.map(({ name }) => name)).toContain("node-2");
});

it("asks over TLS, and over a socket, with a token", async () => {
  const ca = await trial.read("ca.crt");

  const answers = await Promise.all([
    clientOf({ ca, token: "reader" }).networks(),
    clientOf({ token: "reader" }, unix).networks(),
  ]);

  expect(answers.map((networks) => networks.map(({ id }) => id))).toEqual([["prod"], ["prod"]]);
});

it.for([
  ["no credentials", () => ({}), "AUTH_REQUIRED"],
  ["a token that nobody knows", () => ({ token: "nonsense" }), "TOKEN_UNKNOWN"],
  [
    "a certificate of another authority",
    () => ({ cert: textOf(others, "admin.crt"), key: textOf(others, "admin.key") }),
    "CLIENT_CERTIFICATE_REFUSED",
  ],
] as const)("says why nobody knows it with %s", async ([, credentials, code]) => {
  const ca = await trial.read("ca.crt");

  await expect(clientOf({ ca, ...credentials() }).networks()).rejects.toMatchObject({
    kind: "invalid",
    code,
  });
});

it("says that its role does not allow it", async () => {
  await expect(clientOf(await trial.client("reader")).removeHost("node-1")).rejects.toMatchObject({
    code: "ACCESS_DENIED",
    message: expect.stringContaining("use the credentials of an admin"),
  });
});

it.for([
  ["an authority that it does not know", async () => ({}), /not trusted here.*CACert/],
  ["another authority", async () => ({ ca: textOf(others, "ca.crt") }), /CACert/],
  [
    "a key that is not its certificate's",
    async () => ({ ...(await trial.client("admin")), key: textOf(others, "admin.key") }),
    /ClientKey is not the key of ClientCert/,
  ],
  [
    "a certificate that is none",
    async () => ({ ...(await trial.client("admin")), cert: "nonsense" }),
    /holds none in PEM form/,
  ],
  ["a key that is none", async () => ({ ...(await trial.client("admin")), key: "nonsense" }), /PEM form/],
] as const)("does not trust, and says why: %s", async ([, credentials, reason]) => {
  await expect(clientOf(await credentials()).networks()).rejects.toMatchObject({
    kind: "invalid",
    code: "SERVER_UNTRUSTED",
    message: expect.stringMatching(reason),
  });
});

it("does not trust a server that is reached by a name that its certificate does not have, unless it is told one that it has", async () => {
  const elsewhere = secure.replace("127.0.0.1", "127.0.0.2");
  const clock = new FakeClock(Date.now());
  const files = { cert: trial.path("server.crt"), key: trial.path("server.key"), clientCa: undefined };
  const tls = await ServerTls.open(files, { clock, log: new MemoryLogger(), intervalMs: 1000 });
  const { app } = await serverWithOneHost({}, { tokens: [knownTokens], clock });
  const url = await listen(app, { kind: "tcp", host: "127.0.0.2", port: 0, tls: true }, tls);
  const ca = await trial.read("ca.crt");

  const answer = await clientOf({ ca, token: "reader" }, url)
    .networks()
    .catch((error: unknown) => error);
  const byName = await clientOf(
    { ca, token: "reader", serverName: "romana.kube-system.svc" },
    url,
  ).networks();
  const byAnother = await clientOf({ ca, token: "reader", serverName: "romana.example" }, url)
    .networks()
    .catch((error: unknown) => error);
  await app.close();
  tls.close();

  expect(byName.map(({ id }) => id)).toEqual(["prod"]);
  expect(byAnother).toMatchObject({ code: "SERVER_UNTRUSTED" });
  expect(elsewhere).not.toBe(secure);
  expect(answer).toMatchObject({
    code: "SERVER_UNTRUSTED",
    message: expect.stringContaining("its certificate is for other names"),
  });
});

it("says that a server does not speak TLS, and that one does", async () => {
  const plain = createServer((_request, response) => response.end("[]"));
  await new Promise<void>((resolve) => {
    plain.listen(0, "127.0.0.1", resolve);
  });
  const { port } = plain.address() as AddressInfo;

  const noTls = await clientOf({}, `https://127.0.0.1:${port}`)
    .networks()
    .catch((error: unknown) => error);
  const onlyTls = await clientOf({}, secure.replace("https:", "http:"))
    .networks()
    .catch((error: unknown) => error);
  plain.close();
  plain.closeAllConnections();

  expect(noTls).toMatchObject({
    code: "SERVER_UNTRUSTED",
    message: expect.stringContaining("does not speak TLS"),
  });
  expect(onlyTls).toMatchObject({
    code: "SERVER_UNREACHABLE",
    message: expect.stringContaining("if it serves TLS, write https://"),
  });
});

it("sends no token to another machine without TLS", async () => {
  const answer = clientOf({ token: "reader" }, "http://192.0.2.1:1").networks();

  await expect(answer).rejects.toMatchObject({ kind: "invalid", code: "TOKEN_UNPROTECTED" });
});

it("keeps its secrets out of every error", async () => {
  const token = "a-token-that-nobody-knows-0123456789";
  const admin = await trial.client("admin");
  const key = admin.key.split("\n")[1] ?? "";
  const attempts: readonly (readonly [Credentials, string])[] = [
    [{ ...admin, token }, secure],
    [{ token }, secure],
    [{ token, ...admin, ca: "nonsense" }, secure],
    [{ token, ...admin, cert: textOf(others, "admin.crt") }, secure],
    [{ token }, "http://127.0.0.1:1"],
    [{ token }, "http://192.0.2.1:1"],
  ];

  const errors = await Promise.all(
    attempts.map(([credentials, url]) =>
      clientOf(credentials, url)
        .networks()
        .catch((error: unknown) => error),
    ),
  );

  const texts = errors.map((error) => describe(error));
  expect(errors.every((error) => error instanceof NetworkError)).toBe(true);
  expect(texts.filter((text) => text.includes(token) || text.includes(key))).toEqual([]);
  expect(as(token).authorization).toContain(token);
});

/** Everything that an error holds, its causes included. */
function describe(error: unknown): string {
  const { stack, cause } = error as Error;
  return `${stack ?? ""} ${JSON.stringify(error)} ${cause === undefined ? "" : describe(cause)}`;
}
