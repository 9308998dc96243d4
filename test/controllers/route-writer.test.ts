import { describe, expect, it } from "vitest";

import { VirtualClock } from "../../src/adapters/simulation/virtual-clock.ts";
import { RouteWriter } from "../../src/controllers/route-writer.ts";
import type { CloudFacts } from "../../src/core/cloud/facts.ts";
import { NetworkError } from "../../src/core/errors.ts";
import { formatCidr, type Cidr } from "../../src/core/net/cidr.ts";
import type { Admit, Cloud, RouteWrite } from "../../src/ports/cloud.ts";

const never = new AbortController().signal;

/** A cloud whose writes take a fixed time and are noted when they arrive. */
class SlowCloud implements Cloud {
  readonly arrived: { readonly write: RouteWrite; readonly at: number }[] = [];
  inFlight = 0;
  mostInFlight = 0;
  fail: NetworkError | undefined;
  readonly #clock: VirtualClock;
  readonly #tookMs: number;

  constructor(clock: VirtualClock, tookMs: number) {
    this.#clock = clock;
    this.#tookMs = tookMs;
  }

  async writeRoute(write: RouteWrite, admit: Admit, signal: AbortSignal): Promise<void> {
    await admit(write.kind === "create" ? "CreateRoute" : "ReplaceRoute");
    this.arrived.push({ write, at: this.#clock.monotonic() });
    this.inFlight += 1;
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    await this.#clock.sleep(this.#tookMs, signal);
    this.inFlight -= 1;
    if (this.fail !== undefined) {
      throw this.fail;
    }
  }

  describeInstance(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async disableSourceDestCheck(): Promise<void> {
    await Promise.resolve();
  }

  async describe(): Promise<CloudFacts> {
    throw new NetworkError("invalid", "NOT_ASKED", "nobody describes here");
  }

  calls(): Readonly<Record<string, number>> {
    return {};
  }
}

function destination(index: number): Cidr {
  return formatCidr(0x64_00_00_00 + index * 256, 24);
}

function create(index: number, target = "eni-1") {
  return {
    kind: "create",
    routeTableId: "rtb-1",
    destination: destination(index),
    target,
  } satisfies RouteWrite;
}

function setUp(tookMs: number, bucket = { capacity: 50, refillPerSecond: 5, reserve: 20 }) {
  const clock = new VirtualClock();
  const cloud = new SlowCloud(clock, tookMs);
  let allowed = true;
  const writer = new RouteWriter({
    cloud,
    clock,
    bucket,
    concurrency: 8,
    mayWrite: () => {
      if (!allowed) {
        throw new NetworkError("transient", "LEADERSHIP_LOST", "another one leads");
      }
      return Infinity;
    },
  });
  const forbid = () => {
    allowed = false;
  };
  return { clock, cloud, writer, forbid };
}

describe("the route writer", () => {
  it("keeps at most as many bulk writes in flight as it may", async () => {
    const { clock, cloud, writer } = setUp(100);
    const results = Promise.all(
      Array.from({ length: 24 }, (_, index) => writer.write(create(index), false, 1, never)),
    );
    await clock.runUntilSettled(results);

    expect(cloud.mostInFlight).toBe(8);
    expect(clock.monotonic()).toBe(300);
  });

  it("spends the burst but for the reserve, then goes on at the bucket's rate", async () => {
    const { clock, cloud, writer } = setUp(1);
    const results = Promise.all(
      Array.from({ length: 40 }, (_, index) => writer.write(create(index), false, 1, never)),
    );
    await clock.runUntilSettled(results);
    const soon = cloud.arrived.filter(({ at }) => at < 150).length;

    expect(soon).toBe(30);
    expect(clock.monotonic()).toBeGreaterThanOrEqual(2000);
    expect(clock.monotonic()).toBeLessThan(2100);
  });

  it("sends urgent writes at once, past everything that waits and out of the reserve", async () => {
    const { clock, cloud, writer } = setUp(10);
    const bulk = Promise.all(
      Array.from({ length: 60 }, (_, index) => writer.write(create(index), false, 1, never)),
    );
    await clock.runFor(1000);
    const before = clock.monotonic();
    const urgent = Promise.all(
      Array.from({ length: 18 }, (_, index) => writer.write(create(1000 + index, "eni-2"), true, 2, never)),
    );
    await clock.runUntilSettled(urgent);
    expect(clock.monotonic() - before).toBeLessThanOrEqual(30);
    await clock.runUntilSettled(bulk);
    expect(cloud.arrived).toHaveLength(78);
  });

  it("lets a later decision about the same route take the place of one that waits", async () => {
    const { clock, cloud, writer } = setUp(10, { capacity: 1, refillPerSecond: 1, reserve: 0 });
    const first = writer.write(create(1), false, 1, never);
    const second = writer.write(create(2, "eni-old"), false, 1, never);
    await clock.runFor(100);
    const third = writer.write({ ...create(2, "eni-new"), kind: "replace" }, true, 2, never);
    const results = await clock.runUntilSettled(Promise.all([first, second, third]));

    expect(results.map(({ kind }) => kind)).toEqual(["done", "superseded", "done"]);
    expect(cloud.arrived.map(({ write }) => (write.kind === "delete" ? "" : write.target))).toEqual([
      "eni-1",
      "eni-new",
    ]);
  });

  it("refuses a write of an older decision than the last about the same route", async () => {
    const { clock, writer } = setUp(10);
    await clock.runUntilSettled(writer.write(create(1, "eni-new"), true, 5, never));

    expect(await writer.write(create(1, "eni-old"), false, 4, never)).toEqual({ kind: "superseded" });
  });

  it("never has two writes of one route in flight", async () => {
    const { clock, cloud, writer } = setUp(100);
    const first = writer.write(create(1, "eni-a"), false, 1, never);
    await clock.runFor(10);
    const second = writer.write(create(1, "eni-b"), true, 2, never);
    await clock.runUntilSettled(Promise.all([first, second]));

    expect(cloud.mostInFlight).toBe(1);
    expect(cloud.arrived.map(({ at }) => at)).toEqual([0, 100]);
  });

  it("forgets routes that nobody wrote for a thousand decisions, so that what comes and goes does not pile up", async () => {
    const { clock, writer } = setUp(0, { capacity: 100_000, refillPerSecond: 5, reserve: 0 });
    for (let epoch = 1; epoch <= 5000; epoch += 1) {
      void writer.write(create(epoch % 5000, `eni-${epoch}`), false, epoch, never);
      await clock.runFor(1);
    }

    expect(writer.remembered).toBeLessThanOrEqual(2100);
    expect(writer.pending).toBe(0);
    expect(await writer.write(create(0, "eni-old"), false, 4999, never)).toEqual({ kind: "superseded" });
  });

  it("asks before every attempt whether it may still write", async () => {
    const { clock, cloud, writer, forbid } = setUp(10);
    forbid();
    const result = await clock.runUntilSettled(writer.write(create(1), true, 1, never));

    expect(result).toMatchObject({ kind: "failed", error: { code: "LEADERSHIP_LOST" } });
    expect(cloud.arrived).toEqual([]);
  });

  it("gives up what was not sent, and calls it no failure, when it is told to stop; what was sent has an unknown end", async () => {
    const { clock, cloud, writer } = setUp(100);
    const stop = new AbortController();
    const results = Promise.all(
      Array.from({ length: 20 }, (_, index) => writer.write(create(index), false, 1, stop.signal)),
    );
    clock.setTimer(50, () => stop.abort(new Error("the controller stops")));
    await clock.runUntilSettled(results);
    const kinds = (await results).map(({ kind }) => kind);

    expect(cloud.arrived).toHaveLength(8);
    expect(kinds.filter((kind) => kind === "failed")).toHaveLength(8);
    expect(kinds.filter((kind) => kind === "superseded")).toHaveLength(12);
  });

  it("answers a failure to the one who asked, and goes on", async () => {
    const { clock, cloud, writer } = setUp(10);
    cloud.fail = new NetworkError("invalid", "CLOUD_UNAUTHORIZED", "no");
    const failed = await clock.runUntilSettled(writer.write(create(1), false, 1, never));
    cloud.fail = undefined;
    const done = await clock.runUntilSettled(writer.write(create(1), false, 2, never));

    expect([failed.kind, done.kind]).toEqual(["failed", "done"]);
    expect(writer.pending).toBe(0);
  });
});
