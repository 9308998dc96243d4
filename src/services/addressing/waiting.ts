import { NetworkError } from "../../core/errors.ts";
import type { AllocationRequest } from "../../core/ipam/records.ts";
import type { ReleaseTerms } from "../../core/ipam/release.ts";
import type { Ipv4 } from "../../core/net/ipv4.ts";

/** Changes that may wait for their turn. */
export const MAX_WAITING = 10_000;

interface Turn {
  readonly signal: AbortSignal;
  /** How often it lost a compare. */
  attempts: number;
  /** The cache has all that the store had when this came: a refusal on account of it is final. */
  isFresh?: boolean;
}

export interface WaitingAllocation extends Turn {
  readonly kind: "allocate";
  readonly request: AllocationRequest;
  readonly resolve: (address: Ipv4) => void;
  readonly reject: (error: unknown) => void;
  /** It lost a new block: it takes another than the lowest, so that replicas part ways. */
  spread: boolean;
}

export interface WaitingRelease extends Turn {
  readonly kind: "release";
  readonly nameOrIp: string;
  readonly only: ReleaseTerms;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** A change that has a transaction of its own. It settles by itself and never rejects. */
export interface WaitingDecision extends Turn {
  readonly kind: "decision";
  readonly run: () => Promise<void>;
  readonly reject: (error: unknown) => void;
}

export type Waiting = WaitingAllocation | WaitingRelease | WaitingDecision;

/** What waits, in the order in which it was asked for. */
export class WaitingLine {
  #items: Waiting[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  /** Throws `ADDRESSING_BUSY` (transient) when too much waits. */
  push(item: Waiting): void {
    if (this.length >= MAX_WAITING) {
      throw new NetworkError(
        "transient",
        "ADDRESSING_BUSY",
        `${MAX_WAITING} changes of addresses and hosts wait already; try again in a moment`,
        { waiting: this.length },
      );
    }
    this.#items.push(item);
  }

  peek(): Waiting | undefined {
    return this.#items[this.#head];
  }

  shift(): Waiting | undefined {
    const item = this.#items[this.#head];
    this.#head += item === undefined ? 0 : 1;
    if (this.#head > 1_000 || this.#head === this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Puts items that had their turn before all others, in their order. */
  putBack(items: readonly Waiting[]): void {
    this.#items = [...items, ...this.#items.slice(this.#head)];
    this.#head = 0;
  }

  /** Takes everything out. */
  drain(): readonly Waiting[] {
    const all = this.#items.slice(this.#head);
    this.#items = [];
    this.#head = 0;
    return all;
  }
}
