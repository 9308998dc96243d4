import { describe, expect, it } from "vitest";

import { as, knownTokens } from "./known-tokens.ts";
import { serverWithOneHost } from "./support.ts";

const secured = { tokens: [knownTokens], requireAuth: true };
const report = { ready: true, endpoints: [{ address: "10.0.0.5", podUID: "uid-1" }] };

async function desk() {
  const parts = await serverWithOneHost({}, secured);
  const put = async (body: unknown, host = "node-1", role = "agent:node-1") =>
    parts.app.inject({
      method: "PUT",
      url: `/hosts/${host}/agent`,
      headers: { ...as(role), "content-type": "application/json" },
      payload: JSON.stringify(body),
    });
  const get = async (host = "node-1") =>
    parts.app.inject({ method: "GET", url: `/hosts/${host}/agent`, headers: as("reader") });
  return { ...parts, put, get };
}

describe("the report of an agent", () => {
  it("is kept, and shown with its age", async () => {
    const { put, get, agents, agentClock } = await desk();

    const before = await get();
    const done = await put(report);
    await agentClock.advance(90_999);
    const after = await get();

    expect([before.statusCode, before.body]).toEqual([404, expect.stringContaining("AGENT_UNHEARD")]);
    expect([done.statusCode, done.body]).toEqual([200, "null"]);
    expect(agents.of("node-1")).toMatchObject({ ready: true, endpoints: new Map([["10.0.0.5", "uid-1"]]) });
    expect(JSON.parse(after.body)).toEqual({ host: "node-1", ...report, age_seconds: 90, silent: true });
  });

  it("is taken from the host's own agent and from admins alone", async () => {
    const { put, agents } = await desk();

    const statuses = [
      (await put(report, "node-1", "agent:node-2")).statusCode,
      (await put(report, "node-1", "reader")).statusCode,
      (await put(report, "node-2")).statusCode,
      (await put(report, "node-1", "admin")).statusCode,
    ];

    expect(statuses).toEqual([403, 403, 403, 200]);
    expect(agents.of("node-2")).toBeUndefined();
  });

  it("of a host that is not registered is answered 404", async () => {
    const { put, agents } = await desk();

    expect((await put(report, "node-9", "admin")).statusCode).toBe(404);
    expect(agents.of("node-9")).toBeUndefined();
  });

  it.for([
    ["no ready", { endpoints: [] }],
    ["a ready that is a text", { ...report, ready: "true" }],
    ["no endpoints", { ready: true }],
    ["an address that is none", { ready: true, endpoints: [{ address: "10.0.0.256", podUID: "" }] }],
    ["an endpoint without a Pod", { ready: true, endpoints: [{ address: "10.0.0.5" }] }],
    [
      "an address twice",
      {
        ready: true,
        endpoints: [
          { address: "10.0.0.5", podUID: "a" },
          { address: "10.0.0.5", podUID: "b" },
        ],
      },
    ],
    [
      "too many endpoints",
      {
        ready: true,
        endpoints: Array.from({ length: 1025 }, (_, n) => ({
          address: `10.0.${n >> 8}.${n & 255}`,
          podUID: "",
        })),
      },
    ],
    ["a UID without end", { ready: true, endpoints: [{ address: "10.0.0.5", podUID: "u".repeat(129) }] }],
  ] as const)("with %s is refused whole", async ([, body]) => {
    const { put, agents } = await desk();

    expect((await put(body)).statusCode).toBe(400);
    expect(agents.of("node-1")).toBeUndefined();
  });

  it("is sent on to the leader by others", async () => {
    const { put, leader } = await desk();
    leader.current = { id: "replica-2", url: "http://127.0.0.1:9700", epoch: 8, since: 0 };

    const answer = await put(report);

    expect([answer.statusCode, answer.headers["location"]]).toEqual([
      307,
      "http://127.0.0.1:9700/hosts/node-1/agent",
    ]);
  });
});
