import { describe, expect, it } from "vitest";

import { podNamed } from "../support/pods.ts";
import { as, knownTokens } from "./known-tokens.ts";
import { serverWithOneHost } from "./support.ts";

const fields = { namespace: "shop", pod: "web", podUID: "u1" };

async function taken(body: Readonly<Record<string, unknown>>, labels?: Readonly<Record<string, string>>) {
  const parts = await serverWithOneHost();
  if (labels !== undefined) {
    parts.pods.put(podNamed("shop/web", { uid: "u1", labels }));
  }
  const response = await parts.app.inject({
    method: "POST",
    url: "/address",
    payload: { name: "web.shop.0f3a9b21", host: "node-1", ...body },
  });
  return { ...parts, response };
}

describe("the owner of an address that is asked for with its Pod", () => {
  it.for([
    ["is the namespace, and default while the Pod is not known", {}, undefined, ["shop", "default"]],
    ["is the namespace, and default without the label", {}, { app: "web" }, ["shop", "default"]],
    [
      "is the namespace, and default for an empty label",
      {},
      { "romana.io/segment": "" },
      ["shop", "default"],
    ],
    ["is the namespace and the Pod's label", {}, { "romana.io/segment": "db" }, ["shop", "db"]],
    ["is what is said", { tenant: "t", segment: "s" }, { "romana.io/segment": "db" }, ["t", "s"]],
    [
      "takes an empty text for nothing said",
      { tenant: "", segment: null },
      { "romana.io/segment": "db" },
      ["shop", "db"],
    ],
  ] as const)("%s", async ([, said, labels, [tenant, segment]]) => {
    const { response, addressing } = await taken({ ...fields, ...said }, labels);

    expect(response.json()).toBe("10.0.0.0");
    expect(addressing.addresses()).toMatchObject([
      { tenant, segment, pod: { namespace: "shop", name: "web", uid: "u1" } },
    ]);
  });

  it("is empty without a Pod, as it always was", async () => {
    const { addressing, app } = await taken({});

    expect(addressing.addresses()).toMatchObject([{ tenant: "", segment: "" }]);
    expect((await app.inject("/addresses")).json()).toEqual([
      {
        name: "web.shop.0f3a9b21",
        address: "10.0.0.0",
        host: "node-1",
        tenant: "",
        segment: "",
        network: "prod",
      },
    ]);
  });

  it("is not that of another Pod of the name", async () => {
    const parts = await serverWithOneHost();
    parts.pods.put(podNamed("shop/web", { uid: "u0", labels: { "romana.io/segment": "db" } }));

    await parts.app.inject({
      method: "POST",
      url: "/address",
      payload: { name: "w", host: "node-1", ...fields },
    });

    expect(parts.addressing.addresses()).toMatchObject([{ segment: "default" }]);
  });
});

it("tells whoever asks again whose the address is", async () => {
  const { app } = await taken(fields);

  const again = await app.inject({
    method: "POST",
    url: "/address",
    payload: { name: "web.shop.0f3a9b21", host: "node-1", ...fields },
  });

  expect(again.statusCode).toBe(409);
  expect(again.json()).toMatchObject({
    details: {
      Object: {
        address: "10.0.0.0",
        host: "node-1",
        tenant: "shop",
        segment: "default",
        pod: { namespace: "shop", name: "web", uid: "u1" },
      },
    },
  });
});

describe("GET /explain/ip", () => {
  it("names the Pod, its labels and its phase", async () => {
    const { app } = await taken(fields, { app: "web" });

    expect((await app.inject("/explain/ip/10.0.0.0")).json()).toMatchObject({
      holder: "web.shop.0f3a9b21",
      pod: { namespace: "shop", name: "web", uid: "u1", labels: { app: "web" }, phase: "Running" },
    });
  });

  it("names what is known of a Pod that was never seen, and none where there is none", async () => {
    const { app } = await taken(fields);

    expect((await app.inject("/explain/ip/10.0.0.0")).json()).toMatchObject({
      pod: { namespace: "shop", name: "web", uid: "u1", labels: null, phase: null },
    });
    expect((await app.inject("/explain/ip/10.0.0.1")).json()).toMatchObject({ pod: null });
  });
});

describe("/ipam", () => {
  it("releases what leaked, for admins, from the leader", async () => {
    const { app, agents, clock, addressing } = await taken(fields);
    const ask = () => app.inject({ method: "POST", url: "/ipam/leaks/release", payload: { grace: "0s" } });
    await app.inject("/ipam/check");
    await clock.advance(91_000);
    agents.put("node-1", { ready: true, endpoints: new Map() });

    const shown = (await app.inject("/ipam/check")).json<{ findings: unknown[] }>();
    const answered = await ask();

    expect(shown.findings).toMatchObject([
      { kind: "leaked", address: "10.0.0.0", releaseAt: "2026-01-01T00:11:31.000Z" },
    ]);
    expect(answered.json()).toMatchObject({ released: [{ address: "10.0.0.0" }], kept: [], failed: [] });
    expect(addressing.addresses()).toEqual([]);
  });

  it.for([
    ["GET", "/ipam/check"],
    ["POST", "/ipam/leaks/release"],
  ] as const)("%s %s is the leader's", async ([method, url]) => {
    const { app, leader } = await serverWithOneHost();
    leader.current = {
      id: "other",
      url: "http://192.0.2.1:9600",
      epoch: 8,
      since: 0,
    };

    const response = await app.inject({ method, url });

    expect([response.statusCode, response.headers.location]).toEqual([307, `http://192.0.2.1:9600${url}`]);
  });
});

describe("an address for a Pod that an agent asks for", () => {
  const secured = { tokens: [knownTokens], requireAuth: true };
  const ask = async (node: string, role: string) => {
    const parts = await serverWithOneHost({}, secured);
    parts.pods.put(podNamed("shop/web", { uid: "u1", node }));
    const payload = { name: "web.shop.0f3a9b21", host: "node-1", ...fields };
    return parts.app.inject({ method: "POST", url: "/address", payload, headers: as(role) });
  };

  it.for([
    ["is refused for one on another node: it would have that Pod's labels", "node-2", "agent:node-1", 403],
    ["is given for one on its own node", "node-1", "agent:node-1", 200],
    ["is given for one that is not known to be on a node yet", "", "agent:node-1", 200],
    ["is given wherever the Pod is when an admin asks", "node-2", "admin", 200],
  ] as const)("%s", async ([, node, role, status]) => {
    const response = await ask(node, role);

    expect(response.statusCode).toBe(status);
    expect(response.body.includes("conflict:POD_ELSEWHERE")).toBe(status === 403);
  });
});
