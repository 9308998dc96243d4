import { expect, it } from "vitest";

import { emptyServer, serverWithOneHost } from "../support.ts";

const json = { "content-type": "application/json" };

it.for([
  [
    "GET",
    "/hosts",
    undefined,
    '{"hosts":[{"ip":"192.168.0.1","name":"node-1","agent_port":9604,"tags":{"zone":"a"},"k8s_info":null,"placed":true}],"revision":2}',
  ],
  [
    "POST",
    "/hosts",
    { ip: "192.168.0.2", name: "node-2", agent_port: 0, tags: null, k8s_info: null },
    "null",
  ],
  ["GET", "/networks", undefined, '[{"revision":0,"id":"prod","cidr":"10.0.0.0/24"}]'],
  ["GET", "/networks/prod/blocks", undefined, '{"revision":0,"blocks":[]}'],
  ["GET", "/blocks", undefined, '{"revision":0,"blocks":[]}'],
  ["POST", "/address", { name: "pod-1", host: "node-1", tenant: "t", segment: "s" }, '"10.0.0.0"'],
  ["POST", "/topology", { networks: null, topologies: null }, "null"],
] as const)("answers %s %s with the original's bytes", async ([method, url, payload, expected]) => {
  const { app } = await serverWithOneHost();

  const response = await app.inject({ method, url, ...(payload === undefined ? {} : { payload }) });

  expect(response.statusCode).toBe(200);
  expect(response.headers["content-type"]).toBe("application/json");
  expect(response.body).toBe(expected);
});

it.for([
  ["/topology", '{"networks":null,"topologies":null}'],
  ["/hosts", '{"hosts":[],"revision":0}'],
  ["/networks", "[]"],
  ["/blocks", '{"revision":0,"blocks":[]}'],
] as const)("answers GET %s of an empty server with the original's bytes", async ([url, expected]) => {
  const { app } = await emptyServer();

  const response = await app.inject(url);

  expect([response.statusCode, response.body]).toEqual([200, expected]);
});

it("gives a topology out in a form that can be posted back", async () => {
  const { app } = await serverWithOneHost();
  const before = await app.inject("/topology");

  const posted = await app.inject({ method: "POST", url: "/topology", headers: json, payload: before.body });
  const after = await app.inject("/topology");

  expect([posted.statusCode, posted.body]).toEqual([200, "null"]);
  expect(after.body).toBe(before.body);
});

it("refuses a topology whole, and names every problem with its place", async () => {
  const { app } = await serverWithOneHost();
  const payload = {
    networks: [
      { name: "a", cidr: "10.0.0.0/33" },
      { name: "b", cidr: "10.1.0.0/16", block_mask: 8 },
    ],
  };

  const response = await app.inject({ method: "POST", url: "/topology", payload });

  expect(response.statusCode).toBe(400);
  expect(response.json()).toMatchObject({
    type: "urn:romana:error:invalid:TOPOLOGY_INVALID",
    details: {
      problems: expect.arrayContaining([
        expect.stringContaining("networks[0].cidr"),
        expect.stringContaining("networks[1].block_mask"),
      ]),
    },
  });
  expect((await app.inject("/networks")).json()).toMatchObject([{ id: "prod" }]);
});

it("lists the fields of a block in the original's order", async () => {
  const { app } = await serverWithOneHost();
  await app.inject({
    method: "POST",
    url: "/address",
    payload: { name: "p", host: "node-1", tenant: "t", segment: "s" },
  });

  const response = await app.inject("/blocks");

  expect(response.body).toBe(
    '{"revision":1,"blocks":[{"revision":1,"cidr":"10.0.0.0/30","tenant":"t","segment":"s","host":"node-1","allocated_ip_count":1}]}',
  );
});

it("shows a host without tags as the original's null", async () => {
  const { app } = await serverWithOneHost();
  await app.inject({ method: "POST", url: "/hosts", payload: { name: "node-2", ip: "192.168.0.2" } });

  const response = await app.inject("/hosts");

  expect(response.json()).toMatchObject({
    hosts: [{ tags: { zone: "a" } }, { name: "node-2", tags: null }],
    revision: 3,
  });
});

it.for([
  ["its name", "pod-1"],
  ["its address", "10.0.0.0"],
])("releases an address by %s", async ([, key]) => {
  const { app, addressing } = await serverWithOneHost();
  await app.inject({ method: "POST", url: "/address", payload: { name: "pod-1", host: "node-1" } });

  const response = await app.inject({ method: "DELETE", url: `/address?addressName=${key}` });

  expect([response.statusCode, response.body]).toEqual([200, "null"]);
  expect(addressing.addresses()).toEqual([]);
});

it("asks for a name before it asks for a host", async () => {
  const { app } = await serverWithOneHost();

  const nameless = await app.inject({ method: "POST", url: "/address", payload: { tenant: "t" } });
  const hostless = await app.inject({ method: "POST", url: "/address", payload: { name: "p" } });

  expect(nameless.json()).toMatchObject({ status_code: 400, details: "Name required", see_also: "" });
  expect(hostless.json()).toMatchObject({ status_code: 400, details: "Host required", see_also: "" });
  expect([nameless.statusCode, hostless.statusCode]).toEqual([400, 400]);
});

it("tells who holds a name that is asked for twice: address, host, tenant and segment as they are recorded", async () => {
  const { app } = await serverWithOneHost();
  const ask = (tenant: string) => ({
    method: "POST" as const,
    url: "/address",
    payload: { name: "p", host: "node-1", tenant, segment: "s" },
  });
  await app.inject(ask("shop"));
  const request = ask("other");

  const response = await app.inject(request);

  expect(response.statusCode).toBe(409);
  expect(response.json()).toMatchObject({
    status_code: 409,
    details: {
      Type: "address",
      Attributes: ["name=p"],
      Object: { address: "10.0.0.0", host: "node-1", tenant: "shop", segment: "s" },
      Message: "Address with name p already allocated: 10.0.0.0",
    },
    type: "urn:romana:error:conflict:ADDRESS_EXISTS",
  });
});

it.for([
  ["its name", { name: "node-1", ip: "192.168.0.9" }],
  ["its address", { name: "node-9", ip: "192.168.0.1" }],
  ["both", { name: "node-1", ip: "192.168.0.1" }],
] as const)("tells which host stands in the way of another with %s", async ([, payload]) => {
  const { app } = await serverWithOneHost();

  const response = await app.inject({ method: "POST", url: "/hosts", payload });

  expect(response.statusCode).toBe(409);
  expect(response.json()).toMatchObject({
    resource_type: "host",
    details: {
      Type: "host",
      Attributes: [`name=${payload.name}`, `IP=${payload.ip}`],
      Object: { ip: "192.168.0.1", name: "node-1" },
    },
  });
});

it.for([
  ["?addressName=zz", "map[name:zz]"],
  ["", "map[name:]"],
])("answers 404 with the original's map to a release of nothing: %s", async ([query, id]) => {
  const { app } = await serverWithOneHost();

  const response = await app.inject({ method: "DELETE", url: `/address${query}` });

  expect(response.statusCode).toBe(404);
  expect(response.headers["content-type"]).toBe("application/json");
  expect(response.json()).toMatchObject({
    status_code: 404,
    resource_id: id,
    resource_type: "address",
    see_also: "",
  });
});

it("begins an error with the original's keys in its order", async () => {
  const { app } = await serverWithOneHost();

  const response = await app.inject({ method: "DELETE", url: "/address?addressName=zz" });

  expect(Object.keys(response.json())).toEqual([
    "status_code",
    "details",
    "resource_id",
    "resource_type",
    "see_also",
    "message",
    "type",
    "title",
  ]);
});

it.for([
  ["GET", "/nowhere", "/nowhere"],
  ["PATCH", "/hosts", "/hosts"],
  ["GET", "/nowhere?a=b", "/nowhere?..."],
] as const)("answers %s %s as an unknown path", async ([method, url, shown]) => {
  const { app } = await serverWithOneHost();

  const response = await app.inject({ method, url });

  expect(response.statusCode).toBe(404);
  expect(response.headers["content-type"]).toBe("text/plain; charset=utf-8");
  expect(response.body).toBe(
    `{"status_code":404,"resource_id":"${shown}","resource_type":"URI","see_also":""}\n`,
  );
});

it("sends a path with a slash too many to the one without", async () => {
  const { app } = await serverWithOneHost();

  const response = await app.inject("/hosts/?full=true");

  expect([response.statusCode, response.headers.location]).toEqual([301, "/hosts?full=true"]);
});

it.for(["//elsewhere.example/", "/\\elsewhere.example/"])(
  "redirects nobody to another server: %s",
  async (url) => {
    const { app } = await serverWithOneHost();

    const response = await app.inject({ method: "GET", url });

    expect(response.headers.location ?? "/").toMatch(/^\/(?![/\\])/);
  },
);

it.for([
  [undefined],
  ["application/json"],
  ["application/json; charset=utf-8"],
  ["application/json;charset=UTF-8"],
  ["application/vnd.romana.v1+json"],
  ["application/vnd.romana+json"],
])("reads JSON that is called %s", async ([type]) => {
  const { app, addressing } = await serverWithOneHost();

  const response = await app.inject({
    method: "POST",
    url: "/address",
    headers: type === undefined ? {} : { "content-type": type },
    payload: Buffer.from('{"name":"p","host":"node-1"}'),
  });

  expect([response.statusCode, response.body]).toEqual([200, '"10.0.0.0"']);
  expect(addressing.addresses()).toHaveLength(1);
});

it("reads a form", async () => {
  const { app, addressing } = await serverWithOneHost();

  const response = await app.inject({
    method: "POST",
    url: "/hosts",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    payload: "name=node-2&ip=192.168.0.2&agent_port=9999",
  });

  expect([response.statusCode, response.body]).toEqual([200, "null"]);
  expect(addressing.hosts().hosts[1]).toMatchObject({ name: "node-2", agentPort: 9999 });
});

it("takes an empty port of a form as absent, and says what a port is", async () => {
  const { app, addressing } = await serverWithOneHost();
  const post = (payload: string) =>
    app.inject({
      method: "POST",
      url: "/hosts",
      headers: { "content-type": "application/x-www-form-urlencoded" },
      payload,
    });

  const empty = await post("name=node-2&ip=192.168.0.2&agent_port=");
  const wrong = await post("name=node-3&ip=192.168.0.3&agent_port=http");

  expect([empty.statusCode, empty.body]).toEqual([200, "null"]);
  expect(addressing.hosts().hosts[1]).toMatchObject({ name: "node-2", agentPort: 9604 });
  expect(wrong.json()).toMatchObject({
    status_code: 400,
    message: "the request is not valid: agent_port: expected a port number",
  });
});

it("does not read a form as an empty topology", async () => {
  const { app, addressing } = await serverWithOneHost();

  const response = await app.inject({
    method: "POST",
    url: "/topology",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    payload: "networks=x",
  });

  expect(response.statusCode).toBe(415);
  expect(addressing.networks()).toHaveLength(1);
});

it("passes a posted null on as the empty document", async () => {
  const { app, addressing } = await serverWithOneHost();

  const response = await app.inject({ method: "POST", url: "/topology", headers: json, payload: "null" });

  expect(response.body).toBe("null");
  expect(addressing.networks()).toEqual([]);
});

it.for(["/topology", "/hosts", "/address"])("answers 400 to a POST %s without a body", async (url) => {
  const { app } = await serverWithOneHost();

  const bare = await app.inject({ method: "POST", url });
  const typed = await app.inject({ method: "POST", url, headers: json });

  expect([bare.statusCode, typed.statusCode]).toEqual([400, 400]);
  expect(bare.json()).toMatchObject({ status_code: 400, title: "Bad Request" });
});

it.for([
  ["{", json],
  ["[]", json],
  ['"text"', json],
  ['{"name":7,"host":"node-1"}', json],
  ['{"__proto__":{"name":"p"},"host":"node-1"}', json],
  ["name=a&name=b", { "content-type": "application/x-www-form-urlencoded" }],
  [Buffer.from([0x22, 0xff, 0x22]), json],
] as const)("answers 400 to the malformed body %s", async ([payload, headers]) => {
  const { app, log } = await serverWithOneHost();

  const response = await app.inject({ method: "POST", url: "/address", headers, payload });

  expect(response.statusCode).toBe(400);
  expect(response.headers["content-type"]).toBe("application/json");
  expect(log.lines.filter(({ level }) => level === "error")).toEqual([]);
});

it.for([
  ['{"name":"p",}', /^the request's body cannot be read as JSON: Expected .* at position 12/],
  ['{"__proto__":{}}', /^the request's body cannot be read as JSON: it has a key "__proto__"/],
  // The same key, spelt so that a look at the text does not find it.
  ['{"\\u005f_proto__":{}}', /^the request's body cannot be read as JSON: it has a key "__proto__"/],
  [
    '{"constructor":{"prototype":{}}}',
    /^the request's body cannot be read as JSON: it has a key "__proto__"/,
  ],
] as const)("says why the body %s cannot be read", async ([payload, message]) => {
  const { app } = await serverWithOneHost();

  const response = await app.inject({ method: "POST", url: "/address", payload: Buffer.from(payload) });

  expect(response.json()).toMatchObject({
    message: expect.stringMatching(message) as string,
    type: "urn:romana:error:invalid:REQUEST_MALFORMED",
  });
});

it("reads a body that begins with a byte order mark", async () => {
  const { app } = await serverWithOneHost();
  const payload = Buffer.from(`\ufeff${JSON.stringify({ name: "p", host: "node-1" })}`);

  const response = await app.inject({ method: "POST", url: "/address", headers: json, payload });

  expect(response.statusCode).toBe(200);
});

it("ignores the body of a DELETE, whatever it holds", async () => {
  const { app } = await serverWithOneHost();
  await app.inject({ method: "POST", url: "/address", payload: { name: "p", host: "node-1" } });

  const response = await app.inject({
    method: "DELETE",
    url: "/address?addressName=p",
    headers: json,
    payload: "{broken",
  });

  expect([response.statusCode, response.body]).toEqual([200, "null"]);
});
