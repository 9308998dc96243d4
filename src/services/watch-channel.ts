import type { Clock } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";
import { ChangeHistory, type Change, type HistoryLimits } from "./change-history.ts";
import { HostIndex } from "./host-index.ts";
import type { ObjectBatch } from "./object-batch.ts";
import { encodeBatch, encodeBookmark, encodeEvents, eventText } from "./watch-events.ts";

/** An object as the REST API shows it. */
export interface FeedObject {
  /** The host that it belongs to; "" for none. */
  readonly host: string;
  readonly value: object;
}

/** Objects of one kind, in memory, and when they change. */
export interface FeedSource {
  /** Grows with every change. */
  revision(): number;
  /** The listener is called when the state has what the batch says. */
  onBatch(listener: (batch: ObjectBatch) => void): () => void;
  entries(): Iterable<{ readonly key: string; readonly host: string }>;
  get(key: string): FeedObject | undefined;
  /** What says which object is gone: the identifying fields of the REST object. */
  identity(key: string): object;
  /** Set where revisions are this process's own count: one that it has not reached is another's, and history does not reach back to it. */
  readonly ownRevisions?: true;
  /** Called before a stream begins, and each second while there is one: a source that is not told of changes looks for them. It throws when it cannot: no stream begins then, and those that stand end. */
  refresh?(): void;
}

/** Where a stream's bytes go. */
export interface StreamSink {
  /** False when the reader is behind: wait for `drained` before more of what can wait. */
  write(bytes: Uint8Array): boolean;
  /** Resolves when all is written or the reader is gone. Never rejects. */
  drained(): Promise<void>;
  /** Bytes that wait for the reader in this process. */
  pendingBytes(): number;
  /** Ends it after what waits was sent. */
  end(): void;
  /** Cuts it off. */
  destroy(): void;
  onClose(listener: () => void): void;
}

export interface ChannelOptions {
  readonly source: FeedSource;
  readonly clock: Clock;
  readonly log: Logger;
  readonly history: HistoryLimits;
  /** A reader with more bytes than this before it is cut off. */
  readonly maxPendingBytes: number;
}

/** Objects that are rendered at once while a stream catches up. */
const CHUNK = 200;
/** A reader that takes nothing for this long while it catches up is cut off. */
const STALL_MS = 30_000;
/** The same for one whose stream was ended. */
const END_MS = 2000;

interface Stream {
  readonly sink: StreamSink;
  readonly host: string | undefined;
  /** Everything up to this revision was written. */
  cursor: number;
  /** Changes are written when they happen; until then it catches up by itself. */
  live: boolean;
  ended: boolean;
}

/**
 * The streams of one kind of object. Each begins by catching up (from the whole list, or from the names that changed since its revision), reading every object as it is when its turn
 * comes, and then is told of changes as they happen:
 *
 *     all keys, or keys changed since N ──► put/delete … ──► bookmark ──► live: one write per revision
 *
 * Sending an object's newer state early is harmless: its change follows, and says the same again.
 */
export class WatchChannel {
  readonly #source: FeedSource;
  readonly #options: ChannelOptions;
  readonly #history: ChangeHistory;
  readonly #streams = new Set<Stream>();
  /** Made when somebody first asks for the objects of one host. */
  #hosts: HostIndex | undefined;

  constructor(options: ChannelOptions) {
    this.#options = options;
    this.#source = options.source;
    this.#history = new ChangeHistory(options.history, options.source.revision());
    options.source.onBatch((batch) => this.#changed(batch));
  }

  /** Streams that are open. */
  get size(): number {
    return this.#streams.size;
  }

  /** The oldest revision that a stream can go on from. */
  get floor(): number {
    return this.#history.floor;
  }

  /** Begins a stream: `after` a revision of at least `floor`, with everything (0), or from now (`undefined`). */
  open(sink: StreamSink, after: number | undefined, host: string | undefined): void {
    if (host !== undefined) {
      this.#hosts ??= new HostIndex(this.#source.entries());
    }
    const revision = this.#source.revision();
    const stream: Stream = { sink, host, cursor: after || revision, live: false, ended: false };
    this.#streams.add(stream);
    sink.onClose(() => {
      stream.ended = true;
      this.#streams.delete(stream);
    });
    void this.#catchUp(stream, after === 0 ? this.#keys(host) : []);
  }

  /** Tells every stream that has caught up where it stands. */
  bookmark(): void {
    const bytes = encodeBookmark(this.#source.revision());
    for (const stream of this.#streams) {
      if (stream.live) {
        this.#push(stream, bytes);
      }
    }
  }

  /** Ends every stream. */
  end(): void {
    this.#streams.forEach((stream) => this.#finish(stream));
  }

  #finish(stream: Stream): void {
    if (stream.ended) {
      return;
    }
    stream.ended = true;
    stream.live = false;
    const timer = this.#options.clock.setTimer(END_MS, () => stream.sink.destroy());
    stream.sink.onClose(() => timer.cancel());
    stream.sink.end();
  }

  #keys(host: string | undefined): readonly string[] {
    return host === undefined
      ? Array.from(this.#source.entries(), ({ key }) => key)
      : (this.#hosts?.keysOf(host) ?? []);
  }

  #changed({ revision, reset, keys }: ObjectBatch): void {
    if (reset) {
      this.#history.reset(revision);
      this.#hosts = undefined;
      this.end();
      return;
    }
    const hosts = this.#hosts;
    const changes = keys.map((key): Change => {
      if (hosts === undefined) {
        return { key, before: undefined, after: undefined };
      }
      const after = this.#source.get(key)?.host ?? "";
      return { key, before: hosts.move(key, after), after };
    });
    if (changes.length === 0) {
      return;
    }
    this.#history.push({ revision, changes });
    const rendered = new Map<string, string>();
    let all: Uint8Array | undefined;
    for (const stream of this.#streams) {
      if (!stream.live) {
        continue;
      }
      stream.cursor = revision;
      if (stream.host === undefined) {
        all ??= encodeBatch(revision, this.#events(changes, undefined, rendered));
        this.#push(stream, all);
      } else {
        this.#push(stream, encodeBatch(revision, this.#events(changes, stream.host, rendered)));
      }
    }
  }

  /** The events that a stream of a host, or of all, sees of some changes. */
  #events(
    changes: readonly Change[],
    host: string | undefined,
    rendered: Map<string, string>,
  ): readonly string[] {
    return changes.flatMap(({ key, before, after }) => {
      if (host !== undefined && before !== undefined && before !== host && after !== host) {
        return [];
      }
      return this.#event(key, host, rendered);
    });
  }

  /** How an object is now to a stream of a host, or of all. */
  #event(key: string, host: string | undefined, rendered: Map<string, string>): string {
    const object = this.#source.get(key);
    const isGone = object === undefined || (host !== undefined && object.host !== host);
    const name = `${isGone ? "-" : "+"}${key}`;
    const text =
      rendered.get(name) ??
      (isGone ? eventText("delete", this.#source.identity(key)) : eventText("put", object.value));
    rendered.set(name, text);
    return text;
  }

  #push(stream: Stream, bytes: Uint8Array | undefined): void {
    if (bytes === undefined || stream.ended) {
      return;
    }
    const pending = stream.sink.pendingBytes();
    if (pending + bytes.length > this.#options.maxPendingBytes && pending > 0) {
      this.#options.log.warn({ pending }, "a reader of a watch stream is too far behind and was cut off");
      this.#cut(stream);
      return;
    }
    stream.sink.write(bytes);
  }

  #cut(stream: Stream): void {
    stream.ended = true;
    stream.live = false;
    stream.sink.destroy();
  }

  /** Sends what a stream lacks, then makes it live. Never rejects. */
  async #catchUp(stream: Stream, list: readonly string[]): Promise<void> {
    try {
      await this.#send(stream, list);
      for (let keys = this.#lacking(stream); keys.length > 0; keys = this.#lacking(stream)) {
        await this.#send(stream, keys);
      }
      if (!stream.ended) {
        stream.sink.write(encodeBookmark(stream.cursor));
        stream.live = true;
      }
    } catch (error) {
      this.#options.log.error({ err: error }, "a watch stream failed on a bug");
      this.#cut(stream);
    }
  }

  /** Names that changed since a stream's revision, which moves on to now. A stream that history no longer reaches back to is ended. */
  #lacking(stream: Stream): readonly string[] {
    if (stream.ended) {
      return [];
    }
    if (stream.cursor < this.#history.floor) {
      this.#finish(stream);
      return [];
    }
    const { host } = stream;
    const keys = new Set<string>();
    for (const { changes } of this.#history.since(stream.cursor)) {
      for (const { key, before, after } of changes) {
        if (host === undefined || before === undefined || before === host || after === host) {
          keys.add(key);
        }
      }
    }
    stream.cursor = this.#source.revision();
    return [...keys];
  }

  async #send(stream: Stream, keys: readonly string[]): Promise<void> {
    for (let start = 0; start < keys.length && !stream.ended; start += CHUNK) {
      const rendered = new Map<string, string>();
      const events = keys.slice(start, start + CHUNK).map((key) => this.#event(key, stream.host, rendered));
      if (!stream.sink.write(encodeEvents(events))) {
        const timer = this.#options.clock.setTimer(STALL_MS, () => this.#cut(stream));
        await stream.sink.drained();
        timer.cancel();
      }
    }
  }
}
