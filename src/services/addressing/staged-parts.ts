import type { Clock } from "../../ports/clock.ts";
import type { StoreEntry } from "../../ports/store.ts";
import type { AddressingKeys } from "../keys.ts";
import type { FollowedEvent } from "../store-follower.ts";

/** One stored part of a staged change. */
export interface StagedPart {
  readonly key: string;
  readonly value: string;
}

/** A staged change as far as it is known here. */
interface Staged {
  /** When this process saw it first, by the monotonic clock. */
  readonly sinceMs: number;
  /** Of its marker; 0 when there is none. */
  markerRevision: number;
  readonly parts: Map<string, string>;
}

/** The staged changes that stand in the store: for applying one that becomes valid without reading it again, and for sweeping what nobody finished. */
export class StagedParts {
  readonly #keys: AddressingKeys;
  readonly #clock: Clock;
  readonly #byId = new Map<string, Staged>();

  constructor(keys: AddressingKeys, clock: Clock) {
    this.#keys = keys;
    this.#clock = clock;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** The parts in their order. */
  partsOf(id: string): readonly StagedPart[] {
    const parts = this.#byId.get(id)?.parts ?? new Map<string, string>();
    return [...parts].map(([key, value]) => ({ key, value })).toSorted((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** Those first seen `ageMs` ago or earlier, with the revision of their marker. */
  olderThan(ageMs: number): readonly { readonly id: string; readonly markerRevision: number }[] {
    const before = this.#clock.monotonic() - ageMs;
    return [...this.#byId].flatMap(([id, { sinceMs, markerRevision }]) =>
      sinceMs <= before ? [{ id, markerRevision }] : [],
    );
  }

  reset(entries: readonly StoreEntry[]): void {
    const present = new Set<string>();
    for (const { key, value, modRevision } of entries) {
      if (key.startsWith(this.#keys.staged)) {
        present.add(key);
        this.#put(key, value, modRevision);
      }
    }
    for (const [id, { parts, markerRevision }] of this.#byId) {
      const known = markerRevision > 0 ? [...parts.keys(), this.#keys.marker(id)] : [...parts.keys()];
      for (const key of known.filter((item) => !present.has(item))) {
        this.#delete(key);
      }
    }
  }

  apply(events: readonly FollowedEvent[]): void {
    for (const event of events) {
      if (!event.key.startsWith(this.#keys.staged)) {
        continue;
      }
      if (event.kind === "put") {
        this.#put(event.key, event.value, event.modRevision);
      } else {
        this.#delete(event.key);
      }
    }
  }

  #put(key: string, value: string, modRevision: number): void {
    const id = this.#idOf(key);
    const known = this.#byId.get(id) ?? {
      sinceMs: this.#clock.monotonic(),
      markerRevision: 0,
      parts: new Map<string, string>(),
    };
    this.#byId.set(id, known);
    if (key === this.#keys.marker(id)) {
      known.markerRevision = modRevision;
    } else {
      known.parts.set(key, value);
    }
  }

  #delete(key: string): void {
    const id = this.#idOf(key);
    const known = this.#byId.get(id);
    if (known === undefined) {
      return;
    }
    if (key === this.#keys.marker(id)) {
      known.markerRevision = 0;
    } else {
      known.parts.delete(key);
    }
    if (known.markerRevision === 0 && known.parts.size === 0) {
      this.#byId.delete(id);
    }
  }

  #idOf(key: string): string {
    const rest = key.slice(this.#keys.staged.length);
    return rest.slice(0, rest.indexOf("/"));
  }
}
