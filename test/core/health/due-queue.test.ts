import fc from "fast-check";
import { expect, it } from "vitest";

import { type DueItem, DueQueue } from "../../../src/core/health/due-queue.ts";

it("always knows the item that is due first, whatever was scheduled, moved and removed", () => {
  const step = fc.record({ item: fc.nat(19), dueMs: fc.option(fc.nat(50), { nil: undefined }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = new DueQueue<DueItem>();
      const items = Array.from({ length: 20 }, (): DueItem => ({ dueMs: 0, place: -1 }));
      const due = new Map<DueItem, number>();
      for (const { item: index, dueMs } of steps) {
        const item = items[index];
        if (item === undefined) {
          continue;
        }
        if (dueMs === undefined) {
          queue.remove(item);
          due.delete(item);
        } else {
          queue.schedule(item, dueMs);
          due.set(item, dueMs);
        }
        expect(queue.size).toBe(due.size);
        expect(queue.peek()?.dueMs ?? Infinity).toBe(Math.min(...due.values()));
      }
      const drained: number[] = [];
      for (let item = queue.peek(); item !== undefined; item = queue.peek()) {
        drained.push(due.get(item) ?? Number.NaN);
        queue.remove(item);
      }
      expect(drained).toEqual([...due.values()].toSorted((a, b) => a - b));
    }),
  );
});
