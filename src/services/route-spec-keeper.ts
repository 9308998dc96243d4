import { NetworkError } from "../core/errors.ts";
import type { RouteSpec } from "../core/routing/route-spec.ts";
import type { Clock } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";
import type { Store } from "../ports/store.ts";

export interface RouteSpecKeeperOptions {
  readonly store: Store;
  /** Root of all keys in the store. */
  readonly prefix: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Where documents come from: a file's path, or undefined when they are posted. */
  readonly file: string | undefined;
  /** Reads a text, or throws `ROUTE_SPEC_INVALID` with all that is wrong with it. */
  readonly read: (text: string, source: string) => RouteSpec;
}

/** What there is to say of the list. Times are ISO 8601. */
export interface RouteSpecStatus {
  /** `file:PATH` or `api`. */
  readonly source: string;
  /** When the list in force was taken; null while there is none. */
  readonly since: string | null;
  readonly routes: Readonly<Record<string, readonly string[]>>;
  /** What is wrong with what the source has now; null when that is the list in force. */
  readonly problem: { readonly at: string; readonly message: string } | null;
}

interface Kept {
  readonly text: string;
  readonly spec: RouteSpec;
  /** Wall clock, milliseconds. */
  readonly since: number;
}

interface StoredSpec {
  readonly source: string;
  readonly since: number;
  readonly text: string;
}

/**
 * Keeps the list in force. A bad one is refused whole and the one before stays, over a restart too: what was taken is in the store, under `<prefix>/route-spec`,
 * and counts again when the router starts and its source is the same and has nothing good.
 */
export class RouteSpecKeeper {
  readonly #options: RouteSpecKeeperOptions;
  readonly #source: string;
  readonly #listeners = new Set<(spec: RouteSpec) => void>();
  #kept: Kept | undefined;
  #problem: { readonly at: number; readonly message: string } | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(options: RouteSpecKeeperOptions) {
    this.#options = options;
    this.#source = options.file === undefined ? "api" : `file:${options.file}`;
  }

  /** Opens with the list that was in force last, if it came from the same source and can still be read. */
  static async open(options: RouteSpecKeeperOptions, signal: AbortSignal): Promise<RouteSpecKeeper> {
    const keeper = new RouteSpecKeeper(options);
    const { entries } = await options.store.list(keeper.#key, signal);
    const entry = entries.find(({ key }) => key === keeper.#key);
    if (entry !== undefined) {
      keeper.#restore(entry.value);
    }
    return keeper;
  }

  /** The list in force; undefined before the first. */
  current(): RouteSpec | undefined {
    return this.#kept?.spec;
  }

  status(): RouteSpecStatus {
    const kept = this.#kept;
    return {
      source: this.#source,
      since: kept === undefined ? null : isoTime(kept.since),
      routes: Object.fromEntries(kept?.spec.routes ?? []),
      problem:
        this.#problem === undefined
          ? null
          : { at: isoTime(this.#problem.at), message: this.#problem.message },
    };
  }

  /** Calls `listener` with each new list, after it is in the store. Answers how to stop that. */
  onChange(listener: (spec: RouteSpec) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * Takes a new list: read whole, stored, then in force. Throws `ROUTE_SPEC_INVALID`, or what the store says; then the list before stays and the status says
   * why. The text in force already changes nothing.
   */
  take(text: string, signal: AbortSignal): Promise<RouteSpec> {
    const work = () => this.#take(text, signal);
    const turn = this.#turn.then(work, work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** The source cannot be read: the list before stays. */
  refused(error: NetworkError): void {
    const { clock, log } = this.#options;
    if (this.#problem?.message !== error.message) {
      const kept = this.#kept === undefined ? "there is none yet" : "the one before stays";
      log.error({ err: error, source: this.#source }, `a list of routes is refused, ${kept}`);
    }
    this.#problem = { at: clock.now(), message: error.message };
  }

  async #take(text: string, signal: AbortSignal): Promise<RouteSpec> {
    const { clock, log, store, read } = this.#options;
    try {
      const kept = this.#kept;
      const spec = kept?.text === text ? kept.spec : read(text, this.#options.file ?? "body");
      if (kept?.text !== text) {
        const since = clock.now();
        const value = JSON.stringify({ source: this.#source, since, text } satisfies StoredSpec);
        await store.commit({ compare: [], operations: [{ kind: "put", key: this.#key, value }] }, signal);
        this.#kept = { text, spec, since };
        log.info({ source: this.#source, routes: spec.routes.size }, "a list of routes is in force");
      }
      this.#problem = undefined;
      if (kept?.text !== text) {
        this.#listeners.forEach((listener) => listener(spec));
      }
      return spec;
    } catch (error) {
      if (error instanceof NetworkError) {
        this.refused(error);
      }
      throw error;
    }
  }

  #restore(value: string): void {
    const { log, read } = this.#options;
    try {
      const { source, since, text } = JSON.parse(value) as Partial<StoredSpec>;
      if (source === this.#source && typeof since === "number" && typeof text === "string") {
        this.#kept = { text, since, spec: read(text, "in the store") };
      }
    } catch (error) {
      log.warn({ err: error }, "the list of routes in the store cannot be used");
    }
  }

  get #key(): string {
    return `${this.#options.prefix}/route-spec`;
  }
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
