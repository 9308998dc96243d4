import type { InjectOptions } from "fastify";
import { describe, expect, it } from "vitest";

import { as, knownTokens } from "./known-tokens.ts";
import { emptyServer, serverWithOneHost } from "./support.ts";

/** The only routes that strangers may use. */
const open = new Set(["GET /healthz", "GET /readyz"]);
/** What only an administrator may read: everything at once. */
const adminReads = new Set(["GET /export"]);
/** The only routes that agents may write to, for their own host. */
const agentsOwn = new Set(["POST /address", "DELETE /address", "PUT /hosts/{name}/agent"]);

const secured = { tokens: [knownTokens], requireAuth: true };

/** Every route that the server has, and a way to ask it that stops where its handler would begin. */
async function guardedRoutes() {
  const { app } = await emptyServer({}, secured);
  app.addHook("preHandler", (_request, reply) => reply.status(204).send());
  await app.ready();
  let asked = 0;
  const ask = async (endpoint: string, role: string | undefined): Promise<number> => {
    const [method, path = ""] = endpoint.split(" ");
    const url = path.replaceAll(/\{\w+\}/g, "x");
    const { statusCode } = await app.inject({
      method: method as "GET",
      url,
      // From elsewhere each time: one address may not fail for ever.
      remoteAddress: `127.0.${asked >> 8}.${asked++ & 255}`,
      headers: role === undefined ? {} : as(role),
    });
    return statusCode;
  };
  return { endpoints: app.endpoints, ask };
}

/** What the roles may do, said once more and in another way than the program does. */
function expected(endpoint: string): Readonly<Record<string, boolean>> {
  const reads = endpoint.startsWith("GET ") && !adminReads.has(endpoint);
  return {
    nobody: open.has(endpoint),
    reader: reads,
    "agent:node-1": reads || agentsOwn.has(endpoint),
    admin: true,
  };
}

describe("every route of the server", () => {
  it("lets in whom it is for, and answers 401 to strangers and 403 to the others", async () => {
    const { endpoints, ask } = await guardedRoutes();
    const found: unknown[] = [];
    const wanted: unknown[] = [];

    for (const endpoint of endpoints) {
      for (const [role, allowed] of Object.entries(expected(endpoint))) {
        const status = await ask(endpoint, role === "nobody" ? undefined : role);
        // 400: its parameters or body were looked at, which is behind the door.
        found.push([endpoint, role, status === 400 ? 204 : status]);
        wanted.push([endpoint, role, allowed ? 204 : role === "nobody" ? 401 : 403]);
      }
    }

    expect(found).toEqual(wanted);
    expect(found.length).toBeGreaterThan(80);
  });

  it("tells strangers nothing of paths that do not exist", async () => {
    const { ask } = await guardedRoutes();

    expect([await ask("GET /nowhere", undefined), await ask("GET /nowhere/", undefined)]).toEqual([401, 401]);
  });

  it("asks HEAD for what GET asks", async () => {
    const { app } = await emptyServer({}, secured);

    const answers = await Promise.all(
      [{}, as("reader")].map((headers) => app.inject({ method: "HEAD", url: "/hosts", headers })),
    );

    expect(answers.map(({ statusCode }) => statusCode)).toEqual([401, 200]);
  });
});

/** Hosts node-1 and node-2 with a pod on each: "mine" on node-1, "theirs" on node-2. */
async function twoHosts() {
  const parts = await serverWithOneHost({}, secured);
  const ask = (role: string, options: InjectOptions) => parts.app.inject({ ...options, headers: as(role) });
  const post = (role: string, url: string, payload: object) => ask(role, { method: "POST", url, payload });
  const remove = (role: string, name: string) =>
    ask(role, { method: "DELETE", url: `/address?addressName=${encodeURIComponent(name)}` });
  await post("admin", "/hosts", { name: "node-2", ip: "192.168.0.2" });
  const mine = await post("agent:node-1", "/address", { name: "mine", host: "node-1" });
  const theirs = await post("agent:node-2", "/address", { name: "theirs", host: "node-2" });
  expect([mine.statusCode, theirs.statusCode]).toEqual([200, 200]);
  return { ...parts, ask, post, remove, theirsIp: theirs.json<string>() };
}

describe("an agent", () => {
  it("allocates for its own host, and for no other", async () => {
    const { post, addressing } = await twoHosts();

    const foreign = await post("agent:node-1", "/address", { name: "more", host: "node-2" });

    expect(foreign.statusCode).toBe(403);
    expect(foreign.json()).toMatchObject({
      type: "urn:romana:error:invalid:ACCESS_DENIED",
      message: expect.stringContaining('its own host alone, which is "node-1"'),
    });
    expect(addressing.addresses()).toHaveLength(2);
  });

  it("releases by name and by address on its own host, and on no other", async () => {
    const { remove, addressing, theirsIp } = await twoHosts();
    const mineIp = String(addressing.addresses().find(({ name }) => name === "mine")?.address);

    const refused = [await remove("agent:node-1", "theirs"), await remove("agent:node-1", theirsIp)];
    const taken = [await remove("agent:node-1", mineIp), await remove("agent:node-2", "theirs")];

    expect(refused.map(({ statusCode }) => statusCode)).toEqual([403, 403]);
    expect(taken.map(({ statusCode }) => statusCode)).toEqual([200, 200]);
    expect(addressing.addresses()).toEqual([]);
  });

  it("is told what anybody is told of an address that does not exist, and of a request without a host", async () => {
    const { remove, post } = await twoHosts();

    expect((await remove("agent:node-1", "none")).statusCode).toBe(404);
    expect((await remove("agent:node-1", "")).statusCode).toBe(404);
    expect((await post("agent:node-1", "/address", { name: "p" })).statusCode).toBe(400);
    expect((await post("agent:node-1", "/address", { name: "p", host: null })).statusCode).toBe(400);
  });

  it.for(["NODE-1", "node%2D1", "node-1 ", "node-1\0", "node-1,node-2", "node-2", "*"])(
    "that is called %j is not node-1",
    async (name) => {
      const { post, remove } = await twoHosts();

      const allocated = await post(`agent:${name}`, "/address", { name: "p", host: "node-1" });
      const released = await remove(`agent:${name}`, "mine");

      expect([allocated.statusCode, released.statusCode]).toEqual([403, 403]);
    },
  );

  it("cannot give a second host beside its own", async () => {
    const { app, addressing } = await twoHosts();
    const forms = ["host=node-1&host=node-2&name=p", "host=node-2&host=node-1&name=p"];
    const bodies = ['{"name":"p","host":"node-1","host":"node-2"}', '{"name":"p","host":["node-1"]}'];

    const answers = await Promise.all([
      ...forms.map((payload) => send(payload, "application/x-www-form-urlencoded")),
      ...bodies.map((payload) => send(payload, "application/json")),
    ]);

    expect(answers.map(({ statusCode }) => statusCode)).toEqual([400, 400, 403, 400]);
    expect(addressing.addresses().filter(({ name }) => name === "p")).toEqual([]);

    function send(payload: string, type: string) {
      const headers = { ...as("agent:node-1"), "content-type": type };
      return app.inject({ method: "POST", url: "/address", headers, payload });
    }
  });

  it("that says another name twice in the query releases nothing of it", async () => {
    const { ask, addressing } = await twoHosts();

    const answer = await ask("agent:node-1", {
      method: "DELETE",
      url: "/address?addressName=mine&addressName=theirs",
    });

    expect(answer.statusCode).toBe(400);
    expect(addressing.addresses()).toHaveLength(2);
  });
});

describe("the log", () => {
  it("holds who asked for a change, of what, and how it ended", async () => {
    const { ask, log } = await twoHosts();

    await ask("admin", { method: "DELETE", url: "/hosts/none" });
    await ask("reader", { method: "DELETE", url: "/hosts/node-1" });

    const changes = log.lines.filter(
      ({ message, level }) => message === "change asked for" && level === "info",
    );
    expect(changes.map(({ fields }) => fields)).toEqual([
      { user: "user-of-admin", role: "admin", method: "POST", route: "/hosts", status: 200 },
      {
        user: "user-of-admin",
        role: "admin",
        method: "DELETE",
        route: "/hosts/:name",
        params: { name: "none" },
        status: 404,
      },
      {
        user: "user-of-reader",
        role: "reader",
        method: "DELETE",
        route: "/hosts/:name",
        params: { name: "node-1" },
        status: 403,
      },
    ]);
  });

  it("holds the addresses that agents took only when it is asked for everything", async () => {
    const { post, log } = await twoHosts();

    await post("agent:node-1", "/address", { name: "p", host: "node-2" });

    const lines = log.lines.filter(({ fields }) => "route" in fields && fields.route === "/address");
    expect(lines.map(({ level, fields }) => [level, "status" in fields && fields.status])).toEqual([
      ["debug", 200],
      ["debug", 200],
      ["info", 403],
    ]);
  });
});
