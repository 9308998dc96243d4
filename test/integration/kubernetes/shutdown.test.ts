import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { requireKubeApi } from "../../support/kube-api.ts";
import { KubeLab } from "../../support/kube-lab.ts";
import { create, namespace, networkPolicy, node, type KubeObject } from "../../support/kube-objects.ts";
import { until } from "../../support/moto-lab.ts";
import { Sight, TWO_ZONES, Windows } from "./sight.ts";

describe.skipIf(requireKubeApi())("a controller whose API server shuts down in good order", () => {
  let lab: KubeLab;
  let sight: Sight;
  let before: KubeObject;
  const windows = new Windows();
  beforeAll(async () => {
    lab = await KubeLab.start();
    sight = new Sight(await lab.controller({ store: "etcd" }));
    await sight.topology(TWO_ZONES);
    await create(lab.kube, namespace("shop"));
    await create(lab.kube, node({ name: "n1", ip: "192.168.1.1", zone: "us-west-2a" }));
    before = await create(lab.kube, networkPolicy("shop", "before", { podSelector: {} }));
    await sight.placed("n1");
    await until("the policy is translated", async () => (await sight.modelOf(before)) !== "");
  });
  afterAll(() => lab.close());

  it("serves the last state until it is back, however long that takes, and misses nothing", async () => {
    await windows.during(async () => {
      const ended = lab.kube.kill("SIGTERM");
      let isGone = false;
      void ended.then(() => {
        isGone = true;
      });
      // With watches open it takes up to a minute.
      await until(
        "it is gone, and the last state was served throughout",
        async () => {
          expect((await sight.get("/readyz")).status).toBe(200);
          expect(await sight.isPlaced("n1")).toBe(true);
          expect(await sight.modelOf(before)).not.toBe("");
          return isGone;
        },
        100_000,
        250,
      );
      await until("it is noticed", async () => (await sight.problems()).length > 0);
      await lab.etcd.etcdctl(["del", "/registry/networkpolicies/shop/before"]);
      expect(await sight.allocate("web.shop.1", "n1")).toMatchObject({ status: 200 });
      lab.kube.spawn();
      await lab.kube.ready();
    });

    const made = await create(lab.kube, networkPolicy("shop", "after", { podSelector: {} }));
    await create(lab.kube, node({ name: "n2", ip: "192.168.1.2", zone: "us-west-2b" }));
    await until("what was deleted is gone", async () => (await sight.modelOf(before)) === "");
    await until("what is new is translated", async () => (await sight.modelOf(made)) !== "");
    await sight.placed("n2");
    expect(lab.judge(windows.hold)).toEqual([]);
  });
});
