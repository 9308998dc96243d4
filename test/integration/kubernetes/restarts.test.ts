import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { requireKubeApi } from "../../support/kube-api.ts";
import { KubeLab, type LabFollower } from "../../support/kube-lab.ts";
import { create, namespace, networkPolicy, node, pod, type KubeObject } from "../../support/kube-objects.ts";
import { until } from "../../support/moto-lab.ts";
import { FOLLOWED, listsAsked, Sight, TWO_ZONES, Windows } from "./sight.ts";

/** After `/readyz` of the API server; the bar of the benchmark is 3 s on a machine with nothing else to do. */
const IN_SYNC_MS = 10_000;

describe.skipIf(requireKubeApi())("a controller whose API server is killed", () => {
  let lab: KubeLab;
  let controller: LabFollower;
  let sight: Sight;
  /** An API server that is not ready yet does not know the roles yet. */
  const windows = new Windows();
  beforeAll(async () => {
    lab = await KubeLab.start();
    controller = await lab.controller({ store: "etcd" });
    sight = new Sight(controller);
    await sight.topology(TWO_ZONES);
    await create(lab.kube, namespace("shop"));
  });
  afterAll(() => lab.close());

  /** Changes an object behind the back of an API server that is away. */
  async function store(key: string, object: KubeObject): Promise<void> {
    await lab.etcd.etcdctl(["put", `/registry/${key}`, JSON.stringify(object)]);
  }
  async function compact(): Promise<void> {
    const out = await lab.etcd.etcdctl(["get", "/", "--prefix", "--limit=1", "--write-out=json"]);
    const { header } = JSON.parse(out) as { readonly header: { readonly revision: number } };
    await lab.etcd.etcdctl(["compact", String(header.revision)]);
  }

  it.for([
    { how: "and its history is kept", id: 1, compacted: false },
    { how: "and etcd compacts its history meanwhile", id: 2, compacted: true },
    { how: "and it happens again", id: 3, compacted: true },
  ])("misses nothing when it is killed $how", async ({ id, compacted }) => {
    const zone = "us-west-2a";
    const goes = await create(lab.kube, networkPolicy("shop", `goes-${id}`, { podSelector: {} }));
    const edited = await create(
      lab.kube,
      networkPolicy("shop", `edited-${id}`, {
        podSelector: {},
        ingress: [{ ports: [{ protocol: "TCP", port: 1000 + id }] }],
      }),
    );
    const moved = await create(lab.kube, node({ name: `moved-${id}`, ip: `192.168.${id}.1`, zone }));
    const web = await create(
      lab.kube,
      pod({ namespace: "shop", name: `web-${id}`, node: moved.metadata.name, labels: { app: "before" } }),
    );
    await sight.placed(`moved-${id}`);
    const { status, address } = await sight.allocate(`web-${id}.shop.1`, `moved-${id}`, web);
    expect(status).toBe(200);
    await until("the policies are translated", async () => {
      return (await sight.modelOf(goes)) !== "" && (await sight.modelOf(edited)) !== "";
    });
    const before = await sight.lists();
    const known = lab.kube.audit().length;

    await windows.during(async () => {
      await lab.kube.kill("SIGKILL");
      await until("it is noticed", async () => (await sight.problems()).length === FOLLOWED.length);
      await lab.etcd.etcdctl(["del", `/registry/networkpolicies/shop/goes-${id}`]);
      await store(`networkpolicies/shop/edited-${id}`, {
        ...edited,
        spec: {
          podSelector: {},
          policyTypes: ["Ingress"],
          ingress: [{ ports: [{ protocol: "TCP", port: 2000 + id }] }],
        },
      });
      const labels = { ...moved.metadata.labels, "topology.kubernetes.io/zone": "us-west-2b" };
      await store(`minions/moved-${id}`, { ...moved, metadata: { ...moved.metadata, labels } });
      await store(`pods/shop/web-${id}`, {
        ...web,
        metadata: { ...web.metadata, labels: { app: "after" } },
      });
      if (compacted) {
        await compact();
      }
      // The last state is served throughout.
      expect(await sight.modelOf(goes)).not.toBe("");
      expect(await sight.modelOf(edited)).toContain(String(1000 + id));
      expect((await sight.get("/readyz")).status).toBe(200);
      expect(await sight.allocate(`more-${id}.shop.1`, `moved-${id}`)).toMatchObject({ status: 200 });
      lab.kube.spawn();
      await lab.kube.ready();
    });

    const readyAt = performance.now();
    await until("what was deleted is gone", async () => (await sight.modelOf(goes)) === "");
    await until("what was edited is translated anew", async () =>
      (await sight.modelOf(edited)).includes(String(2000 + id)),
    );
    await until(
      "the host follows its Node",
      async () => (await sight.host(`moved-${id}`))?.["misplaced"] === true,
    );
    await until("the address has the new labels of its Pod", async () =>
      JSON.stringify((await sight.get(`/explain/ip/${address}`)).body).includes("after"),
    );
    await until("every kind is followed", async () => (await sight.problems()).length === 0);
    expect(performance.now() - readyAt).toBeLessThan(IN_SYNC_MS);

    // Every watch was answered 410, and has cost one list that the server gave; those before were refused or failed while it started, with back-off.
    const lists = listsAsked(lab.kube.audit().slice(known));
    const after = await sight.lists();
    for (const kind of FOLLOWED) {
      const own = lists.filter((list) => list.kind === kind);
      const overlapping = own.slice(1).filter(({ from }, index) => from < (own[index]?.to ?? Infinity));
      const begun = (after[kind] ?? 0) - (before[kind] ?? 0);
      const given = own.filter(({ status: answered }) => answered === 200).length;
      expect({ kind, given, begun, overlapping }).toEqual({
        kind,
        given: 1,
        begun: own.length,
        overlapping: [],
      });
    }
  });

  it("asked for nothing that its role does not allow once the roles were known", () => {
    expect(lab.judge(windows.hold)).toEqual([]);
  });
});
