import { setImmediate } from "node:timers/promises";
import { gzipSync } from "node:zlib";

import { expect, it } from "vitest";

import { listen } from "../../src/api/listen.ts";
import { NetworkError } from "../../src/core/errors.ts";
import { parseIpv4 } from "../../src/core/net/ipv4.ts";
import { examplePlan } from "./fake-routes.ts";
import { serverWithOneHost } from "./support.ts";

/** A door that stays shut until it is opened. */
function door() {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { wait: () => opened, open: () => open() };
}

it("works on sixteen requests at once, and on more", async () => {
  const { app, routes } = await serverWithOneHost();
  const { wait, open } = door();
  let waiting = 0;
  routes.pause = () => {
    waiting += 1;
    if (waiting === 32) {
      open();
    }
    return wait();
  };

  const responses = await Promise.all(Array.from({ length: 32 }, () => app.inject("/plan")));

  expect(new Set(responses.map(({ statusCode }) => statusCode))).toEqual(new Set([200]));
});

it("turns one request too many away, and takes the next when one is done", async () => {
  const { app, routes } = await serverWithOneHost({ maxInFlight: 1 });
  const { wait, open } = door();
  const started = door();
  routes.pause = () => {
    started.open();
    return wait();
  };
  const first = app.inject("/plan");
  await started.wait();

  const second = await app.inject("/hosts");
  const probe = await app.inject("/healthz");
  open();
  await first;
  const third = await app.inject("/hosts");

  expect(second.statusCode).toBe(429);
  expect(second.headers["retry-after"]).toBe("1");
  expect(second.json()).toMatchObject({ status_code: 429, title: "Too Many Requests" });
  expect([probe.statusCode, third.statusCode]).toEqual([200, 200]);
});

it("gives up on work that takes too long, and tells the work so", async () => {
  const { app, routes } = await serverWithOneHost({ passTimeoutMs: 10 });
  const stopped = door();
  routes.pause = (signal) => {
    signal.addEventListener("abort", () => stopped.open(), { once: true });
    return door().wait();
  };

  const response = await app.inject("/plan");
  await stopped.wait();

  expect(response.statusCode).toBe(503);
  expect(response.headers["retry-after"]).toBe("1");
  expect(response.json()).toMatchObject({ type: "urn:romana:error:transient:REQUEST_TIMED_OUT" });
});

it("tells the work when its client is gone, and not before", async () => {
  const { app, routes } = await serverWithOneHost();
  const address = await listen(app, { kind: "tcp", host: "127.0.0.1", port: 0 });
  const started = door();
  const stopped = door();
  let abortedAtStart: boolean | undefined;
  routes.reconcile = async (signal: AbortSignal) => {
    // The body was read: turns of the event loop pass in which nothing may take that for the client's end.
    await setImmediate();
    await setImmediate();
    abortedAtStart = signal.aborted;
    signal.addEventListener("abort", () => stopped.open(), { once: true });
    started.open();
    return door()
      .wait()
      .then(() => examplePlan);
  };
  const client = new AbortController();
  const answer = fetch(`http://${address}/reconcile`, {
    method: "POST",
    signal: client.signal,
    headers: { "content-type": "application/json" },
    body: "{}",
  });
  await started.wait();

  const failure = answer.catch((error: unknown) => error);
  client.abort();
  await stopped.wait();

  expect(await failure).toMatchObject({ name: "AbortError" });
  expect(abortedAtStart).toBe(false);
  await app.close();
});

it("does not wait for a pass when it closes, but for an allocation", async () => {
  const { app, addressing, routes } = await serverWithOneHost();
  const allocation = door();
  const started = door();
  routes.pause = () => {
    started.open();
    return door().wait();
  };
  addressing.allocate = async () => {
    await allocation.wait();
    return parseIpv4("10.0.0.9");
  };
  const plan = app.inject("/plan");
  const address = app.inject({ method: "POST", url: "/address", payload: { name: "p", host: "node-1" } });
  await started.wait();

  const closed = app.close();
  const refused = await plan;
  allocation.open();
  const answered = await address;
  await closed;

  expect([refused.statusCode, refused.json()]).toEqual([
    503,
    expect.objectContaining({ title: "Service Unavailable" }),
  ]);
  expect([answered.statusCode, answered.body]).toEqual([200, '"10.0.0.9"']);
});

it("answers 415 to a compressed body", async () => {
  const { app } = await serverWithOneHost();
  const headers = { "content-type": "application/json", "content-encoding": "gzip" };

  const response = await app.inject({ method: "POST", url: "/address", headers, payload: gzipSync("{}") });

  expect(response.statusCode).toBe(415);
});

it("answers 413 to a body above the limit, which it names", async () => {
  const { app } = await serverWithOneHost({ maxBodyBytes: 100 });

  const response = await app.inject({
    method: "POST",
    url: "/topology",
    payload: { networks: ["x".repeat(100)] },
  });

  expect(response.statusCode).toBe(413);
  expect(response.json()).toMatchObject({ status_code: 413, details: { limit: 100 } });
});

it("answers 414 to a name that no host can have", async () => {
  const { app } = await serverWithOneHost();

  const response = await app.inject(`/hosts/${"n".repeat(2000)}`);

  expect(response.statusCode).toBe(414);
  expect(response.headers["content-type"]).toBe("application/problem+json");
});

it("answers 400 to a path that is badly escaped", async () => {
  const { app } = await serverWithOneHost();

  const response = await app.inject("/hosts/%zz");

  expect(response.statusCode).toBe(400);
  expect(response.json()).toMatchObject({ status_code: 400 });
});

it.for(["application/xml", "application/json; charset=utf-16", "text/plain", "nonsense"])(
  "answers 415 to a body of type %s and lists what it reads",
  async (type) => {
    const { app } = await serverWithOneHost();

    const response = await app.inject({
      method: "POST",
      url: "/address",
      headers: { "content-type": type },
      payload: '{"name":"p","host":"node-1"}',
    });

    expect(response.statusCode).toBe(415);
    expect(response.json()).toMatchObject({
      details: { supported_content_types: expect.arrayContaining(["application/json"]) },
    });
  },
);

it.for([
  [undefined, "application/json"],
  ["*/*", "application/json"],
  ["application/*;q=0.5", "application/json"],
  ["text/html,application/xhtml+xml,*/*;q=0.8", "application/json"],
  ["application/vnd.romana.v1+json", "application/vnd.romana.v1+json"],
  ["application/json;q=0.1, application/vnd.romana+json", "application/vnd.romana+json"],
  ["text/plain", "text/plain"],
] as const)("answers a client that accepts %s with %s", async ([accept, type]) => {
  const { app } = await serverWithOneHost();

  const response = await app.inject({ url: "/networks", headers: accept === undefined ? {} : { accept } });

  expect([response.statusCode, response.headers["content-type"]?.toString().split(";")[0]]).toEqual([
    200,
    type,
  ]);
});

it.for(["text/html", "application/json;q=0", "image/*"])(
  "answers 406 to a client that accepts only %s",
  async (accept) => {
    const { app } = await serverWithOneHost();

    const response = await app.inject({ url: "/networks", headers: { accept } });

    expect(response.statusCode).toBe(406);
    expect(response.json()).toMatchObject({ details: { supported_content_types: expect.any(Array) } });
  },
);

it("refuses a change that a web page of another site asks for, and lets it read", async () => {
  const { app, addressing } = await serverWithOneHost();
  const headers = { host: "127.0.0.1:9600", origin: "https://elsewhere.example" };

  const write = await app.inject({ method: "DELETE", url: "/hosts/node-1", headers });
  const read = await app.inject({ url: "/hosts", headers });
  const own = await app.inject({
    method: "DELETE",
    url: "/hosts/node-1",
    headers: { ...headers, origin: "http://127.0.0.1:9600" },
  });

  expect([write.statusCode, read.statusCode, own.statusCode]).toEqual([403, 200, 200]);
  expect(addressing.hosts().hosts).toEqual([]);
});

it.for([
  ["transient", "STORE_UNAVAILABLE", "the store does not answer"],
  ["exhausted", "STORE_FULL", "no space is left"],
] as const)("answers 503 with Retry-After and logs it: %s %s", async ([kind, code, text]) => {
  const { app, addressing, log } = await serverWithOneHost();
  addressing.allocate = () => Promise.reject(new NetworkError(kind, code, text));

  const response = await app.inject({
    method: "POST",
    url: "/address",
    payload: { name: "p", host: "node-1" },
  });

  expect(response.statusCode).toBe(503);
  expect(response.headers["retry-after"]).toBe("1");
  expect(response.json()).toMatchObject({ message: text, type: `urn:romana:error:${kind}:${code}` });
  expect(log.lines).toContainEqual(
    expect.objectContaining({ level: "warn", message: "request failed for now" }),
  );
});

it("answers 409 when the network is full", async () => {
  const { app, addressing } = await serverWithOneHost();
  addressing.allocate = () =>
    Promise.reject(new NetworkError("exhausted", "NETWORK_FULL", "all groups are full"));

  const response = await app.inject({
    method: "POST",
    url: "/address",
    payload: { name: "p", host: "node-1" },
  });

  expect(response.statusCode).toBe(409);
  expect(response.json()).toMatchObject({
    type: "urn:romana:error:exhausted:NETWORK_FULL",
    title: "Conflict",
  });
});

it("keeps a bug to the log", async () => {
  const { app, addressing, log } = await serverWithOneHost();
  addressing.networks = () => {
    throw new TypeError("secret inside");
  };

  const response = await app.inject("/networks");

  expect(response.statusCode).toBe(500);
  expect(response.body).not.toContain("secret");
  expect(log.lines).toContainEqual(
    expect.objectContaining({ level: "error", message: "request failed on a bug" }),
  );
});
