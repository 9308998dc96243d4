import { setTimeout as sleep } from "node:timers/promises";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { romana } from "../../cli/romana.ts";
import { requireKubeApi } from "../../support/kube-api.ts";
import { KubeLab, type LabFollower } from "../../support/kube-lab.ts";
import { create, namespace, node, pod, remove, type KubeObject } from "../../support/kube-objects.ts";
import { Sight, told, TWO_ZONES } from "./sight.ts";

/** Longer than the 90 s that Pods may be behind, so that there is a time in which it is leaked for whoever asks for less. */
const GRACE_S = 110;
/** The grace time, the collector's next look after it, 30 s at most, and what a busy machine adds. */
const COLLECTED_MS = 180_000;
/** Between two reports of an agent, in turns. */
const REPORT_TURNS = 10;
/** Of a node that starts Pods all the time. */
const TURN_MS = 500;
const LIVES = 8;

interface Started {
  readonly web: KubeObject;
  readonly name: string;
  readonly address: string;
}

interface Trial {
  readonly dryRun: boolean;
  readonly released: readonly object[];
  readonly kept: readonly object[];
}

describe.skipIf(requireKubeApi())("addresses that leaked", () => {
  let lab: KubeLab;
  let controller: LabFollower;
  let sight: Sight;
  beforeAll(async () => {
    lab = await KubeLab.start();
    controller = await lab.controller({ flags: [`--address-grace=${GRACE_S}s`] });
    sight = new Sight(controller);
    await sight.leads();
    await sight.topology(TWO_ZONES);
    await create(lab.kube, namespace("shop"));
    for (const [index, name] of ["n1", "n2", "n3"].entries()) {
      await create(lab.kube, node({ name, ip: `192.168.1.${index + 1}`, zone: "us-west-2a" }));
      await sight.placed(name);
    }
  });
  afterAll(() => lab.close());

  async function started(podName: string, host: string): Promise<Started> {
    const web = await create(lab.kube, pod({ namespace: "shop", name: podName, node: host }));
    const name = `${podName}.shop.${(web.metadata.uid ?? "").slice(0, 8)}`;
    const { status, address } = await sight.allocate(name, host, web);
    expect(status).toBe(200);
    return { web, name, address };
  }
  async function report(host: string, holding: readonly Started[]): Promise<void> {
    const endpoints = holding.map(({ address, web }) => ({ address, podUID: web.metadata.uid }));
    const { status } = await controller.process.call("PUT", `/hosts/${host}/agent`, {
      ready: true,
      endpoints,
    });
    expect(status).toBe(200);
  }
  const held = async (): Promise<ReadonlySet<string>> =>
    new Set(
      ((await sight.get("/addresses")).body as readonly { readonly address: string }[]).map(
        ({ address }) => address,
      ),
    );

  it(
    "are collected when API server and agent agree long enough, and no Pod that is started meanwhile loses its own",
    { timeout: 240_000 },
    async () => {
      const leaked = await started("leaked", "n1");
      const stuck = await started("stuck", "n1");
      const silent = await started("silent", "n2");
      await report("n1", [leaked, stuck]);
      for (const { web } of [leaked, stuck, silent]) {
        await remove(lab.kube, web);
      }
      const begun = performance.now();
      const living: Started[] = [];
      /** What a trial with no grace time would have released. */
      const shown: Trial[] = [];
      const env = { ROMANA_URL: `http://127.0.0.1:${controller.process.port}` };
      /** Of trials, and of addresses given back. */
      const codes: (number | null)[] = [];
      let turn = 0;
      // The node goes on: Pods come under old and new names, are there before or after the agent's report, and go with their addresses.
      while ((await held()).has(leaked.address)) {
        expect(performance.now() - begun).toBeLessThan(COLLECTED_MS);
        turn += 1;
        const next = await started(`web-${turn % (2 * LIVES)}`, "n1");
        if (turn % REPORT_TURNS === 0) {
          // Without the newest: its interface is being made.
          await report("n1", [stuck, ...living]);
          const trial = await romana(
            ["ipam", "release", "--leaked", "--dry-run", "--grace=0s", "-o", "json"],
            { env },
          );
          codes.push(trial.code);
          const wouldBe = JSON.parse(trial.stdout) as Trial;
          if (wouldBe.released.length > 0) {
            shown.push(wouldBe);
          }
        }
        living.push(next);
        if (living.length > LIVES) {
          const oldest = living.shift() as Started;
          await remove(lab.kube, oldest.web);
          const path = `/address?addressName=${oldest.name}`;
          codes.push((await controller.process.call("DELETE", path)).status);
        }
        // The pace of the load, and no wait for anything.
        await sleep(TURN_MS);
      }

      expect(performance.now() - begun).toBeGreaterThan(GRACE_S * 1000);
      expect(shown[0]).toMatchObject({
        dryRun: true,
        released: [{ kind: "leaked", address: leaked.address, host: "n1" }],
        kept: expect.arrayContaining([
          expect.objectContaining({ kind: "suspected", address: stuck.address }),
          expect.objectContaining({ kind: "suspected", address: silent.address }),
        ]) as unknown,
      });
      expect(new Set(codes)).toEqual(new Set([0, 200]));
      const left = await held();
      expect(living.filter(({ address }) => !left.has(address))).toEqual([]);
      // Its node has the interface still; and of the other the agent says nothing, which proves nothing.
      expect(left.has(stuck.address)).toBe(true);
      expect(left.has(silent.address)).toBe(true);
      expect((await told(lab.kube, "n1", "AddressReleased")).note).toContain(leaked.address);
      expect(lab.judge()).toEqual([]);
    },
  );
});
