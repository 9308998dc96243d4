import { expect, it } from "vitest";

import { examplePlan } from "./fake-routes.ts";
import { serverWithOneHost } from "./support.ts";

it("shows all that is known of a host", async () => {
  const { app } = await serverWithOneHost();

  const response = await app.inject("/hosts/node-1");

  expect(response.json()).toEqual({
    ip: "192.168.0.1",
    name: "node-1",
    agent_port: 9604,
    tags: { zone: "a" },
    k8s_info: null,
    placed: true,
    misplaced: false,
    reason: "",
    origin: "api",
    groups: [{ network: "prod", cidr: "10.0.0.0/24" }],
  });
  expect((await app.inject("/hosts?full=true")).json()).toMatchObject({ hosts: [response.json()] });
});

it.for([
  ["GET", "/hosts/node-9", undefined],
  ["DELETE", "/hosts/node-9", undefined],
  ["PUT", "/hosts/node-9/labels", { labels: {} }],
] as const)("answers 404 to %s %s of an unknown host", async ([method, url, payload]) => {
  const { app } = await serverWithOneHost();

  const response = await app.inject({ method, url, ...(payload === undefined ? {} : { payload }) });

  expect(response.statusCode).toBe(404);
  expect(response.headers["content-type"]).toBe("application/problem+json");
  expect(response.json()).toMatchObject({
    status_code: 404,
    resource_id: "node-9",
    resource_type: "host",
    type: "urn:romana:error:not-found:HOST_NOT_FOUND",
    title: "Not Found",
  });
});

it("removes a host", async () => {
  const { app, addressing } = await serverWithOneHost();

  const response = await app.inject({ method: "DELETE", url: "/hosts/node-1" });

  expect([response.statusCode, response.body]).toEqual([200, "null"]);
  expect(addressing.hosts().hosts).toEqual([]);
});

it("replaces the labels of a host", async () => {
  const { app, addressing } = await serverWithOneHost();

  const response = await app.inject({
    method: "PUT",
    url: "/hosts/node-1/labels",
    payload: { labels: { rack: "7" } },
  });

  expect([response.statusCode, response.body]).toEqual([200, "null"]);
  expect(addressing.hosts().hosts[0]?.tags).toEqual({ rack: "7" });
});

it("refuses labels that are no text", async () => {
  const { app } = await serverWithOneHost();

  const response = await app.inject({
    method: "PUT",
    url: "/hosts/node-1/labels",
    payload: { labels: { rack: 7 } },
  });

  expect(response.statusCode).toBe(400);
  expect(response.json()).toMatchObject({ details: { issues: [expect.stringMatching(/^labels\.rack: /)] } });
});

it("finds a host whose name has the length that a name may have", async () => {
  const { app } = await serverWithOneHost();
  const name = `${"n".repeat(126)}/${"n".repeat(126)}`;
  await app.inject({ method: "POST", url: "/hosts", payload: { name, ip: "192.168.0.2" } });

  const response = await app.inject(`/hosts/${encodeURIComponent(name)}`);

  expect(response.json()).toMatchObject({ name });
});

it("takes no host whose name no path can hold", async () => {
  const { app, addressing } = await serverWithOneHost();
  const post = (name: string) =>
    app.inject({ method: "POST", url: "/hosts", payload: { name, ip: "192.168.0.2" } });

  const longest = "é".repeat(1024);
  const refused = await post(`${longest}é`);
  const taken = await post(longest);
  const removed = await app.inject({ method: "DELETE", url: `/hosts/${encodeURIComponent(longest)}` });

  expect([refused.statusCode, taken.statusCode, removed.statusCode]).toEqual([400, 200, 200]);
  expect(refused.json()).toMatchObject({
    message: "the request is not valid: name: a name has at most 1024 characters",
  });
  expect(addressing.hosts().hosts.map(({ name }) => name)).toEqual(["node-1"]);
});

it("keeps blackouts", async () => {
  const { app } = await serverWithOneHost();

  const added = await app.inject({
    method: "POST",
    url: "/networks/prod/blackouts",
    payload: { cidr: "10.0.0.0/30" },
  });
  const listed = await app.inject("/networks/prod/blackouts");
  const removed = await app.inject({ method: "DELETE", url: "/networks/prod/blackouts?cidr=10.0.0.0/30" });
  const again = await app.inject({ method: "DELETE", url: "/networks/prod/blackouts?cidr=10.0.0.0/30" });

  expect([added.body, removed.body]).toEqual(["null", "null"]);
  expect(listed.body).toBe('[{"cidr":"10.0.0.0/30"}]');
  expect(again.statusCode).toBe(404);
});

it.for(["/networks/none/blocks", "/networks/none/blackouts"])(
  "answers 404 to an unknown network: %s",
  async (url) => {
    const { app } = await serverWithOneHost();

    const response = await app.inject(url);

    expect(response.statusCode).toBe(404);
    expect(response.json()).toMatchObject({ resource_type: "network", resource_id: "none" });
  },
);

it.for([
  ["POST", "/hosts", { name: "node-2", ip: "192.168.0.300" }],
  ["POST", "/hosts", { name: "node-2" }],
  ["POST", "/hosts", { name: "node-2", ip: "192.168.0.2", agent_port: 70_000 }],
  ["POST", "/address", { name: "p", host: "node-1", address: "10.0.0" }],
  ["POST", "/networks/prod/blackouts", { cidr: "10.0.0.1/30" }],
  ["POST", "/networks/prod/blackouts", {}],
] as const)("answers 400 to %s %s of what is no value: %j", async ([method, url, payload]) => {
  const { app } = await serverWithOneHost();

  const response = await app.inject({ method, url, payload });

  expect(response.statusCode).toBe(400);
  expect(response.json()).toMatchObject({
    status_code: 400,
    type: expect.stringMatching(/^urn:romana:error:invalid:/),
  });
});

it("refuses an exact address that somebody else holds, and a host whose address is taken", async () => {
  const { app } = await serverWithOneHost();
  await app.inject({
    method: "POST",
    url: "/address",
    payload: { name: "p", host: "node-1", address: "10.0.0.7" },
  });

  const address = await app.inject({
    method: "POST",
    url: "/address",
    payload: { name: "q", host: "node-1", address: "10.0.0.7" },
  });
  const host = await app.inject({
    method: "POST",
    url: "/hosts",
    payload: { name: "node-2", ip: "192.168.0.1" },
  });

  expect([address.statusCode, host.statusCode]).toEqual([409, 409]);
});

it("lists the addresses in use with their owners", async () => {
  const { app } = await serverWithOneHost();
  await app.inject({
    method: "POST",
    url: "/address",
    payload: { name: "p", host: "node-1", tenant: "t", address: "10.0.0.7" },
  });

  const response = await app.inject("/addresses");

  expect(response.json()).toEqual([
    { name: "p", address: "10.0.0.7", host: "node-1", tenant: "t", segment: "", network: "prod" },
  ]);
});

it("lists addresses in their order, whatever the order in which they were taken", async () => {
  const { app } = await serverWithOneHost();
  for (const address of ["10.0.0.12", "10.0.0.100", "10.0.0.4", "10.0.0.5"]) {
    const payload = { name: `pod-${address}`, host: "node-1", tenant: "t", address };
    await app.inject({ method: "POST", url: "/address", payload });
  }

  const response = await app.inject("/addresses");

  expect(response.json<{ address: string }[]>().map(({ address }) => address)).toEqual([
    "10.0.0.4",
    "10.0.0.5",
    "10.0.0.12",
    "10.0.0.100",
  ]);
});

it("tells what the last topology update warned of", async () => {
  const { app } = await serverWithOneHost();

  await app.inject({ method: "POST", url: "/topology", payload: { networks: [], toplogies: [] } });

  const response = await app.inject("/topology/status");

  expect(response.json()).toEqual({
    revision: 3,
    warnings: [{ place: "toplogies", message: expect.stringContaining('unknown key "toplogies"') }],
  });
});

it.for([
  ["GET", "/plan"],
  ["POST", "/rebalance"],
  ["POST", "/reconcile"],
] as const)("answers %s %s with a plan", async ([method, url]) => {
  const { app, routes } = await serverWithOneHost();

  const response = await app.inject({ method, url });

  expect(response.json()).toEqual(examplePlan);
  expect(routes.done).toEqual(method === "GET" ? [] : [url.slice(1)]);
});

it.for([
  ["/routes", "routes"],
  ["/health/nodes", "health"],
  ["/status", "status"],
] as const)("answers GET %s with what the controller says", async ([url, method]) => {
  const { app, routes } = await serverWithOneHost();

  const response = await app.inject(url);

  expect(response.json()).toEqual(routes[method]());
});

it("is alive while it is not ready, and says what it waits for", async () => {
  const { app, routes } = await serverWithOneHost();
  routes.reasons = ["the store does not answer"];

  const alive = await app.inject("/healthz");
  const ready = await app.inject("/readyz");

  expect([alive.statusCode, alive.body]).toEqual([200, '{"status":"ok"}']);
  expect(ready.statusCode).toBe(503);
  expect(ready.json()).toEqual({
    ready: false,
    reasons: ["the store does not answer"],
    stale: false,
    leader: true,
  });
});
