import { NetworkError } from "../core/errors.ts";
import type { Clock, Timer } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";
import type { HistoryLimits } from "./change-history.ts";
import { WatchChannel, type FeedSource, type StreamSink } from "./watch-channel.ts";

/** What can be watched. */
export type WatchKind = "hosts" | "blocks" | "addresses" | "policies" | "policy-documents" | "routes";

export interface ResourceFeedOptions {
  readonly sources: Readonly<Record<WatchKind, FeedSource>>;
  /** Resolves when the sources that follow the store stand at a revision: `StoreFollower.reached`. */
  readonly reached: (revision: number, signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Streams that may be open at once; 6,000. */
  readonly maxStreams?: number;
  /** Bytes that may wait for one reader; 1 MiB. */
  readonly maxPendingBytes?: number;
  /** How far back a stream can go on from; 10,000 revisions and 100,000 changes of each kind. */
  readonly history?: HistoryLimits;
}

/** What a reader asks for. */
export interface WatchRequest {
  readonly kind: WatchKind;
  /** The last revision that it has; 0: everything. Without: from now. */
  readonly after: number | undefined;
  /** Only what belongs to this host. */
  readonly host: string | undefined;
}

const BOOKMARK_MS = 10_000;
const REFRESH_MS = 1000;
/** How long a replica may take to reach a revision that another one has shown. */
const AHEAD_MS = 5000;

/**
 * Streams of what changes, for agents, publishers and people (`docs/rest-api.md`). Fed by the caches of the store, so that a reader may go on at another replica where it was cut off
 * here: the ids are revisions of the store, the same everywhere.
 */
export class ResourceFeed {
  readonly #options: ResourceFeedOptions;
  readonly #channels: ReadonlyMap<WatchKind, WatchChannel>;
  readonly #maxStreams: number;
  #opening = 0;
  #closed = false;
  #timers: Timer[] = [];

  constructor(options: ResourceFeedOptions) {
    this.#options = options;
    this.#maxStreams = options.maxStreams ?? 6000;
    const log = options.log.child({ component: "watch" });
    this.#channels = new Map(
      (Object.keys(options.sources) as WatchKind[]).map((kind) => [
        kind,
        new WatchChannel({
          source: options.sources[kind],
          clock: options.clock,
          log,
          history: options.history ?? { batches: 10_000, changes: 100_000 },
          maxPendingBytes: options.maxPendingBytes ?? 1_048_576,
        }),
      ]),
    );
  }

  /** Streams that are open or about to be. */
  get streams(): number {
    let open = this.#opening;
    for (const { size } of this.#channels.values()) {
      open += size;
    }
    return open;
  }

  /**
   * Begins a stream into the sink that `accept` makes, called once nothing can be refused any more. Throws:
   *
   *     WATCH_TOO_OLD           conflict   the history does not reach back: list again (revision 0)
   *     WATCH_AHEAD             transient  this replica does not have that revision, and did not get it in 5 s
   *     WATCH_STREAMS_TOO_MANY  transient
   *     SERVER_CLOSING          transient
   */
  async open(request: WatchRequest, accept: () => StreamSink, signal: AbortSignal): Promise<void> {
    if (this.streams >= this.#maxStreams) {
      throw new NetworkError(
        "transient",
        "WATCH_STREAMS_TOO_MANY",
        `${this.#maxStreams} watch streams are open, which is the limit: try again later, or at another replica`,
        { maxStreams: this.#maxStreams },
      );
    }
    this.#opening += 1;
    try {
      await this.#admit(request, signal);
    } finally {
      this.#opening -= 1;
    }
    if (this.#closed) {
      throw closing();
    }
    this.#channel(request.kind).open(accept(), request.after, request.host);
    if (this.#timers.length === 0) {
      this.#every(0, BOOKMARK_MS, (channel) => channel.bookmark());
      this.#every(1, REFRESH_MS, (channel, source) => this.#refresh(channel, source));
    }
  }

  /** Ends all streams, and refuses new ones: their readers go to another replica. */
  close(): void {
    this.#closed = true;
    this.#timers.forEach((timer) => timer.cancel());
    this.#timers = [];
    this.#channels.forEach((channel) => channel.end());
  }

  async #admit({ kind, after }: WatchRequest, signal: AbortSignal): Promise<void> {
    if (this.#closed) {
      throw closing();
    }
    const source = this.#options.sources[kind];
    source.refresh?.();
    if (after === undefined || after === 0) {
      return;
    }
    if (after > source.revision()) {
      if (source.ownRevisions === true) {
        throw tooOld(kind, after);
      }
      await this.#reached(after, signal);
    }
    if (after < this.#channel(kind).floor) {
      throw tooOld(kind, after);
    }
  }

  /** Also meets a stream that has ended and whose reader has not taken the rest yet: its source may have nothing more to say. */
  #refresh(channel: WatchChannel, source: FeedSource): void {
    if (channel.size === 0) {
      return;
    }
    try {
      source.refresh?.();
    } catch (error) {
      if (!(error instanceof NetworkError)) {
        throw error;
      }
      this.#options.log.debug({ err: error }, "watch streams end: what they tell of is not known any more");
      channel.end();
    }
  }

  async #reached(revision: number, signal: AbortSignal): Promise<void> {
    const patience = new AbortController();
    const timer = this.#options.clock.setTimer(AHEAD_MS, () =>
      patience.abort(
        new NetworkError(
          "transient",
          "WATCH_AHEAD",
          `this replica has not seen revision ${revision} yet: try again in a moment, or at another replica; begin again with revision=0 if it stays so`,
          { revision },
        ),
      ),
    );
    try {
      await this.#options.reached(revision, AbortSignal.any([patience.signal, signal]));
    } finally {
      timer.cancel();
    }
  }

  /** Calls `work` for each kind at an interval, while there are streams. */
  #every(
    slot: number,
    intervalMs: number,
    work: (channel: WatchChannel, source: FeedSource) => unknown,
  ): void {
    this.#timers[slot] = this.#options.clock.setTimer(intervalMs, () => {
      if (this.streams === 0) {
        this.#timers.forEach((timer) => timer.cancel());
        this.#timers = [];
        return;
      }
      for (const [kind, channel] of this.#channels) {
        work(channel, this.#options.sources[kind]);
      }
      this.#every(slot, intervalMs, work);
    });
  }

  #channel(kind: WatchKind): WatchChannel {
    const channel = this.#channels.get(kind);
    if (channel === undefined) {
      throw new TypeError(`no source for ${kind}`);
    }
    return channel;
  }
}

function tooOld(kind: WatchKind, after: number): NetworkError {
  return new NetworkError(
    "conflict",
    "WATCH_TOO_OLD",
    `what changed in ${kind} since revision ${after} is not known any more: begin again with revision=0, which lists everything first`,
    { revision: after },
  );
}

function closing(): NetworkError {
  return new NetworkError(
    "transient",
    "SERVER_CLOSING",
    "the controller is stopping: watch at another replica",
  );
}
