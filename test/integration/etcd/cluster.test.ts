import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { Store } from "../../../src/ports/store.ts";
import { openEtcdStore } from "../../support/etcd-store.ts";
import { EtcdCluster, requireEtcd } from "../../support/etcd.ts";
import { silentLog } from "../../support/silent-log.ts";

const never = new AbortController().signal;

describe.skipIf(requireEtcd())("an etcd of three members", () => {
  let cluster: EtcdCluster;
  let store: Store;
  beforeAll(async () => {
    cluster = await EtcdCluster.start(3);
    store = openEtcdStore(cluster.endpoints);
  });
  afterAll(async () => {
    await store?.close();
    await cluster?.stop();
  });

  it("lets one of nine win that create the same key through different members", async () => {
    const stores = cluster.endpoints.map((endpoint) => openEtcdStore([endpoint]));

    const results = await Promise.all(
      [...stores, ...stores, ...stores].map((each, index) =>
        each.commit(
          {
            compare: [{ key: "/one", modRevision: 0 }],
            operations: [{ kind: "put", key: "/one", value: String(index) }],
          },
          never,
        ),
      ),
    );

    expect(results.filter(({ ok }) => ok)).toHaveLength(1);
    await Promise.all(stores.map((each) => each.close()));
  });

  it("ends a lease with its keys through any member", async () => {
    const [first = ""] = cluster.endpoints;
    const other = openEtcdStore([first]);
    const lease = await store.grantLease(60_000, never);
    await store.commit(
      { compare: [], operations: [{ kind: "put", key: "/leased", value: "1", lease }] },
      never,
    );

    await other.keepAlive(lease, never);
    await other.revokeLease(lease, never);

    expect(await store.get("/leased", never)).toBeUndefined();
    await other.close();
  });

  it("ends the stream of a watch when its member has no leader, so that the watch can go elsewhere", async () => {
    const [member, ...others] = cluster.members;
    const reasons: string[] = [];
    const log = {
      ...silentLog,
      info: (fields: object) => void ("reason" in fields && reasons.push(String(fields.reason))),
    };
    const alone = openEtcdStore([member?.endpoint ?? ""], { log, requestTimeoutMs: 1_000 });
    const { revision } = await alone.list("/leaderless/", never);
    const watch = alone.watch("/leaderless/", revision, never)[Symbol.asyncIterator]();
    const first = watch.next();
    await alone.commit(
      { compare: [], operations: [{ kind: "put", key: "/leaderless/1", value: "1" }] },
      never,
    );
    await first;
    const second = watch.next();

    await Promise.all(others.map((each) => each.kill("SIGSTOP")));
    try {
      await expect.poll(() => reasons.join("\n"), { timeout: 15_000 }).toMatch(/no leader/);
    } finally {
      await Promise.all(others.map((each) => each.kill("SIGCONT")));
    }
    await member?.healthy();
    await store.commit(
      { compare: [], operations: [{ kind: "put", key: "/leaderless/2", value: "1" }] },
      never,
    );

    expect((await second).value?.events).toMatchObject([{ kind: "put", entry: { key: "/leaderless/2" } }]);
    await watch.return?.();
    await alone.close();
  });

  it("keeps every write that was acknowledged, and every watch, when a member is killed in the middle", async () => {
    const { revision } = await store.list("/writes/", never);
    const stopping = new AbortController();
    const seen: string[] = [];
    const watching = (async () => {
      for await (const { events } of store.watch("/writes/", revision, stopping.signal)) {
        seen.push(...events.map((event) => (event.kind === "put" ? event.entry.key : event.key)));
      }
    })();
    const acknowledged: string[] = [];
    const unknown: string[] = [];
    let written = 0;
    // The store asks the first endpoint until it fails: the one to kill.
    const [victim] = cluster.members;
    let killed: Promise<void> | undefined;

    await Promise.all(
      Array.from({ length: 8 }, async () => {
        while (written < 300) {
          written += 1;
          const key = `/writes/${written}`;
          if (written === 150) {
            killed = victim?.kill("SIGKILL");
          }
          try {
            await store.commit({ compare: [], operations: [{ kind: "put", key, value: "1" }] }, never);
            acknowledged.push(key);
          } catch {
            // Its outcome is unknown: it may be there or not.
            unknown.push(key);
          }
        }
      }),
    );
    await killed;

    const keys = new Set((await store.list("/writes/", never)).entries.map(({ key }) => key));
    expect(acknowledged.filter((key) => !keys.has(key))).toEqual([]);
    expect(acknowledged.length).toBeGreaterThan(150);
    expect(acknowledged.length + unknown.length).toBe(300);
    await expect.poll(() => seen.length, { timeout: 15_000 }).toBe(keys.size);
    expect(new Set(seen)).toEqual(keys);
    stopping.abort();
    await watching;
    await victim?.restart();
  });
});
