import { setTimeout as sleep } from "node:timers/promises";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { Store } from "../../../src/ports/store.ts";
import { openEtcdStore } from "../../support/etcd-store.ts";
import { EtcdServer, requireEtcd } from "../../support/etcd.ts";
import { until } from "../../support/moto-lab.ts";
import { etcdFlags, populatedLab, problemsAfter, readViews } from "../../support/replica-faults.ts";
import type { Replica } from "../../support/replica-lab.ts";

/** More than one transaction of etcd takes. */
const ADDRESSES = 300;
const AT_ONCE = 100;
const never = new AbortController().signal;
/** When the replica is killed: so long after the first key with this beginning is written. What is written later makes the change valid. */
const KILLS = [
  { key: "staged/", delayMs: 0, expected: "all" },
  { key: "generation", delayMs: 0, expected: "nothing" },
  { key: "generation", delayMs: 3, expected: "nothing" },
] as const;
const PREFIX = "staged";

describe.skipIf(requireEtcd())("a change too large for one transaction", () => {
  let etcd: EtcdServer;

  beforeAll(async () => {
    etcd = await EtcdServer.start();
  });
  afterAll(() => etcd.stop());

  async function fill(replica: Replica): Promise<void> {
    await replica.call("POST", "/hosts", { name: "host-0", ip: "192.168.0.1", tags: { group: "0" } });
    const answers = [];
    for (let first = 0; first < ADDRESSES; first += AT_ONCE) {
      const asked = Array.from({ length: AT_ONCE }, (_, index) => {
        const name = `big-${first + index}`;
        return replica.call("POST", "/address", { name, host: "host-0", tenant: "t", segment: "" });
      });
      answers.push(...(await Promise.all(asked)));
    }
    expect(answers.filter(({ status }) => status !== 200 && status !== 409)).toEqual([]);
  }

  /** What stands of it: everything or nothing, or a phrase that says what is wrong. */
  async function standing(replica: Replica): Promise<string> {
    const addresses = (await readViews(replica)).addresses.filter(({ host }) => host === "host-0").length;
    const isThere = (await replica.call("GET", "/hosts/host-0")).status === 200;
    if (isThere && addresses === ADDRESSES) {
      return "all";
    }
    return !isThere && addresses === 0
      ? "nothing"
      : `host ${isThere ? "there" : "gone"}, ${addresses} addresses`;
  }

  /** Resolves when a key with this beginning is written after `revision`. */
  async function written(store: Store, beginning: string, revision: number): Promise<void> {
    for await (const { events } of store.watch(`/${PREFIX}/${beginning}`, revision, never)) {
      if (events.some(({ kind }) => kind === "put")) {
        return;
      }
    }
  }

  it(
    "is done whole or not at all when the replica that makes it is killed",
    { timeout: 120_000 },
    async () => {
      const options = { flags: etcdFlags(etcd.endpoints, PREFIX) };
      const lab = await populatedLab([options, options]);
      const direct = openEtcdStore(etcd.endpoints);
      try {
        const [killed, other] = [lab.at(0), lab.at(1)];
        for (const { key, delayMs, expected } of KILLS) {
          await fill(other);
          await until("all is there", async () => (await standing(killed)) === "all");
          const { revision } = await direct.list(`/${PREFIX}/generation`, never);
          const reached = written(direct, key, revision);
          const removal = killed.call("DELETE", "/hosts/host-0").catch(() => undefined);
          await reached;
          await sleep(delayMs);
          await killed.kill("SIGKILL");
          const answer = await removal;

          // The other replica takes changes meanwhile, and then knows what there was.
          const more = { name: "more", ip: "192.168.9.9", tags: { group: "1" } };
          expect((await other.call("POST", "/hosts", more)).status).toBe(200);
          expect((await other.call("DELETE", "/hosts/more")).status).toBe(200);
          const found = await standing(other);
          // The kill may come too late to stop it, never in its middle.
          expect(["nothing", expected]).toContain(found);
          expect(answer === undefined ? "nothing" : found).toBe("nothing");
          await killed.start();
          expect(await standing(killed)).toBe(found);
        }

        expect(await problemsAfter(lab, undefined, options)).toEqual([]);
      } finally {
        await direct.close();
        await lab.stop();
      }
    },
  );
});
