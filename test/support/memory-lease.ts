import { NetworkError } from "../../src/core/errors.ts";
import type { LeaseLock, LeaseState } from "../../src/ports/cluster.ts";

/** A Lease in memory, with the conflicts of an API server. Held to `test/contracts/lease-lock.ts`. */
export class MemoryLease implements LeaseLock {
  #state: LeaseState | undefined;
  #versions = 0;

  /** What stands there now. */
  get state(): LeaseState | undefined {
    return this.#state;
  }

  async read(signal: AbortSignal): Promise<LeaseState | undefined> {
    signal.throwIfAborted();
    return this.#state;
  }

  async create(state: Omit<LeaseState, "resourceVersion">, signal: AbortSignal): Promise<LeaseState> {
    signal.throwIfAborted();
    if (this.#state !== undefined) {
      throw conflict("the Lease exists already");
    }
    return this.#put(state);
  }

  async update(state: LeaseState, signal: AbortSignal): Promise<LeaseState> {
    signal.throwIfAborted();
    // An API server takes the update of a Lease that is not there for its creation.
    if (this.#state !== undefined && this.#state.resourceVersion !== state.resourceVersion) {
      throw conflict("the Lease was changed meanwhile");
    }
    return this.#put(state);
  }

  /** What a person with an editor does: no compare, no questions. `undefined` deletes it. */
  edit(change: Partial<LeaseState> | undefined): void {
    if (change === undefined) {
      this.#state = undefined;
    } else {
      const { resourceVersion: _, ...rest } = { ...EMPTY, ...this.#state, ...change };
      this.#put(rest);
    }
  }

  #put(state: Omit<LeaseState, "resourceVersion">): LeaseState {
    this.#versions += 1;
    this.#state = { ...state, resourceVersion: String(this.#versions) };
    return this.#state;
  }
}

const EMPTY = {
  holder: "",
  durationMs: 0,
  acquireMs: 0,
  renewMs: 0,
  transitions: 0,
  url: "",
  resourceVersion: "",
};

function conflict(message: string): NetworkError {
  return new NetworkError("conflict", "CLUSTER_CONFLICT", message);
}
