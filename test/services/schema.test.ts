import { describe, expect, it } from "vitest";

import { MemoryStore } from "../../src/adapters/memory/memory-store.ts";
import type { StoreEntry } from "../../src/ports/store.ts";
import { prepareStore, type Migration } from "../../src/services/addressing/schema.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { signal } from "./support.ts";

const put = (key: string, value: string) => ({ kind: "put", key, value }) as const;
const emptyStore = () => new MemoryStore({ clock: new FakeClock() });

/** Appends the version to every value of `/romana/items/`. */
const appending = (to: number): Migration => ({
  to,
  plan: (entries: readonly StoreEntry[]) =>
    entries
      .filter(({ key }) => key.startsWith("/romana/items/"))
      .map(({ key, value }) => put(key, `${value}${to}`)),
});

/** A store whose transactions are so small that a migration has to be staged. */
class SmallStore extends MemoryStore {
  override readonly limits = { operations: 8, bytes: 4_000 };
}

async function valuesOf(store: MemoryStore): Promise<readonly string[]> {
  const { entries } = await store.list("/romana/", signal);
  return entries.map(({ key, value }) => `${key} ${value}`);
}

describe("prepareStore", () => {
  it("writes the version of a fresh store once", async () => {
    const store = emptyStore();

    await Promise.all([prepareStore(store, "/romana", signal), prepareStore(store, "/romana", signal)]);
    const { revision } = await store.list("/", signal);
    await prepareStore(store, "/romana", signal);

    expect(await valuesOf(store)).toEqual([`/romana/schema {"version":1}`]);
    expect((await store.list("/", signal)).revision).toBe(revision);
  });

  it("refuses what a newer program wrote, and changes nothing", async () => {
    const store = emptyStore();
    await store.commit({ compare: [], operations: [put("/romana/schema", `{"version":2}`)] }, signal);

    await expect(prepareStore(store, "/romana", signal)).rejects.toMatchObject({
      kind: "invalid",
      code: "SCHEMA_TOO_NEW",
      details: { present: 2, known: 1 },
    });
    expect(await valuesOf(store)).toEqual([`/romana/schema {"version":2}`]);
  });

  it.for([emptyStore(), new SmallStore({ clock: new FakeClock() })])(
    "takes data without a version as the first, and every step in order",
    async (store) => {
      const items = Array.from({ length: 30 }, (_, index) => `/romana/items/${index}`);
      for (const key of items) {
        await store.commit({ compare: [], operations: [put(key, "v")] }, signal);
      }
      const options = { version: 3, migrations: [appending(3), appending(2)] };

      await prepareStore(store, "/romana", signal, options);
      await prepareStore(store, "/romana", signal, options);

      const values = await valuesOf(store);
      expect(values.filter((line) => line.includes("/items/"))).toEqual(
        items.toSorted().map((key) => `${key} v23`),
      );
      expect(values).toContain(`/romana/schema {"version":3}`);
      expect(values.filter((line) => line.includes("/staged/"))).toEqual([]);
    },
  );
});
