import { setTimeout as sleep } from "node:timers/promises";

import { describe, expect, it } from "vitest";

import type { Answer } from "../../support/address-history.ts";
import { requireEtcd } from "../../support/etcd.ts";
import { until } from "../../support/moto-lab.ts";
import { addressLoad, moreRequests, problemsAfter, readViews } from "../../support/replica-faults.ts";
import type { Replica } from "../../support/replica-lab.ts";
import { cuttable, isStale, sharedEtcd } from "./support.ts";

describe.skipIf(requireEtcd())("a replica that is cut off from etcd while the others work", () => {
  const etcd = sharedEtcd();

  it("tells the truth about changes whose acknowledgement was lost", async () => {
    const { lab, relay, options, cut, others } = await cuttable(etcd, "lost");
    const load = addressLoad(lab.replicas, { seed: 13, requests: 3_000, roams: true });
    const doLose = async (forMs: number): Promise<void> => {
      relay.loseAnswers();
      await sleep(forMs);
      relay.cut();
      await until("it serves again", async () => !isStale(await cut.call("GET", "/hosts")));
    };
    await load.run(async () => {
      await moreRequests(load, 300);
      for (let turn = 0; turn < 8; turn += 1) {
        await doLose(150);
        await moreRequests(load, 100);
      }
      // Longer than the outcome of a change is looked for.
      await doLose(8_500);
      await moreRequests(load, 300);
    });
    // Nobody else works now, so nothing but its answer can be lost: this one was taken.
    const { revision } = (await readViews(others[0] as Replica)).blocks;
    await until(
      "it has what was done",
      async () => (await readViews(cut)).blocks.revision >= revision,
      10_000,
    );
    relay.loseAnswers();
    const taken = await load.ask(cut, "allocate", "taken");
    expect(taken.answer.kind).toBe("unknown");
    relay.cut();
    await until("it serves again", async () => !isStale(await cut.call("GET", "/hosts")));

    const open = load.requests.filter(({ answer }) => answer.kind === "unknown");
    const reasons = open.map(({ answer }) => ("why" in answer ? answer.why : ""));
    expect(
      reasons.filter((why) => !/^503 .*(STORE_UNAVAILABLE|STORE_SILENT|REQUEST_TIMED_OUT)/.test(why)),
    ).toEqual([]);
    // Whoever was not told asks for the name again, at another replica.
    const names = new Set(open.filter(({ kind }) => kind === "allocate").map(({ name }) => name));
    const again = new Map<string, Answer["kind"]>();
    for (const name of names) {
      const { answer } = await load.ask(others[0] as Replica, "allocate", name);
      again.set(name, answer.kind);
    }
    expect([...again.values()].filter((kind) => kind !== "exists" && kind !== "allocated")).toEqual([]);
    expect(again.get("taken")).toBe("exists");
    expect(await problemsAfter(lab, load.requests, options)).toEqual([]);
  });

  it("reads everything again when etcd was compacted meanwhile", async () => {
    const { lab, relay, options, cut, others } = await cuttable(etcd, "compacted");
    const load = addressLoad(lab.replicas, { seed: 14, requests: 3_000 });
    await load.run(async () => {
      await moreRequests(load, 500);
      await relay.refuse();
      relay.cut();
      await moreRequests(load, 500);
      const status = await etcd.server.etcdctl(["endpoint", "status", "--write-out=json"]);
      const [{ Status }] = JSON.parse(status) as [{ Status: { header: { revision: number } } }];
      await etcd.server.etcdctl(["compact", String(Status.header.revision)]);
      await moreRequests(load, 300);
      await relay.accept();
      const { revision } = (await readViews(others[0] as Replica)).blocks;
      await until(
        "it has what was done",
        async () => (await readViews(cut)).blocks.revision >= revision,
        15_000,
      );
      await moreRequests(load, 500);
    });

    expect(cut.output).toContain("everything was read again from the store");
    expect(await problemsAfter(lab, load.requests, options)).toEqual([]);
  });
});
