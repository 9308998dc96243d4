import { NetworkError } from "../../core/errors.ts";
import type { Clock, Timer } from "../../ports/clock.ts";

interface Lease {
  readonly ttlMs: number;
  /** By the monotonic clock. */
  deadline: number;
  readonly keys: Set<string>;
  timer: Timer;
}

/** How long after a failed deletion of a lease's keys the next attempt is made. */
const RETRY_MS = 1000;

/**
 * The leases of a store that one process owns, and which key hangs on which. Whoever uses it deletes the keys: `end` is called with the keys of a
 * lease whose time has come; when it throws (a full disk), it is called again a second later.
 */
export class Leases {
  readonly #clock: Clock;
  readonly #end: (keys: readonly string[]) => void;
  readonly #leases = new Map<string, Lease>();
  readonly #leaseOfKey = new Map<string, string>();

  constructor(clock: Clock, end: (keys: readonly string[]) => void) {
    this.#clock = clock;
    this.#end = end;
  }

  /** Starts the lease `id`. Throws `LEASE_INVALID` unless `ttlMs` is a finite number above 0. */
  grant(id: string, ttlMs: number): void {
    if (!(Number.isFinite(ttlMs) && ttlMs > 0)) {
      throw new NetworkError(
        "invalid",
        "LEASE_INVALID",
        `not a time to live: ${ttlMs} ms; it must be above 0`,
        {
          ttlMs,
        },
      );
    }
    const deadline = this.#clock.monotonic() + ttlMs;
    this.#leases.set(id, { ttlMs, deadline, keys: new Set(), timer: this.#timer(id, ttlMs) });
  }

  /** Moves the deadline to a full time to live from now. Throws `LEASE_NOT_FOUND`. */
  keepAlive(id: string): void {
    const lease = this.#live(id);
    lease.deadline = this.#clock.monotonic() + lease.ttlMs;
  }

  /** Throws `LEASE_NOT_FOUND` unless the lease has time left. */
  check(id: string): void {
    this.#live(id);
  }

  /** Hangs a key on a lease, and takes it off the one before; `undefined` hangs it on none. */
  attach(key: string, id: string | undefined): void {
    const before = this.#leaseOfKey.get(key);
    if (before !== undefined) {
      this.#leases.get(before)?.keys.delete(key);
      this.#leaseOfKey.delete(key);
    }
    if (id !== undefined) {
      this.#leases.get(id)?.keys.add(key);
      this.#leaseOfKey.set(key, id);
    }
  }

  /** Ends a lease now. When its keys cannot be deleted it throws, and the lease stands as before. An unknown lease is fine. */
  revoke(id: string): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) {
      return;
    }
    this.#end([...lease.keys]);
    for (const key of lease.keys) {
      this.#leaseOfKey.delete(key);
    }
    lease.timer.cancel();
    this.#leases.delete(id);
  }

  /** Stops all timers; keys stay. */
  close(): void {
    for (const lease of this.#leases.values()) {
      lease.timer.cancel();
    }
    this.#leases.clear();
    this.#leaseOfKey.clear();
  }

  #live(id: string): Lease {
    const lease = this.#leases.get(id);
    if (lease === undefined || lease.deadline <= this.#clock.monotonic()) {
      throw new NetworkError(
        "not-found",
        "LEASE_NOT_FOUND",
        `no lease "${id}": it ended or was never granted; ask for a new one and write its keys again`,
        { lease: id },
      );
    }
    return lease;
  }

  #timer(id: string, delayMs: number): Timer {
    return this.#clock.setTimer(delayMs, () => this.#timeCame(id));
  }

  /** A keep-alive only moves the deadline; the timer finds out here and waits for the rest. */
  #timeCame(id: string): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) {
      return;
    }
    const leftMs = lease.deadline - this.#clock.monotonic();
    if (leftMs > 0) {
      lease.timer = this.#timer(id, leftMs);
      return;
    }
    try {
      this.revoke(id);
    } catch {
      // The store will tell the caller of its next write what is wrong; the lease is over for its holder, its keys go as soon as they can.
      lease.timer = this.#timer(id, RETRY_MS);
    }
  }
}
