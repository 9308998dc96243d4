import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { freePorts } from "../../support/free-ports.ts";
import { requireKubeApi } from "../../support/kube-api.ts";
import { KubeLab } from "../../support/kube-lab.ts";
import { create, node, pod, type KubeObject } from "../../support/kube-objects.ts";
import { until } from "../../support/moto-lab.ts";
import { TestAuthority } from "../../support/test-authority.ts";
import { kubectl, RBAC_FILE, Sight, TWO_ZONES, Windows } from "./sight.ts";

const AGENT = { namespace: "kube-system", name: "romana-agent" };
const OURS = ["romana"];

interface Answered {
  readonly status: number;
  readonly body: unknown;
  readonly retryAfter: string | undefined;
}

describe.skipIf(requireKubeApi())("agents with tokens of their cluster, over TLS", () => {
  let lab: KubeLab;
  let sight: Sight;
  let authority: TestAuthority;
  let port: number;
  let connections: Agent;
  const folder = mkdtempSync(join(tmpdir(), "romana-agents-"));
  const pods = new Map<string, KubeObject>();
  const windows = new Windows();
  beforeAll(async () => {
    lab = await KubeLab.start();
    authority = await TestAuthority.create();
    const { cert, key } = await authority.issue(folder, "controller");
    [port = 0] = await freePorts(1);
    connections = new Agent({ keepAlive: true, ca: readFileSync(authority.ca) });
    sight = new Sight(
      await lab.controller({
        flags: [`--listen=https://127.0.0.1:${port}`, `--tls-cert=${cert}`, `--tls-key=${key}`],
      }),
    );
    await sight.leads();
    await sight.topology(TWO_ZONES);
    for (const [index, name] of ["n1", "n2"].entries()) {
      await create(lab.kube, node({ name, ip: `192.168.1.${index + 1}`, zone: "us-west-2a" }));
      const made = pod({ namespace: AGENT.namespace, name: `agent-${name}`, node: name, hostNetwork: true });
      const spec = { ...made.spec, serviceAccountName: AGENT.name };
      pods.set(name, await create(lab.kube, { ...made, spec }));
      await sight.placed(name);
    }
  });
  afterAll(async () => {
    connections?.destroy();
    await lab?.close();
    authority?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  function ask(token: string, method: string, path: string, body?: object): Promise<Answered> {
    const text = body === undefined ? "" : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const call = request(
        {
          host: "127.0.0.1",
          port,
          method,
          path,
          agent: connections,
          timeout: 15_000,
          headers: {
            authorization: `Bearer ${token}`,
            ...(body === undefined ? {} : { "content-type": "application/json" }),
          },
        },
        (answer) => {
          let got = "";
          answer.setEncoding("utf8").on("data", (chunk: string) => {
            got += chunk;
          });
          answer.once("error", reject);
          answer.once("end", () =>
            resolve({
              status: answer.statusCode ?? 0,
              body: got === "" ? undefined : (JSON.parse(got) as unknown),
              retryAfter: answer.headers["retry-after"],
            }),
          );
        },
      );
      call.once("timeout", () => call.destroy(new Error(`no answer to ${method} ${path}`)));
      call.once("error", reject);
      call.end(text);
    });
  }
  function tokenOn(host: string, audiences: readonly string[] = OURS): Promise<string> {
    const { name = "", uid = "" } = pods.get(host)?.metadata ?? {};
    return lab.kube.tokenOf(AGENT, { audiences, pod: { name, uid } });
  }
  const report = (token: string, host: string): Promise<Answered> =>
    ask(token, "PUT", `/hosts/${host}/agent`, { ready: true, endpoints: [] });
  const allocate = (token: string, name: string, host: string): Promise<Answered> =>
    ask(token, "POST", "/address", { name, host, tenant: "t", segment: "s" });

  it("report and allocate for their own node, and for no other", async () => {
    const own = await tokenOn("n1");

    expect((await report(own, "n1")).status).toBe(200);
    expect((await allocate(own, "web.shop.1", "n1")).status).toBe(200);
    expect((await ask(own, "GET", "/hosts")).status).toBe(200);
    const refused = await report(own, "n2");
    expect(refused.status).toBe(403);
    expect(JSON.stringify(refused.body)).toContain('its own host alone, which is \\"n1\\"');
    expect((await allocate(own, "web.shop.2", "n2")).status).toBe(403);
    expect((await ask(own, "POST", "/topology", TWO_ZONES)).status).toBe(403);
    expect((await ask(own, "DELETE", "/hosts/n1")).status).toBe(403);

    // The neighbour's agent is not hindered by it.
    expect((await report(await tokenOn("n2"), "n2")).status).toBe(200);
    expect((await sight.get("/hosts/n2/agent")).body).toMatchObject({ ready: true, silent: false });
    expect(JSON.stringify((await sight.get("/addresses")).body)).not.toContain("web.shop.2");
  });

  it("are refused with a token that was made for no Pod, and are nobody with one for another audience", async () => {
    const unbound = await lab.kube.tokenOf(AGENT, { audiences: OURS });
    const other = await tokenOn("n1", ["https://kubernetes.default.svc"]);
    const stranger = await lab.kube.tokenOf({ namespace: "default", name: "somebody" }, { audiences: OURS });

    expect((await report(unbound, "n1")).status).toBe(403);
    expect((await allocate(unbound, "web.shop.3", "n1")).status).toBe(403);
    expect((await report(other, "n1")).status).toBe(401);
    expect((await report(stranger, "n1")).status).toBe(401);
    expect((await report(await tokenOn("n1"), "n1")).status).toBe(200);
  });

  it("are asked to try again while tokens cannot be reviewed, and are known again afterwards", async () => {
    const [before, during] = [await tokenOn("n1"), await tokenOn("n2")];
    await windows.during(async () => {
      // The last rule of the role: tokenreviews.
      await kubectl(
        lab.kube,
        "patch",
        "clusterrole",
        "romana-controller",
        "--type=json",
        '--patch=[{"op":"test","path":"/rules/5/resources/0","value":"tokenreviews"},{"op":"remove","path":"/rules/5"}]',
      );
      let refused: Answered | undefined;
      await until("a token cannot be reviewed", async () => {
        refused = await report(await tokenOn("n2"), "n2");
        return refused.status !== 200;
      });
      expect(refused?.status).toBe(503);
      expect(JSON.stringify(refused?.body)).toContain("cannot find out now whom the token stands for");
      expect(refused?.retryAfter).toMatch(/^\d+$/);
      await until("the log says why", () =>
        sight.log().some((line) => JSON.stringify(line).includes("tokenreviews")),
      );
      // Nothing else stops: the cluster is followed, and those who need no token are served.
      await create(lab.kube, node({ name: "n3", ip: "192.168.1.3", zone: "us-west-2b" }));
      await sight.placed("n3");
      expect((await sight.get("/readyz")).status).toBe(200);

      await kubectl(lab.kube, "apply", `--filename=${RBAC_FILE}`);
      await until(
        "tokens are reviewed again",
        async () => (await report(during, "n2")).status === 200,
        5_000,
      );
    });
    expect((await report(before, "n1")).status).toBe(200);
  });

  it("asked for nothing that the role did not allow, but while it lacked the review of tokens", () => {
    expect(lab.judge(windows.hold)).toEqual([]);
  });
});
