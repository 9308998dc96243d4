import { TokenBucket } from "../core/cloud/token-bucket.ts";
import { NetworkError } from "../core/errors.ts";
import type { Clock, Timer } from "../ports/clock.ts";
import type { ClusterEvent, ClusterWriter, EventRecorder, EventSubject } from "../ports/cluster.ts";
import type { Logger } from "../ports/logger.ts";

export interface EventRecorderOptions {
  readonly writer: Pick<ClusterWriter, "createEvent" | "repeatEvent">;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What became of what was recorded. */
export interface EventCounters {
  /** Events and repeats that the cluster took. */
  readonly written: number;
  /** Given up: no room, too many failures, or the cluster refused it. */
  readonly dropped: number;
  /** Calls that failed; most are tried again. */
  readonly failed: number;
  /** Waiting to be written now. */
  readonly waiting: number;
}

const RATE = { capacity: 10, refillPerSecond: 10, reserve: 0 };
const MAX_WAITING = 1_000;
/** Between two writes about the same object, reason and note. */
const SERIES_MS = 5 * 60_000;
/** Between two events about the same object and reason whose notes differ: of those in between, the last one is written. */
const CHANGED_NOTE_MS = 60_000;
/** Events live for an hour in a cluster; what was not recorded for that long begins anew. */
const FORGET_MS = 60 * 60_000;
const MAX_ENTRIES = 10_000;
/** Tries of one write, and the pause after the first; it doubles, so that all take a minute together. */
const MAX_TRIES = 7;
const FIRST_RETRY_MS = 1_000;
const ATTEMPT_MS = 5_000;
const DRAIN_MS = 2_000;

/** What is known of one object and reason. What has to be written is told by comparing what happened with what was written. */
interface Entry {
  readonly key: string;
  /** As it happened last. */
  event: ClusterEvent;
  /** Times that it happened with this note. */
  count: number;
  lastMs: number;
  /** When it was last recorded, monotonic. */
  recordedAt: number;
  written: Written | undefined;
  /** Before that, monotonic, nothing is written. */
  notBefore: number;
  tries: number;
  timer: Timer | undefined;
}

interface Written {
  readonly ref: { readonly namespace: string; readonly name: string };
  readonly note: string;
  readonly count: number;
}

/**
 * Writes events about objects of the cluster: state, not a log. For each object and reason there is what happened and what was written; what differs waits for its turn,
 * and is written as it is then.
 *
 *     record ─► entry of (object, reason) ─► waiting ─► 10 a second, one after another ─┬─ nothing written, or another note ─► createEvent
 *                 ▲                                                                     └─ the same note, a higher count   ─► repeatEvent
 *                 └── later: 5 min after the last write of the same note, 1 min after one of another
 */
export class ClusterEventRecorder implements EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #log: Logger;
  readonly #bucket = new TokenBucket(RATE);
  /** The one that was recorded longest ago first. */
  readonly #entries = new Map<string, Entry>();
  /** Those with something to write now, in their order. */
  readonly #waiting = new Set<Entry>();
  /** The one that is being written. */
  #current: Entry | undefined;
  readonly #stop = new AbortController();
  #draining = false;
  #wake = Promise.withResolvers<void>();
  #work: Promise<void> = Promise.resolve();
  #written = 0;
  #dropped = 0;
  #failed = 0;
  #trouble = "";

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#log = options.log.child({ component: "events" });
  }

  /** Begins to write what was recorded and what will be. */
  start(): void {
    this.#work = this.#run();
  }

  /** Writes what waits, for at most 2 s, and ends. What comes later is not written. */
  async stop(): Promise<void> {
    this.#draining = true;
    this.#wake.resolve();
    const timer = this.#options.clock.setTimer(DRAIN_MS, () =>
      this.#stop.abort(new Error("the recorder stops")),
    );
    await this.#work;
    timer.cancel();
    this.#stop.abort(new Error("the recorder stops"));
    for (const entry of this.#entries.values()) {
      entry.timer?.cancel();
    }
    this.#entries.clear();
    this.#waiting.clear();
  }

  counters(): EventCounters {
    return {
      written: this.#written,
      dropped: this.#dropped,
      failed: this.#failed,
      waiting: this.#waiting.size,
    };
  }

  record(event: Omit<ClusterEvent, "firstMs">): void {
    if (this.#draining) {
      return;
    }
    const { clock } = this.#options;
    const now = clock.now();
    const nowMs = clock.monotonic();
    const key = `${identity(event.subject)} ${event.reason}`;
    const known = this.#fresh(key, nowMs);
    const entry = known ?? {
      key,
      event: { ...event, firstMs: now },
      count: 0,
      lastMs: now,
      recordedAt: nowMs,
      written: undefined,
      notBefore: nowMs,
      tries: 0,
      timer: undefined,
    };
    if (entry.event.note !== event.note) {
      entry.event = { ...event, firstMs: now };
      entry.count = saidOf(entry);
      entry.tries = 0;
    }
    entry.count += 1;
    entry.lastMs = now;
    entry.recordedAt = nowMs;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    this.#schedule(entry);
    this.#forget(nowMs);
  }

  /** The entry of a key, unless it is so old that its event is gone. */
  #fresh(key: string, nowMs: number): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry !== undefined && nowMs - entry.recordedAt >= FORGET_MS) {
      this.#remove(entry);
      return undefined;
    }
    return entry;
  }

  #remove(entry: Entry): void {
    entry.timer?.cancel();
    this.#entries.delete(entry.key);
    if (this.#waiting.delete(entry)) {
      this.#dropped += 1;
    }
  }

  /** Forgets what is old, and the oldest of too many. */
  #forget(nowMs: number): void {
    for (const entry of this.#entries.values()) {
      if (nowMs - entry.recordedAt < FORGET_MS && this.#entries.size <= MAX_ENTRIES) {
        return;
      }
      this.#remove(entry);
    }
  }

  /** Lets an entry wait for its turn, now or when it may be written. */
  #schedule(entry: Entry): void {
    entry.timer?.cancel();
    entry.timer = undefined;
    if (entry === this.#current || entry.count <= saidOf(entry)) {
      return;
    }
    const { clock } = this.#options;
    const inMs = this.#dueAt(entry) - clock.monotonic();
    if (inMs > 0) {
      this.#waiting.delete(entry);
      entry.timer = clock.setTimer(inMs, () => this.#enqueue(entry));
    } else {
      this.#enqueue(entry);
    }
  }

  #dueAt(entry: Entry): number {
    const sinceWritten = entry.written?.note === entry.event.note ? SERIES_MS : CHANGED_NOTE_MS;
    // While it fails, `notBefore` is the next try; else it is when it was last written.
    return entry.written === undefined || entry.tries > 0 ? entry.notBefore : entry.notBefore + sinceWritten;
  }

  #enqueue(entry: Entry): void {
    this.#waiting.add(entry);
    if (this.#waiting.size > MAX_WAITING) {
      let least = entry;
      for (const each of this.#waiting) {
        if (worth(each) < worth(least) || (least === entry && worth(each) === worth(least))) {
          least = each;
        }
      }
      this.#giveUp(least, "too much waits to be written");
    }
    this.#wake.resolve();
  }

  /** Leaves unwritten what an entry has to say now; what happens later is written again. */
  #giveUp(entry: Entry, why: string, error?: unknown): void {
    const { subject, reason } = entry.event;
    this.#dropped += 1;
    this.#waiting.delete(entry);
    entry.count = saidOf(entry);
    entry.tries = 0;
    entry.notBefore = this.#options.clock.monotonic() + (entry.written === undefined ? CHANGED_NOTE_MS : 0);
    if (this.#trouble !== why) {
      this.#trouble = why;
      const { kind, namespace, name } = subject;
      this.#log.warn(
        { err: error, kind, namespace, name, reason, why, dropped: this.#dropped },
        "an event was not written",
      );
    }
  }

  /** Writes one after another. Never rejects. */
  async #run(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stop;
    const end = (): void => this.#wake.resolve();
    signal.addEventListener("abort", end, { once: true });
    while (!signal.aborted) {
      const [entry] = this.#waiting;
      if (entry === undefined) {
        if (this.#draining) {
          return;
        }
        await this.#wake.promise;
        this.#wake = Promise.withResolvers();
        continue;
      }
      const waitMs = this.#bucket.take(clock.monotonic(), true);
      if (waitMs > 0) {
        await clock.sleep(waitMs, signal).catch(() => undefined);
        continue;
      }
      this.#waiting.delete(entry);
      await this.#write(entry);
    }
  }

  async #write(entry: Entry): Promise<void> {
    const { clock } = this.#options;
    const stop = new AbortController();
    const timer = clock.setTimer(ATTEMPT_MS, () =>
      stop.abort(
        new NetworkError(
          "transient",
          "CLUSTER_UNAVAILABLE",
          `the API server did not answer within ${ATTEMPT_MS} ms`,
        ),
      ),
    );
    this.#current = entry;
    try {
      const written = await this.#send(entry, AbortSignal.any([stop.signal, this.#stop.signal]));
      entry.written = written;
      entry.notBefore = clock.monotonic();
      entry.tries = 0;
      this.#written += 1;
      this.#trouble = "";
    } catch (error) {
      this.#failed += 1;
      this.#retry(entry, error);
    } finally {
      timer.cancel();
      this.#current = undefined;
    }
    if (!this.#stop.signal.aborted && this.#entries.get(entry.key) === entry) {
      this.#schedule(entry);
    }
  }

  /** What is written when the call has gone well. */
  async #send({ event, count, lastMs, written }: Entry, signal: AbortSignal): Promise<Written> {
    const { writer } = this.#options;
    if (written?.note === event.note) {
      await writer.repeatEvent(written.ref, { count, lastMs }, signal);
      return { ...written, count };
    }
    return { ref: await writer.createEvent(event, signal), note: event.note, count: 1 };
  }

  #retry(entry: Entry, error: unknown): void {
    const code = error instanceof NetworkError ? error.code : "";
    if (code === "CLUSTER_NOT_FOUND" && entry.written?.note === entry.event.note) {
      // The event has gone, as they do after an hour: what happened last begins a new one.
      entry.written = undefined;
      entry.event = { ...entry.event, firstMs: entry.lastMs };
      entry.count = 1;
      entry.notBefore = this.#options.clock.monotonic();
      return;
    }
    entry.tries += 1;
    if (this.#stop.signal.aborted) {
      this.#giveUp(entry, "the recorder was stopped", error);
    } else if (code === "CLUSTER_NOT_FOUND" || code === "CLUSTER_REFUSED") {
      this.#giveUp(entry, "the cluster does not take it", error);
    } else if (entry.tries >= MAX_TRIES) {
      this.#giveUp(entry, `it failed ${MAX_TRIES} times`, error);
    } else {
      entry.notBefore = this.#options.clock.monotonic() + FIRST_RETRY_MS * 2 ** (entry.tries - 1);
    }
  }
}

/** How often the note of now was said to have happened. */
function saidOf({ event, written }: Entry): number {
  return written?.note === event.note ? written.count : 0;
}

/** What is given up first has the least: repeats, then what is normal, then warnings. */
function worth({ event, written }: Entry): number {
  if (written?.note === event.note) {
    return 0;
  }
  return event.type === "Normal" ? 1 : 2;
}

function identity({ uid, kind, namespace, name }: EventSubject): string {
  return uid === "" ? `${kind}/${namespace}/${name}` : uid;
}
