import { describe, expect, it } from "vitest";

import { LossyPath } from "../../../src/adapters/simulation/loss-model.ts";
import { SeededRandom } from "../../../src/adapters/simulation/seeded-random.ts";
import { SimulatedProber } from "../../../src/adapters/simulation/simulated-prober.ts";
import { SimulatedRegion } from "../../../src/adapters/simulation/simulated-region.ts";
import { VirtualClock } from "../../../src/adapters/simulation/virtual-clock.ts";
import { parseCidr } from "../../../src/core/net/cidr.ts";
import { parseIpv4 } from "../../../src/core/net/ipv4.ts";

const near = parseIpv4("10.0.0.4");
const far = parseIpv4("10.0.1.4");
const nobody = parseIpv4("10.0.0.77");

function setUp(seed = 1) {
  const clock = new VirtualClock();
  const region = new SimulatedRegion({ clock, vpcCidrs: [parseCidr("10.0.0.0/16")] });
  const a = region.launch({ subnetId: region.addSubnet("a", parseCidr("10.0.0.0/24")).id });
  const b = region.launch({ subnetId: region.addSubnet("b", parseCidr("10.0.1.0/24")).id });
  const prober = new SimulatedProber({
    clock,
    region,
    random: new SeededRandom(seed),
    observer: { instanceId: a.id },
  });
  const log: string[] = [];
  const probe = (address: typeof near, label: string) => {
    const sentAt = clock.monotonic();
    prober.probe(address, (outcome) => {
      log.push(`${label} ${outcome.kind}`);
      times.push(clock.monotonic() - sentAt);
    });
  };
  const times: number[] = [];
  return { clock, region, a, b, prober, probe, log, times };
}

describe("SimulatedProber", () => {
  it("answers after a round trip that is longer between zones", async () => {
    const { clock, probe, log, times } = setUp();
    probe(near, "near");
    probe(far, "far");

    await clock.runFor(1_000);

    expect(log).toEqual(["near answer", "far answer"]);
    expect(times[0]).toBeGreaterThanOrEqual(0.3);
    expect(times[1]).toBeGreaterThanOrEqual(0.9);
  });

  it("gets no answer from nobody, from a node that hangs, or from one that is terminated", async () => {
    const { clock, region, b, probe, log } = setUp();
    probe(nobody, "nobody");
    b.hung = true;
    probe(far, "hung");
    await clock.runFor(1_000);
    b.hung = false;
    region.terminate(b.id);
    probe(far, "terminated");

    await clock.runFor(1_000);

    expect(log).toEqual([]);
  });

  it("loses what is under way when the node dies", async () => {
    const { clock, b, probe, log } = setUp();
    probe(far, "far");
    await clock.runFor(0.1);
    b.hung = true;

    await clock.runFor(1_000);

    expect(log).toEqual([]);
  });

  it("is silent when it is cut off, and says when it cannot send", async () => {
    const { clock, prober, probe, log } = setUp();
    prober.cut("silent");
    probe(near, "cut");
    prober.cut("send-failures");
    probe(near, "unsent");
    prober.cut(undefined);
    probe(near, "linked");

    await clock.runFor(1_000);

    expect(log).toEqual(["unsent send-failed", "linked answer"]);
    expect(prober.counts()).toEqual({ sent: 2, answered: 1, failedSends: 1 });
  });

  it("falls silent with the node on which it stands", async () => {
    const { clock, a, probe, log } = setUp();
    a.hung = true;
    probe(far, "far");

    await clock.runFor(1_000);

    expect(log).toEqual([]);
  });

  it("settles after what has already arrived, and ends with close", async () => {
    const { clock, prober, probe, log } = setUp();
    probe(near, "near");
    clock.setTimer(100, () => {
      prober.settle(() => {
        log.push("settled");
      });
    });
    await clock.runFor(200);
    probe(near, "late");
    prober.close();
    probe(near, "closed");

    await clock.runFor(200);

    expect(log).toEqual(["near answer", "settled"]);
  });

  it("loses the share that is set, on the paths that are set, the same ones for one seed", async () => {
    const run = async (seed: number) => {
      const { clock, prober, probe, log } = setUp(seed);
      prober.setLoss({ kind: "independent", probability: 0.2 }, [far]);
      for (let count = 0; count < 2_000; count += 1) {
        probe(near, "near");
        probe(far, `far ${count}`);
      }
      await clock.runFor(1_000);
      prober.setLoss(undefined);
      probe(far, "healed");
      await clock.runFor(1_000);
      return log;
    };

    const log = await run(7);

    expect(log.filter((line) => line === "near answer")).toHaveLength(2_000);
    const answered = log.filter((line) => line.startsWith("far")).length;
    expect(answered / 2_000).toBeGreaterThan(0.77);
    expect(answered / 2_000).toBeLessThan(0.83);
    expect(log.at(-1)).toBe("healed answer");
    expect(await run(7)).toEqual(log);
    expect(await run(8)).not.toEqual(log);
  });
});

describe("bursty loss", () => {
  it("loses the share that is set, in outages of the mean length that is set", () => {
    const path = new LossyPath(
      { kind: "bursty", probability: 0.02, meanOutageMs: 50 },
      new SeededRandom("burst"),
      0,
    );
    let lost = 0;
    let outages = 0;
    let before = false;
    const steps = 4_000_000;
    for (let step = 1; step <= steps; step += 1) {
      const now = path.loses(step);
      lost += now ? 1 : 0;
      outages += now && !before ? 1 : 0;
      before = now;
    }

    expect(lost / steps).toBeGreaterThan(0.017);
    expect(lost / steps).toBeLessThan(0.023);
    expect(lost / outages).toBeGreaterThan(45);
    expect(lost / outages).toBeLessThan(56);
  });
});
