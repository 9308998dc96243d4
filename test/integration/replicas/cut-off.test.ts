import { setTimeout as sleep } from "node:timers/promises";

import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import type { Answer } from "../../support/address-history.ts";
import { EtcdServer, requireEtcd } from "../../support/etcd.ts";
import { until } from "../../support/moto-lab.ts";
import { Relay } from "../../support/relay.ts";
import {
  addressLoad,
  etcdFlags,
  moreRequests,
  nextLeader,
  populatedLab,
  problemsAfter,
  readViews,
} from "../../support/replica-faults.ts";
import type { ApiAnswer, Replica } from "../../support/replica-lab.ts";

/** After which a replica says that what it knows may be old. */
const SILENT_MS = 7_000;
/** Longer than every wait for the store, so that all of them end: what 30 s would do takes the same way. */
const CUT_MS = 13_000;

const ask = (replica: Replica, name: string): Promise<ApiAnswer> =>
  replica.call("POST", "/address", { name, host: "host-0", tenant: "t", segment: "" });

const isStale = ({ headers }: ApiAnswer): boolean => headers["romana-stale"] !== undefined;

describe.skipIf(requireEtcd())("a replica that is cut off from etcd while the others work", () => {
  let etcd: EtcdServer;
  let relay: Relay;
  const ends: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    etcd = await EtcdServer.start();
  });
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) {
      await end();
    }
  });
  afterAll(() => etcd.stop());

  /** Three replicas; the first reaches etcd through the relay, and leads. */
  async function cuttable(prefix: string) {
    relay = await Relay.start(etcd.clientPort);
    ends.push(() => relay.stop());
    const direct = { flags: etcdFlags(etcd.endpoints, prefix) };
    const through = { flags: etcdFlags([`http://127.0.0.1:${relay.port}`], prefix) };
    const lab = await populatedLab([through, direct, direct]);
    ends.push(() => lab.stop());
    return { lab, options: direct, cut: lab.at(0), others: lab.replicas.slice(1) };
  }

  it("answers reads as stale, refuses changes, leads no longer, and has everything soon after", async () => {
    const { lab, options, cut, others } = await cuttable("silent");
    expect((await lab.leader()).id).toBe(cut.id);
    const load = addressLoad(lab.replicas, { seed: 11, requests: 2_000 });
    const working = addressLoad(others, {
      seed: 12,
      requests: 1_000,
      clients: 4,
      names: "others-",
    });
    await load.run(async () => {
      await moreRequests(load, 500);
      relay.hold("requests", "answers");
      const held = performance.now();
      const during = working.run();
      const next = await nextLeader(others, 30_000);
      expect(next.afterMs).toBeLessThan(7_000);
      await until("its answers are stale", async () => isStale(await cut.call("GET", "/hosts")));
      expect(performance.now() - held).toBeGreaterThan(SILENT_MS - 2_500);

      const read = await cut.call("GET", "/addresses");
      expect(read.status).toBe(200);
      expect(Number(read.headers["romana-stale"])).toBeGreaterThanOrEqual(SILENT_MS / 1000);
      const ready = await cut.call("GET", "/readyz");
      expect([ready.status, ready.body]).toEqual([
        200,
        { ready: true, reasons: [], stale: true, leader: false },
      ]);
      expect((await cut.call("GET", "/status")).body).toMatchObject({ leader: false });
      const asked = performance.now();
      const refused = await ask(cut, "refused");
      expect(performance.now() - asked).toBeLessThan(1_000);
      expect([refused.status, (refused.body as { readonly type: string }).type]).toEqual([
        503,
        "urn:romana:error:transient:STORE_SILENT",
      ]);
      expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);
      await until("it was cut off for long enough", () => performance.now() - held > CUT_MS);

      relay.release();
      await until("it is not stale", async () => !isStale(await cut.call("GET", "/hosts")), 10_000);
      const { revision } = (await readViews(others[0] as Replica)).blocks;
      await until(
        "it has what was done",
        async () => (await readViews(cut)).blocks.revision >= revision,
        10_000,
      );
      expect((await ask(cut, "taken")).status).toBe(200);
      expect((await cut.call("DELETE", "/address?addressName=taken")).status).toBe(200);
      await during;
    });

    expect(await problemsAfter(lab, [...load.requests, ...working.requests], options)).toEqual([]);
    expect(working.count("allocated")).toBeGreaterThan(300);
  });

  it("tells the truth about changes whose acknowledgement was lost", async () => {
    const { lab, options, cut, others } = await cuttable("lost");
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
    const { lab, options, cut, others } = await cuttable("compacted");
    const load = addressLoad(lab.replicas, { seed: 14, requests: 3_000 });
    await load.run(async () => {
      await moreRequests(load, 500);
      await relay.refuse();
      relay.cut();
      await moreRequests(load, 500);
      const status = await etcd.etcdctl(["endpoint", "status", "--write-out=json"]);
      const [{ Status }] = JSON.parse(status) as [{ Status: { header: { revision: number } } }];
      await etcd.etcdctl(["compact", String(Status.header.revision)]);
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
