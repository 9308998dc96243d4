import fc from "fast-check";
import { expect, it } from "vitest";

import { CollectorRace } from "./collector-race.ts";

const seconds = (...values: readonly number[]) => fc.constantFrom(...values).map((value) => value * 1000);
const slot = fc.nat(3);

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("create" as const),
      slot,
      lagMs: seconds(0, 1, 20, 60),
      addMs: seconds(0, 1, 70),
      upMs: seconds(0, 2, 55, 1500),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("delete" as const),
      slot,
      how: fc.oneof(
        fc.record({ kind: fc.constant("clean" as const), lost: fc.boolean() }),
        fc.record({
          kind: fc.constant("forced" as const),
          staysMs: seconds(1, 200, 2000),
          lost: fc.boolean(),
        }),
        fc.constant({ kind: "ended" as const }),
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("reports" as const),
      drops: fc.nat(8),
      lateMs: seconds(0, 5, 20),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "leader" as const }) },
  { weight: 3, arbitrary: fc.constant({ kind: "release" as const }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("lose-api" as const), noticedMs: seconds(0, 10, 30) }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "find-api" as const }) },
);

it("never takes the address of what lives, whatever is late, lost or away, and in the end releases what leaked", async () => {
  let collected = 0;
  let kept = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(step, seconds(0, 1, 7, 31, 95, 200)), { minLength: 5, maxLength: 40 }),
      fc.boolean(),
      async (steps, isImpatient) => {
        const race = await CollectorRace.create(isImpatient);
        for (const [each, thenMs] of steps) {
          switch (each.kind) {
            case "create":
              race.createPod(each.slot, each);
              break;
            case "delete":
              race.deletePod(each.slot, each.how);
              break;
            case "reports":
              race.disturbReports(each.drops, each.lateMs);
              break;
            case "leader":
              await race.world.changeLeader();
              break;
            case "release":
              await race.releaseNow();
              break;
            case "lose-api":
              race.loseApi(each.noticedMs);
              break;
            case "find-api":
              race.findApi();
          }
          await race.pass(thenMs);
        }
        race.findApi();
        race.disturbReports(0, 0);
        // The slowest interface of a Pod that was deleted, then the grace time.
        await race.pass(60 * 60_000);
        const { leaked, living } = race.outcome();
        collected += race.world.collector.counts().collected;
        kept += living.length;

        expect(leaked).toEqual([]);
        await race.world.collector.stop();
      },
    ),
    { numRuns: 60 },
  );

  // That something was at stake.
  expect(collected).toBeGreaterThan(10);
  expect(kept).toBeGreaterThan(10);
}, 120_000);
