import { getEventListeners } from "node:events";

import { afterEach, expect, it, vi } from "vitest";

import { SystemClock } from "../../src/adapters/system/system-clock.ts";

const never = new AbortController().signal;
const clock = new SystemClock();

afterEach(() => {
  vi.useRealTimers();
});

it("tells the time of the machine, and a time that never goes back", () => {
  const before = Date.now();
  const first = clock.monotonic();

  expect(clock.now()).toBeGreaterThanOrEqual(before);
  expect(clock.now()).toBeLessThanOrEqual(Date.now());
  expect(clock.monotonic()).toBeGreaterThanOrEqual(first);
});

it("never calls early", async () => {
  const waits = [0, 0.4, 1, 2.5, 7, 7.9].map(async (delayMs) => {
    const start = clock.monotonic();
    await clock.sleep(delayMs, never);
    return clock.monotonic() - start - delayMs;
  });

  expect(Math.min(...(await Promise.all(waits)))).toBeGreaterThanOrEqual(0);
});

it("calls no timer that was cancelled, and cancelling twice is fine", async () => {
  let called = false;
  const timer = clock.setTimer(1, () => {
    called = true;
  });

  timer.cancel();
  timer.cancel();
  await clock.sleep(5, never);

  expect(called).toBe(false);
});

it("waits for months, longer than setTimeout can", () => {
  vi.useFakeTimers({ now: 0 });
  const days = 24 * 60 * 60 * 1000;
  const calledAt: number[] = [];
  clock.setTimer(60 * days, () => void calledAt.push(clock.now()));

  vi.advanceTimersByTime(59 * days);
  expect(calledAt).toEqual([]);
  vi.advanceTimersByTime(1 * days);

  expect(calledAt).toEqual([60 * days]);
});

it("stops a timer of months that was cancelled after weeks", () => {
  vi.useFakeTimers({ now: 0 });
  const timer = clock.setTimer(2 ** 32, () => undefined);
  vi.advanceTimersByTime(2 ** 31);

  timer.cancel();

  expect(vi.getTimerCount()).toBe(0);
});

it("ends a sleep with the reason of the abort", async () => {
  const controller = new AbortController();
  const reason = new Error("enough");
  const sleeping = clock.sleep(60_000, controller.signal);

  controller.abort(reason);

  await expect(sleeping).rejects.toBe(reason);
  await expect(clock.sleep(0, controller.signal)).rejects.toBe(reason);
});

it("leaves no listener on the signal of a sleep that ended", async () => {
  const { signal } = new AbortController();

  await clock.sleep(1, signal);

  expect(getEventListeners(signal, "abort")).toEqual([]);
});

it.for([-1, Number.NaN])("refuses to wait %d ms", (delayMs) => {
  expect(() => clock.setTimer(delayMs, () => undefined)).toThrow(RangeError);
});
