import { afterEach, describe, expect, it } from "vitest";

import { MemoryStore } from "../../src/adapters/memory/memory-store.ts";
import { SystemClock } from "../../src/adapters/system/system-clock.ts";
import type { Authentication } from "../../src/api/authentication.ts";
import { createServer } from "../../src/api/server.ts";
import { readRouteSpec } from "../../src/config/route-spec.ts";
import { RouteSpecKeeper } from "../../src/services/route-spec-keeper.ts";
import { FakeRoutes } from "./fake-routes.ts";
import { as, knownTokens } from "./known-tokens.ts";
import { MemoryLogger } from "./support.ts";

const never = new AbortController().signal;
const document = { "10.1.0.0/16": ["172.20.32.5", "172.20.64.9"] };
const closers: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
});

async function server(file?: string, callers: Partial<Authentication> = {}) {
  const clock = new SystemClock();
  const log = new MemoryLogger();
  const routeSpec = await RouteSpecKeeper.open(
    {
      store: new MemoryStore({ clock }),
      prefix: "/romana",
      clock,
      log,
      file,
      read: (text, source) => readRouteSpec(text, { source, allowEmpty: false }),
    },
    never,
  );
  const routes = new FakeRoutes();
  const authentication = { tokens: [], requireAuth: false, clock, ...callers };
  const app = createServer({ routeSpec, routes, log, authentication });
  closers.push(() => app.close());
  const post = (payload: string, type = "application/json") =>
    app.inject({ method: "POST", url: "/route_spec", payload, headers: { "content-type": type } });
  return { app, routeSpec, routes, post };
}

describe("POST /route_spec", () => {
  it("takes a list, which GET then gives as it was posted", async () => {
    const { app, post } = await server();
    const posted = await post(JSON.stringify(document));

    expect([posted.statusCode, posted.body]).toEqual([200, "null"]);
    const got = await app.inject("/route_spec");
    expect([got.statusCode, got.json()]).toEqual([200, document]);
    expect(got.headers["content-type"]).toBe("application/json");
  });

  it("takes comments, and any content type", async () => {
    const { app, post } = await server();

    expect((await post(`# ours\n${JSON.stringify(document)}`, "text/plain")).statusCode).toBe(200);
    expect((await app.inject("/route_spec")).json()).toEqual(document);
  });

  it.for(["application/json; charset=latin1", "application/x-www-form-urlencoded", "", "json", ";;"])(
    "takes a list that is called %j",
    async (type) => {
      const { post } = await server();

      expect((await post(JSON.stringify(document), type)).statusCode).toBe(200);
    },
  );

  it.for([
    ["no JSON", "{"],
    ["nothing", ""],
    ["an empty object", "{}"],
    ["an empty list", '{"10.1.0.0/16": []}'],
    ["host bits", '{"10.1.2.3/16": ["1.2.3.4"]}'],
    ["a destination twice", '{"10.1.0.0/16": ["1.2.3.4"], "10.1.0.0/16": ["1.2.3.4"]}'],
  ] as const)("answers 400 to %s, and the list before stays", async ([, payload]) => {
    const { app, post } = await server();
    await post(JSON.stringify(document));
    const refused = await post(payload);

    expect(refused.statusCode).toBe(400);
    expect(refused.headers["content-type"]).toBe("application/problem+json");
    expect(refused.json()).toMatchObject({
      status_code: 400,
      type: "urn:romana:error:invalid:ROUTE_SPEC_INVALID",
    });
    expect((await app.inject("/route_spec")).json()).toEqual(document);
    expect((await app.inject("/")).json<{ routeSpec: object }>().routeSpec).toMatchObject({
      routes: document,
      problem: { message: refused.json<{ message: string }>().message },
    });
  });

  it("names every problem with its place", async () => {
    const { post } = await server();
    const refused = await post('{"10.1.2.3/16": ["x"]}');

    expect(refused.json<{ details: object }>().details).toMatchObject({
      problems: [
        'line 1, column 2: not an IPv4 network: "10.1.2.3/16" (write it as 10.1.0.0/16)',
        'line 1, column 18: not an IPv4 address: "x" (expected a.b.c.d)',
      ],
    });
  });

  it("answers 409 where a file is followed", async () => {
    const { app, post } = await server("/etc/routes.json");
    const refused = await post(JSON.stringify(document));

    expect(refused.statusCode).toBe(409);
    expect(refused.json()).toMatchObject({ type: "urn:romana:error:conflict:ROUTE_SPEC_FROM_FILE" });
    expect((await app.inject("/route_spec")).statusCode).toBe(404);
  });

  it("answers 413 to a body that is too long", async () => {
    const { post } = await server();

    expect((await post(" ".repeat(17 * 1024 * 1024))).statusCode).toBe(413);
  });

  it("is refused to pages of other sites", async () => {
    const { app } = await server();
    const response = await app.inject({
      method: "POST",
      url: "/route_spec",
      payload: JSON.stringify(document),
      headers: { origin: "http://example.com", "sec-fetch-site": "cross-site", "content-type": "text/plain" },
    });

    expect(response.statusCode).toBe(403);
  });
});

describe("GET", () => {
  it("/route_spec answers 404 before the first list", async () => {
    const { app } = await server();
    const response = await app.inject("/route_spec");

    expect(response.statusCode).toBe(404);
    expect(response.json()).toMatchObject({ type: "urn:romana:error:not-found:ROUTE_SPEC_MISSING" });
  });

  it("/ shows list, readiness, routes, probes and status in one document", async () => {
    const { app, routes, post } = await server();
    await post(JSON.stringify(document));
    const response = await app.inject("/");

    expect(response.statusCode).toBe(200);
    expect(response.json()).toMatchObject({
      program: "romana vpc-router",
      version: routes.status().version,
      routeSpec: { source: "api", routes: document, problem: null },
      ready: true,
      notReady: [],
      status: routes.status(),
      routes: routes.routes(),
      health: routes.health(),
    });
  });

  it("answers what the command line asks a controller: plan, routes, health, status", async () => {
    const { app, routes } = await server();

    expect((await app.inject("/status")).json()).toEqual(routes.status());
    expect((await app.inject("/routes")).json()).toEqual(routes.routes());
    expect((await app.inject("/health/nodes")).json()).toEqual(routes.health());
    expect((await app.inject("/plan")).statusCode).toBe(200);
    expect((await app.inject("/readyz")).statusCode).toBe(200);
  });

  it("describes its own routes, and no others, with what a POST takes", async () => {
    const { app } = await server();
    const { paths } = (await app.inject("/openapi.json")).json<{ paths: Record<string, object> }>();

    expect(paths["/route_spec"]).toMatchObject({
      get: { responses: { 200: {}, 404: {} } },
      post: {
        requestBody: { content: { "application/json": {} } },
        responses: { 200: {}, 400: {}, 409: {} },
      },
    });
    expect(Object.keys(paths)).toEqual(expect.arrayContaining(["/", "/status", "/readyz"]));
    expect(Object.keys(paths)).not.toContain("/hosts");
  });

  it("knows no addresses, hosts or topology", async () => {
    const { app } = await server();

    for (const url of ["/hosts", "/topology", "/address", "/networks"]) {
      expect((await app.inject(url)).statusCode).toBe(404);
    }
  });
});

it("lets admins post a list, readers and admins read it, and nobody else anything, where callers have to say who they are", async () => {
  const { app } = await server(undefined, { tokens: [knownTokens], requireAuth: true });
  const ask = async (method: "GET" | "POST", url: string, role?: "admin" | "reader" | "agent:node-1") => {
    const headers = { "content-type": "application/json", ...(role === undefined ? {} : as(role)) };
    const payload = method === "POST" ? { payload: JSON.stringify(document) } : {};
    return (await app.inject({ method, url, headers, ...payload })).statusCode;
  };

  expect([await ask("POST", "/route_spec"), await ask("GET", "/route_spec"), await ask("GET", "/")]).toEqual([
    401, 401, 401,
  ]);
  expect([
    await ask("POST", "/route_spec", "reader"),
    await ask("POST", "/route_spec", "agent:node-1"),
  ]).toEqual([403, 403]);
  expect(await ask("POST", "/route_spec", "admin")).toBe(200);
  expect([await ask("GET", "/route_spec", "reader"), await ask("GET", "/", "reader")]).toEqual([200, 200]);
});
