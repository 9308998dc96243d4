import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { TokenBucket } from "../../../src/core/cloud/token-bucket.ts";
import { NetworkError } from "../../../src/core/errors.ts";

const size = fc
  .record({
    capacity: fc.integer({ min: 1, max: 60 }),
    refillPerSecond: fc.double({ min: 0.1, max: 50, noNaN: true }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ share, ...rest }) => ({ ...rest, reserve: Math.floor(share * (rest.capacity - 1)) }));

const calls = fc.array(fc.record({ afterMs: fc.nat(2000), urgent: fc.boolean() }), {
  minLength: 1,
  maxLength: 200,
});

describe("TokenBucket", () => {
  it("gives a burst of its capacity at once, then one token per refill", () => {
    const bucket = new TokenBucket({ capacity: 50, refillPerSecond: 5, reserve: 0 });
    const burst = Array.from({ length: 50 }, () => bucket.take(1000, false));

    expect(burst.every((wait) => wait === 0)).toBe(true);
    expect(bucket.take(1000, false)).toBe(200);
    expect(bucket.take(1199, false)).toBe(1);
    expect(bucket.take(1200, false)).toBe(0);
    expect(bucket.take(1200, false)).toBe(200);
  });

  it("keeps the reserve for urgent calls", () => {
    const bucket = new TokenBucket({ capacity: 50, refillPerSecond: 5, reserve: 20 });
    const bulk = Array.from({ length: 31 }, () => bucket.take(0, false));
    const urgent = Array.from({ length: 21 }, () => bucket.take(0, true));

    expect(bulk.filter((wait) => wait === 0)).toHaveLength(30);
    expect(urgent.filter((wait) => wait === 0)).toHaveLength(20);
    expect(bucket.take(0, false)).toBe(21 * 200);
  });

  it("adds nothing when the clock goes back", () => {
    const bucket = new TokenBucket({ capacity: 1, refillPerSecond: 1, reserve: 0 });

    expect(bucket.take(5000, true)).toBe(0);
    expect(bucket.take(1000, true)).toBe(1000);
    expect(bucket.take(5999, true)).toBe(1);
    expect(bucket.take(6000, true)).toBe(0);
  });

  it("never gives more in any window than capacity plus what flowed back in it", () => {
    fc.assert(
      fc.property(size, calls, (options, list) => {
        const bucket = new TokenBucket(options);
        const taken: number[] = [];
        let now = 0;
        for (const { afterMs, urgent } of list) {
          now += afterMs;
          if (bucket.take(now, urgent) === 0) {
            taken.push(now);
          }
        }
        const windows = taken.flatMap((start, from) =>
          taken.slice(from).map((end, more) => ({ count: more + 1, seconds: (end - start) / 1000 })),
        );

        const excess = windows.filter(
          ({ count, seconds }) => count > options.capacity + seconds * options.refillPerSecond + 1e-6,
        );
        expect(excess).toEqual([]);
      }),
    );
  });

  it("answers the shortest wait that succeeds", () => {
    fc.assert(
      fc.property(size, calls, fc.boolean(), (options, list, urgent) => {
        const make = (): { bucket: TokenBucket; now: number } => {
          const bucket = new TokenBucket(options);
          let now = 0;
          for (const call of list) {
            now += call.afterMs;
            bucket.take(now, call.urgent);
          }
          return { bucket, now };
        };
        const { bucket, now } = make();
        const wait = bucket.take(now, urgent);
        fc.pre(wait > 0);

        expect(Number.isInteger(wait)).toBe(true);
        expect(make().bucket.take(now + wait - 1, urgent)).toBeGreaterThan(0);
        expect(bucket.take(now + wait, urgent)).toBe(0);
      }),
    );
  });

  it("never lets bulk calls touch the reserve, whatever came before", () => {
    fc.assert(
      fc.property(size, fc.array(fc.nat(3000), { maxLength: 100 }), (options, gaps) => {
        const bucket = new TokenBucket(options);
        let now = 0;
        for (const gap of gaps) {
          now += gap;
          bucket.take(now, false);
        }
        const urgent = Array.from({ length: options.reserve }, () => bucket.take(now, true));

        expect(urgent.every((wait) => wait === 0)).toBe(true);
      }),
    );
  });

  it.for([
    { capacity: 0, refillPerSecond: 5, reserve: 0 },
    { capacity: 50, refillPerSecond: 0, reserve: 0 },
    { capacity: 50, refillPerSecond: 5, reserve: 50 },
    { capacity: 50, refillPerSecond: 5, reserve: -1 },
    { capacity: Number.NaN, refillPerSecond: 5, reserve: 0 },
  ])("refuses %j, with which calls would wait for ever", (options) => {
    expect(() => new TokenBucket(options)).toThrow(NetworkError);
  });
});
