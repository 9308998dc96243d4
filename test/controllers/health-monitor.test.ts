import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { HealthMonitor } from "../../src/controllers/health-monitor.ts";
import { detectionBounds, type HealthOptions, healthOptions } from "../../src/core/health/options.ts";
import type { HealthVerdict } from "../../src/core/health/verdicts.ts";
import {
  ANSWER,
  HealthWorld,
  InstantClock,
  ListLogger,
  type NodePlan,
  targetsOf,
} from "../support/health-world.ts";

const PAIR: readonly NodePlan[] = [
  { host: "g", zone: "a", role: "gateway", standIns: ["s"] },
  { host: "s", zone: "a" },
  { host: "w", zone: "b" },
];

/** Three zones with `groups` groups each: a gateway and one stand-in per group. */
function zones(groups: number): NodePlan[] {
  return ["a", "b", "c"].flatMap((zone) =>
    Array.from({ length: groups }, (_, group) => `${zone}${group}`).flatMap((name): NodePlan[] => [
      { host: `${name}-g`, zone, role: "gateway", standIns: [`${name}-s`] },
      { host: `${name}-s`, zone, standIns: [`${name}-g`] },
    ]),
  );
}

/** A world in which everything is up, `afterMs` after the start. */
function settled(
  plans: readonly NodePlan[] = PAIR,
  options: Partial<HealthOptions> = {},
  afterMs = 5_000,
): HealthWorld {
  const world = new HealthWorld(plans, options);
  world.run(afterMs);
  world.take();
  return world;
}

/** Silences hosts for `ms` from now, then lets `thenMs` pass. Returns the verdicts with their times since the silence began. */
function interrupt(world: HealthWorld, hosts: readonly string[], ms: number, thenMs: number): string[] {
  const fromMs = world.clock.monotonic();
  for (const host of hosts) {
    world.silent.add(host);
  }
  world.run(ms);
  for (const host of hosts) {
    world.silent.delete(host);
  }
  world.run(thenMs);
  expect(world.verdicts.every(({ at }) => at >= fromMs)).toBe(true);
  return world.take();
}

const phase = fc.integer({ min: 0, max: 2_000 });
/** Probing settings that fit together, each quicker or slower than the default. */
const settings = fc
  .record({
    intervalMs: fc.integer({ min: 60, max: 1_000 }),
    timeoutShare: fc.double({ min: 0.2, max: 1, noNaN: true }),
    fall: fc.integer({ min: 1, max: 4 }),
    burst: fc.integer({ min: 2, max: 8 }),
    burstIntervalMs: fc.integer({ min: 10, max: 60 }),
    burstTimeoutMs: fc.integer({ min: 10, max: 300 }),
  })
  .map(({ timeoutShare, ...rest }) => ({
    ...rest,
    timeoutMs: Math.max(5, Math.floor(rest.intervalMs * timeoutShare)),
  }));

describe("detection, by construction", () => {
  it("finds the silence of a gateway after 550 to 750 ms with the default options, and 450 ms move nothing", () => {
    expect(detectionBounds(healthOptions())).toEqual({ fastestMs: 550, slowestMs: 750, harmlessMs: 450 });
  });

  it("finds silence within the bounds at every phase of the interval", () => {
    for (let offset = 0; offset < 200; offset += 1) {
      const world = settled(PAIR, {}, 5_000 + offset);
      const fromMs = world.clock.monotonic();
      world.silent.add("g");
      world.run(750);

      const [verdict] = world.verdicts;
      expect(world.take()).toEqual(["down g (s, w)"]);
      // The probe whose answer is under way when the silence begins is answered: the round trip is part of the phase.
      expect((verdict?.at ?? 0) - fromMs).toBeGreaterThanOrEqual(550);
    }
  });

  it("moves nothing for an interruption under 450 ms, at every phase of the interval", () => {
    for (let offset = 0; offset < 200; offset += 1) {
      const world = settled(PAIR, {}, 5_000 + offset);

      expect(interrupt(world, ["g"], 449, 3_000)).toEqual([]);
      expect(world.health("g")).toBe("up");
    }
  });

  it("keeps both promises with any options, at any phase", () => {
    fc.assert(
      fc.property(settings, phase, (options, offset) => {
        const { fastestMs, slowestMs, harmlessMs } = detectionBounds(healthOptions(options));
        const world = settled(PAIR, options, 10_000 + offset);
        expect(interrupt(world, ["g"], harmlessMs - 1, 3_000)).toEqual([]);
        const fromMs = world.clock.monotonic();
        world.silent.add("g");
        world.run(slowestMs);
        const tookMs = (world.verdicts[0]?.at ?? Infinity) - fromMs;
        expect(world.take()).toEqual(["down g (s, w)"]);
        expect(tookMs).toBeGreaterThanOrEqual(fastestMs);
        expect(tookMs).toBeLessThanOrEqual(slowestMs);
      }),
      { numRuns: 150 },
    );
  });

  it("finds every gateway of a zone that fails within the same time, while other zones answer", () => {
    fc.assert(
      fc.property(phase, fc.integer({ min: 1, max: 20 }), (offset, groups) => {
        const plans = zones(groups);
        const world = settled(plans, {}, 5_000 + offset);
        for (const { host, zone } of plans) {
          if (zone === "b") {
            world.silent.add(host);
          }
        }
        world.run(750);
        const downs = world.take().filter((line) => line.includes("-g "));
        expect(downs).toHaveLength(groups);
        // No stand-in of the dead zone is offered; the witness is of a living one.
        expect(downs.every((line) => /^down b\d+-g \([ac]\d+-[gs]\)$/.test(line))).toBe(true);
        expect(world.monitor.snapshot().blind).toBe(false);
      }),
      { numRuns: 40 },
    );
  });

  it("finds the gateways of two zones that fail at once by the third", () => {
    const plans = zones(6);
    const world = settled(plans);
    for (const { host, zone } of plans) {
      if (zone !== "c") {
        world.silent.add(host);
      }
    }
    world.run(750);

    expect(world.take().filter((line) => /^down [ab]\d-g/.test(line))).toHaveLength(12);
  });

  it("finds a silent stand-in at the stand-ins' rhythm", () => {
    const world = settled();
    world.silent.add("s");
    world.run(2_000 + 2_000 + 750);

    expect(world.take()).toEqual(["down s (w)"]);
  });
});

describe("our own trouble", () => {
  it("is blind when nobody answers, gives no verdict however long, and is sighted with the first answer", () => {
    const world = settled(zones(4));
    for (const { host } of zones(4)) {
      world.silent.add(host);
    }
    world.run(60_000);
    expect(world.take()).toEqual(["blind"]);
    expect(world.monitor.snapshot().blind).toBe(true);
    expect(world.health("a0-g")).toBe("suspect");

    world.silent.clear();
    world.run(3_000);

    expect(world.take()).toEqual(["sighted"]);
    expect([...world.monitor.snapshot().nodes.values()].every(({ health }) => health === "up")).toBe(true);
  });

  it("never takes an interruption of ours for a death, whatever its length, phase and direction, near and far nodes alike", () => {
    const way = fc.constantFrom("out", "in", "both");
    // The dangerous ones end while a burst is under way.
    const length = fc.oneof(
      { weight: 4, arbitrary: fc.integer({ min: 440, max: 700 }) },
      fc.integer({ min: 1, max: 4_000 }),
    );
    fc.assert(
      fc.property(phase, length, fc.nat(20), way, (offset, ms, farMs, direction) => {
        const world = settled(zones(3), {}, 5_000 + offset);
        let cut = false;
        // Nodes of zone a are near, the others up to 20 ms away.
        world.prober.fate = (host) =>
          cut && direction !== "in"
            ? "silence"
            : { afterMs: host.startsWith("a") ? 0.3 : 0.3 + farMs, outcome: ANSWER };
        world.prober.arrives = () => !cut || direction === "out";
        world.run(1_000);
        cut = true;
        world.run(ms);
        cut = false;
        world.run(6_000);
        expect(world.take().filter((line) => line.startsWith("down"))).toEqual([]);
        expect(world.monitor.snapshot().blind).toBe(false);
      }),
      { numRuns: 600 },
    );
  });

  it("gives its verdicts also when settling takes time and other deadlines pass meanwhile", () => {
    const plans = zones(8);
    const world = settled(plans);
    world.prober.settleMs = 7;
    for (const { host, zone } of plans) {
      if (zone === "b") {
        world.silent.add(host);
      }
    }
    world.run(750 + 4 * 7);

    expect(world.take().filter((line) => /^down b\d-g \([ac]\d-[gs]\)$/.test(line))).toHaveLength(8);
  });

  it("finds a node that died while we were blind with a fresh burst after sight has come back", () => {
    const world = settled();
    world.silent.add("g").add("s").add("w");
    world.run(5_000);
    world.silent.delete("w");
    world.run(2_000 + 600);

    expect(world.take().slice(0, 3)).toEqual(["blind", "sighted", "down g (w)"]);
  });

  it("does not take the answers of its own machine for a sign that it can see", () => {
    const world = settled([
      { host: "g", role: "gateway", standIns: ["me", "s"] },
      { host: "me", zone: "b", role: "gateway", own: true },
      { host: "s" },
    ]);
    expect(interrupt(world, ["g", "s"], 10_000, 3_000)).toEqual(["blind", "sighted"]);
    world.silent.add("g");
    world.run(750);

    expect(world.take()).toEqual(["down g (me, s)"]);
  });

  it("asks the monitor's environment which address is its own", () => {
    const clock = new InstantClock();
    const told: string[] = [];
    const targets = targetsOf([{ host: "g", role: "gateway", standIns: ["me"] }, { host: "me" }]);
    const [g, me] = targets;
    const monitor = new HealthMonitor({
      prober: {
        probe: (address, listener) => {
          if (address !== g?.address || clock.monotonic() < 5_000) {
            listener(ANSWER);
          }
        },
        settle: (callback) => void callback(),
        close: () => undefined,
      },
      clock,
      log: new ListLogger(),
      options: healthOptions(),
      onVerdict: ({ kind }) => void told.push(kind),
      isOwn: (address) => address === me?.address,
    });
    monitor.setTargets(targets);
    monitor.start();
    clock.run(10_000);

    expect(told).toEqual(["up", "up", "blind"]);
  });

  it("is blind when it can send to nobody but its own machine", () => {
    const world = settled([{ host: "g", role: "gateway" }, { host: "me", own: true }, { host: "s" }]);
    world.unsendable.add("g").add("s");
    world.run(3_000);

    expect(world.take()).toEqual(["blind"]);
  });

  it("does not declare the only node of a cluster dead", () => {
    const world = settled([{ host: "g", role: "gateway" }]);
    world.silent.add("g");
    world.run(20_000);

    expect(world.take()).toEqual(["blind"]);
  });

  it("calls the death of the only gateway a death when a stand-in answers the burst", () => {
    const world = settled([{ host: "g", role: "gateway", standIns: ["s"] }, { host: "s" }]);
    world.silent.add("g");
    world.run(750);

    expect(world.take()).toEqual(["down g (s)"]);
  });

  it("calls it a death when all stand-ins are dead too and only the one more node answers", () => {
    const world = settled();
    world.silent.add("g").add("s");
    world.run(750);

    expect(world.take()).toEqual(["down g (w)"]);
  });

  it("calls it a death when the stand-ins and the one more node die with it, and anybody else answered during the burst", () => {
    const bystanders = Array.from({ length: 12 }, (_, index): NodePlan => ({
      host: `x${index}`,
      zone: "b",
      role: "gateway",
    }));
    const world = settled([{ host: "g", role: "gateway", standIns: ["s"] }, { host: "s" }, ...bystanders]);
    world.silent.add("g").add("s");
    for (let ms = 0; ms < 1_000 && world.health("g") !== "suspect"; ms += 1) {
      world.prober.sent.length = 0;
      world.run(1);
    }
    // The answer of the one more node, asked in the burst's first round, is under way: it is lost too.
    const asked = world.prober.sent.map(({ host }) => host);
    for (const host of asked) {
      world.silent.add(host);
    }
    world.prober.arrives = (host) => !asked.includes(host);
    world.run(250);

    expect(asked.some((host) => host.startsWith("x"))).toBe(true);
    expect(world.take().filter((line) => line.startsWith("down g"))).toHaveLength(1);
  });

  it("sends few probes while blind: the regular ones and a burst per interval", () => {
    const plans = zones(20);
    const world = settled(plans);
    for (const { host } of plans) {
      world.silent.add(host);
    }
    world.run(10_000);
    world.prober.sent.length = 0;
    world.run(10_000);

    // 120 suspects at 5 a second, and 5 bursts a second of 5 rounds to 3 hosts at most.
    expect(world.prober.sent.length).toBeLessThanOrEqual(10 * (120 * 5 + 5 * 5 * 3) + 120);
  });

  it("freezes a target that cannot be sent to, and goes on with the others", () => {
    const world = settled();
    world.unsendable.add("g");
    world.run(10_000);
    expect(world.monitor.snapshot().nodes.get("g")).toEqual({
      health: "unmeasured",
      last: "up",
      holdDownUntil: 0,
    });
    expect(world.take()).toEqual([]);
    world.silent.add("s");
    world.run(5_000);
    expect(world.take()).toEqual(["down s (w)"]);

    world.unsendable.clear();
    world.run(200);

    expect(world.health("g")).toBe("up");
  });

  it("does not give a verdict when the sends of the burst fail, and judges anew once it can send", () => {
    const world = settled();
    world.silent.add("g");
    for (let ms = 0; ms < 1_000 && world.health("g") !== "suspect"; ms += 1) {
      world.run(1);
    }
    world.run(30);
    world.unsendable.add("g");
    world.run(5_000);
    expect(world.take()).toEqual([]);
    expect(world.health("g")).toBe("unmeasured");

    world.unsendable.clear();
    world.run(200 + 150 + 200);

    expect(world.take()).toEqual(["down g (s, w)"]);
  });

  it("is blind when nothing at all can be sent", () => {
    const world = settled();
    world.unsendable.add("g").add("s").add("w");
    world.run(3_000);
    expect(world.take()).toEqual(["blind"]);

    world.unsendable.clear();
    world.run(300);

    expect(world.take()).toEqual(["sighted"]);
    expect(world.monitor.snapshot().blind).toBe(false);
  });

  it("loses nothing in a stall of the process when the answers lie in the socket's buffer", () => {
    const world = settled(zones(5));
    for (let stall = 0; stall < 50; stall += 1) {
      // The answers to what was sent before the stall are delivered by settling only.
      world.roundTripMs = 1;
      world.clock.stall(400);
      world.prober.onSettle = () => world.clock.run(world.clock.monotonic());
      world.run(237);
    }

    expect(world.take()).toEqual([]);
    expect([...world.monitor.snapshot().nodes.values()].every(({ health }) => health === "up")).toBe(true);
  });

  it("does not send two probes at once after a stall", () => {
    const world = settled();
    world.prober.sent.length = 0;
    for (let stall = 1; stall < 40; stall += 1) {
      world.clock.stall(stall * 17);
      world.run(500);
    }
    const times = world.prober.sent.filter(({ host }) => host === "g").map(({ atMs }) => atMs);

    expect(times.length).toBeGreaterThan(80);
    expect(
      Math.min(...times.slice(1).map((time, index) => time - (times[index] ?? 0))),
    ).toBeGreaterThanOrEqual(100);
  });
});

describe("answers", () => {
  it("clears a suspicion by an answer that comes late, and a node that always answers late stays up", () => {
    const world = settled();
    world.roundTripMs = 180;
    world.run(30_000);

    expect(world.take()).toEqual([]);
  });

  it("clears a suspicion by an answer that settling brings in at the very end of the burst", () => {
    const world = settled();
    world.prober.settleMs = 5;
    let bursts = 0;
    world.prober.fate = (host) => {
      if (host !== "g") {
        return { afterMs: 0.5, outcome: ANSWER };
      }
      const suspect = world.health("g") === "suspect";
      bursts += suspect ? 1 : 0;
      // The last probe of the first burst is answered after 102 ms, when its time is over and the socket is being read.
      return suspect && bursts === 5 ? { afterMs: 102, outcome: ANSWER } : "silence";
    };
    world.run(750);
    expect(bursts).toBeGreaterThanOrEqual(5);
    expect(world.take()).toEqual([]);
    world.run(1_000);

    expect(world.take()).toEqual(["down g (s, w)"]);
  });

  it("treats an ICMP error as silence, no sooner and no later", () => {
    const world = settled();
    const fromMs = world.clock.monotonic();
    world.prober.fate = (host) =>
      host === "g"
        ? { afterMs: 1, outcome: { kind: "error", reason: "Destination unreachable" } }
        : { afterMs: 1, outcome: ANSWER };
    world.run(750);

    expect((world.verdicts[0]?.at ?? 0) - fromMs).toBeGreaterThanOrEqual(550);
    expect(world.take()).toEqual(["down g (s, w)"]);
  });

  it("stays up through 2 % of loss for a simulated hour", () => {
    const world = settled(zones(2));
    let seed = 7;
    world.prober.record = false;
    world.prober.fate = () => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return seed / 2 ** 32 < 0.02 ? "silence" : { afterMs: 0.5, outcome: ANSWER };
    };
    world.run(3_600_000);

    expect(world.take()).toEqual([]);
    expect(world.prober.count).toBeGreaterThan(100_000);
  });
});

describe("many suspects", () => {
  it("has no more than `maxBursts` bursts under way; the rest wait for their next turn", () => {
    const plans = zones(4);
    const world = settled(plans, { maxBursts: 2 });
    for (const { host, zone } of plans) {
      if (zone === "b") {
        world.silent.add(host);
      }
    }
    world.run(750 + 200);
    const soon = world.take().filter((line) => line.includes("-g ")).length;
    world.run(3_000);

    expect(soon).toBeGreaterThanOrEqual(2);
    expect(soon + world.take().filter((line) => /^down b\d-g/.test(line)).length).toBe(4);
  });
});

describe("rising", () => {
  it("brings every node up about a second after the start, after five answers each", () => {
    const world = new HealthWorld(PAIR);
    world.run(799);
    expect(world.take()).toEqual([]);
    expect(["g", "s", "w"].map((host) => world.health(host))).toEqual(["rising", "rising", "rising"]);

    world.run(202);

    expect(world.take().toSorted()).toEqual(["up g", "up s", "up w"]);
  });

  it("holds a node down for 10 s, twice as long each time it fails again, at most 5 min, and forgives after 10 calm minutes", () => {
    const world = settled();
    const heldMs: number[] = [];
    for (let failure = 0; failure < 8; failure += 1) {
      world.silent.add("g");
      world.run(1_000);
      const downMs = world.verdicts.at(-1)?.at ?? 0;
      world.silent.delete("g");
      world.run(9_000);
      expect(world.health("g")).toBe("rising");
      for (let ms = 0; ms < 310_000 && world.health("g") !== "up"; ms += 200) {
        world.run(200);
      }
      heldMs.push(Math.floor(((world.verdicts.at(-1)?.at ?? 0) - downMs) / 1_000));
    }
    world.run(601_000);
    world.silent.add("g");
    world.run(1_000);

    expect(heldMs).toEqual([10, 20, 40, 80, 160, 300, 300, 300]);
    const entry = world.monitor.snapshot().nodes.get("g");
    expect((entry?.holdDownUntil ?? 0) - world.clock.monotonic()).toBeLessThanOrEqual(10_000);
  });

  it("finds a rising node that falls silent again", () => {
    const world = settled();
    interrupt(world, ["g"], 1_000, 3_000);
    world.silent.add("g");
    world.run(750);

    expect(world.take()).toEqual(["down g (s, w)"]);
  });
});

describe("targets", () => {
  it("keeps the state of a known host when its role changes, and probes it at the gateway's rhythm at once", () => {
    const world = settled();
    world.monitor.setTargets(targetsOf(PAIR).map((target) => ({ ...target, role: "gateway" })));
    expect(world.health("s")).toBe("up");
    world.silent.add("s");
    world.run(750);

    expect(world.take()).toEqual(["down s (w)"]);
  });

  it("starts anew for a host at another address, and for one that comes back", () => {
    const world = settled();
    const [g, s, w] = targetsOf(PAIR);
    if (g === undefined || s === undefined || w === undefined) {
      throw new Error("three targets were made");
    }
    world.monitor.setTargets([{ ...g, address: w.address }, s]);
    expect(world.health("g")).toBe("unknown");
    expect(world.health("w")).toBeUndefined();
    world.monitor.setTargets([s, w]);
    world.monitor.setTargets([g, s, w]);

    expect(world.health("g")).toBe("unknown");
    expect(world.health("s")).toBe("up");
  });

  it("gives no verdict on a host that was removed while its burst was under way", () => {
    const world = settled();
    world.silent.add("g");
    for (let ms = 0; ms < 1_000 && world.health("g") !== "suspect"; ms += 1) {
      world.run(1);
    }
    world.monitor.setTargets(targetsOf(PAIR).slice(1));
    world.run(5_000);

    expect(world.take()).toEqual([]);
  });

  it("hears nothing of what was asked of a host before it was removed", () => {
    const world = settled();
    world.roundTripMs = 120;
    world.prober.sent.length = 0;
    for (let ms = 0; ms < 1_000 && world.prober.sent.length < 3; ms += 1) {
      world.run(1);
    }
    const [, s] = targetsOf(PAIR);
    if (s === undefined) {
      throw new Error("three targets were made");
    }
    world.monitor.setTargets([s]);
    world.prober.arrives = (host) => host !== "w";
    world.run(1_000);

    expect([...world.monitor.snapshot().nodes]).toEqual([
      ["s", { health: "up", last: "up", holdDownUntil: 0 }],
    ]);
  });

  it("prefers a witness of another zone as the zones are now", () => {
    const plans: NodePlan[] = [
      { host: "g", role: "gateway" },
      { host: "x", zone: "a", role: "gateway" },
      { host: "y", zone: "a" },
    ];
    const world = settled(plans);
    world.monitor.setTargets(
      targetsOf(plans.map((plan) => (plan.host === "y" ? { ...plan, zone: "b" } : plan))),
    );
    world.silent.add("g");
    world.run(750);

    expect(world.take()).toEqual(["down g (y)"]);
  });

  it("does nothing when the same targets are set again", () => {
    const world = settled();
    const before = world.monitor.snapshot();
    const changes = world.changes;
    world.monitor.setTargets(targetsOf(PAIR));

    expect(world.monitor.snapshot()).toBe(before);
    expect(world.changes).toBe(changes);
  });

  it("takes a host down on another's word once its stand-ins were asked", () => {
    const world = settled();
    world.monitor.forceDown("g");
    expect(world.health("g")).toBe("down");
    world.run(250);
    expect(world.take()).toEqual(["down g (s, w)"]);
    world.monitor.forceDown("nobody");
    world.run(12_000);

    expect(world.take()).toEqual(["up g"]);
  });

  it("spreads the probes of many targets over the interval", () => {
    const plans = Array.from({ length: 1_000 }, (_, index): NodePlan => ({
      host: `ip-10-0-${index >> 8}-${index & 255}`,
      role: "gateway",
    }));
    const world = settled(plans);
    world.prober.sent.length = 0;
    world.run(200);
    const perMs = new Map<number, number>();
    for (const { atMs } of world.prober.sent) {
      perMs.set(Math.floor(atMs), (perMs.get(Math.floor(atMs)) ?? 0) + 1);
    }

    expect(world.prober.sent).toHaveLength(1_000);
    expect(Math.max(...perMs.values())).toBeLessThan(20);
  });

  it("asks the best stand-ins that are up, no more than `burstStandIns`", () => {
    const standIns = Array.from({ length: 20 }, (_, index) => `s${String(index).padStart(2, "0")}`);
    const world = settled([
      { host: "g", role: "gateway", standIns },
      ...standIns.map((host) => ({ host })),
      { host: "w", zone: "b" },
    ]);
    world.silent.add("s00").add("s02");
    world.run(6_000);
    world.take();
    world.silent.add("g");
    world.run(750);

    expect(world.take()).toEqual(["down g (s01, s03, s04, s05, s06, s07, s08, s09, w)"]);
  });
});

describe("the monitor's manners", () => {
  it("resolves whenMeasured with the last first verdict, or when its time is over", async () => {
    const world = new HealthWorld(PAIR);
    world.silent.add("s");
    const done: string[] = [];
    const all = world.monitor.whenMeasured(new AbortController().signal, 60_000).then(() => done.push("all"));
    const soon = world.monitor.whenMeasured(new AbortController().signal, 300).then(() => done.push("soon"));
    world.run(300);
    await soon;
    expect(done).toEqual(["soon"]);
    world.run(2_000);
    await all;

    expect(world.take().toSorted()).toEqual(["down s (w)", "up g", "up w"]);
    await world.monitor.whenMeasured(new AbortController().signal, 60_000);
  });

  it("rejects whenMeasured with the signal's reason", async () => {
    const world = new HealthWorld(PAIR);
    const controller = new AbortController();
    const waiting = world.monitor.whenMeasured(controller.signal, 60_000);
    controller.abort(new Error("enough"));

    await expect(waiting).rejects.toThrow("enough");
    await expect(world.monitor.whenMeasured(controller.signal, 1)).rejects.toThrow("enough");
  });

  it("returns a promise from a timer only when a verdict was told", () => {
    const world = settled();
    world.clock.promises = 0;
    world.run(60_000);
    expect(world.clock.promises).toBe(0);
    world.silent.add("g");
    world.run(750);

    expect(world.clock.promises).toBe(1);
  });

  it("logs what a verdict's work rejects with, and goes on", async () => {
    const clock = new InstantClock();
    const log = new ListLogger();
    const told: HealthVerdict["kind"][] = [];
    const monitor = new HealthMonitor({
      prober: {
        probe: (_, listener) => listener(ANSWER),
        settle: (callback) => void callback(),
        close: () => undefined,
      },
      clock,
      log,
      options: healthOptions(),
      onVerdict: ({ kind }) => {
        told.push(kind);
        return Promise.reject(new Error("EC2 is away"));
      },
    });
    monitor.setTargets(targetsOf(PAIR));
    monitor.start();
    clock.run(1_100);
    await new Promise((resolve) => {
      setImmediate(resolve);
    });

    expect(told).toEqual(["up", "up", "up"]);
    expect(log.lines.filter(({ level }) => level === "error")).toHaveLength(3);
  });

  it("sends nothing after stop and gives no verdict, and goes on with what it knew after start", () => {
    const world = settled();
    world.silent.add("g");
    for (let ms = 0; ms < 1_000 && world.health("g") !== "suspect"; ms += 1) {
      world.run(1);
    }
    world.monitor.stop();
    const sent = world.prober.count;
    world.run(10_000);
    expect(world.prober.count).toBe(sent);
    expect(world.take()).toEqual([]);

    world.monitor.start();
    world.monitor.start();
    world.run(750);

    expect(world.take()).toEqual(["down g (s, w)"]);
    expect(world.health("s")).toBe("up");
  });
});
