import { get } from "node:http";

import { describe, expect, it, vi } from "vitest";

import { listen } from "../../src/api/listen.ts";
import { NetworkError } from "../../src/core/errors.ts";
import type { TokenAuthenticator } from "../../src/ports/authenticator.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { as, knownTokens } from "./known-tokens.ts";
import { serverWithOneHost } from "./support.ts";

const secured = { tokens: [knownTokens], requireAuth: true };

it("takes a caller on loopback who says nothing for an admin", async () => {
  const { app } = await serverWithOneHost();

  expect((await app.inject({ method: "DELETE", url: "/hosts/node-1" })).statusCode).toBe(200);
});

it("asks everybody when authentication is required", async () => {
  const { app } = await serverWithOneHost({}, secured);

  const refused = await app.inject("/hosts");
  const taken = await app.inject({ url: "/hosts", headers: as("reader") });

  expect(refused.statusCode).toBe(401);
  expect(refused.headers["www-authenticate"]).toBe('Bearer realm="romana"');
  expect(refused.json()).toMatchObject({
    status_code: 401,
    type: "urn:romana:error:invalid:AUTH_REQUIRED",
    title: "Unauthorized",
  });
  expect(taken.statusCode).toBe(200);
});

it("lets a token of lower rank speak for a caller on loopback", async () => {
  const { app } = await serverWithOneHost({}, { tokens: [knownTokens] });

  const answer = await app.inject({ method: "DELETE", url: "/hosts/node-1", headers: as("reader") });

  expect(answer.statusCode).toBe(403);
});

it.for(["Bearer nonsense", "Bearer", "Basic YWRtaW46YWRtaW4=", "Bearer admin admin", "admin", ""])(
  "does not know who says %j, on loopback neither",
  async (authorization) => {
    const { app } = await serverWithOneHost({}, { tokens: [knownTokens] });

    const answer = await app.inject({ url: "/hosts", headers: { authorization } });

    expect(answer.statusCode).toBe(401);
    expect(answer.headers["www-authenticate"]).toBe('Bearer realm="romana", error="invalid_token"');
    expect(answer.json()).toMatchObject({ type: "urn:romana:error:invalid:TOKEN_UNKNOWN" });
  },
);

it("does not choose among several Authorization headers", async () => {
  const { app } = await serverWithOneHost({}, secured);
  const address = await listen(app, { kind: "tcp", host: "127.0.0.1", port: 0 });
  const ask = (authorization: readonly string[]) =>
    new Promise((resolve, reject) => {
      const headers = ["host", address, ...authorization.flatMap((value) => ["authorization", value])];
      get(`http://${address}/hosts`, { headers, agent: false }, (response) => {
        response.resume().once("end", () => resolve(response.statusCode));
      }).once("error", reject);
    });

  const known = "Bearer reader";
  const statuses = [await ask([known]), await ask([known, "Bearer admin"]), await ask([known, known])];
  await app.close();

  expect(statuses).toEqual([200, 401, 401]);
});

it("has no use for a token where nobody could know it and nobody has to", async () => {
  const { app } = await serverWithOneHost();

  expect((await app.inject({ url: "/hosts", headers: as("nonsense") })).statusCode).toBe(200);
});

it("asks the next authenticator for a token that the one before does not know", async () => {
  const nobodyKnown: TokenAuthenticator = { callerOf: () => Promise.resolve(undefined) };
  const { app } = await serverWithOneHost({}, { tokens: [nobodyKnown, knownTokens], requireAuth: true });

  expect((await app.inject({ url: "/hosts", headers: as("reader") })).statusCode).toBe(200);
});

it("answers 503, not 401, when an authenticator cannot tell now", async () => {
  const unreachable: TokenAuthenticator = {
    callerOf: () => Promise.reject(new NetworkError("transient", "STORE_UNAVAILABLE", "nobody answers")),
  };
  const { app } = await serverWithOneHost({}, { tokens: [unreachable], requireAuth: true });

  expect((await app.inject({ url: "/hosts", headers: as("reader") })).statusCode).toBe(503);
});

it.for(["127.0.0.1:9600", "localhost", "LOCALHOST:80", "[::1]:9600", "romana.localhost", "romana:9600"])(
  "trusts a caller on loopback who asks for %s",
  async (host) => {
    const { app } = await serverWithOneHost();

    expect((await app.inject({ url: "/hosts", headers: { host } })).statusCode).toBe(200);
  },
);

it.for([
  "attacker.example:9600",
  "127.0.0.1.attacker.example",
  "localhost.attacker.example",
  "attacker.example.",
])("does not take a web page whose name was made to mean 127.0.0.1 for an admin: %s", async (host) => {
  const { app } = await serverWithOneHost({}, { tokens: [knownTokens] });

  const page = await app.inject({ url: "/hosts", headers: { host } });
  const known = await app.inject({ url: "/hosts", headers: { host, ...as("reader") } });

  expect([page.statusCode, known.statusCode]).toEqual([401, 200]);
});

it("answers 429 to whoever fails again and again, lets in who is known, and forgets with time", async () => {
  const clock = new FakeClock();
  const { app, log } = await serverWithOneHost({}, { ...secured, clock });
  const fail = async () => (await app.inject({ url: "/hosts", headers: as("nonsense") })).statusCode;
  const failures: number[] = [];
  for (let count = 0; count < 25; count += 1) {
    failures.push(await fail());
  }

  const known = await app.inject({ url: "/hosts", headers: as("reader") });
  const throttled = await app.inject("/hosts");
  await clock.advance(2000);
  const later = await fail();

  expect(failures.filter((status) => status === 401)).toHaveLength(20);
  expect(failures.filter((status) => status === 429)).toHaveLength(5);
  expect([known.statusCode, throttled.statusCode, later]).toEqual([200, 429, 401]);
  expect(throttled.headers["retry-after"]).toBe("1");
  expect(log.lines.filter(({ message }) => message === "a caller is not known")).toHaveLength(21);
});

it.for([
  ["one by one, of IPv4", (index: number) => `192.0.2.${index}`, 0],
  ["mapped into IPv6, too", (index: number) => `::ffff:192.0.2.${index}`, 0],
  ["together, of one /64 of IPv6", (index: number) => `2001:db8:0:7:${index}::1`, 5],
  ["together, however short they are written", (index: number) => `2001:db8::${index}`, 5],
  ["one by one, of several /64 of IPv6", (index: number) => `2001:db8:${index}::1`, 0],
] as const)("counts the failures of addresses %s", async ([, addressOf, throttled]) => {
  const { app } = await serverWithOneHost({}, { ...secured, clock: new FakeClock() });
  const statuses: number[] = [];
  for (let index = 1; index <= 25; index += 1) {
    const answer = await app.inject({ url: "/hosts", remoteAddress: addressOf(index) });
    statuses.push(answer.statusCode);
  }

  expect(statuses.filter((status) => status === 429)).toHaveLength(throttled);
});

it("reads no byte of the body of whoever is not known", async () => {
  const { app } = await serverWithOneHost({ maxBodyBytes: 10 }, secured);

  const answer = await app.inject({ method: "POST", url: "/address", payload: { name: "x".repeat(100) } });

  expect(answer.statusCode).toBe(401);
});

it("writes no token into its log or an answer", async () => {
  const { app, log } = await serverWithOneHost({}, secured);
  const token = "a-token-that-nobody-knows-0123456789";
  const headers = { authorization: `Bearer ${token}` };

  const answers = [
    await app.inject({ url: "/hosts", headers }),
    await app.inject({ method: "POST", url: "/address", headers, payload: "{" }),
    await app.inject({ url: "/hosts/%zz", headers }),
    await app.inject({ url: `/hosts/${"n".repeat(2000)}`, headers }),
    await app.inject({ url: "/nowhere", headers }),
  ];

  const written = JSON.stringify([log.lines, answers.map(({ body, headers: sent }) => [body, sent])]);
  expect(written).not.toContain(token);
  expect(log.lines.length).toBeGreaterThan(0);
});

describe("tokens about which somebody else is asked", () => {
  /** Knows the token `good` by asking, and holds its answers until it is told. */
  async function reviewed(failure?: NetworkError) {
    const asked: string[] = [];
    const answer = Promise.withResolvers<void>();
    const reviewer: TokenAuthenticator = {
      callerOf: async (token, _signal, beforeAsking) => {
        beforeAsking?.();
        asked.push(token);
        await answer.promise;
        if (failure !== undefined) {
          throw failure;
        }
        return token === "good" ? { user: "ann", role: "reader", host: "" } : undefined;
      },
    };
    const { app } = await serverWithOneHost({}, { tokens: [reviewer], requireAuth: true });
    const ask = async (token: string) =>
      (await app.inject({ url: "/hosts", headers: { authorization: `Bearer ${token}` } })).statusCode;
    const asks = (count: number, token: (index: number) => string) =>
      Promise.all(Array.from({ length: count }, (_, index) => ask(token(index))));
    return { asked, ask, asks, answer: answer.resolve };
  }

  it("are asked about twenty times at once from one address, however many come", async () => {
    const { asked, asks, answer } = await reviewed();

    const flood = asks(100, (index) => `junk${index}`);
    await vi.waitUntil(() => asked.length === 20, { interval: 1, timeout: 5000 });
    answer();
    const statuses = await flood;

    expect(asked).toHaveLength(20);
    expect(statuses.filter((status) => status === 401)).toHaveLength(20);
    expect(statuses.filter((status) => status === 429)).toHaveLength(80);
  });

  it("count no longer once they are known", async () => {
    const { ask, answer } = await reviewed();
    answer();

    const statuses: number[] = [];
    for (let index = 0; index < 50; index += 1) {
      statuses.push(await ask("good"));
    }

    expect(new Set(statuses)).toEqual(new Set([200]));
  });

  it("do not count while nobody can answer", async () => {
    const { ask, answer } = await reviewed(new NetworkError("transient", "TOKEN_REVIEW_FAILED", "away"));
    answer();

    const statuses: number[] = [];
    for (let index = 0; index < 50; index += 1) {
      statuses.push(await ask("good"));
    }

    expect(new Set(statuses)).toEqual(new Set([503]));
  });
});
