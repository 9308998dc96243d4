import { describe, expect, it } from "vitest";

import { VirtualClock } from "../../src/adapters/simulation/virtual-clock.ts";
import { ReconcileLoop } from "../../src/controllers/reconcile-loop.ts";
import { silentLog } from "../support/silent-log.ts";

function loopOf(run: (at: number) => Promise<number | undefined>, intervalMs = 30_000) {
  const clock = new VirtualClock();
  const starts: number[] = [];
  const loop = new ReconcileLoop({
    clock,
    log: silentLog,
    intervalMs,
    minGapMs: 1000,
    run: async () => {
      starts.push(clock.monotonic());
      return await run(clock.monotonic());
    },
  });
  return { clock, loop, starts };
}

describe("the loop", () => {
  it("runs at once and then by its interval", async () => {
    const { clock, loop, starts } = loopOf(async () => undefined);
    loop.start();
    await clock.runFor(90_000);

    expect(starts).toEqual([0, 30_000, 60_000, 90_000]);
  });

  it("never runs by itself with an interval of 0, but when it is asked", async () => {
    const { clock, loop, starts } = loopOf(async () => undefined, 0);
    loop.start();
    await clock.runFor(500_000);
    loop.trigger();
    await clock.runFor(500_000);

    expect(starts).toEqual([0, 500_000]);
  });

  it("is late by the time that a run takes, and not at all while it waits", async () => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const { clock, loop } = loopOf((at) => (at === 0 ? promise : Promise.resolve(undefined)));

    expect(loop.lateMs).toBe(0);
    loop.start();
    await clock.runFor(700_000);
    expect(loop.lateMs).toBe(700_000);
    resolve(undefined);
    await clock.runFor(10_000);
    expect(loop.lateMs).toBe(0);
    await loop.stop();
  });

  it("merges a burst of requests into one run, a gap after the last", async () => {
    const { clock, loop, starts } = loopOf(async () => undefined);
    loop.start();
    await clock.runFor(100);
    for (let index = 0; index < 50; index += 1) {
      loop.trigger();
      await clock.runFor(10);
    }
    await clock.runFor(5000);

    expect(starts).toEqual([0, 1000]);
  });

  it("runs again for what was asked during a run", async () => {
    const { clock, loop, starts } = loopOf(async () => {
      await clock.sleep(3000, new AbortController().signal);
      return undefined;
    });
    loop.start();
    await clock.runFor(500);
    loop.trigger();
    await clock.runFor(10_000);

    expect(starts).toEqual([0, 3000]);
  });

  it("comes back when the run asks for it, but keeps the gap", async () => {
    let left = 3;
    const { clock, loop, starts } = loopOf(async () => {
      left -= 1;
      return left > 0 ? 0 : undefined;
    });
    loop.start();
    await clock.runFor(10_000);

    expect(starts).toEqual([0, 1000, 2000]);
  });

  it("backs off while runs fail and is itself again after one that does not", async () => {
    let failures = 4;
    const { clock, loop, starts } = loopOf(async () => {
      failures -= 1;
      if (failures >= 0) {
        throw new Error("no answer");
      }
      return undefined;
    });
    loop.start();
    await clock.runFor(60_000);

    expect(starts).toEqual([0, 1000, 3000, 7000, 15_000, 45_000]);
    expect(loop.failures).toBe(0);
  });

  it("ends for good when it is stopped", async () => {
    const { clock, loop, starts } = loopOf(async () => undefined);
    loop.start();
    await clock.runFor(100);
    await clock.runUntilSettled(loop.stop());
    loop.trigger();
    await clock.runFor(100_000);

    expect(starts).toEqual([0]);
  });
});
