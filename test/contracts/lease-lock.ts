import { beforeEach, describe, expect, it } from "vitest";

import type { LeaseLock } from "../../src/ports/cluster.ts";

const signal = AbortSignal.timeout(60_000);
const CONFLICT = "CLUSTER_CONFLICT";

/** What every `LeaseLock` does. `make` answers one whose Lease does not exist, and what deletes the Lease. */
export function leaseLockContract(
  name: string,
  make: () => Promise<{ readonly lock: LeaseLock; readonly remove: () => Promise<void> }>,
): void {
  describe(`a lease lock: ${name}`, () => {
    const state = {
      holder: "one_abc",
      durationMs: 5_000,
      acquireMs: Date.UTC(2026, 10, 22, 8, 0, 0, 7),
      renewMs: Date.UTC(2026, 10, 22, 8, 0, 1, 123),
      transitions: 3,
      url: "https://10.0.0.5:9600",
    };
    let lock: LeaseLock;
    let remove: () => Promise<void>;
    beforeEach(async () => {
      ({ lock, remove } = await make());
    });

    it("says that there is none", async () => {
      expect(await lock.read(signal)).toBeUndefined();
    });

    it("reads what it wrote, to the millisecond", async () => {
      const created = await lock.create(state, signal);

      expect(created).toMatchObject(state);
      expect(await lock.read(signal)).toEqual(created);
    });

    it("creates it once", async () => {
      await lock.create(state, signal);

      await expect(lock.create(state, signal)).rejects.toMatchObject({ code: CONFLICT });
    });

    it("changes it as it was read, and not after somebody else did", async () => {
      const first = await lock.create(state, signal);
      const second = await lock.update({ ...first, holder: "two_xyz", transitions: 4 }, signal);

      expect(second).toMatchObject({ holder: "two_xyz", transitions: 4 });
      expect(second.resourceVersion).not.toBe(first.resourceVersion);
      await expect(lock.update({ ...first, holder: "late" }, signal)).rejects.toMatchObject({
        code: CONFLICT,
      });
      expect(await lock.read(signal)).toEqual(second);
    });

    it("is let go by an empty holder", async () => {
      const held = await lock.create(state, signal);
      await lock.update({ ...held, holder: "", url: "" }, signal);

      expect(await lock.read(signal)).toMatchObject({ holder: "", url: "" });
    });

    it("brings one back that was deleted, and then conflicts with whoever is later", async () => {
      const held = await lock.create(state, signal);
      await remove();
      const again = await lock.update(held, signal);

      expect(again).toMatchObject(state);
      await expect(lock.update({ ...held, holder: "late" }, signal)).rejects.toMatchObject({
        code: CONFLICT,
      });
      await expect(lock.create({ ...state, holder: "late" }, signal)).rejects.toMatchObject({
        code: CONFLICT,
      });
      expect(await lock.read(signal)).toEqual(again);
    });

    it("asks nothing when it was given up before", async () => {
      const stop = AbortSignal.abort(new Error("enough"));

      await expect(lock.read(stop)).rejects.toThrow(/./);
    });
  });
}
