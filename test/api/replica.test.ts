import { expect, it } from "vitest";

import { serverWithOneHost } from "./support.ts";

const other = { id: "replica-2", url: "https://10.0.0.5:9600/", epoch: 8, since: 0 };

it.for([
  ["GET", "/routes"],
  ["GET", "/plan?a=b"],
  ["GET", "/health/nodes"],
  ["POST", "/rebalance"],
  ["POST", "/reconcile"],
] as const)("sends %s %s to the leader when another replica leads", async ([method, url]) => {
  const { app, leader, routes } = await serverWithOneHost();
  leader.current = other;

  const response = await app.inject({ method, url });

  expect(response.statusCode).toBe(307);
  expect(response.headers.location).toBe(`https://10.0.0.5:9600${url}`);
  expect(response.headers["content-type"]).toBe("application/problem+json");
  expect(response.json()).toMatchObject({
    status_code: 307,
    type: "urn:romana:error:transient:NOT_LEADER",
    title: "Temporary Redirect",
  });
  expect(routes.done).toEqual([]);
});

it.for([
  ["nobody leads", undefined, "LEADER_NONE"],
  ["the leader does not say where it is", { ...other, url: "" }, "LEADER_UNREACHABLE"],
] as const)("answers 503 to what needs the leader while %s", async ([, current, code]) => {
  const { app, leader } = await serverWithOneHost();
  leader.current = current;

  const response = await app.inject("/routes");

  expect([response.statusCode, response.headers["retry-after"]]).toEqual([503, "1"]);
  expect(response.json()).toMatchObject({ type: `urn:romana:error:transient:${code}` });
});

it("answers everything else on a follower, and is as ready as the leader", async () => {
  const { app, leader, routes } = await serverWithOneHost();
  leader.current = other;
  routes.reasons = ["the VPC was not read yet"];

  const given = await app.inject({
    method: "POST",
    url: "/address",
    payload: { name: "p", host: "node-1" },
  });
  const ready = await app.inject("/readyz");
  const shown = await app.inject("/leader");

  expect([given.statusCode, given.body]).toEqual([200, '"10.0.0.0"']);
  expect([ready.statusCode, ready.json()]).toEqual([
    200,
    { ready: true, reasons: [], stale: false, leader: false },
  ]);
  expect(shown.json()).toEqual({
    id: "replica-2",
    url: "https://10.0.0.5:9600/",
    epoch: 8,
    since: "1970-01-01T00:00:00.000Z",
    self: false,
  });
});

it("knows no leader while nobody leads", async () => {
  const { app, leader } = await serverWithOneHost();
  leader.current = undefined;

  const response = await app.inject("/leader");

  expect(response.statusCode).toBe(404);
  expect(response.json()).toMatchObject({ type: "urn:romana:error:not-found:LEADER_NONE" });
});

it("reads from memory and changes nothing while the store is silent, and recovers by itself", async () => {
  const { app, surroundings, addressing } = await serverWithOneHost({ storeSilentMs: 50 });
  const allocate = () =>
    app.inject({ method: "POST", url: "/address", payload: { name: "p", host: "node-1" } });

  surroundings.silentMs = 12_999;
  const read = await app.inject("/hosts");
  const head = await app.inject({ method: "HEAD", url: "/hosts" });
  const ready = await app.inject("/readyz");
  const refused = await allocate();
  const kept = addressing.addresses();
  surroundings.silentMs = 50;
  const fresh = await app.inject("/hosts");
  const given = await allocate();

  expect([read.statusCode, read.headers["romana-stale"]]).toEqual([200, "12"]);
  expect(read.json()).toMatchObject({ hosts: [{ name: "node-1" }] });
  expect(head.headers["romana-stale"]).toBe("12");
  expect([ready.statusCode, ready.json()]).toEqual([
    200,
    { ready: true, reasons: [], stale: true, leader: true },
  ]);
  expect([refused.statusCode, refused.headers["retry-after"]]).toEqual([503, "1"]);
  expect(refused.json()).toMatchObject({
    type: "urn:romana:error:transient:STORE_SILENT",
    details: { silentSeconds: 12 },
  });
  expect(kept).toEqual([]);
  expect(fresh.headers).not.toHaveProperty("romana-stale");
  expect(given.statusCode).toBe(200);
});

it("tolerates seven seconds of silence", async () => {
  const { app, surroundings } = await serverWithOneHost();

  surroundings.silentMs = 7000;
  const tolerated = await app.inject("/hosts");
  surroundings.silentMs = 7001;
  const stale = await app.inject("/hosts");

  expect(tolerated.headers["romana-stale"]).toBeUndefined();
  expect(stale.headers["romana-stale"]).toBe("7");
});

it("is not alive when its work has stopped", async () => {
  const { app, surroundings } = await serverWithOneHost();
  surroundings.stuck = ["no pass has begun for 10 min"];

  const response = await app.inject("/healthz");

  expect(response.statusCode).toBe(503);
  expect(response.json()).toEqual({ status: "stuck", reasons: ["no pass has begun for 10 min"] });
});

it("lists the blocks of one host alone", async () => {
  const { app } = await serverWithOneHost();
  await app.inject({ method: "POST", url: "/hosts", payload: { name: "node-2", ip: "192.168.0.2" } });
  for (const [name, host] of [
    ["p", "node-1"],
    ["q", "node-2"],
  ]) {
    await app.inject({ method: "POST", url: "/address", payload: { name, host } });
  }

  const response = await app.inject("/hosts/node-2/blocks");
  const unknown = await app.inject("/hosts/node-3/blocks");

  expect(response.body).toBe(
    '{"revision":2,"blocks":[{"revision":1,"cidr":"10.0.0.4/30","tenant":"","segment":"","host":"node-2","allocated_ip_count":1}]}',
  );
  expect(unknown.statusCode).toBe(404);
});
