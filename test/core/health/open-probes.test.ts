import fc from "fast-check";
import { expect, it } from "vitest";

import { type OpenProbe, OpenProbes } from "../../../src/core/health/open-probes.ts";
import { newTarget } from "../../../src/core/health/target.ts";
import { targetsOf } from "../../support/health-world.ts";

const [plan] = targetsOf([{ host: "h" }]);

function probeAt(sentMs: number): OpenProbe {
  if (plan === undefined) {
    throw new Error("one target was planned");
  }
  return { target: newTarget(plan), sentMs, open: true };
}

/** What `takeOverdue` gives until it gives nothing. */
function takeAll(probes: OpenProbes, untilMs: number): OpenProbe[] {
  const taken: OpenProbe[] = [];
  for (let probe = probes.takeOverdue(untilMs); probe !== undefined; probe = probes.takeOverdue(untilMs)) {
    taken.push(probe);
  }
  return taken;
}

it("gives each probe that stays open once its deadline has come, in the order of sending, and no other", () => {
  const step = fc.record({
    gapMs: fc.nat(40),
    send: fc.boolean(),
    answer: fc.option(fc.nat(1_000), { nil: undefined }),
    judge: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const probes = new OpenProbes(150);
      let open: OpenProbe[] = [];
      let nowMs = 0;
      for (const { gapMs, send, answer, judge } of steps) {
        nowMs += gapMs;
        if (send) {
          const probe = probeAt(nowMs);
          probes.push(probe);
          open.push(probe);
        }
        const answered = answer === undefined ? undefined : open[answer % Math.max(1, open.length)];
        if (answered !== undefined) {
          answered.open = false;
        }
        const untilMs = judge ? nowMs : -Infinity;
        const overdue = open.filter((probe) => probe !== answered && probe.sentMs + 150 <= untilMs);
        open = open.filter((probe) => probe !== answered && probe.sentMs + 150 > untilMs);
        expect(takeAll(probes, untilMs)).toEqual(overdue);
        expect(probes.nextDeadline()).toBe((open[0]?.sentMs ?? Infinity) + 150);
      }
    }),
  );
});

it("forgets what is answered, also over tens of thousands of probes", () => {
  const probes = new OpenProbes(150);
  const lost: number[] = [];
  const deadlines: number[] = [];
  for (let sentMs = 0; sentMs < 20_000; sentMs += 1) {
    const probe = probeAt(sentMs);
    probes.push(probe);
    probe.open = sentMs % 1_000 === 0;
    lost.push(...takeAll(probes, sentMs).map((each) => each.sentMs));
    deadlines.push(probes.nextDeadline());
  }
  const last = probeAt(20_000);
  probes.push(last);
  probes.clear();

  expect(lost).toEqual(Array.from({ length: 20 }, (_, index) => index * 1_000));
  expect(deadlines.slice(1_000, 1_149).every((deadline) => deadline === 1_150)).toBe(true);
  expect(deadlines.at(-1)).toBe(Infinity);
  expect(last.open).toBe(false);
});
