import { describe, expect, it } from "vitest";

import { MemoryStore } from "../../src/adapters/memory/memory-store.ts";
import { SystemClock } from "../../src/adapters/system/system-clock.ts";
import type { StoreEntry } from "../../src/ports/store.ts";
import { StoreFollower, type FollowedBatch } from "../../src/services/store-follower.ts";
import { silentLog } from "../support/silent-log.ts";

const signal = new AbortController().signal;
const clock = new SystemClock();
const put = (key: string, value = "1") => ({ kind: "put", key, value }) as const;

class Recorder {
  readonly seen = new Map<string, string>();
  readonly revisions: number[] = [];
  resets = 0;

  reset(entries: readonly StoreEntry[], revision: number): void {
    this.seen.clear();
    entries.forEach(({ key, value }) => this.seen.set(key, value));
    this.revisions.push(revision);
    this.resets += 1;
  }

  apply({ revision, events }: FollowedBatch): void {
    this.revisions.push(revision);
    for (const event of events) {
      if (event.kind === "put") {
        this.seen.set(event.key, event.value);
      } else {
        this.seen.delete(event.key);
      }
    }
  }
}

async function following(historyLimit = 1000) {
  const store = new MemoryStore({ clock, historyLimit });
  await store.commit({ compare: [], operations: [put("/romana/a"), put("/elsewhere")] }, signal);
  const follower = await StoreFollower.open({ store, clock, log: silentLog, prefix: "/romana" }, signal);
  const cache = new Recorder();
  follower.add(cache);
  return { store, follower, cache };
}

describe("StoreFollower", () => {
  it("hands every cache what stands under the prefix, and then each revision once and in order", async () => {
    const { store, follower, cache } = await following();
    follower.start();
    for (let index = 0; index < 50; index += 1) {
      const key = index % 5 === 0 ? "/elsewhere" : `/romana/${index % 7}`;
      const write = { compare: [], operations: [put(key, String(index))] };
      await (index % 3 === 0 && index % 5 !== 0
        ? follower.commit(write, signal)
        : store.commit(write, signal));
    }
    const { revision } = await store.commit({ compare: [], operations: [put("/romana/last")] }, signal);
    await follower.reached(revision, signal);

    const { entries } = await store.list("/romana/", signal);
    expect(Object.fromEntries(cache.seen)).toEqual(
      Object.fromEntries(entries.map(({ key, value }) => [key, value])),
    );
    expect(cache.revisions).toEqual([...new Set(cache.revisions)].toSorted((a, b) => a - b));
    await follower.stop();
    await store.close();
  });

  it("lets whoever wrote read it, also when others wrote at the same time", async () => {
    const { store, follower, cache } = await following();
    follower.start();
    const own = Array.from({ length: 40 }, async (_, index) => {
      const key = `/romana/${index}`;
      await store.commit({ compare: [], operations: [put(`${key}/theirs`)] }, signal);
      await follower.commit({ compare: [], operations: [put(key, String(index))] }, signal);
      return cache.seen.get(key);
    });

    expect(await Promise.all(own)).toEqual(own.map((_, index) => String(index)));
    await follower.stop();
    await store.close();
  });

  it("has the change that a lost compare met before it says so", async () => {
    const { store, follower, cache } = await following();
    follower.start();
    await store.commit({ compare: [], operations: [put("/romana/a", "theirs")] }, signal);

    const lost = await follower.commit(
      { compare: [{ key: "/romana/a", modRevision: 1 }], operations: [put("/romana/b")] },
      signal,
    );

    expect(lost.ok).toBe(false);
    expect(cache.seen.get("/romana/a")).toBe("theirs");
    await follower.stop();
    await store.close();
  });

  it("lists again when the history does not reach back, and goes on from there", async () => {
    const { store, follower, cache } = await following(3);
    for (let index = 0; index < 10; index += 1) {
      await store.commit({ compare: [], operations: [put(`/romana/${index}`)] }, signal);
    }
    follower.start();
    await follower.reached(11, signal);

    expect(cache.resets).toBe(2);
    expect(cache.seen.size).toBe(11);
    await follower.commit({ compare: [], operations: [put("/romana/more")] }, signal);
    expect(cache.seen.get("/romana/more")).toBe("1");
    await follower.stop();
    await store.close();
  });

  it("gives up waiting when the caller does", async () => {
    const { store, follower } = await following();
    follower.start();
    const abort = new AbortController();
    const waiting = follower.reached(99, abort.signal);
    abort.abort(new Error("enough"));

    await expect(waiting).rejects.toThrow("enough");
    await follower.stop();
    await store.close();
  });
});
