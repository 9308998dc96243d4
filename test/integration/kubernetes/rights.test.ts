import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { requireKubeApi } from "../../support/kube-api.ts";
import { KubeLab, type LabFollower } from "../../support/kube-lab.ts";
import { create, namespace, networkPolicy, node, type KubeObject } from "../../support/kube-objects.ts";
import { until } from "../../support/moto-lab.ts";
import { Relay } from "../../support/relay.ts";
import { FOLLOWED, kubeconfigThrough, kubectl, RBAC_FILE, Sight, TWO_ZONES, Windows } from "./sight.ts";

/** Issue 6: in sync so long after the rights are back. */
const BACK_WITHIN_MS = 5_000;

describe.skipIf(requireKubeApi())("a controller whose rights are taken away", () => {
  let lab: KubeLab;
  let relay: Relay;
  let controller: LabFollower;
  let sight: Sight;
  let policy: KubeObject;
  const windows = new Windows();
  beforeAll(async () => {
    lab = await KubeLab.start();
    relay = await Relay.start(lab.kube.port);
    controller = await lab.controller({
      store: "etcd",
      flags: [`--kubernetes=${kubeconfigThrough(lab, relay.port)}`],
    });
    sight = new Sight(controller);
    await sight.topology(TWO_ZONES);
    await create(lab.kube, namespace("shop"));
    await create(lab.kube, node({ name: "n1", ip: "192.168.1.1", zone: "us-west-2a" }));
    policy = await create(lab.kube, networkPolicy("shop", "before", { podSelector: {} }));
    await sight.placed("n1");
    await until("the policy is translated", async () => (await sight.modelOf(policy)) !== "");
  });
  afterAll(async () => {
    await relay.stop();
    await lab.close();
  });

  const giveBack = (): Promise<string> => kubectl(lab.kube, "apply", `--filename=${RBAC_FILE}`);
  /** An open watch goes on without rights: the next connection is refused. */
  const cut = (): void => relay.cut();
  /** Resolves when the metric names exactly these, `kind verb`, and the log names each of them as missing since `from`, a line number. */
  async function lacks(verb: "list" | "watch", kinds: readonly string[], from: number): Promise<void> {
    const named = (): readonly unknown[] =>
      sight
        .log()
        .slice(from)
        .map(({ missingVerb }) => missingVerb);
    await until(`the log says that it may not ${verb} ${kinds.join(", ")}`, () =>
      kinds.every((kind) => named().includes(`${verb} ${kind}`)),
    );
    let problems: readonly string[] = [];
    const expected = kinds.map((kind) => `${kind} ${verb}`);
    await until(`the metric says the same`, async () => {
      problems = await sight.problems();
      return problems.length === kinds.length;
    });
    expect(problems).toEqual(expected);
  }
  const followsAll = (): Promise<number> =>
    until("every kind is followed", async () => (await sight.problems()).length === 0);

  it("serves the last good state without its role, says which verbs it lacks, and is in sync within 5 s after it is back", async () => {
    const from = sight.log().length;
    await windows.during(async () => {
      await kubectl(lab.kube, "delete", "clusterrolebinding", "romana-controller");
      cut();
      await lacks("watch", FOLLOWED, from);
      const late = await create(lab.kube, networkPolicy("shop", "late", { podSelector: {} }));
      await create(lab.kube, node({ name: "n2", ip: "192.168.1.2", zone: "us-west-2b" }));

      // What it knows stands, and what needs no API server goes on.
      expect((await sight.get("/readyz")).status).toBe(200);
      expect(await sight.isPlaced("n1")).toBe(true);
      expect(await sight.modelOf(policy)).not.toBe("");
      expect(await sight.allocate("web.shop.1", "n1")).toMatchObject({ status: 200 });
      expect(await sight.host("n2")).toBeUndefined();

      await giveBack();
      const backAt = performance.now();
      await sight.placed("n2");
      await until("the policy is translated", async () => (await sight.modelOf(late)) !== "");
      await followsAll();
      expect(performance.now() - backAt).toBeLessThan(BACK_WITHIN_MS);
    });
  });

  it("follows the other kinds when it may not read one, and names that one", async () => {
    const from = sight.log().length;
    await windows.during(async () => {
      // The second rule of the role: networkpolicies and servicecidrs.
      await kubectl(
        lab.kube,
        "patch",
        "clusterrole",
        "romana-controller",
        "--type=json",
        '--patch=[{"op":"test","path":"/rules/1/resources/0","value":"networkpolicies"},{"op":"replace","path":"/rules/1/verbs","value":["get"]}]',
      );
      cut();
      await lacks("watch", ["networkpolicies", "servicecidrs"], from);
      const closed = await create(
        lab.kube,
        namespace(
          "closed",
          {},
          {
            "net.beta.kubernetes.io/networkpolicy": '{"ingress":{"isolation":"DefaultDeny"}}',
          },
        ),
      );
      const unseen = await create(lab.kube, networkPolicy("shop", "unseen", { podSelector: {} }));
      await create(lab.kube, node({ name: "n3", ip: "192.168.1.3", zone: "us-west-2a" }));

      await sight.placed("n3");
      await until("the namespace is isolated", async () => (await sight.modelOf(closed)) !== "");
      expect(await sight.modelOf(policy)).not.toBe("");
      expect(await sight.modelOf(unseen)).toBe("");
      expect((await sight.get("/readyz")).status).toBe(200);

      await giveBack();
      const backAt = performance.now();
      await until("the policy is translated", async () => (await sight.modelOf(unseen)) !== "");
      await followsAll();
      expect(performance.now() - backAt).toBeLessThan(BACK_WITHIN_MS);
    });
  });

  it("starts without rights, serves what is stored, and begins when it gets them", async () => {
    const from = sight.log().length;
    await windows.during(async () => {
      await kubectl(lab.kube, "delete", "clusterrolebinding", "romana-controller");
      await controller.process.kill("SIGKILL");
      await controller.process.start();
      await lacks("list", FOLLOWED, from);
      // Nothing is decided from a view that was never whole: hosts and policies stay.
      await sight.leads();
      expect(await sight.isPlaced("n1")).toBe(true);
      expect(await sight.modelOf(policy)).not.toBe("");
      expect(await sight.allocate("web.shop.2", "n1")).toMatchObject({ status: 200 });
      await create(lab.kube, node({ name: "n4", ip: "192.168.1.4", zone: "us-west-2b" }));

      await giveBack();
      const backAt = performance.now();
      await sight.placed("n4");
      await followsAll();
      expect(performance.now() - backAt).toBeLessThan(BACK_WITHIN_MS);
    });
  });

  it("leads no longer than its Lease allows when it may not renew it, and leads again", async () => {
    await sight.leads();
    await windows.during(async () => {
      await kubectl(lab.kube, "delete", "rolebinding", "romana-controller", "--namespace=kube-system");
      await until(
        "it leads no more",
        async () => ((await sight.get("/status")).body as { readonly leader?: boolean }).leader === false,
      );
      expect((await sight.get("/readyz")).status).toBe(200);
      expect(
        sight
          .log()
          .filter(({ level }) => level === "warn" || level === 40)
          .map((line) => JSON.stringify(line))
          .join("\n"),
      ).toMatch(/update.*leases|leases.*update/);
      expect(await sight.allocate("web.shop.3", "n1")).toMatchObject({ status: 200 });
      expect(await sight.problems()).toEqual([]);

      await giveBack();
      const backAt = performance.now();
      await sight.leads();
      expect(performance.now() - backAt).toBeLessThan(BACK_WITHIN_MS);
    });
    const made = await create(lab.kube, networkPolicy("shop", "after", { podSelector: {} }));
    await until("a new policy is translated", async () => (await sight.modelOf(made)) !== "");
  });

  it("was refused while its rights were gone, and never else", () => {
    expect(lab.judge(windows.hold)).toEqual([]);
  });
});
