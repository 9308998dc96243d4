import { describe, expect, it } from "vitest";

import { NetworkError } from "../../src/core/errors.ts";
import type { ClusterEvent, ClusterWriter } from "../../src/ports/cluster.ts";
import { ClusterEventRecorder } from "../../src/services/event-recorder.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { silentLog } from "../support/silent-log.ts";

const MINUTE_MS = 60_000;

/** Events as a cluster keeps them. */
class MemoryEvents implements Pick<ClusterWriter, "createEvent" | "repeatEvent"> {
  readonly kept = new Map<string, ClusterEvent & { count: number; lastMs: number }>();
  /** When each call came, and what it fails with, the next one first. */
  readonly calls: number[] = [];
  failures: (NetworkError | undefined)[] = [];
  hang = false;
  underWay = 0;
  mostUnderWay = 0;
  readonly #clock: FakeClock;
  #made = 0;

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  async createEvent(event: ClusterEvent, signal: AbortSignal): Promise<{ namespace: string; name: string }> {
    await this.#call(signal);
    this.#made += 1;
    const name = `event-${this.#made}`;
    this.kept.set(name, { ...event, count: 1, lastMs: event.firstMs });
    return { namespace: "default", name };
  }

  async repeatEvent(
    { name }: { readonly name: string },
    { count, lastMs }: { readonly count: number; readonly lastMs: number },
    signal: AbortSignal,
  ): Promise<void> {
    await this.#call(signal);
    const event = this.kept.get(name);
    if (event === undefined) {
      throw new NetworkError("not-found", "CLUSTER_NOT_FOUND", "there is no such event");
    }
    this.kept.set(name, { ...event, count, lastMs });
  }

  /** `note ×count` of each, in the order of their making. */
  shown(): readonly string[] {
    return [...this.kept.values()].map(({ note, count }) => `${note} ×${count}`);
  }

  async #call(signal: AbortSignal): Promise<void> {
    this.calls.push(this.#clock.monotonic());
    this.underWay += 1;
    this.mostUnderWay = Math.max(this.mostUnderWay, this.underWay);
    try {
      if (this.hang) {
        await new Promise((_, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
        });
      }
      await Promise.resolve();
      const failure = this.failures.shift();
      if (failure !== undefined) {
        throw failure;
      }
    } finally {
      this.underWay -= 1;
    }
  }
}

const away = (): NetworkError => new NetworkError("transient", "CLUSTER_UNAVAILABLE", "away");

function make() {
  const clock = new FakeClock();
  const events = new MemoryEvents(clock);
  const warnings: string[] = [];
  const log = {
    ...silentLog,
    child: () => log,
    warn: (_: object, message: string) => void warnings.push(message),
  };
  const recorder = new ClusterEventRecorder({ writer: events, clock, log });
  const record = (note: string, { uid = "u1", reason = "HostNotPlaced", type = "Warning" as const } = {}) =>
    recorder.record(eventOf(uid, note, reason, type));
  return { clock, events, recorder, record, warnings };
}

function eventOf(uid: string, note: string, reason: string, type: "Normal" | "Warning") {
  const subject = { apiVersion: "v1", kind: "Node", namespace: "", name: `node-${uid}`, uid };
  return { subject, type, reason, action: "Place", note };
}

describe("a recorder of events", () => {
  it("writes one event for an object and reason, with when it happened first", async () => {
    const { clock, events, recorder, record } = make();
    recorder.start();
    record("no group");
    const happened = clock.now();
    await clock.advance(1_000);

    expect(events.shown()).toEqual(["no group ×1"]);
    expect([...events.kept.values()][0]).toMatchObject({ firstMs: happened, reason: "HostNotPlaced" });
    expect(recorder.counters()).toEqual({ written: 1, dropped: 0, failed: 0, waiting: 0 });
  });

  it("counts what happens again, and says so once in five minutes", async () => {
    const { clock, events, recorder, record } = make();
    recorder.start();
    for (let times = 0; times < 100; times += 1) {
      record("no group");
      await clock.advance(1_000);
    }
    expect(events.shown()).toEqual(["no group ×1"]);
    await clock.advance(5 * MINUTE_MS);
    expect(events.shown()).toEqual(["no group ×100"]);
    await clock.advance(60 * MINUTE_MS);

    expect(events.calls).toHaveLength(2);
  });

  it("goes on counting, series after series", async () => {
    const { clock, events, recorder, record } = make();
    recorder.start();
    for (let minute = 0; minute <= 30; minute += 1) {
      record("no group");
      await clock.advance(MINUTE_MS);
    }

    expect(events.calls).toEqual([0, 5, 10, 15, 20, 25, 30].map((minute) => minute * MINUTE_MS));
    // The one at 30 minutes came after that write.
    expect(events.shown()).toEqual(["no group ×30"]);
  });

  it("tells objects and reasons apart, and takes another UID for another object", async () => {
    const { clock, events, recorder, record } = make();
    recorder.start();
    record("a", { uid: "u1" });
    record("b", { uid: "u2" });
    record("c", { uid: "u1", reason: "HostMisplaced" });
    await clock.advance(1_000);

    expect(events.shown()).toEqual(["a ×1", "b ×1", "c ×1"]);
  });

  it("writes a changed note as an event of its own, once a minute and the last one then", async () => {
    const { clock, events, recorder, record } = make();
    recorder.start();
    for (let second = 0; second < 90; second += 1) {
      record(`free: ${second}`);
      await clock.advance(1_000);
    }
    await clock.advance(2 * MINUTE_MS);

    expect(events.shown()).toEqual(["free: 0 ×1", "free: 59 ×1", "free: 89 ×1"]);
  });

  it("writes ten at once and ten a second, one after another", async () => {
    const { clock, events, recorder, record } = make();
    recorder.start();
    for (let index = 0; index < 50; index += 1) {
      record("x", { uid: `u${index}` });
    }
    await clock.advance(0);
    expect(events.calls).toHaveLength(10);
    await clock.advance(2_000);
    expect(events.calls).toHaveLength(30);
    await clock.advance(2_000);

    expect(events.kept.size).toBe(50);
    expect(events.mostUnderWay).toBe(1);
  });

  it("lets a thousand wait, and drops repeats first, then what is normal, the oldest first", async () => {
    const { clock, events, recorder, record, warnings } = make();
    for (let index = 0; index < 600; index += 1) {
      recorder.record(eventOf(`n${index}`, "placed", "HostPlaced", "Normal"));
    }
    for (let index = 0; index < 600; index += 1) {
      record("not placed", { uid: `w${index}` });
    }
    expect(recorder.counters()).toMatchObject({ waiting: 1_000, dropped: 200 });
    expect(warnings).toHaveLength(1);
    recorder.start();
    await clock.advance(120_000);

    const uids = [...events.kept.values()].map(({ subject }) => subject.uid);
    expect(uids.filter((uid) => uid.startsWith("w"))).toHaveLength(600);
    expect(uids.filter((uid) => uid.startsWith("n"))).toEqual(
      Array.from({ length: 400 }, (_, index) => `n${index + 200}`),
    );
  });

  it("tries again with growing pauses, and lets the others go on meanwhile", async () => {
    const { clock, events, recorder, record } = make();
    events.failures = [away()];
    recorder.start();
    record("first", { uid: "u1" });
    record("second", { uid: "u2" });
    await clock.advance(500);
    expect(events.shown()).toEqual(["second ×1"]);
    await clock.advance(600);

    expect(events.shown()).toEqual(["second ×1", "first ×1"]);
    expect(recorder.counters()).toEqual({ written: 2, dropped: 0, failed: 1, waiting: 0 });
  });

  it("gives up after seven tries within two minutes, and begins anew when it happens again", async () => {
    const { clock, events, recorder, record, warnings } = make();
    events.failures = Array.from({ length: 7 }, away);
    recorder.start();
    record("no group");
    await clock.advance(2 * MINUTE_MS);
    expect(events.calls.map((at) => at / 1_000)).toEqual([0, 1, 3, 7, 15, 31, 63]);
    expect(recorder.counters()).toEqual({ written: 0, dropped: 1, failed: 7, waiting: 0 });
    expect(warnings).toEqual(["an event was not written"]);
    record("no group");
    await clock.advance(MINUTE_MS);

    expect(events.shown()).toEqual(["no group ×1"]);
  });

  it("does not try again what the cluster will never take", async () => {
    const { clock, events, recorder, record } = make();
    events.failures = [new NetworkError("invalid", "CLUSTER_REFUSED", "the namespace is being deleted")];
    recorder.start();
    record("no group");
    await clock.advance(10 * MINUTE_MS);

    expect(events.calls).toHaveLength(1);
    expect(recorder.counters()).toMatchObject({ dropped: 1 });
  });

  it("gives a call up that is not answered in five seconds", async () => {
    const { clock, events, recorder, record } = make();
    events.hang = true;
    recorder.start();
    record("no group");
    await clock.advance(4_900);
    events.hang = false;
    await clock.advance(2_000);

    expect(events.shown()).toEqual(["no group ×1"]);
    expect(events.calls).toEqual([0, 6_000]);
  });

  it("writes an event anew that is gone when it shall be repeated", async () => {
    const { clock, events, recorder, record } = make();
    recorder.start();
    record("no group");
    await clock.advance(MINUTE_MS);
    events.kept.clear();
    record("no group");
    const happened = clock.now();
    await clock.advance(5 * MINUTE_MS);

    expect(events.shown()).toEqual(["no group ×1"]);
    expect([...events.kept.values()][0]?.firstMs).toBe(happened);
  });

  it("forgets after an hour, when the cluster has, too", async () => {
    const { clock, events, recorder, record } = make();
    recorder.start();
    record("no group");
    await clock.advance(61 * MINUTE_MS);
    record("no group");
    await clock.advance(1_000);

    expect(events.kept.size).toBe(2);
  });

  it("counts what happens while it is being written", async () => {
    const { clock, events, recorder, record } = make();
    events.hang = true;
    recorder.start();
    record("no group");
    await clock.advance(100);
    record("no group");
    record("no group");
    events.hang = false;
    await clock.advance(7_000);
    expect(events.shown()).toEqual(["no group ×1"]);
    await clock.advance(5 * MINUTE_MS);

    expect(events.shown()).toEqual(["no group ×3"]);
  });

  it("writes what waits when it is stopped, and nothing after that", async () => {
    const { clock, events, recorder, record } = make();
    recorder.start();
    for (let index = 0; index < 15; index += 1) {
      record("x", { uid: `u${index}` });
    }
    const stopped = recorder.stop();
    await clock.advance(1_000);
    await stopped;
    record("y");
    await clock.advance(10 * MINUTE_MS);

    expect(events.kept.size).toBe(15);
    expect(clock.pendingTimers).toBe(0);
  });

  it("is stopped within two seconds, whatever waits", async () => {
    const { clock, events, recorder, record } = make();
    events.hang = true;
    recorder.start();
    record("x", { uid: "u1" });
    record("x", { uid: "u2" });
    await clock.advance(100);
    const stopped = recorder.stop();
    const early = Promise.race([stopped.then(() => "stopped"), clock.advance(1_900).then(() => "stops")]);
    expect(await early).toBe("stops");
    await clock.advance(200);
    await stopped;

    expect(clock.pendingTimers).toBe(0);
  });
});
