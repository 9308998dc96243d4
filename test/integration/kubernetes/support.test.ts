import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { KubeApiServer, requireKubeApi } from "../../support/kube-api.ts";

describe.skipIf(requireKubeApi())("the API server that tests talk to", () => {
  let server: KubeApiServer;
  beforeAll(async () => {
    server = await KubeApiServer.start();
  });
  afterAll(() => server.stop());

  it("answers the administrator, and refuses whoever has no role", async () => {
    const token = await server.tokenOf({ namespace: "kube-system", name: "nobody" });
    expect((await server.request("GET", "/api/v1/nodes")).status).toBe(200);
    expect((await server.request("GET", "/api/v1/nodes", { token })).status).toBe(403);
    expect((await server.request("GET", "/api/v1/nodes", { token: "no-such-token" })).status).toBe(401);
  });

  it("keeps its objects over a kill, and writes down who asked", async () => {
    await server.call("POST", "/api/v1/nodes", {
      body: { metadata: { name: "node-1" } },
      userAgent: "romana-test/1",
    });
    await server.restart();
    expect((await server.request("GET", "/api/v1/nodes/node-1")).status).toBe(200);
    expect(
      server.audit().filter(({ userAgent, verb }) => userAgent === "romana-test/1" && verb === "create"),
    ).not.toHaveLength(0);
  });

  it("says which range its services have", async () => {
    expect(await server.call("GET", "/apis/networking.k8s.io/v1/servicecidrs/kubernetes")).toMatchObject({
      spec: { cidrs: [server.serviceRange] },
    });
  });
});
