import { expect, it } from "vitest";

import { emptyServer } from "../support.ts";
import { exchange, type Sent } from "./exchange.ts";

/** One request and its answer: its bytes, or of an error the keys that clients of the original read. `before` are requests that make the state. */
interface Fixture {
  readonly name: string;
  readonly before?: readonly Sent[];
  readonly request: Sent;
  readonly status: number;
  readonly body?: string;
  readonly error?: object;
}

const network: Sent = {
  method: "POST",
  url: "/topology",
  body: '{"networks":[{"name":"net","cidr":"10.0.0.0/29","block_mask":30,"tenants":["t"]}],"topologies":[{"networks":["net"],"map":[{"name":"rack","groups":null}]}]}',
};
const host: Sent = {
  method: "POST",
  url: "/hosts",
  body: '{"ip":"192.168.0.1","name":"h1","agent_port":0,"tags":null,"k8s_info":null}',
};
const other: Sent = { method: "POST", url: "/hosts", body: '{"ip":"192.168.0.2","name":"h2"}' };
const address = (name: string, on = "h1", tenant = "t"): Sent => ({
  method: "POST",
  url: "/address",
  body: JSON.stringify({ name, host: on, tenant, segment: "s" }),
});
const get = (url: string): Sent => ({ method: "GET", url });
const post = (url: string, body: string): Sent => ({ method: "POST", url, body });
const remove = (url: string): Sent => ({ method: "DELETE", url });

const cluster = [network, host];

const fixtures: readonly Fixture[] = [
  {
    name: "GET /hosts of an empty server",
    request: get("/hosts"),
    status: 200,
    body: '{"hosts":[],"revision":0}',
  },
  {
    name: "GET /hosts",
    before: cluster,
    request: get("/hosts"),
    status: 200,
    body: '{"hosts":[{"ip":"192.168.0.1","name":"h1","agent_port":9604,"tags":null,"k8s_info":null,"placed":true}],"revision":2}',
  },
  {
    name: "GET /hosts with a host that has tags and a port of its own",
    before: [
      network,
      post("/hosts", '{"ip":"192.168.0.1","name":"h1","agent_port":9700,"tags":{"rack":"a"},"k8s_info":{}}'),
    ],
    request: get("/hosts"),
    status: 200,
    body: '{"hosts":[{"ip":"192.168.0.1","name":"h1","agent_port":9700,"tags":{"rack":"a"},"k8s_info":null,"placed":true}],"revision":2}',
  },
  { name: "POST /hosts", before: [network], request: host, status: 200, body: "null" },
  {
    name: "POST /hosts that no group takes, which the original refused",
    before: [post("/topology", network.body?.replace('"groups":null', '"assignment":{"rack":"a"}') ?? "")],
    request: host,
    status: 200,
    body: "null",
  },
  ...[
    ["without an address", '{"name":"h1"}'],
    ["without a name", '{"ip":"192.168.0.1"}'],
    ["with an empty name", '{"ip":"192.168.0.1","name":""}'],
  ].map(([what = "", body = ""]): Fixture => ({
    name: `POST /hosts ${what}`,
    request: post("/hosts", body),
    status: 400,
    error: { status_code: 400, resource_type: "host", see_also: "" },
  })),
  {
    name: "POST /hosts of a name that is taken",
    before: cluster,
    request: post("/hosts", '{"ip":"192.168.0.9","name":"h1"}'),
    status: 409,
    error: {
      status_code: 409,
      details: {
        Type: "host",
        Attributes: ["name=h1", "IP=192.168.0.9"],
        Object: { ip: "192.168.0.1", name: "h1" },
        Message: expect.stringContaining("h1") as string,
      },
      resource_type: "host",
      see_also: "",
    },
  },
  {
    name: "GET /networks of an empty server",
    request: get("/networks"),
    status: 200,
    body: "[]",
  },
  {
    name: "GET /networks",
    before: [network],
    request: get("/networks"),
    status: 200,
    body: '[{"revision":0,"id":"net","cidr":"10.0.0.0/29"}]',
  },
  {
    name: "GET /networks/{n}/blocks",
    before: [...cluster, address("a")],
    request: get("/networks/net/blocks"),
    status: 200,
    body: '{"revision":1,"blocks":[{"revision":1,"cidr":"10.0.0.0/30","tenant":"t","segment":"s","host":"h1","allocated_ip_count":1}]}',
  },
  {
    name: "GET /networks/{n}/blocks of an unknown network, which the original answered with null",
    request: get("/networks/none/blocks"),
    status: 404,
    error: { status_code: 404, resource_id: "none", resource_type: "network", see_also: "" },
  },
  {
    name: "GET /blocks of an empty server",
    request: get("/blocks"),
    status: 200,
    body: '{"revision":0,"blocks":[]}',
  },
  {
    name: "GET /blocks, a block that became empty among them",
    before: [...cluster, other, address("a"), address("b", "h2"), remove("/address?addressName=a")],
    request: get("/blocks"),
    status: 200,
    body: '{"revision":3,"blocks":[{"revision":2,"cidr":"10.0.0.0/30","tenant":"","segment":"","host":"","allocated_ip_count":0},{"revision":1,"cidr":"10.0.0.4/30","tenant":"t","segment":"s","host":"h2","allocated_ip_count":1}]}',
  },
  { name: "POST /address", before: cluster, request: address("a"), status: 200, body: '"10.0.0.0"' },
  {
    name: "POST /address without a name",
    before: cluster,
    request: post("/address", '{"name":"","host":"h1","tenant":"t","segment":"s"}'),
    status: 400,
    error: { status_code: 400, details: "Name required", see_also: "" },
  },
  {
    name: "POST /address without a host",
    before: cluster,
    request: post("/address", '{"name":"a","host":"","tenant":"t","segment":"s"}'),
    status: 400,
    error: { status_code: 400, details: "Host required", see_also: "" },
  },
  {
    name: "POST /address of a name that holds one",
    before: [...cluster, address("a")],
    request: address("a"),
    status: 409,
    error: {
      status_code: 409,
      details: {
        Type: "address",
        Attributes: ["name=a"],
        Object: { address: "10.0.0.0", host: "h1", tenant: "t", segment: "s" },
        Message: "Address with name a already allocated: 10.0.0.0",
      },
      see_also: "",
    },
  },
  {
    name: "POST /address for an unknown host",
    before: cluster,
    request: address("a", "h9"),
    status: 404,
    error: { status_code: 404, type: "urn:romana:error:not-found:HOST_NOT_FOUND" },
  },
  {
    name: "POST /address for a tenant that no network takes",
    before: cluster,
    request: address("a", "h1", "stranger"),
    status: 409,
    error: { status_code: 409, type: "urn:romana:error:conflict:TENANT_WITHOUT_NETWORK" },
  },
  {
    name: "POST /address when nothing is left",
    before: [...cluster, ..."12345678".split("").map((name) => address(name))],
    request: address("9"),
    status: 409,
    error: { status_code: 409, type: "urn:romana:error:exhausted:NETWORK_FULL" },
  },
  {
    name: "DELETE /address by name",
    before: [...cluster, address("a")],
    request: remove("/address?addressName=a"),
    status: 200,
    body: "null",
  },
  {
    name: "DELETE /address by address",
    before: [...cluster, address("a")],
    request: remove("/address?addressName=10.0.0.0"),
    status: 200,
    body: "null",
  },
  ...[
    ["?addressName=zz", "map[name:zz]"],
    ["", "map[name:]"],
  ].map(([query = "", id]): Fixture => ({
    name: `DELETE /address${query} of nothing`,
    request: remove(`/address${query}`),
    status: 404,
    error: { status_code: 404, resource_id: id, resource_type: "address", see_also: "" },
  })),
  {
    name: "GET /topology of an empty server",
    request: get("/topology"),
    status: 200,
    body: '{"networks":null,"topologies":null}',
  },
  {
    name: "GET /topology",
    before: cluster,
    request: get("/topology"),
    status: 200,
    body: '{"networks":[{"name":"net","cidr":"10.0.0.0/29","block_mask":30,"tenants":["t"]}],"topologies":[{"networks":["net"],"map":[{"name":"rack","cidr":"10.0.0.0/29","groups":[{"name":"h1","ip":"192.168.0.1"}]}]}]}',
  },
  { name: "POST /topology", request: network, status: 200, body: "null" },
  {
    name: "POST /topology of null, the empty document",
    before: [network],
    request: post("/topology", "null"),
    status: 200,
    body: "null",
  },
  {
    name: "POST /topology without a body, on which the original fell over",
    request: { method: "POST", url: "/topology" },
    status: 400,
    error: { status_code: 400, see_also: "" },
  },
  {
    name: "POST /topology with a range that is none",
    request: post("/topology", '{"networks":[{"name":"net","cidr":"zzz"}]}'),
    status: 400,
    error: { status_code: 400, type: "urn:romana:error:invalid:TOPOLOGY_INVALID" },
  },
  {
    name: "POST /topology that would take the range of addresses in use",
    before: [...cluster, address("a")],
    request: post("/topology", network.body?.replace("10.0.0.0/29", "10.9.0.0/29") ?? ""),
    status: 409,
    error: { status_code: 409, type: "urn:romana:error:conflict:TOPOLOGY_IN_USE" },
  },
  {
    name: "a body that is no JSON",
    request: post("/hosts", "{"),
    status: 400,
    error: { status_code: 400, see_also: "" },
  },
  {
    name: "an unknown path",
    request: get("/tenantz"),
    status: 404,
    body: '{"status_code":404,"resource_id":"/tenantz","resource_type":"URI","see_also":""}\n',
  },
];

/** Sends what a fixture sends, on an empty server; nothing of it may be a bug of ours. */
async function play({ before = [], request }: Fixture) {
  const { app, log } = await emptyServer();
  for (const each of before) {
    const made = await exchange(app, each);
    if (made.statusCode !== 200) {
      throw new Error(`the state cannot be made: ${each.method} ${each.url} answers ${made.body}`);
    }
  }
  const response = await exchange(app, request);
  return { response, bugs: log.lines.filter(({ level }) => level === "error") };
}

it.for(fixtures.filter(({ body }) => body !== undefined))("$name", async (fixture) => {
  const { response, bugs } = await play(fixture);

  expect([response.statusCode, response.body]).toEqual([fixture.status, fixture.body]);
  expect(response.headers["content-type"]).toBe(
    fixture.status === 200 ? "application/json" : "text/plain; charset=utf-8",
  );
  expect(bugs).toEqual([]);
});

it.for(fixtures.filter(({ error }) => error !== undefined))("$name", async (fixture) => {
  const { response, bugs } = await play(fixture);

  expect(response.statusCode).toBe(fixture.status);
  expect(response.headers["content-type"]).toBe("application/json");
  expect(response.json()).toMatchObject({ see_also: "", ...fixture.error });
  expect(response.json()).toHaveProperty("message");
  expect(bugs).toEqual([]);
});
