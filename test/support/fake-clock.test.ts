import { expect, it } from "vitest";

import { FakeClock } from "./fake-clock.ts";

const never = new AbortController().signal;

it("fires timers in the order of their due times, each at its own", async () => {
  const clock = new FakeClock();
  const fired: string[] = [];
  const note = (name: string) => () => void fired.push(`${name} ${clock.monotonic()}`);
  clock.setTimer(30, note("c"));
  clock.setTimer(10, note("a"));
  clock.setTimer(10, note("b"));
  clock.setTimer(31, note("late"));

  await clock.advance(30);

  expect(fired).toEqual(["a 10", "b 10", "c 30"]);
  expect(clock.monotonic()).toBe(30);
  expect(clock.pendingTimers).toBe(1);
});

it("lets the work of a callback settle before the next timer fires", async () => {
  const clock = new FakeClock();
  const seen: string[] = [];
  clock.setTimer(1, async () => {
    for (let step = 0; step < 50; step += 1) {
      await Promise.resolve();
    }
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    seen.push("work done");
  });
  clock.setTimer(2, () => void seen.push("next timer"));

  await clock.advance(2);

  expect(seen).toEqual(["work done", "next timer"]);
});

it("goes on when a callback waits for time itself, and fires timers that were set on the way", async () => {
  const clock = new FakeClock();
  const wokeAt: number[] = [];
  clock.setTimer(5, async () => {
    for (let round = 0; round < 3; round += 1) {
      await clock.sleep(10, never);
      wokeAt.push(clock.monotonic());
    }
  });

  await clock.advance(29);

  expect(wokeAt).toEqual([15, 25]);
});

it("does not fire a timer that was cancelled", async () => {
  const clock = new FakeClock();
  let fired = false;
  const timer = clock.setTimer(1, () => {
    fired = true;
  });

  timer.cancel();
  timer.cancel();
  await clock.advance(10);

  expect(fired).toBe(false);
});

it("ends a sleep with the reason of the abort, before and during it", async () => {
  const clock = new FakeClock();
  const controller = new AbortController();
  const reason = new Error("enough");
  const sleeping = clock.sleep(10, controller.signal);

  controller.abort(reason);

  await expect(sleeping).rejects.toBe(reason);
  await expect(clock.sleep(10, controller.signal)).rejects.toBe(reason);
  expect(clock.pendingTimers).toBe(0);
});

it("keeps the wall clock and the monotonic one in step", async () => {
  const clock = new FakeClock(1_000_000);

  await clock.advance(250);

  expect([clock.now(), clock.monotonic()]).toEqual([1_000_250, 250]);
});
