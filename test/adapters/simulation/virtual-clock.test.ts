import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { VirtualClock } from "../../../src/adapters/simulation/virtual-clock.ts";

const never = new AbortController().signal;

describe("VirtualClock", () => {
  it("fires timers by time, and in the order of setting when the time is the same", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(20), { maxLength: 60 }), async (delays) => {
        const clock = new VirtualClock();
        const fired: { at: number; index: number }[] = [];
        for (const [index, delay] of delays.entries()) {
          clock.setTimer(delay, () => {
            fired.push({ at: clock.monotonic(), index });
          });
        }

        await clock.runFor(20);

        const wanted = delays
          .map((at, index) => ({ at, index }))
          .toSorted((a, b) => a.at - b.at || a.index - b.index);
        expect(fired).toEqual(wanted);
      }),
    );
  });

  it("leaves what is due later, stands at the end of the run, and moves both clocks together", async () => {
    const clock = new VirtualClock({ startsAt: 5_000 });
    let fired = 0;
    clock.setTimer(100, () => {
      fired += 1;
    });

    await clock.runUntil(99);
    expect([fired, clock.monotonic(), clock.now(), clock.pending()]).toEqual([0, 99, 5_099, 1]);

    await clock.runFor(1);
    expect([fired, clock.monotonic(), clock.pending()]).toEqual([1, 100, 0]);
  });

  it("never fires a cancelled timer, however many are cancelled", async () => {
    const clock = new VirtualClock();
    const fired: number[] = [];
    const timers = Array.from({ length: 5_000 }, (_, index) =>
      clock.setTimer(index % 97, () => {
        fired.push(index);
      }),
    );
    for (const [index, timer] of timers.entries()) {
      if (index % 10 !== 0) {
        timer.cancel();
        timer.cancel();
      }
    }

    await clock.runFor(100);

    expect(fired.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 500 }, (_, index) => index * 10));
    expect(clock.pending()).toBe(0);
  });

  it("lets work that a timer started run until it waits for time itself", async () => {
    const clock = new VirtualClock();
    const log: string[] = [];
    clock.setTimer(10, async () => {
      for (let step = 0; step < 50; step += 1) {
        await Promise.resolve();
      }
      log.push(`work at ${clock.monotonic()}`);
      await clock.sleep(5, never);
      log.push(`slept until ${clock.monotonic()}`);
    });
    clock.setTimer(10, () => {
      log.push(`next timer at ${clock.monotonic()}`);
    });

    await clock.runFor(20);

    expect(log).toEqual(["work at 10", "next timer at 10", "slept until 15"]);
  });

  it("gives turns to work that passes through the event loop", async () => {
    const clock = new VirtualClock();
    const log: string[] = [];
    clock.setTimer(1, async () => {
      await new Promise<void>((resolve) => {
        setImmediate(resolve);
      });
      log.push("work");
    });
    clock.setTimer(1, () => {
      log.push("next");
    });

    await clock.runFor(1);

    expect(log).toEqual(["work", "next"]);
  });

  it("ends a sleep with the signal's reason, also one that is aborted already", async () => {
    const clock = new VirtualClock();
    const abort = new AbortController();
    const sleep = clock.sleep(1_000, abort.signal);
    clock.setTimer(10, () => {
      abort.abort(new Error("enough"));
    });

    await expect(clock.runUntilSettled(sleep)).rejects.toThrow("enough");
    expect(clock.monotonic()).toBe(10);
    expect(clock.pending()).toBe(0);
    await expect(clock.sleep(1, abort.signal)).rejects.toThrow("enough");
  });

  it("ends the run with the error of a callback", async () => {
    const clock = new VirtualClock();
    clock.setTimer(1, async () => {
      await Promise.resolve();
      throw new Error("a bug");
    });

    await expect(clock.runFor(1)).rejects.toThrow("a bug");
  });

  it("runs until a condition holds, and says so when it does not", async () => {
    const clock = new VirtualClock();
    let ticks = 0;
    const tick = () => {
      ticks += 1;
      clock.setTimer(7, tick);
    };
    tick();

    expect(await clock.runUntilTrue(() => ticks === 5, 100)).toBe(28);
    await expect(clock.runUntilTrue(() => ticks === 500, 100)).rejects.toMatchObject({
      code: "CLOCK_TIMED_OUT",
    });
  });

  it("refuses to be run from inside a run", async () => {
    const clock = new VirtualClock();
    clock.setTimer(1, () => clock.runFor(1));

    await expect(clock.runFor(2)).rejects.toMatchObject({ code: "CLOCK_RUNNING" });
  });

  it("refuses a delay that is no time", () => {
    const clock = new VirtualClock();

    expect(() => clock.setTimer(-1, () => undefined)).toThrow("a timer was set to -1 ms");
    expect(() => clock.setTimer(Number.NaN, () => undefined)).toThrow("a timer was set to NaN ms");
  });
});
