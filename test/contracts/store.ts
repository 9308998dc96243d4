import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";

import type { NetworkError } from "../../src/core/errors.ts";
import type {
  Compare,
  Store,
  StoreBatch,
  StoreEntry,
  StoreOperation,
  Transaction,
} from "../../src/ports/store.ts";

/** A store under test and the way to let its time pass. */
export interface StoreUnderTest {
  readonly store: Store;
  readonly pass: (ms: number) => Promise<void>;
  /** A short time to live, and how long after its grant a lease has surely ended; 300 and 1,000 ms, unless the store counts coarser. */
  readonly lease?: { readonly ttlMs: number; readonly overMs: number };
  /** The store keeps changes for a watch that it has begun to serve, whatever becomes of the history: a reader that fell behind misses nothing. */
  readonly keepsForReaders?: boolean;
}

/** Makes an empty store whose history holds `historyLimit` batches. The suite closes it. */
export type CreateStore = (options: { readonly historyLimit: number }) => Promise<StoreUnderTest>;

const never = new AbortController().signal;
const put = (key: string, value = "1"): StoreOperation => ({ kind: "put", key, value });
const remove = (key: string): StoreOperation => ({ kind: "delete", key });
const write = (...operations: StoreOperation[]): Transaction => ({ compare: [], operations });
const refusedWith = (kind: string, code: string): Partial<NetworkError> =>
  expect.objectContaining({ name: "NetworkError", kind, code }) as Partial<NetworkError>;

/** Every promise of `ports/store.ts`. */
export function storeContract(name: string, create: CreateStore): void {
  describe(`${name} store`, () => {
    const opened: Store[] = [];
    async function open(historyLimit = 1000): Promise<StoreUnderTest> {
      const made = await create({ historyLimit });
      opened.push(made.store);
      return made;
    }
    afterEach(async () => {
      await Promise.all(opened.splice(0).map((store) => store.close()));
    });

    describe("entries and transactions", () => {
      it("starts empty, at revision 0", async () => {
        const { store } = await open();

        expect(await store.list("", never)).toEqual({ entries: [], revision: 0 });
        expect(await store.get("/a", never)).toBeUndefined();
      });

      it("keeps the revision of an entry's making and of its last change", async () => {
        const { store } = await open();

        await store.commit(write(put("/a", "1")), never);
        await store.commit(write(put("/b", "2")), never);
        await store.commit(write(put("/a", "3")), never);

        expect(await store.get("/a", never)).toEqual(entry("/a", "3", 1, 3));
        expect(await store.get("/b", never)).toEqual(entry("/b", "2", 2, 2));
      });

      it("gives an entry that was deleted and made again a new making", async () => {
        const { store } = await open();

        await store.commit(write(put("/a")), never);
        await store.commit(write(remove("/a")), never);

        expect(await store.get("/a", never)).toBeUndefined();

        await store.commit(write(put("/a")), never);

        expect(await store.get("/a", never)).toEqual(entry("/a", "1", 3, 3));
      });

      it("takes one revision for all operations of a transaction", async () => {
        const { store } = await open();

        expect(await store.commit(write(put("/a"), put("/b"), put("/c")), never)).toEqual({
          ok: true,
          revision: 1,
        });
        expect((await store.list("", never)).entries.map(({ modRevision }) => modRevision)).toEqual([
          1, 1, 1,
        ]);
      });

      it("takes no revision for a transaction that changes nothing", async () => {
        const { store } = await open();
        await store.commit(write(put("/a")), never);

        expect(await store.commit(write(), never)).toEqual({ ok: true, revision: 1 });
        expect(await store.commit(write(remove("/missing")), never)).toEqual({ ok: true, revision: 1 });
        expect((await store.list("", never)).revision).toBe(1);
      });

      it("counts a put of the same value as a change", async () => {
        const { store } = await open();
        await store.commit(write(put("/a")), never);

        expect(await store.commit(write(put("/a")), never)).toEqual({ ok: true, revision: 2 });
      });

      it.for(["", "null", '"\\u0000"', JSON.stringify({ name: "Zürich 😀" }), "x".repeat(100_000)])(
        "returns a value as it was written",
        async (value) => {
          const { store } = await open();

          await store.commit(write(put("/a", value)), never);

          expect((await store.get("/a", never))?.value).toBe(value);
        },
      );

      it("commits when every compare holds", async () => {
        const { store } = await open();
        await store.commit(write(put("/a")), never);
        const compare = [
          { key: "/a", modRevision: 1 },
          { key: "/b", modRevision: 0 },
        ];

        expect(await store.commit({ compare, operations: [put("/b")] }, never)).toEqual({
          ok: true,
          revision: 2,
        });
      });

      it("changes nothing when a compare fails, and lists those that failed with what was found", async () => {
        const { store } = await open();
        await store.commit(write(put("/a")), never);
        await store.commit(write(put("/b")), never);
        const compare = [
          { key: "/a", modRevision: 1 },
          { key: "/b", modRevision: 1 },
          { key: "/b", modRevision: 0 },
          { key: "/c", modRevision: 1 },
        ];

        const result = await store.commit({ compare, operations: [put("/a", "9"), remove("/b")] }, never);

        expect(result).toEqual({
          ok: false,
          revision: 2,
          failed: [
            { key: "/b", modRevision: 2 },
            { key: "/b", modRevision: 2 },
            { key: "/c", modRevision: 0 },
          ],
        });
        expect((await store.list("", never)).entries).toEqual([
          entry("/a", "1", 1, 1),
          entry("/b", "1", 2, 2),
        ]);
      });

      it("compares all that is under a prefix with the revision that somebody has seen", async () => {
        const { store } = await open();
        await store.commit(write(put("/a/1"), put("/b/1")), never);
        await store.commit(write(put("/a/2"), put("/a")), never);
        const attempt = (prefix: string, maxRevision: number) =>
          store.commit({ compare: [{ prefix, maxRevision }], operations: [put("/z")] }, never);

        expect(await attempt("/a/", 1)).toEqual({
          ok: false,
          revision: 2,
          failed: [{ prefix: "/a/", maxRevision: 2 }],
        });
        expect(await attempt("/a/", 2)).toEqual({ ok: true, revision: 3 });
        expect(await attempt("/b/", 1)).toEqual({ ok: true, revision: 4 });
        expect(await attempt("/none/", 0)).toEqual({ ok: true, revision: 5 });

        await store.commit(write(remove("/a/2")), never);

        expect(await attempt("/a/", 1)).toEqual({ ok: true, revision: 7 });
      });

      it("lets exactly one of those win that compare with the same revision", async () => {
        const { store } = await open();
        let modRevision = 0;

        for (let round = 0; round < 5; round += 1) {
          const attempts = Array.from({ length: 8 }, (_, index) =>
            store.commit(
              { compare: [{ key: "/a", modRevision }], operations: [put("/a", String(index))] },
              never,
            ),
          );
          const results = await Promise.all(attempts);

          expect(results.filter(({ ok }) => ok)).toHaveLength(1);
          modRevision = (await store.get("/a", never))?.modRevision ?? 0;
        }
        expect(modRevision).toBe(5);
      });

      it("refuses two operations on one key, and does neither", async () => {
        const { store } = await open();

        await expect(store.commit(write(put("/a"), remove("/a")), never)).rejects.toEqual(
          refusedWith("invalid", "TRANSACTION_INVALID"),
        );
        expect((await store.list("", never)).revision).toBe(0);
      });

      it.for(["", "/a\0b", "/\ud800"])(
        "refuses a key that is no text that can be stored: %j",
        async (key) => {
          const { store } = await open();

          await expect(store.commit(write(put("/ok"), put(key)), never)).rejects.toEqual(
            refusedWith("invalid", "STORE_KEY_INVALID"),
          );
          expect((await store.list("", never)).revision).toBe(0);
        },
      );
    });

    describe("lists", () => {
      const keys = ["/", "/a", "/a/", "/a/1", "/a/10", "/a/2", "/a0", "/b", "/é", "/\ufffd", "/😀", "/😀/x"];

      it("sort by the bytes of the keys", async () => {
        const { store } = await open();

        await store.commit(write(...keys.toReversed().map((key) => put(key))), never);

        expect((await store.list("", never)).entries.map(({ key }) => key)).toEqual(keys.toSorted(byBytes));
      });

      it.for(["", "/", "/a", "/a/", "/a/1", "/b", "/é", "/\ufffd", "/😀", "/😀/", "/zz", "a", "/a/10/"])(
        "hold every key that starts with the prefix %j and no other",
        async (prefix) => {
          const { store } = await open();
          await store.commit(write(...keys.map((key) => put(key))), never);

          const { entries } = await store.list(prefix, never);

          expect(entries.map(({ key }) => key)).toEqual(
            keys.filter((key) => key.startsWith(prefix)).toSorted(byBytes),
          );
        },
      );

      it("take a prefix literally", async () => {
        const { store } = await open();
        await store.commit(
          write(put("/a%b"), put("/axb"), put("/a_b"), put("/A%"), put("/a*"), put("/a[x]")),
          never,
        );

        expect((await store.list("/a%", never)).entries.map(({ key }) => key)).toEqual(["/a%b"]);
        expect((await store.list("/a_", never)).entries.map(({ key }) => key)).toEqual(["/a_b"]);
        expect((await store.list("/a*", never)).entries.map(({ key }) => key)).toEqual(["/a*"]);
      });

      it("carry the revision of the store, not of the prefix", async () => {
        const { store } = await open();
        await store.commit(write(put("/a")), never);
        await store.commit(write(put("/b")), never);

        expect((await store.list("/a", never)).revision).toBe(2);
      });

      it("agree with a naive model after any transactions, and so does a watch from the start", async () => {
        const key = fc.constantFrom("/a", "/a/1", "/a/2", "/b", "/é", "/\ufffd", "/😀", "/c/x", "/c/y");
        const operation = fc.oneof(
          fc.record({ kind: fc.constant("put" as const), key, value: fc.json({ maxDepth: 1 }) }),
          fc.record({ kind: fc.constant("delete" as const), key }),
        );
        const transaction = fc.record({
          compareSeeds: fc.array(fc.record({ key, stale: fc.integer({ min: 0, max: 9 }) }), { maxLength: 2 }),
          operations: fc.uniqueArray(operation, { maxLength: 4, selector: (each) => each.key }),
        });
        await fc.assert(
          fc.asyncProperty(fc.array(transaction, { maxLength: 25 }), async (transactions) => {
            const { store } = await open();
            const model = new Model();
            for (const { compareSeeds, operations } of transactions) {
              const compare = compareSeeds.map((seed) => ({
                key: seed.key,
                modRevision: Math.max(0, model.revisionOf(seed.key) - (seed.stale === 0 ? 1 : 0)),
              }));
              expect(await store.commit({ compare, operations }, never)).toEqual(
                model.commit({ compare, operations }),
              );
            }

            for (const prefix of ["", "/a", "/c/", "/😀", "/x"]) {
              expect(await store.list(prefix, never)).toEqual(model.list(prefix));
            }
            expect(await take(store, "", 0, model.batches.length)).toEqual(model.batches);
            await store.close();
          }),
          { numRuns: 60 },
        );
      });
    });

    describe("watches", () => {
      it("give past and coming changes, batch by batch, in the order of the operations", async () => {
        const { store } = await open();
        await store.commit(write(put("/a", "1")), never);
        await store.commit(write(put("/c", "2"), put("/b", "2"), remove("/a"), remove("/missing")), never);

        const coming = take(store, "", 0, 3);
        await store.commit(write(put("/b", "3")), never);

        expect(await coming).toEqual([
          { revision: 1, events: [{ kind: "put", entry: entry("/a", "1", 1, 1) }] },
          {
            revision: 2,
            events: [
              { kind: "put", entry: entry("/c", "2", 2, 2) },
              { kind: "put", entry: entry("/b", "2", 2, 2) },
              { kind: "delete", key: "/a", modRevision: 2 },
            ],
          },
          { revision: 3, events: [{ kind: "put", entry: entry("/b", "3", 2, 3) }] },
        ]);
      });

      it("start above the revision they were given", async () => {
        const { store } = await open();
        for (const key of ["/a", "/b", "/c"]) {
          await store.commit(write(put(key)), never);
        }

        expect((await take(store, "", 1, 2)).map(({ revision }) => revision)).toEqual([2, 3]);
      });

      it("wait for a revision that is still to come", async () => {
        const { store } = await open();
        const coming = take(store, "", 2, 1);

        for (const key of ["/a", "/b", "/c"]) {
          await store.commit(write(put(key)), never);
        }

        expect((await coming).map(({ revision }) => revision)).toEqual([3]);
      });

      it("show the events under their prefix alone, and no batch without any", async () => {
        const { store } = await open();
        const coming = take(store, "/a/", 0, 2);

        await store.commit(write(put("/a/1"), put("/b/1")), never);
        await store.commit(write(put("/b/2"), put("/a")), never);
        await store.commit(write(remove("/b/1"), remove("/a/1")), never);

        expect(await coming).toEqual([
          { revision: 1, events: [{ kind: "put", entry: entry("/a/1", "1", 1, 1) }] },
          { revision: 3, events: [{ kind: "delete", key: "/a/1", modRevision: 3 }] },
        ]);
      });

      it("say nothing of a transaction that was refused or changed nothing", async () => {
        const { store } = await open();
        const coming = take(store, "", 0, 1);

        await store.commit({ compare: [{ key: "/a", modRevision: 7 }], operations: [put("/a")] }, never);
        await store.commit(write(remove("/a")), never);
        await store.commit(write(put("/b")), never);

        expect((await coming)[0]?.events).toEqual([{ kind: "put", entry: entry("/b", "1", 1, 1) }]);
      });

      it("end without an error when they are aborted while they wait", async () => {
        const { store } = await open();
        const controller = new AbortController();
        const watch = store.watch("", 0, controller.signal)[Symbol.asyncIterator]();
        const waiting = watch.next();

        controller.abort(new Error("enough"));

        expect(await waiting).toEqual({ done: true, value: undefined });
      });

      it("deliver nothing after they were aborted", async () => {
        const { store } = await open();
        await store.commit(write(put("/a")), never);
        await store.commit(write(put("/b")), never);
        const controller = new AbortController();
        const seen: number[] = [];

        for await (const { revision } of store.watch("", 0, controller.signal)) {
          seen.push(revision);
          controller.abort();
        }

        expect(seen).toEqual([1]);
      });

      it("neither miss nor repeat a revision while others write", async () => {
        const { store } = await open();
        const total = 60;
        const watches: Promise<readonly StoreBatch[]>[] = [];
        const starts: number[] = [];

        for (let index = 0; index < total; index += 1) {
          if (index % 6 === 0) {
            const { revision } = await store.list("", never);
            starts.push(revision);
            watches.push(take(store, "", revision, total - revision));
          }
          await store.commit(write(put(`/key-${index % 7}`, String(index))), never);
        }

        const seen = await Promise.all(watches);
        expect(seen.map((batches) => batches.map(({ revision }) => revision))).toEqual(
          starts.map((start) => Array.from({ length: total - start }, (_, index) => start + 1 + index)),
        );
      });

      it("refuse a revision that the history no longer reaches, and serve the oldest that it does", async () => {
        const { store } = await open(5);
        for (let index = 0; index < 12; index += 1) {
          await store.commit(write(put("/a", String(index))), never);
        }

        await expect(take(store, "", 6, 1)).rejects.toEqual(refusedWith("conflict", "STORE_COMPACTED"));
        await expect(take(store, "", 0, 1)).rejects.toEqual(refusedWith("conflict", "STORE_COMPACTED"));
        expect((await take(store, "", 7, 5)).map(({ revision }) => revision)).toEqual([8, 9, 10, 11, 12]);
      });

      it("tell a reader that fell behind the history, unless it misses nothing", async () => {
        const { store, keepsForReaders = false } = await open(5);
        const watch = store.watch("", 0, never)[Symbol.asyncIterator]();
        await store.commit(write(put("/a")), never);
        expect((await watch.next()).value?.revision).toBe(1);

        for (let index = 0; index < 6; index += 1) {
          await store.commit(write(put("/a", String(index))), never);
        }

        const outcomes: unknown[] = [];
        for (
          let expected = 2;
          expected <= 7 && (outcomes.at(-1) ?? expected - 1) === expected - 1;
          expected += 1
        ) {
          outcomes.push(
            await watch.next().then(
              ({ value }) => value?.revision,
              (error: unknown) => error,
            ),
          );
        }
        await watch.return?.();
        expect(outcomes).toEqual(
          keepsForReaders ? [2, 3, 4, 5, 6, 7] : [refusedWith("conflict", "STORE_COMPACTED")],
        );
      });
    });

    describe("leases", () => {
      const short = { ttlMs: 300, overMs: 1000 };
      const leased = (key: string, lease: string): StoreOperation => ({
        kind: "put",
        key,
        value: "1",
        lease,
      });

      it("delete their keys in one revision when their time is over", async () => {
        const { store, pass, lease: time = short } = await open();
        const lease = await store.grantLease(time.ttlMs, never);
        await store.commit(write(leased("/a", lease), leased("/b", lease), put("/c")), never);

        await pass(time.overMs);

        expect((await store.list("", never)).entries.map(({ key }) => key)).toEqual(["/c"]);
        const [, ended] = await take(store, "", 0, 2);
        expect(ended?.revision).toBe(2);
        expect(new Set(ended?.events)).toEqual(
          new Set([
            { kind: "delete", key: "/a", modRevision: 2 },
            { kind: "delete", key: "/b", modRevision: 2 },
          ]),
        );
      });

      it("hold from each keep-alive for their whole time", async () => {
        const { store, pass, lease: time = short } = await open();
        const lease = await store.grantLease(time.ttlMs * 2, never);
        await store.commit(write(leased("/a", lease)), never);

        for (let round = 0; round < 4; round += 1) {
          await pass(time.ttlMs * 1.2);
          await store.keepAlive(lease, never);
        }

        expect(await store.get("/a", never)).toBeDefined();
        await pass(time.ttlMs + time.overMs);
        expect(await store.get("/a", never)).toBeUndefined();
      });

      it("cannot be kept alive or written with after their end", async () => {
        const { store, pass, lease: time = short } = await open();
        const lease = await store.grantLease(time.ttlMs, never);

        await pass(time.overMs);

        await expect(store.keepAlive(lease, never)).rejects.toEqual(
          refusedWith("not-found", "LEASE_NOT_FOUND"),
        );
        await expect(store.commit(write(put("/b"), leased("/a", lease)), never)).rejects.toEqual(
          refusedWith("not-found", "LEASE_NOT_FOUND"),
        );
        expect((await store.list("", never)).revision).toBe(0);
      });

      it("are unknown until they are granted", async () => {
        const { store } = await open();

        await expect(store.keepAlive("no-such-lease", never)).rejects.toEqual(
          refusedWith("not-found", "LEASE_NOT_FOUND"),
        );
        await expect(store.commit(write(leased("/a", "no-such-lease")), never)).rejects.toEqual(
          refusedWith("not-found", "LEASE_NOT_FOUND"),
        );
      });

      it("yield to a compare that fails", async () => {
        const { store } = await open();
        const transaction = {
          compare: [{ key: "/a", modRevision: 3 }],
          operations: [leased("/a", "no-such-lease")],
        };

        expect((await store.commit(transaction, never)).ok).toBe(false);
      });

      it("let go of a key that is written without them, or with another", async () => {
        const { store } = await open();
        const [first, second] = [
          await store.grantLease(60_000, never),
          await store.grantLease(60_000, never),
        ];
        await store.commit(write(leased("/a", first), leased("/b", first), leased("/c", first)), never);
        await store.commit(write(put("/a"), leased("/b", second)), never);

        await store.revokeLease(first, never);

        expect((await store.list("", never)).entries.map(({ key }) => key)).toEqual(["/a", "/b"]);
        await store.revokeLease(second, never);
        expect((await store.list("", never)).entries.map(({ key }) => key)).toEqual(["/a"]);
      });

      it("let go of a key that is deleted and made again", async () => {
        const { store } = await open();
        const lease = await store.grantLease(60_000, never);
        await store.commit(write(leased("/a", lease)), never);
        await store.commit(write(remove("/a")), never);
        await store.commit(write(put("/a")), never);

        await store.revokeLease(lease, never);

        expect(await store.get("/a", never)).toBeDefined();
      });

      it("end at once, with their keys, when they are revoked; revoking an unknown one is fine", async () => {
        const { store } = await open();
        const lease = await store.grantLease(60_000, never);
        await store.commit(write(leased("/a", lease), leased("/b", lease)), never);

        await store.revokeLease(lease, never);

        expect(await store.list("", never)).toEqual({ entries: [], revision: 2 });
        await expect(store.keepAlive(lease, never)).rejects.toEqual(
          refusedWith("not-found", "LEASE_NOT_FOUND"),
        );
        await expect(store.revokeLease(lease, never)).resolves.toBeUndefined();
        await expect(store.revokeLease("no-such-lease", never)).resolves.toBeUndefined();
      });

      it("without keys end without a revision", async () => {
        const { store, pass, lease: time = short } = await open();
        await store.grantLease(time.ttlMs, never);
        const other = await store.grantLease(60_000, never);

        await pass(time.overMs);
        await store.revokeLease(other, never);

        expect((await store.list("", never)).revision).toBe(0);
      });

      it.for([0, -1, Number.NaN, Number.POSITIVE_INFINITY])(
        "need a time to live above 0, not %d",
        async (ttlMs) => {
          const { store } = await open();

          await expect(store.grantLease(ttlMs, never)).rejects.toEqual(
            refusedWith("invalid", "LEASE_INVALID"),
          );
        },
      );
    });

    it("does nothing for a caller whose signal was aborted, and rejects with its reason", async () => {
      const { store } = await open();
      const lease = await store.grantLease(60_000, never);
      await store.commit(write({ kind: "put", key: "/a", value: "1", lease }), never);
      const reason = new Error("the caller left");
      const aborted = AbortSignal.abort(reason);

      await expect(store.get("/a", aborted)).rejects.toBe(reason);
      await expect(store.list("", aborted)).rejects.toBe(reason);
      await expect(store.commit(write(put("/a")), aborted)).rejects.toBe(reason);
      await expect(store.grantLease(1000, aborted)).rejects.toBe(reason);
      await expect(store.keepAlive(lease, aborted)).rejects.toBe(reason);
      await expect(store.revokeLease(lease, aborted)).rejects.toBe(reason);
      expect(await take(store, "", 0, 1, aborted)).toEqual([]);
      expect(await store.list("", never)).toEqual({ entries: [entry("/a", "1", 1, 1)], revision: 1 });
    });

    it("refuses everything once it was closed, ends its watches, and may be closed again", async () => {
      const { store } = await open();
      const lease = await store.grantLease(60_000, never);
      const watching = take(store, "", 0, 1);

      await store.close();

      const closed = refusedWith("invalid", "STORE_CLOSED");
      await expect(watching).rejects.toEqual(closed);
      await expect(store.get("/a", never)).rejects.toEqual(closed);
      await expect(store.list("", never)).rejects.toEqual(closed);
      await expect(store.commit(write(put("/a")), never)).rejects.toEqual(closed);
      await expect(store.grantLease(1000, never)).rejects.toEqual(closed);
      await expect(store.keepAlive(lease, never)).rejects.toEqual(closed);
      await expect(store.revokeLease(lease, never)).rejects.toEqual(closed);
      await expect(take(store, "", 0, 1)).rejects.toEqual(closed);
      await expect(store.close()).resolves.toBeUndefined();
    });
  });
}

/** The first `count` batches of a watch (fewer when it ends before), then leaves it. */
async function take(
  store: Store,
  prefix: string,
  afterRevision: number,
  count: number,
  signal = never,
): Promise<readonly StoreBatch[]> {
  const batches: StoreBatch[] = [];
  if (count === 0) {
    return batches;
  }
  for await (const batch of store.watch(prefix, afterRevision, signal)) {
    batches.push(batch);
    if (batches.length === count) {
      break;
    }
  }
  return batches;
}

function entry(key: string, value: string, createRevision: number, modRevision: number): StoreEntry {
  return { key, value, createRevision, modRevision };
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** The contract in its simplest form: a map, sorted when it is listed. */
class Model {
  readonly batches: StoreBatch[] = [];
  readonly #entries = new Map<string, StoreEntry>();
  #revision = 0;

  revisionOf(key: string): number {
    return this.#entries.get(key)?.modRevision ?? 0;
  }

  list(prefix: string): { entries: readonly StoreEntry[]; revision: number } {
    const entries = [...this.#entries.values()].filter(({ key }) => key.startsWith(prefix));
    return { entries: entries.toSorted((a, b) => byBytes(a.key, b.key)), revision: this.#revision };
  }

  commit({ compare, operations }: Transaction): unknown {
    const found = compare.flatMap((item): readonly Compare[] => {
      if ("key" in item) {
        const modRevision = this.revisionOf(item.key);
        return modRevision === item.modRevision ? [] : [{ key: item.key, modRevision }];
      }
      const changes = this.list(item.prefix).entries.map(({ modRevision }) => modRevision);
      const maxRevision = Math.max(0, ...changes);
      return maxRevision <= item.maxRevision ? [] : [{ prefix: item.prefix, maxRevision }];
    });
    if (found.length > 0) {
      return { ok: false, revision: this.#revision, failed: found };
    }
    const changing = operations.filter(({ kind, key }) => kind === "put" || this.#entries.has(key));
    if (changing.length > 0) {
      this.#revision += 1;
      const events = changing.map((operation) => this.#apply(operation));
      this.batches.push({ revision: this.#revision, events });
    }
    return { ok: true, revision: this.#revision };
  }

  #apply(operation: StoreOperation): StoreBatch["events"][number] {
    const { key } = operation;
    if (operation.kind === "delete") {
      this.#entries.delete(key);
      return { kind: "delete", key, modRevision: this.#revision };
    }
    const createRevision = this.#entries.get(key)?.createRevision ?? this.#revision;
    const made = entry(key, operation.value, createRevision, this.#revision);
    this.#entries.set(key, made);
    return { kind: "put", entry: made };
  }
}
