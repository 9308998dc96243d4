import { NetworkError } from "../core/errors.ts";
import { parseCidr } from "../core/net/cidr.ts";
import type { OwnedRoute } from "../core/routing/route-plan.ts";
import type { KeyCompare, Store, StoreOperation } from "../ports/store.ts";

/** Where the journal stands, and who may write it. */
export interface JournalOptions {
  readonly store: Store;
  /** Root of all keys, `/romana`. */
  readonly prefix: string;
  /** Compared by every write: holds while this process leads (decision 29). Absent where there is but one process. */
  readonly guard: KeyCompare | undefined;
}

/** etcd takes at most 128 operations in one transaction; the same bound for every store. */
const BATCH = 128;

/**
 * The record of the routes that are ours (decision 20), one key per table and destination: `<prefix>/journal/<rtb>/<a.b.c.d-len>` with
 * `{"target":"eni-…"}`. A route is recorded before EC2 is asked for it and forgotten after it is gone, so a crash between the two leaves
 * a record too many, never a route that nobody owns.
 */
export class RouteJournal {
  readonly #store: Store;
  readonly #prefix: string;
  readonly #guard: readonly KeyCompare[];
  readonly #routes = new Map<string, OwnedRoute>();

  private constructor({ store, prefix, guard }: JournalOptions) {
    this.#store = store;
    this.#prefix = `${prefix}/journal/`;
    this.#guard = guard === undefined ? [] : [guard];
  }

  /** Reads the journal. Throws `JOURNAL_INVALID` with the key of a record that cannot be read. */
  static async open(options: JournalOptions, signal: AbortSignal): Promise<RouteJournal> {
    const journal = new RouteJournal(options);
    const { entries } = await options.store.list(journal.#prefix, signal);
    for (const { key, value } of entries) {
      const route = readRecord(key.slice(journal.#prefix.length), key, value);
      journal.#routes.set(keyOf(route), route);
    }
    return journal;
  }

  /** Everything on record, in no particular order. */
  owned(): readonly OwnedRoute[] {
    return [...this.#routes.values()];
  }

  has(route: Pick<OwnedRoute, "routeTableId" | "destination">): boolean {
    return this.#routes.has(keyOf(route));
  }

  /**
   * Records routes as ours, before they are written. What is on record with the same target costs nothing; of a route that is named twice (adopted, and led
   * elsewhere) the last word counts. Throws `LEADERSHIP_LOST` (transient) when somebody else leads.
   */
  async record(routes: readonly OwnedRoute[], signal: AbortSignal): Promise<void> {
    const latest = new Map(routes.map((route) => [keyOf(route), route])).values();
    const changed = [...latest].filter((route) => this.#routes.get(keyOf(route))?.target !== route.target);
    await this.#commit(
      changed.map((route) => ({
        kind: "put",
        key: this.#prefix + keyOf(route),
        value: JSON.stringify({ target: route.target }),
      })),
      signal,
    );
    changed.forEach((route) => this.#routes.set(keyOf(route), route));
  }

  /** Drops records of routes that are gone. Throws `LEADERSHIP_LOST` (transient) when somebody else leads. */
  async forget(
    routes: readonly Pick<OwnedRoute, "routeTableId" | "destination">[],
    signal: AbortSignal,
  ): Promise<void> {
    const known = routes.filter((route) => this.has(route));
    await this.#commit(
      known.map((route) => ({ kind: "delete", key: this.#prefix + keyOf(route) })),
      signal,
    );
    known.forEach((route) => this.#routes.delete(keyOf(route)));
  }

  async #commit(operations: readonly StoreOperation[], signal: AbortSignal): Promise<void> {
    for (let start = 0; start < operations.length; start += BATCH) {
      const result = await this.#store.commit(
        { compare: this.#guard, operations: operations.slice(start, start + BATCH) },
        signal,
      );
      if (!result.ok) {
        throw new NetworkError(
          "transient",
          "LEADERSHIP_LOST",
          "another replica leads: this one may record and write no routes any more",
        );
      }
    }
  }
}

function keyOf({ routeTableId, destination }: Pick<OwnedRoute, "routeTableId" | "destination">): string {
  return `${routeTableId}/${destination.replace("/", "-")}`;
}

function readRecord(path: string, key: string, value: string): OwnedRoute {
  const [routeTableId = "", destination = ""] = path.split("/");
  try {
    const record = JSON.parse(value) as { target?: unknown };
    if (typeof record.target !== "string" || routeTableId === "") {
      throw new TypeError("expected {target}");
    }
    return { routeTableId, destination: parseCidr(destination.replace("-", "/")), target: record.target };
  } catch (error) {
    throw new NetworkError(
      "invalid",
      "JOURNAL_INVALID",
      `the record ${key} of a route is unreadable: restore the store from a backup, or delete that key and let the route be adopted again`,
      { key },
      error,
    );
  }
}
