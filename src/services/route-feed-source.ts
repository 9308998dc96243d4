import { NetworkError } from "../core/errors.ts";
import type { RouteStatusView, RouteView } from "../core/views/route-views.ts";
import type { Clock } from "../ports/clock.ts";
import { Listeners, type ObjectBatch } from "./object-batch.ts";
import type { FeedObject, FeedSource } from "./watch-channel.ts";

/** Changes per millisecond that the count of revisions has room for. */
const PER_MS = 1024;

/**
 * Routes as a source of watch streams. What the route tables hold is not in the store, so the revisions are this leader's own: they begin at its start, in milliseconds since 1970 times
 * 1,024, and count the differences that were found. A reader of another leader's stream has none of them and begins again.
 */
export class RouteFeedSource implements FeedSource {
  readonly ownRevisions = true;
  readonly #status: () => RouteStatusView | undefined;
  readonly #clock: Clock;
  readonly #listeners = new Listeners<ObjectBatch>();
  #routes: ReadonlyMap<string, { readonly route: RouteView; readonly text: string }> = new Map();
  #revision: number;

  /** `status` answers `undefined` until the route tables were looked at: none known is not none there. */
  constructor({
    status,
    clock,
  }: {
    readonly status: () => RouteStatusView | undefined;
    readonly clock: Clock;
  }) {
    this.#status = status;
    this.#clock = clock;
    this.#revision = clock.now() * PER_MS;
  }

  revision(): number {
    return this.#revision;
  }

  onBatch(listener: (batch: ObjectBatch) => void): () => void {
    return this.#listeners.add(listener);
  }

  *entries(): Iterable<{ readonly key: string; readonly host: string }> {
    for (const [key, { route }] of this.#routes) {
      yield { key, host: route.host };
    }
  }

  get(key: string): FeedObject | undefined {
    const route = this.#routes.get(key)?.route;
    return route && { host: route.host, value: route };
  }

  identity(key: string): object {
    const [routeTableId = "", destination = ""] = key.split(" ");
    return { routeTableId, destination };
  }

  /** Compares the routes with those that were seen last, and tells of what differs. Throws `ROUTES_UNREAD` (transient), and what `status` throws. */
  refresh(): void {
    const status = this.#status();
    if (status === undefined) {
      throw new NetworkError(
        "transient",
        "ROUTES_UNREAD",
        "the leader has not looked at the route tables yet: watch again in a moment",
      );
    }
    const before = this.#routes;
    const now = new Map(
      status.routes.map((route) => [
        `${route.routeTableId} ${route.destination}`,
        { route, text: JSON.stringify(route) },
      ]),
    );
    const put = [...now].filter(([key, { text }]) => before.get(key)?.text !== text).map(([key]) => key);
    const gone = [...before.keys()].filter((key) => !now.has(key));
    this.#routes = now;
    if (put.length + gone.length > 0) {
      this.#revision += 1;
      this.#listeners.call({ revision: this.#revision, reset: false, keys: [...gone, ...put] });
    }
  }

  /** A new term as leader: others may have led in between, so every stream begins again. */
  restart(): void {
    this.#revision = Math.max(this.#revision + 1, this.#clock.now() * PER_MS);
    this.#routes = new Map();
    this.#listeners.call({ revision: this.#revision, reset: true, keys: [] });
  }
}
