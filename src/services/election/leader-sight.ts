import type { LeaderRecord } from "./leader-record.ts";
import type { LeaseSight } from "./lease-sight.ts";

/**
 * The leader's key as one replica last saw it, and how far its word is believed: a leader that died leaves its key behind, so the key counts while the Lease of the one it
 * names is seen to be renewed.
 */
export class LeaderSight {
  #record: LeaderRecord | undefined;
  #revision = 0;
  /** When the key was seen to change; `undefined` when that may be long ago. */
  #seenMs: number | undefined;
  /** Since when no sign of life was seen of the leader in the key. */
  #aliveMs = Number.NEGATIVE_INFINITY;

  get record(): LeaderRecord | undefined {
    return this.#record;
  }

  /** Revision in which the key was last written or deleted, as far as the watch got. */
  get revision(): number {
    return this.#revision;
  }

  /** The store showed the key, at `seenMs` if it changed just then. Answers whether it names another term than before. */
  see(
    record: LeaderRecord | undefined,
    revision: number,
    seenMs: number | undefined,
    lease: LeaseSight,
  ): boolean {
    this.#revision = revision;
    if (record?.epoch === this.#record?.epoch) {
      return false;
    }
    this.#record = record;
    this.#seenMs = seenMs;
    // Whoever writes the key has just won the Lease, which we may have read before that.
    this.#aliveMs = seenMs ?? Number.NEGATIVE_INFINITY;
    this.#confirm(lease);
    return true;
  }

  /** The Lease was read, by a call sent at `sentMs`. */
  compare(lease: LeaseSight, sentMs: number): void {
    if (lease.state?.holder === this.#record?.holder) {
      this.#confirm(lease);
    } else if ((this.#seenMs ?? sentMs) <= sentMs) {
      this.#aliveMs = Number.NEGATIVE_INFINITY;
    }
  }

  /** Whether the leader in the key has shown a sign of life within `patienceMs`. Always true of a key that stands for itself. */
  isAlive(nowMs: number, patienceMs: number): boolean {
    return this.#record?.holder === "" || nowMs - this.#aliveMs < patienceMs;
  }

  #confirm({ state, sinceMs }: LeaseSight): void {
    if (state !== undefined && sinceMs !== undefined && state.holder === this.#record?.holder) {
      this.#aliveMs = Math.max(this.#aliveMs, sinceMs);
    }
  }
}
