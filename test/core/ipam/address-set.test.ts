import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { addOffset, createAddressSet, deleteOffset, firstFree } from "../../../src/core/ipam/address-set.ts";

describe("an address set", () => {
  it("finds the lowest free offset that a plain set finds, whatever its size", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1, 2, 8, 16, 32, 64, 256, 4096),
        fc.array(fc.tuple(fc.boolean(), fc.nat(4095), fc.nat(4095)), { maxLength: 200 }),
        (size, steps) => {
          const set = createAddressSet(size);
          const used = new Set<number>();
          const lowest = (from: number): number => {
            let offset = from;
            while (offset < size && used.has(offset)) {
              offset += 1;
            }
            return offset < size ? offset : -1;
          };
          for (const [take, where, from] of steps) {
            const offset = take ? firstFree(set, where % size) : where % size;
            if (take && offset >= 0) {
              addOffset(set, offset);
              used.add(offset);
            } else if (!take && used.delete(offset)) {
              deleteOffset(set, offset);
            }
            expect(set.count).toBe(used.size);
            expect(firstFree(set, 0)).toBe(lowest(0));
            expect(firstFree(set, from)).toBe(lowest(from));
          }
        },
      ),
    );
  });

  it("fills a block of 65,536 addresses in order, and finds the one given back", () => {
    const set = createAddressSet(65_536);
    for (let offset = 0; offset < 65_536; offset += 1) {
      if (firstFree(set, 0) !== offset) {
        throw new Error(`offset ${offset} is not the lowest free`);
      }
      addOffset(set, offset);
    }

    expect(firstFree(set, 0)).toBe(-1);
    deleteOffset(set, 65_535);
    expect(firstFree(set, 0)).toBe(65_535);
    deleteOffset(set, 31_337);
    expect(firstFree(set, 0)).toBe(31_337);
    expect(firstFree(set, 31_338)).toBe(65_535);
  });
});
