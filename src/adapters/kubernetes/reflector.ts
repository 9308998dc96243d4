import type { IncomingMessage } from "node:http";
import { setImmediate as nextTurn } from "node:timers/promises";

import { keyOf, type ClusterKind, type ClusterObjects } from "../../core/cluster/objects.ts";
import { NetworkError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { ObjectSink } from "../../ports/cluster.ts";
import { errorOfConnection, errorOfStatus, type AskedCall } from "./classify-error.ts";
import type { FollowRecord, FollowVerb } from "./follow-state.ts";
import { codeOf, eventOf, namelessKey, pageOf, versionOf, type ListPage } from "./list-and-watch.ts";
import { readIdentity, type KindOfObject } from "./schema.ts";
import { BodyTooLongError, type Transport } from "./transport.ts";
import { LineTooLongError, linesOf } from "./watch-lines.ts";

/** How a kind is followed; tests take less. */
export interface FollowTimes {
  /** A watch on which nothing comes for so long is cut. The API server sends a bookmark about every minute. */
  readonly silenceMs: number;
  /** How soon it is looked again whether the server has a kind by now. */
  readonly absentMs: number;
  /** Objects asked for at once. */
  readonly pageSize: number;
}

export const followTimes: FollowTimes = { silenceMs: 90_000, absentMs: 10 * 60_000, pageSize: 500 };

export interface ReflectorOptions<K extends ClusterKind> {
  readonly kind: K;
  readonly how: KindOfObject<ClusterObjects[K]>;
  readonly transport: Transport;
  readonly sink: ObjectSink<ClusterObjects[K]>;
  readonly record: FollowRecord;
  readonly clock: Clock;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly times: FollowTimes;
}

const LIST_TIMEOUT_MS = 60_000;
/** etcd takes objects of 1.5 MB; their JSON may be a few times as long. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;
/** The API server ends a watch after this and up to twice as long. */
const WATCH_SECONDS = 300;
/** Between attempts, doubled each time, with the last as the bound. */
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 2_000;
/** A watch that lived so long was a good one: the next failure is the first again. */
const GOOD_WATCH_MS = 5_000;

/** An answer of success may still turn out to be none, so soon. */
const SETTLED_MS = 500;
/** What a watch is answered with when its version is of no use: too old, unknown, of a later time than the server's. The server restored from a backup says the last. */
const CANNOT_GO_ON: ReadonlySet<number> = new Set([400, 404, 410, 504]);

/**
 * Follows one kind: lists it in pages, watches from there, goes on from the last version when the watch ends, and lists again when the API server does not
 * have that version any more (410), ends the watch with an error, or says what cannot be read. One after the other, so there is never more than one list
 * of the kind. What was handed over stays until a whole list was read.
 *
 *     list (pages) ──all read──▶ watch ──ended──▶ watch, from the last version
 *       ▲  │ 410, error            │ 410, ERROR, a broken line
 *       └──┴──────── pause ◀───────┘
 */
export class Reflector<K extends ClusterKind> {
  readonly #options: ReflectorOptions<K>;
  readonly #signal: AbortSignal;
  /** By UID. The same objects that the sink was given: what a list finds unchanged is not read once more. */
  #known = new Map<string, ClusterObjects[K]>();
  /** From where the watch goes on; `undefined` when there has to be a list first. */
  #version: string | undefined;
  #pageSize: number;
  #retryMs = 0;

  constructor(options: ReflectorOptions<K>, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
    this.#pageSize = options.times.pageSize;
  }

  /** Goes on until the signal is aborted. Never rejects. */
  async run(): Promise<void> {
    while (!this.#signal.aborted) {
      let verb: FollowVerb = "list";
      try {
        if (this.#version === undefined) {
          await this.#list();
        }
        verb = "watch";
        await this.#watch();
      } catch (error) {
        if (!this.#signal.aborted) {
          await this.#recover(verb, error);
        }
      }
    }
  }

  async #recover(verb: FollowVerb, error: unknown): Promise<void> {
    const { record, how, times, sink } = this.#options;
    const status = error instanceof NetworkError ? Number(error.details["status"] ?? 0) : undefined;
    if (verb === "list" && status === 404 && how.mayBeAbsent) {
      record.absent();
      this.#known.clear();
      sink.replace([]);
      await this.#pause(times.absentMs);
      return;
    }
    if (error instanceof BodyTooLongError) {
      this.#pageSize = Math.max(1, Math.floor(this.#pageSize / 4));
    }
    if (verb === "list" || status === undefined || CANNOT_GO_ON.has(status)) {
      this.#version = undefined;
    }
    record.failed(verb, error);
    await this.#backOff();
  }

  async #list(): Promise<void> {
    const { sink, record } = this.#options;
    record.begin("list");
    const objects: ClusterObjects[K][] = [];
    const found = new Map<string, ClusterObjects[K]>();
    const nameless = new Set<string>();
    let version = "";
    let after = "";
    do {
      const page = await this.#page(after);
      for (const raw of page.items) {
        const object = this.#read(raw);
        if (object === undefined) {
          nameless.add(namelessKey(raw));
        } else {
          objects.push(object);
          found.set(object.uid, object);
        }
      }
      // The same on every page: all are of one moment.
      version = page.version;
      after = page.next;
      await nextTurn();
      this.#signal.throwIfAborted();
    } while (after !== "");
    this.#known = found;
    record.keepUnreadable((key) => found.has(key) || nameless.has(key));
    sink.replace(objects);
    this.#version = version;
  }

  async #page(after: string): Promise<ListPage> {
    const { kind, how, transport } = this.#options;
    const query = new URLSearchParams({ limit: String(this.#pageSize) });
    if (after !== "") {
      query.set("continue", after);
    }
    const call = {
      verb: "list",
      resource: kind,
      path: `${how.path}?${query.toString()}`,
      timeoutMs: LIST_TIMEOUT_MS,
    };
    const page = pageOf(await transport.json(call, this.#signal));
    if (page === undefined) {
      throw errorOfConnection(call, "the answer is no list");
    }
    return page;
  }

  async #watch(): Promise<void> {
    const { kind, how, transport, record, clock, random } = this.#options;
    record.begin("watch");
    const query = new URLSearchParams({
      watch: "true",
      allowWatchBookmarks: "true",
      timeoutSeconds: String(WATCH_SECONDS + Math.floor(random() * WATCH_SECONDS)),
      resourceVersion: this.#version ?? "",
    });
    const call = { verb: "watch", resource: kind, path: `${how.path}?${query.toString()}` };
    const stream = await transport.stream(call, this.#signal);
    const begunMs = clock.monotonic();
    // A watch that cannot go on from the version says so in its first line, after an answer of success.
    const settled = clock.setTimer(SETTLED_MS, () => record.followed());
    try {
      for await (const line of this.#lines(stream, call)) {
        this.#take(line);
        record.followed();
      }
    } finally {
      settled.cancel();
      stream.destroy();
      if (clock.monotonic() - begunMs >= GOOD_WATCH_MS) {
        this.#retryMs = 0;
      }
    }
    if (clock.monotonic() - begunMs < GOOD_WATCH_MS) {
      // Ended in good order, but at once: not to be asked for again without end.
      await this.#backOff();
    }
  }

  /**
   * The lines of a watch until it ends; a broken connection is an error from which the watch goes on. A silent one just ends: where nothing changes, an API server on an older etcd sends no
   * bookmarks either, so that silence is no fault until the next watch cannot be had.
   */
  async *#lines(stream: IncomingMessage, call: AskedCall): AsyncGenerator<string, void, undefined> {
    const { clock, times } = this.#options;
    let heardMs = clock.monotonic();
    let isSilent = false;
    const look = (): void => {
      const leftMs = heardMs + times.silenceMs - clock.monotonic();
      if (leftMs > 0) {
        timer = clock.setTimer(leftMs, look);
      } else {
        isSilent = true;
        stream.destroy();
      }
    };
    let timer = clock.setTimer(times.silenceMs, look);
    async function* chunks(): AsyncGenerator<Buffer, void, undefined> {
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        heardMs = clock.monotonic();
        yield chunk;
      }
    }
    try {
      yield* linesOf(chunks(), MAX_LINE_BYTES);
    } catch (error) {
      if (isSilent) {
        return;
      }
      if (error instanceof LineTooLongError) {
        this.#version = undefined;
      }
      throw errorOfConnection(call, error instanceof Error ? error.message : "cut off", error);
    } finally {
      timer.cancel();
    }
  }

  /** Takes one line of a watch. Throws when the watch cannot be gone on from: there has to be a list. */
  #take(line: string): void {
    const { kind, sink, record } = this.#options;
    const call = { verb: "watch", resource: kind };
    const from = this.#version;
    this.#version = undefined;
    const event = eventOf(line);
    if (event === undefined) {
      throw errorOfConnection(call, "a line is no event");
    }
    const { type, object: raw } = event;
    if (type === "ERROR") {
      throw errorOfStatus(call, codeOf(raw), JSON.stringify(raw));
    }
    const identity = readIdentity(raw);
    if (type === "DELETED") {
      if (identity === undefined) {
        throw errorOfConnection(call, "something was deleted that does not say what it is");
      }
      this.#known.delete(identity.uid);
      record.readable(identity.uid);
      sink.remove(identity);
    } else if (type !== "BOOKMARK") {
      const object = this.#read(raw);
      if (object !== undefined) {
        this.#known.set(object.uid, object);
        sink.put(object);
      }
    }
    this.#version = versionOf(raw) ?? from;
  }

  /** `undefined` for an object that does not say who it is. */
  #read(raw: unknown): ClusterObjects[K] | undefined {
    const { how, record } = this.#options;
    record.came();
    const identity = readIdentity(raw);
    if (identity === undefined) {
      const key = namelessKey(raw);
      record.unreadable(key, key, "it has no name or no UID");
      return undefined;
    }
    const known = this.#known.get(identity.uid);
    if (known !== undefined && known.resourceVersion === identity.resourceVersion) {
      return known;
    }
    const reading = how.read(raw, identity);
    if (reading.ok) {
      record.readable(identity.uid);
    } else {
      record.unreadable(identity.uid, keyOf(identity), reading.problem);
    }
    return reading.object;
  }

  async #backOff(): Promise<void> {
    this.#retryMs = Math.min(LONGEST_RETRY_MS, Math.max(FIRST_RETRY_MS, 2 * this.#retryMs));
    await this.#pause(this.#retryMs * (0.5 + this.#options.random() / 2));
  }

  async #pause(ms: number): Promise<void> {
    try {
      await this.#options.clock.sleep(ms, this.#signal);
    } catch (error) {
      if (!this.#signal.aborted) {
        throw error;
      }
      // The loop sees it.
    }
  }
}
