import { once } from "node:events";
import { request, type IncomingMessage } from "node:http";

import { describe, expect, it } from "vitest";

import { listen } from "../../../src/api/listen.ts";
import { emptyServer, serverWithOneHost } from "../support.ts";
import { exchange } from "./exchange.ts";

/** What the original's CLI decodes of a failure, whatever the status: keys match without regard to case, and a wrong type is an error of its own. */
const decoded = { code: "number", message: "string", fields: "string" } as const;

describe("the original's command line", () => {
  it("host list: reads its columns out of GET /hosts", async () => {
    const { app } = await serverWithOneHost();

    const { hosts } = (await exchange(app, { method: "GET", url: "/hosts" })).json<{
      hosts: { ip: string; name: string }[];
    }>();

    expect(hosts.map(({ ip, name }) => [ip, name])).toEqual([["192.168.0.1", "node-1"]]);
  });

  it("network list: reads its columns out of GET /networks", async () => {
    const { app } = await serverWithOneHost();

    const response = await exchange(app, { method: "GET", url: "/networks" });

    expect(response.json()).toEqual([{ id: "prod", cidr: "10.0.0.0/24", revision: 0 }]);
  });

  it("block list: reads its columns out of GET /blocks", async () => {
    const { app } = await serverWithOneHost();
    await exchange(app, { method: "POST", url: "/address", body: '{"name":"p","host":"node-1"}' });

    const { blocks } = (await exchange(app, { method: "GET", url: "/blocks" })).json<{ blocks: object[] }>();

    expect(blocks).toEqual([
      { cidr: "10.0.0.0/30", host: "node-1", revision: 1, tenant: "", segment: "", allocated_ip_count: 1 },
    ]);
  });

  it("topology list: reads networks, groups and their nodes out of GET /topology", async () => {
    const { app } = await serverWithOneHost();

    const document = (await exchange(app, { method: "GET", url: "/topology" })).json<{
      networks: { name: string; cidr: string; tenants: string[] }[];
      topologies: {
        networks: string[];
        map: { name: string; cidr: string; groups: { name: string; ip: string }[] }[];
      }[];
    }>();

    expect(document.networks).toMatchObject([{ name: "prod", cidr: "10.0.0.0/24", tenants: ["*"] }]);
    expect(document.topologies).toMatchObject([
      {
        networks: ["prod"],
        map: [{ name: "all", cidr: "10.0.0.0/24", groups: [{ name: "node-1", ip: "192.168.0.1" }] }],
      },
    ]);
  });

  it("topology update: has its re-encoded document taken, with the zeros and nulls of Go", async () => {
    const { app, addressing } = await emptyServer();
    const body = JSON.stringify({
      networks: [{ name: "net", cidr: "10.0.0.0/16", block_mask: 0, tenants: null }],
      topologies: [
        {
          networks: ["net"],
          map: [
            { name: "", assignment: null, routing: "", ip: null, cidr: "", dummy: false },
            { name: "b", groups: [{ name: "h1", ip: "192.168.0.1", cidr: "" }] },
          ],
        },
      ],
    });

    const response = await exchange(app, { method: "POST", url: "/topology", body });
    const empty = await exchange(app, {
      method: "POST",
      url: "/topology",
      body: '{"networks":null,"topologies":null}',
    });

    expect([response.statusCode, response.body]).toEqual([200, "null"]);
    expect([empty.statusCode, empty.body]).toEqual([200, "null"]);
    expect(addressing.networks()).toEqual([]);
  });

  it.for([
    { method: "POST", url: "/topology", body: '{"networks":[{"name":"net","cidr":"zzz"}]}' },
    { method: "GET", url: "/networks/none/blocks" },
    { method: "POST", url: "/address", body: "{" },
    { method: "DELETE", url: "/address?addressName=zz" },
  ] as const)("shows the message of a failed $method $url", async (sent) => {
    const { app } = await serverWithOneHost();

    const problem = (await exchange(app, sent)).json<Readonly<Record<string, unknown>>>();

    const keys = new Map(Object.keys(problem).map((key) => [key.toLowerCase(), typeof problem[key]]));
    expect(problem["message"]).toMatch(/\w{3}/);
    for (const [key, type] of Object.entries(decoded)) {
      expect([undefined, type]).toContain(keys.get(key));
    }
  });
});

it("reads a DELETE with a body of a Go client from the wire, and answers it in plain bytes", async () => {
  const { app, addressing } = await serverWithOneHost();
  await exchange(app, { method: "POST", url: "/address", body: '{"name":"p","host":"node-1"}' });
  const address = await listen(app, { kind: "tcp", host: "127.0.0.1", port: 0 });

  const sent = request(`http://${address}/address?addressName=p`, {
    method: "DELETE",
    headers: { "content-type": "application/json", "accept-encoding": "gzip", "content-length": 4 },
  }).end("null");
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  const chunks = (await response.toArray()) as Buffer[];

  expect(response.statusCode).toBe(200);
  expect(response.headers).not.toHaveProperty("content-encoding");
  expect(Buffer.concat(chunks).toString()).toBe("null");
  expect(addressing.addresses()).toEqual([]);
  await app.close();
});
