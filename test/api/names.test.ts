import { expect, it } from "vitest";

import { emptyServer, serverWithOneHost } from "./support.ts";

const half = "\ud800";
const long = "n".repeat(1025);

it.for([
  ["/address", { name: "p", host: "node-1", tenant: half }, "tenant: half of a surrogate pair"],
  ["/address", { name: "p", host: "node-1", segment: half }, "segment: half of a surrogate pair"],
  ["/address", { name: half, host: "node-1" }, "name: half of a surrogate pair"],
  ["/hosts", { name: half, ip: "192.168.0.7" }, "name: half of a surrogate pair"],
  ["/hosts", { name: "h", ip: "192.168.0.7", tags: { a: half } }, "tags.a: half of a surrogate pair"],
  ["/hosts", { name: "h", ip: "192.168.0.7", tags: { [half]: "a" } }, "Invalid key in record"],
] as const)("refuses a text that no store can hold: POST %s %j", async ([url, payload, problem]) => {
  const { app } = await serverWithOneHost();

  const response = await app.inject({ method: "POST", url, payload });

  expect([response.statusCode, response.json<{ message: string }>().message]).toEqual([
    400,
    expect.stringContaining(problem),
  ]);
});

it.for([
  ["name", { name: long, host: "node-1" }],
  ["tenant", { name: "p", host: "node-1", tenant: long }],
  ["segment", { name: "p", host: "node-1", segment: long }],
] as const)("refuses an address with a %s that could not stand in a path", async ([place, payload]) => {
  const { app, addressing } = await serverWithOneHost();

  const response = await app.inject({ method: "POST", url: "/address", payload });

  expect([response.statusCode, response.json<{ message: string }>().message]).toEqual([
    400,
    expect.stringContaining(`${place}: a name has at most 1024 characters`),
  ]);
  expect(addressing.addresses()).toEqual([]);
});

it.for([".", ".."])("refuses a host called %j, which clients would take out of the path", async (name) => {
  const { app, addressing } = await serverWithOneHost();

  const response = await app.inject({ method: "POST", url: "/hosts", payload: { name, ip: "192.168.0.7" } });

  expect(response.statusCode).toBe(400);
  expect(addressing.hosts().hosts).toHaveLength(1);
});

it.for(["a/b", "a%2Fb", "a b?#", "ü", "..."])("serves a network called %j under its name", async (name) => {
  const { app } = await emptyServer();
  const payload = {
    networks: [{ name, cidr: "10.0.0.0/24" }],
    topologies: [{ networks: [name], map: [{ name: "all" }] }],
  };
  const blackouts = `/networks/${encodeURIComponent(name)}/blackouts`;

  const answers = [
    await app.inject({ method: "POST", url: "/topology", payload }),
    await app.inject({ method: "POST", url: blackouts, payload: { cidr: "10.0.0.240/28" } }),
    await app.inject(blackouts),
    await app.inject(blackouts.replace("blackouts", "blocks")),
    await app.inject({ method: "DELETE", url: `${blackouts}?cidr=10.0.0.240/28` }),
  ];

  expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200, 200, 200]);
  expect(answers[2]?.json()).toEqual([{ cidr: "10.0.0.240/28" }]);
});

it.for([
  ["GET", "/tenants/none/segments", undefined, "tenant", "none"],
  ["POST", "/tenants/none/segments", { name: "web" }, "tenant", "none"],
  ["GET", "/tenants/none/segments/web", undefined, "tenant", "none"],
  ["GET", "/tenants/shop/segments/web", undefined, "segment", "web"],
  ["DELETE", "/tenants/none/segments/web", undefined, "tenant", "none"],
  ["POST", "/address", { name: "p", host: "node-9" }, "host", "node-9"],
  ["GET", "/networks/none/blocks", undefined, "network", "none"],
] as const)("names what is not there: %s %s", async ([method, url, payload, type, id]) => {
  const { app } = await serverWithOneHost();
  await app.inject({ method: "POST", url: "/tenants", payload: { name: "shop" } });

  const response = await app.inject({ method, url, ...(payload === undefined ? {} : { payload }) });

  expect(response.statusCode).toBe(404);
  expect(response.json()).toMatchObject({ resource_type: type, resource_id: id });
});

it.for([
  ["/policies/*", "application/json"],
  ["/networks/*/blocks", "application/json"],
  ["/networks/*/blackouts", "application/problem+json"],
  ["/hosts/*", "application/problem+json"],
  ["/tenants/*", "application/problem+json"],
] as const)("answers a path whose name cannot be read in the form of its kind: %s", async ([path, type]) => {
  const { app } = await serverWithOneHost();

  const answers = await Promise.all(
    ["%zz", "%ff", long].map((name) => app.inject(`${path.replace("*", name)}?x=y`)),
  );

  expect(answers.map(({ statusCode }) => statusCode)).toEqual([400, 400, 414]);
  expect(answers.map(({ headers }) => headers["content-type"])).toEqual([type, type, type]);
});
