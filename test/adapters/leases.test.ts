import { expect, it } from "vitest";

import { Leases } from "../../src/adapters/memory/leases.ts";
import { FakeClock } from "../support/fake-clock.ts";

it("deletes the keys a second later when they cannot be deleted in time, and is over for its holder meanwhile", async () => {
  const clock = new FakeClock();
  const attempts: (readonly [ms: number, keys: readonly string[]])[] = [];
  const leases = new Leases(clock, (keys) => {
    attempts.push([clock.monotonic(), keys]);
    if (attempts.length < 3) {
      throw new Error("the disk is full");
    }
  });
  leases.grant("a", 300);
  leases.attach("/x", "a");
  leases.attach("/y", "a");

  await clock.advance(300);

  expect(() => leases.keepAlive("a")).toThrow(expect.objectContaining({ code: "LEASE_NOT_FOUND" }));
  await clock.advance(10_000);
  expect(attempts).toEqual([
    [300, ["/x", "/y"]],
    [1300, ["/x", "/y"]],
    [2300, ["/x", "/y"]],
  ]);
  expect(clock.pendingTimers).toBe(0);
});

it("is over at its deadline, also when its timer has not fired yet", () => {
  let nowMs = 0;
  const stalled = {
    now: () => nowMs,
    monotonic: () => nowMs,
    setTimer: () => ({ cancel: () => undefined }),
    sleep: () => Promise.resolve(),
  };
  const leases = new Leases(stalled, () => undefined);
  leases.grant("a", 300);

  nowMs = 299;
  expect(() => leases.check("a")).not.toThrow();
  nowMs = 300;
  expect(() => leases.check("a")).toThrow(expect.objectContaining({ code: "LEASE_NOT_FOUND" }));
  expect(() => leases.keepAlive("a")).toThrow(expect.objectContaining({ code: "LEASE_NOT_FOUND" }));
});

it("leaves a lease as it was when revoking it fails", async () => {
  const clock = new FakeClock();
  let isFull = true;
  const leases = new Leases(clock, () => {
    if (isFull) {
      throw new Error("the disk is full");
    }
  });
  leases.grant("a", 300);
  leases.attach("/x", "a");

  expect(() => leases.revoke("a")).toThrow("the disk is full");
  expect(() => leases.keepAlive("a")).not.toThrow();
  isFull = false;
  leases.revoke("a");

  expect(() => leases.check("a")).toThrow(expect.objectContaining({ code: "LEASE_NOT_FOUND" }));
  expect(clock.pendingTimers).toBe(0);
});

it("sets no timers after it was closed", () => {
  const clock = new FakeClock();
  const leases = new Leases(clock, () => undefined);
  leases.grant("a", 300);
  leases.grant("b", 500);

  leases.close();

  expect(clock.pendingTimers).toBe(0);
});
