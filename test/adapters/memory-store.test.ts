import fc from "fast-check";
import { expect, it } from "vitest";

import { MemoryStore } from "../../src/adapters/memory/memory-store.ts";
import { compareKeys, SortedKeys } from "../../src/adapters/memory/sorted-keys.ts";
import { storeContract } from "../contracts/store.ts";
import { FakeClock } from "../support/fake-clock.ts";

storeContract("memory", async ({ historyLimit }) => {
  const clock = new FakeClock();
  return { store: new MemoryStore({ clock, historyLimit }), pass: (ms) => clock.advance(ms) };
});

it("compares keys as their UTF-8 bytes compare", () => {
  const text = fc.string({ unit: "binary", maxLength: 6 });
  fc.assert(
    fc.property(text, text, (a, b) => {
      expect(Math.sign(compareKeys(a, b))).toBe(Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b))));
    }),
  );
});

it("keeps thousands of keys sorted through any adding and deleting", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 99_999 }), { minLength: 3000, maxLength: 6000 }),
      (numbers) => {
        const keys = new SortedKeys();
        const expected = new Set<string>();
        for (const [index, number] of numbers.entries()) {
          const key = `/${number}`;
          const victim = `/${numbers[index >>> 1]}`;
          const wasNew = !expected.has(key);
          expected.add(key);

          expect(keys.add(key)).toBe(wasNew);
          expect(index % 3 === 0 && keys.delete(victim)).toBe(index % 3 === 0 && expected.delete(victim));
        }
        expect([...keys.withPrefix("")]).toEqual([...expected].toSorted());
        expect([...keys.withPrefix("/7")]).toEqual(
          [...expected].filter((key) => key.startsWith("/7")).toSorted(),
        );
      },
    ),
    { numRuns: 5 },
  );
});
