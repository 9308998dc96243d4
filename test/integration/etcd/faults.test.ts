import { setTimeout as sleep } from "node:timers/promises";

import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import type { EtcdStore } from "../../../src/adapters/etcd/etcd-store.ts";
import type { EtcdStoreOptions } from "../../../src/adapters/etcd/options.ts";
import type { NetworkError } from "../../../src/core/errors.ts";
import type { Store, StoreBatch, Transaction } from "../../../src/ports/store.ts";
import { openEtcdStore } from "../../support/etcd-store.ts";
import { EtcdServer, requireEtcd } from "../../support/etcd.ts";
import { Relay } from "../../support/relay.ts";

const never = new AbortController().signal;

function put(key: string, value = "1"): Transaction {
  return { compare: [], operations: [{ kind: "put", key, value }] };
}

function create(key: string): Transaction {
  return { ...put(key), compare: [{ key, modRevision: 0 }] };
}

/** Waits until `holds`, no longer than `withinMs`. */
async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  withinMs = 15_000,
): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await holds())) {
    if (performance.now() > deadline) {
      throw new Error(`not within ${withinMs} ms: ${what}`);
    }
    await sleep(10);
  }
}

function codeOf(error: unknown): string {
  return (error as Partial<NetworkError>).code ?? String(error);
}

/** Reads a watch into a list until it is stopped; `ended` has the error that it ended with. */
function follow(store: Store, prefix: string, afterRevision: number) {
  const stopping = new AbortController();
  const revisions: number[] = [];
  const batches: StoreBatch[] = [];
  const ended = (async () => {
    for await (const batch of store.watch(prefix, afterRevision, stopping.signal)) {
      revisions.push(batch.revision);
      batches.push(batch);
    }
  })().catch((error: unknown) => error);
  return { revisions, batches, ended, stop: () => stopping.abort() };
}

function sequence(first: number, last: number): readonly number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

describe.skipIf(requireEtcd())("an etcd that fails", () => {
  let server: EtcdServer;
  let relay: Relay;
  let direct: EtcdStore;
  const opened: Store[] = [];
  const ends: (() => void)[] = [];

  beforeAll(async () => {
    server = await EtcdServer.start();
    relay = await Relay.start(server.clientPort);
    direct = openEtcdStore(server.endpoints);
  });
  afterEach(async () => {
    ends.splice(0).forEach((end) => end());
    await Promise.all(opened.splice(0).map((store) => store.close()));
    relay.release();
    relay.cut();
    await relay.accept();
    await server.kill("SIGCONT");
  });
  afterAll(async () => {
    await direct?.close();
    await relay?.stop();
    await server?.stop();
  });

  /** A store behind the relay. */
  function open(options: Partial<EtcdStoreOptions> = {}): EtcdStore {
    const store = openEtcdStore([`http://127.0.0.1:${relay.port}`], options);
    opened.push(store);
    return store;
  }

  function watching(store: Store, prefix: string, afterRevision: number) {
    const watch = follow(store, prefix, afterRevision);
    ends.push(watch.stop);
    return watch;
  }

  async function revisionOf(store: Store): Promise<number> {
    return (await store.list("/none/", never)).revision;
  }

  it("loses no change and doubles none when a watch is cut in the middle of a catch-up", async () => {
    const before = await revisionOf(direct);
    for (let index = 0; index < 5_000; index += 1_000) {
      await Promise.all(sequence(index, index + 999).map((n) => direct.commit(put(`/catch-up/${n}`), never)));
    }
    const store = open();
    await store.get("/warm", never);
    const { cuts } = relay;
    relay.cutAfter(50_000);

    const watch = watching(store, "/catch-up/", before);

    await until("all 5,000 changes", () => watch.revisions.length >= 5_000);
    expect(relay.cuts).toBe(cuts + 1);
    expect(watch.revisions).toEqual(sequence(before + 1, before + 5_000));
  });

  it("lets an idle watch go on after a cut, from the last change that was delivered", async () => {
    const store = open();
    const before = await revisionOf(direct);
    const watch = watching(store, "/idle/", before);
    await direct.commit(put("/idle/1"), never);
    await until("the first change", () => watch.revisions.length === 1);

    relay.cut();
    await relay.refuse();
    await direct.commit(put("/idle/2"), never);
    await direct.commit(put("/idle/3"), never);
    await relay.accept();

    await until("the changes of the time without a connection", () => watch.revisions.length === 3);
    expect(watch.revisions).toEqual(sequence(before + 1, before + 3));
  });

  it("does not repeat a commit whose answer was lost after it was done", async () => {
    const store = open();
    await store.get("/warm", never);
    relay.loseAnswers();

    const outcome = store.commit(create("/lost-answer"), never).catch(codeOf);
    await until("the commit is done", async () => (await direct.get("/lost-answer", never)) !== undefined);
    relay.cut();

    expect(await outcome).toBe("STORE_UNAVAILABLE");
    const done = await direct.get("/lost-answer", never);
    expect(done?.modRevision).toBe(done?.createRevision);
    // Whoever asks, once the wire is whole, finds what became of it.
    expect(await store.get("/lost-answer", never)).toEqual(done);
  });

  it("gives a call up after its time", async () => {
    const store = open({ requestTimeoutMs: 300 });
    await store.get("/warm", never);
    relay.hold("answers");
    const start = performance.now();

    expect(await store.commit(put("/silent"), never).catch(codeOf)).toBe("STORE_UNAVAILABLE");

    expect(performance.now() - start).toBeLessThan(2_000);
  });

  it("sends a commit to the next endpoint when the first surely did not get it", async () => {
    await relay.refuse();
    relay.cut();
    const store = openEtcdStore([`http://127.0.0.1:${relay.port}`, server.endpoint]);
    opened.push(store);

    expect(await store.commit(create("/next-endpoint"), never)).toMatchObject({ ok: true });
  });

  it("is left for the next endpoint when it is silent; the commit that met the silence is not repeated", async () => {
    const store = openEtcdStore([`http://127.0.0.1:${relay.port}`, server.endpoint], {
      requestTimeoutMs: 300,
    });
    opened.push(store);
    await store.get("/warm", never);
    relay.hold("requests", "answers");

    expect(await store.commit(create("/met-silence"), never).catch(codeOf)).toBe("STORE_UNAVAILABLE");
    expect(await store.commit(create("/after-silence"), never)).toMatchObject({ ok: true });

    expect(await direct.get("/met-silence", never)).toBeUndefined();
  });

  it("is noticed within 8 s when the connection of a watch is silent", async () => {
    const store = openEtcdStore([`http://127.0.0.1:${relay.port}`, server.endpoint]);
    opened.push(store);
    const before = await revisionOf(direct);
    const watch = watching(store, "/silence/", before);
    await direct.commit(put("/silence/1"), never);
    await until("the first change", () => watch.revisions.length === 1);

    relay.hold("requests", "answers");
    await direct.commit(put("/silence/2"), never);

    await until("the change on another connection", () => watch.revisions.length === 2, 8_500);
    expect(watch.revisions).toEqual([before + 1, before + 2]);
  });

  it("goes on serving a watch after it was killed and started again", async () => {
    const store = open();
    const before = await revisionOf(direct);
    const watch = watching(store, "/killed/", before);
    await direct.commit(put("/killed/1"), never);
    await until("the first change", () => watch.revisions.length === 1);

    await server.restart();
    await direct.commit(put("/killed/2"), never).catch(() => direct.commit(put("/killed/2"), never));

    await until("the change after the restart", () => watch.batches.length >= 2);
    expect(watch.batches.flatMap(({ events }) => events)).toEqual([
      expect.objectContaining({ entry: expect.objectContaining({ key: "/killed/1" }) }),
      expect.objectContaining({ entry: expect.objectContaining({ key: "/killed/2" }) }),
    ]);
  });

  it("stands still for a while (SIGSTOP) and answers again, without a restart on our side", async () => {
    const store = open({ requestTimeoutMs: 500 });
    await store.get("/warm", never);
    await server.kill("SIGSTOP");

    expect(await store.get("/warm", never).catch(codeOf)).toBe("STORE_UNAVAILABLE");
    await server.kill("SIGCONT");

    await until("an answer", () =>
      store.get("/warm", never).then(
        () => true,
        () => false,
      ),
    );
  });

  it("tells a watch that was away during a compaction that its history is gone", async () => {
    const store = open();
    const before = await revisionOf(direct);
    const watch = watching(store, "/compacted/", before);
    await direct.commit(put("/compacted/1"), never);
    await until("the first change", () => watch.revisions.length === 1);
    await relay.refuse();
    relay.cut();

    await direct.commit(put("/compacted/2"), never);
    await direct.commit({ compare: [], operations: [{ kind: "delete", key: "/compacted/2" }] }, never);
    const { revision } = await direct.list("/compacted/", never);
    // The deletion itself: etcd would serve a watch from here on, without it.
    await server.etcdctl(["compact", String(revision)]);
    await relay.accept();

    expect(codeOf(await watch.ended)).toBe("STORE_COMPACTED");
    const atTheEdge = watching(store, "/compacted/", revision - 1);
    expect(codeOf(await atTheEdge.ended)).toBe("STORE_COMPACTED");
  });

  it("lists more than a page as of one revision", async () => {
    const store = open({ pageSize: 100 });
    for (let index = 0; index < 1_000; index += 100) {
      const operations = sequence(index, index + 99).map((n) => ({
        kind: "put" as const,
        key: `/pages/${n}`,
        value: String(index),
      }));
      await direct.commit({ compare: [], operations }, never);
    }
    const before = await revisionOf(direct);

    const listing = store.list("/pages/", never);
    await direct.commit(put("/pages/5", "later"), never);
    const { entries, revision } = await listing;

    expect(entries).toHaveLength(1_000);
    expect(Math.max(...entries.map(({ modRevision }) => modRevision))).toBeLessThanOrEqual(revision);
    expect(revision).toBeGreaterThanOrEqual(before);
  });

  it("is not asked for more than it takes", async () => {
    const many = sequence(1, 129).map((n) => ({ kind: "put" as const, key: `/many/${n}`, value: "1" }));

    expect(await direct.commit({ compare: [], operations: many }, never).catch(codeOf)).toBe(
      "TRANSACTION_TOO_LARGE",
    );
    expect(await direct.commit(put("/big", "x".repeat(direct.limits.bytes)), never).catch(codeOf)).toBe(
      "TRANSACTION_TOO_LARGE",
    );
    const full = sequence(1, 128).map((n) => ({
      key: `/full/${"k".repeat(300)}/${n}`,
      modRevision: 0,
    }));
    const room = direct.limits.bytes - 2 * full.reduce((sum, { key }) => sum + key.length, 0);
    const largest = full.map(({ key }) => ({
      kind: "put" as const,
      key,
      value: "x".repeat(Math.floor(room / 128)),
    }));
    expect(await direct.commit({ compare: full, operations: largest }, never)).toMatchObject({ ok: true });
  });

  it("says that it is full", async () => {
    const small = await EtcdServer.start({ flags: [`--quota-backend-bytes=${4 * 1024 * 1024}`] });
    ends.push(() => void small.stop());
    const store = openEtcdStore(small.endpoints);
    opened.push(store);
    const outcomes: unknown[] = [];
    for (let index = 0; index < 60 && !outcomes.includes("STORE_FULL"); index += 1) {
      outcomes.push(await store.commit(put(`/fill/${index}`, "x".repeat(1_000_000)), never).catch(codeOf));
    }

    expect(outcomes.at(-1)).toBe("STORE_FULL");
    expect(await store.get("/fill/0", never)).toBeDefined();
  });

  it("ends what waits for it when the store is closed", async () => {
    const store = open();
    const watch = follow(store, "/closing/", await revisionOf(store));
    relay.hold("answers");
    const call = store.get("/warm", never).catch(codeOf);

    await store.close();

    expect(await call).toBe("STORE_CLOSED");
    expect(codeOf(await watch.ended)).toBe("STORE_CLOSED");
  });
});
