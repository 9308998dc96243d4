import { expect, it } from "vitest";

import { growthOf, HeapRoom, v8Heap } from "../../src/adapters/system/heap-room.ts";
import { FakeClock } from "../support/fake-clock.ts";

const MB = 1024 * 1024;

function started(usedBytes: number) {
  const clock = new FakeClock();
  const growths: number[] = [];
  const world = { changes: 0, usedBytes };
  const heap = { used: () => world.usedBytes, setGrowth: (percent: number) => void growths.push(percent) };
  const room = new HeapRoom({ clock, heap, leanPercent: 20, changes: () => world.changes });
  room.start();
  const pass = async (seconds: number, changesPerSecond: number): Promise<void> => {
    for (let second = 0; second < seconds; second += 1) {
      world.changes += changesPerSecond;
      await clock.advance(1_000);
    }
  };
  return { clock, growths, world, room, pass };
}

it("leaves the heap as it was started while little changes", async () => {
  const { growths, pass } = started(50 * MB);
  await pass(60, 99);
  expect(growths).toEqual([]);
});

it("gives a busy process 96 MB over what is left after a collection, and takes them back when it is calm for 10 s", async () => {
  const { growths, world, pass } = started(48 * MB);
  await pass(1, 100);
  expect(growths).toEqual([200]);
  // Garbage is no reason for less.
  world.usedBytes = 120 * MB;
  await pass(5, 2_000);
  expect(growths).toEqual([200]);
  await pass(9, 0);
  expect(growths).not.toContain(20);
  await pass(1, 0);
  expect(growths.at(-1)).toBe(20);
});

it("never makes the heap smaller than it was started with", async () => {
  const { growths, pass } = started(2_000 * MB);
  await pass(5, 1_000);
  expect(growths).toEqual([]);
});

it("ends when it is stopped", () => {
  const { clock, room } = started(48 * MB);
  room.stop();
  expect(clock.pendingTimers).toBe(0);
});

it("knows the growth that Node was started with, and leaves V8 alone without one", () => {
  expect(growthOf(["--max-semi-space-size=4", "--heap-growing-percent=20"])).toBe(20);
  expect(growthOf(["--heap_growing_percent=35", "--heap-growing-percent=50"])).toBe(50);
  expect(growthOf(["--max-old-space-size=500"])).toBeUndefined();
});

it("reads the heap of this process", () => {
  expect(v8Heap.used()).toBeGreaterThan(MB);
});
