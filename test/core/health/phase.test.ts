import fc from "fast-check";
import { expect, it } from "vitest";

import { hostHash, nextInPhase } from "../../../src/core/health/phase.ts";

const hash = fc.nat(2 ** 32 - 1);
const interval = fc.integer({ min: 1, max: 10_000 });
const time = fc.nat(10_000_000);

it("gives each host one moment per interval, always in the future and at most one interval away", () => {
  fc.assert(
    fc.property(hash, interval, time, (number, intervalMs, afterMs) => {
      const due = nextInPhase(number, intervalMs, afterMs);
      expect(due).toBeGreaterThan(afterMs);
      expect(due - afterMs).toBeLessThanOrEqual(intervalMs);
      expect(due % intervalMs).toBe(number % intervalMs);
      expect(nextInPhase(number, intervalMs, due)).toBe(due + intervalMs);
    }),
  );
});

it("spreads hosts with like names evenly", () => {
  const slots = Array.from({ length: 20 }, () => 0);
  for (let index = 0; index < 2_000; index += 1) {
    const slot = hostHash(`ip-10-0-${index >> 8}-${index & 255}.ec2.internal`) % 20;
    slots[slot] = (slots[slot] ?? 0) + 1;
  }

  expect(Math.min(...slots)).toBeGreaterThan(60);
  expect(Math.max(...slots)).toBeLessThan(140);
});
