import { get, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

import { afterEach, expect, it, vi } from "vitest";

import { parseEvents, policy, type SeenEvent } from "../services/watch-support.ts";
import { serverWithOneHost } from "./support.ts";

const signal = new AbortController().signal;
const closers: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) {
    await close();
  }
});

/** A server that listens, and what opens streams on it. */
async function serving() {
  const parts = await serverWithOneHost();
  await parts.app.listen({ host: "127.0.0.1", port: 0 });
  closers.push(() => parts.app.close());
  const { port } = parts.app.server.address() as AddressInfo;
  return { ...parts, watch: (path: string, headers = {}) => Stream.open(port, path, headers) };
}

/** A stream as a client has it. */
class Stream {
  readonly response: IncomingMessage;
  #text = "";
  isOver = false;

  private constructor(response: IncomingMessage) {
    this.response = response;
    response.setEncoding("utf8");
    response.on("data", (text: string) => {
      this.#text += text;
    });
    response.once("close", () => {
      this.isOver = true;
    });
  }

  static open(port: number, path: string, headers: Readonly<Record<string, string>>): Promise<Stream> {
    return new Promise((resolve, reject) => {
      const options = { host: "127.0.0.1", port, path, agent: false, headers };
      get(options, (response) => resolve(new Stream(response))).once("error", reject);
    });
  }

  get text(): string {
    return this.#text;
  }

  /** Waits until there are that many events. */
  async events(count: number): Promise<readonly SeenEvent[]> {
    await vi.waitUntil(() => parseEvents(this.#text).length >= count, { timeout: 5000 });
    return parseEvents(this.#text);
  }
}

it("sends events as they happen, under the type of such streams", async () => {
  const { watch, policies } = await serving();
  const stream = await watch("/watch/policy-documents", { accept: "text/event-stream" });
  await stream.events(1);

  await policies.save(policy("p"), signal);

  const events = await stream.events(2);
  expect(stream.response.statusCode).toBe(200);
  expect(stream.response.headers).toMatchObject({
    "content-type": "text/event-stream",
    "cache-control": "no-store",
  });
  expect(events.map(({ event }) => event)).toEqual(["bookmark", "put"]);
  expect(stream.text).toContain(`id: ${events[1]?.id}\nevent: put\ndata: ${JSON.stringify(policy("p"))}\n\n`);
});

it.for([
  ["hosts", "/hosts/node-1", (body: unknown) => body],
  ["blocks", "/blocks", (body: unknown) => (body as { blocks: readonly unknown[] }).blocks[0]],
  ["addresses", "/addresses", (body: unknown) => (body as readonly unknown[])[0]],
  ["policy-documents", "/policies", (body: unknown) => (body as readonly unknown[])[0]],
  ["routes", "/routes", (body: unknown) => (body as { routes: readonly unknown[] }).routes[0]],
] as const)("shows %s in the shape of GET %s", async ([kind, url, pick]) => {
  const { app, watch, policies, addressing } = await serving();
  await addressing.allocate({ name: "pod", host: "node-1", tenant: "t", segment: "s" }, signal);
  await policies.save(policy("p"), signal);

  const [first] = await (await watch(`/watch/${kind}?revision=0`)).events(2);

  expect(JSON.stringify(first?.data)).toBe(JSON.stringify(pick((await app.inject(url)).json())));
});

it("shows the models of Romana's documents and of the cluster's policies in one stream, as they change", async () => {
  const { store, watch, policies, clusterPolicies } = await serving();
  const model = {
    id: "kube.shop.p.u",
    source: { kind: "network-policy", namespace: "shop", name: "p", uid: "u" },
    targets: [{ kind: "pods", namespaces: { kind: "named", name: "shop" }, pods: [] }],
    isolates: ["ingress"],
    ingress: [],
    egress: [],
  } as const;
  const { revision } = await store.commit(
    { compare: [], operations: [{ kind: "put", key: "/romana/election/one", value: "{}" }] },
    signal,
  );
  const guard = { key: "/romana/election/one", modRevision: revision };
  await policies.save(policy("kube.shop.p.u"), signal);
  await clusterPolicies.write({ put: [model], remove: [] }, guard, signal);
  const stream = await watch("/watch/policies?revision=0");
  await stream.events(3);

  await policies.save(policy("late"), signal);
  await clusterPolicies.write({ put: [{ ...model, isolates: ["egress"] }], remove: [] }, guard, signal);
  await policies.remove("late", signal);
  await clusterPolicies.write({ put: [], remove: [model.id] }, guard, signal);

  const events = await stream.events(7);
  expect(events.map(({ event, data }) => [event, data["id"]])).toEqual([
    ["put", "romana.kube.shop.p.u"],
    ["put", "kube.shop.p.u"],
    ["bookmark", undefined],
    ["put", "romana.late"],
    ["put", "kube.shop.p.u"],
    ["delete", "romana.late"],
    ["delete", "kube.shop.p.u"],
  ]);
  expect(events[1]?.data).toEqual(model);
  expect(events[3]?.data).toEqual({
    id: "romana.late",
    source: { kind: "romana", id: "late" },
    targets: [{ kind: "tenant", tenant: "t" }],
    isolates: ["ingress"],
    ingress: [{ peers: [{ kind: "any" }], traffic: [{ protocol: "any" }] }],
    egress: [],
  });
  const ids = events.slice(3).map(({ id }) => id ?? 0);
  expect(ids).toEqual(ids.toSorted((a, b) => a - b));
  expect(new Set(ids).size).toBe(4);
});

it("goes on after Last-Event-ID, which counts more than the query", async () => {
  const { watch, policies } = await serving();
  const before = await watch("/watch/policy-documents?revision=0");
  await policies.save(policy("a"), signal);
  const last = (await before.events(2)).at(-1)?.id ?? 0;
  before.response.destroy();
  await policies.save(policy("b"), signal);

  const after = await watch("/watch/policy-documents?revision=0", { "last-event-id": `${last}` });

  expect((await after.events(2)).map(({ event, data }) => [event, data["id"]])).toEqual([
    ["put", "b"],
    ["bookmark", undefined],
  ]);
});

it.for([
  ["/watch/policy-documents?revision=x", {}, 400, "REQUEST_INVALID"],
  ["/watch/policy-documents?revision=99999999999999999", {}, 400, "REQUEST_INVALID"],
  ["/watch/policy-documents", { "last-event-id": "none" }, 400, "REQUEST_INVALID"],
  ["/watch/routes?revision=1", {}, 410, "WATCH_TOO_OLD"],
] as const)("answers %s with %j by a problem", async ([path, headers, status, code]) => {
  const { app } = await serverWithOneHost();

  const response = await app.inject({ url: path, headers });

  expect(response.statusCode).toBe(status);
  expect(response.headers["content-type"]).toBe("application/problem+json");
  expect(response.json<{ type: string }>().type).toMatch(new RegExp(`:${code}$`));
});

it("serves no HEAD of a stream, which would have no end either", async () => {
  const { app } = await serverWithOneHost();

  expect((await app.inject({ method: "HEAD", url: "/watch/hosts" })).statusCode).toBe(404);
});

it("forgets a reader that goes away", async () => {
  const { watch, feed } = await serving();
  const stream = await watch("/watch/hosts");
  await stream.events(1);
  const open = feed.streams;

  stream.response.destroy();

  await vi.waitFor(() => expect(feed.streams).toBe(0));
  expect(open).toBe(1);
});

it("keeps no request from being answered, however many streams are open", async () => {
  const parts = await serverWithOneHost({ maxInFlight: 1 });
  await parts.app.listen({ host: "127.0.0.1", port: 0 });
  closers.push(() => parts.app.close());
  const { port } = parts.app.server.address() as AddressInfo;
  const streams = await Promise.all([1, 2, 3].map(() => Stream.open(port, "/watch/hosts?revision=0", {})));
  await Promise.all(streams.map((stream) => stream.events(2)));

  expect((await parts.app.inject("/hosts")).statusCode).toBe(200);
});

it("ends every stream when the server closes, which does not wait for them", async () => {
  const { app, watch } = await serving();
  const streams = await Promise.all(
    ["hosts", "policies", "policy-documents", "routes"].map((kind) => watch(`/watch/${kind}`)),
  );
  await Promise.all(streams.map((stream) => stream.events(1)));

  await app.close();

  await vi.waitFor(() => expect(streams.map(({ isOver }) => isOver)).toEqual([true, true, true, true]));
});

it("refuses to take back a tenant or segment whose addresses are in use, and tells of those that nobody declared", async () => {
  const { app, addressing } = await serverWithOneHost();
  await addressing.allocate({ name: "pod", host: "node-1", tenant: "t", segment: "s" }, signal);

  const answers = await Promise.all([
    app.inject({ method: "DELETE", url: "/tenants/t" }),
    app.inject({ method: "DELETE", url: "/tenants/t/segments/s" }),
    app.inject("/tenants"),
    app.inject("/tenants/t/segments/nothing"),
  ]);

  expect(answers.map(({ statusCode }) => statusCode)).toEqual([409, 409, 200, 404]);
  expect(answers[1]?.json()).toMatchObject({
    type: "urn:romana:error:conflict:SEGMENT_IN_USE",
    resource_type: "segment",
    resource_id: "s",
  });
  expect(answers[2]?.body).toBe(
    '[{"name":"t","declared":false,"segments":["s"],"networks":["prod"],"addresses":1,"blocks":1}]',
  );
});
