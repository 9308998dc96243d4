import fc from "fast-check";
import { expect, it } from "vitest";

import { Recency } from "../../../src/core/health/recency.ts";
import type { TargetState } from "../../../src/core/health/state.ts";
import { newTarget } from "../../../src/core/health/target.ts";
import type { NodeHealth } from "../../../src/core/health/view.ts";
import { targetsOf } from "../../support/health-world.ts";

/** Each word `host/zone` or `host/zone/health` (up unless said), in the order in which they answered, the first one first, at 10, 20, 30 … ms. */
function answeredInOrder(words: string): { recency: Recency; host: (name: string) => TargetState } {
  const recency = new Recency();
  const states = new Map<string, TargetState>();
  for (const word of words.split(" ")) {
    const [host = "", zone = ""] = word.split("/");
    for (const target of targetsOf([{ host, zone }])) {
      const state = newTarget(target);
      state.health = (word.split("/")[2] ?? "up") as NodeHealth;
      states.set(host, state);
      recency.add(state);
    }
  }
  let nowMs = 0;
  for (const state of states.values()) {
    nowMs += 10;
    state.answeredMs = nowMs;
    state.answeredSentMs = nowMs - 1;
    recency.touch(state);
  }
  return {
    recency,
    host: (name) => {
      const state = states.get(name);
      if (state === undefined) {
        throw new Error(`no host ${name}`);
      }
      return state;
    },
  };
}

it.for<[words: string, others: string, witness: string | undefined, why: string]>([
  ["g/a x/a y/b z/c", "", "z", "the one of another zone that answered last"],
  ["g/a y/b x/a", "", "y", "another zone before the suspect's own"],
  ["g/a x/a y/b/rising", "", "x", "one that is up before one that is not"],
  ["g/a x/a/suspect y/b/rising", "", "y", "among those that are not up, another zone"],
  ["x/a g/a", "", "x", "the suspect's own zone where there is no other"],
  ["g/a x/b y/b", "y", "x", "one that is no stand-in"],
  ["g/a x/a", "x", undefined, "nobody beside suspect and stand-ins"],
  ["g/a x/b/up r1/b/rising r2/b/rising", "", "x", "one that is up behind some that are not"],
])("chooses for %s without (%s): %s, %s", ([words, others, witness]) => {
  const { recency, host } = answeredInOrder(words);
  const excluded = new Set(others.split(" ").filter(Boolean).map(host));

  expect(recency.witness(host("g"), excluded)?.host).toBe(witness);
});

it("knows whether anybody answered a probe that was sent within a window", () => {
  const { recency } = answeredInOrder("x/a y/b z/a");

  expect([
    recency.answeredWithin(0, 8),
    recency.answeredWithin(0, 9),
    recency.answeredWithin(10, 19),
    recency.answeredWithin(20, 28),
    recency.answeredWithin(29, Infinity),
    recency.answeredWithin(30, Infinity),
  ]).toEqual([false, true, true, false, true, false]);
});

it("keeps every zone's order under any sequence of answers, additions and removals", () => {
  const step = fc.record({ index: fc.nat(9), remove: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const recency = new Recency();
      const states = targetsOf(
        Array.from({ length: 10 }, (_, index) => ({ host: `h${index}`, zone: `z${index % 3}` })),
      ).map(newTarget);
      let order: TargetState[] = [];
      let nowMs = 0;
      for (const { index, remove } of steps) {
        const state = states[index];
        if (state === undefined) {
          continue;
        }
        const known = order.includes(state);
        order = order.filter((other) => other !== state);
        if (remove) {
          recency.remove(state);
        } else {
          if (!known) {
            recency.add(state);
          }
          nowMs += 1;
          state.answeredMs = nowMs;
          state.health = "up";
          recency.touch(state);
          order.unshift(state);
        }
        for (const suspect of states) {
          const elsewhere = order.find(({ zone }) => zone !== suspect.zone);
          const expected = elsewhere ?? order.find((other) => other !== suspect);
          expect(recency.witness(suspect, new Set())?.host).toBe(expected?.host);
        }
      }
    }),
  );
});
