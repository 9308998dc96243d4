import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { romana } from "../../cli/romana.ts";
import { requireKubeApi } from "../../support/kube-api.ts";
import { KubeLab, type LabFollower } from "../../support/kube-lab.ts";
import { create, namespace, node, pod, remove, type KubeObject } from "../../support/kube-objects.ts";
import { until } from "../../support/moto-lab.ts";
import { Sight, TWO_ZONES } from "./sight.ts";

interface Finding {
  readonly kind: string;
  readonly address: string;
  readonly name: string;
  readonly host: string;
  readonly pod: { readonly namespace: string; readonly name: string; readonly uid: string } | null;
}

interface Check {
  readonly clean: boolean;
  readonly addresses: number;
  readonly pods: number;
  readonly podsProblem: string;
  readonly silentHosts: readonly string[];
  readonly findings: readonly Finding[];
}

/** Exit code of a command that found something; see docs/cli.md. */
const FOUND = 6;

describe.skipIf(requireKubeApi())("addresses of Pods that are gone", () => {
  let lab: KubeLab;
  let controller: LabFollower;
  let sight: Sight;
  beforeAll(async () => {
    lab = await KubeLab.start();
    controller = await lab.controller({ flags: ["--address-grace=1s"] });
    sight = new Sight(controller);
    await sight.leads();
    await sight.topology(TWO_ZONES);
    await create(lab.kube, namespace("shop"));
    await create(lab.kube, node({ name: "n1", ip: "192.168.1.1", zone: "us-west-2a" }));
    await sight.placed("n1");
  });
  afterAll(() => lab.close());

  const run = (...args: readonly string[]) =>
    romana(args, { env: { ROMANA_URL: `http://127.0.0.1:${controller.process.port}` } });
  async function check(): Promise<Check> {
    const { code, stdout } = await run("ipam", "check", "-o", "json");
    const found = JSON.parse(stdout) as Check;
    expect(code).toBe(found.clean ? 0 : FOUND);
    return found;
  }
  /** As its node starts a Pod: the Pod is there, and asks for an address at once. */
  async function started(name: string): Promise<{ readonly web: KubeObject; readonly address: string }> {
    const web = await create(lab.kube, pod({ namespace: "shop", name, node: "n1" }));
    const { status, address } = await sight.allocate(`${name}.shop.0000000a`, "n1", web);
    expect(status).toBe(200);
    return { web, address };
  }
  async function report(...holding: readonly (readonly [string, KubeObject])[]): Promise<void> {
    const endpoints = holding.map(([address, { metadata }]) => ({ address, podUID: metadata.uid }));
    const { status } = await controller.process.call("PUT", "/hosts/n1/agent", { ready: true, endpoints });
    expect(status).toBe(200);
  }

  it("are no leak yet when Pod and interface have just gone, whatever grace time somebody asks for", async () => {
    const [stays, goes] = [await started("stays"), await started("goes")];
    await report([stays.address, stays.web], [goes.address, goes.web]);
    await until("both Pods are known", async () => (await check()).pods === 2);
    await remove(lab.kube, goes.web);
    await until("it is known to be gone", async () => (await check()).pods === 1);
    await report([stays.address, stays.web]);

    // What was just seen may be on its way.
    expect(await check()).toMatchObject({
      clean: true,
      addresses: 2,
      pods: 1,
      findings: [],
      silentHosts: [],
    });
    const trial = await run("ipam", "release", "--leaked", "--dry-run", "--grace=0s", "-o", "json");
    expect(trial.code).toBe(0);
    expect(JSON.parse(trial.stdout)).toMatchObject({ dryRun: true, released: [], failed: [] });
    const release = await run("ipam", "release", "--leaked", "--grace=0s", "--yes");
    expect(release.stdout).toContain("Nothing to release.");
    expect(JSON.stringify((await sight.get("/addresses")).body)).toContain(goes.address);
  });

  it("are not all that does not fit: a Pod with an address that nobody gave is told of, and hinders no other", async () => {
    const odd = await create(
      lab.kube,
      pod({ namespace: "shop", name: "odd", node: "n1", ip: "10.119.9.9", labels: { app: "odd" } }),
    );
    let found: Check | undefined;
    await until("it is found", async () => {
      found = await check();
      return found.findings.length > 0;
    });
    expect(found?.findings).toMatchObject([
      {
        kind: "unrecorded",
        address: "10.119.9.9",
        pod: { namespace: "shop", name: "odd", uid: odd.metadata.uid },
      },
    ]);
    const shown = await run("ipam", "check");
    expect(shown.code).toBe(FOUND);
    expect(shown.stdout).toMatch(/unrecorded +10\.119\.9\.9/);
    expect((await started("beside")).address).not.toBe("");

    await remove(lab.kube, odd);
    await until("it is found no more", async () => (await check()).clean);
  });

  it("are not looked for while it is not known which Pods there are", async () => {
    const { web, address } = await started("unknown");
    await lab.kube.kill("SIGKILL");
    await until("Pods are not followed", async () => (await sight.problems()).includes("pods watch"));
    await lab.etcd.etcdctl(["del", `/registry/pods/shop/${web.metadata.name}`]);
    await report();

    expect(await check()).toMatchObject({
      clean: false,
      podsProblem: expect.stringContaining("pods") as unknown,
    });
    const refused = await run("ipam", "release", "--leaked", "--grace=0s", "--yes");
    expect(refused).toMatchObject({
      code: 75,
      stderr: expect.stringContaining("which Pods there are") as unknown,
    });
    expect(JSON.stringify((await sight.get("/addresses")).body)).toContain(address);
    expect(await sight.allocate("other.shop.0000000b", "n1")).toMatchObject({ status: 200 });

    const from = Date.now();
    lab.kube.spawn();
    await lab.kube.ready();
    const to = Date.now();
    await until("it is known which Pods there are", async () => (await check()).podsProblem === "");
    // An API server that is not ready yet does not know the roles yet.
    expect(
      lab.judge(({ requestReceivedTimestamp }) => {
        const at = Date.parse(requestReceivedTimestamp);
        return at >= from && at <= to;
      }),
    ).toEqual([]);
  });
});
