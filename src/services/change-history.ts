/** That an object was put or is gone, with the host that it was of before and is of now. */
export interface Change {
  readonly key: string;
  /** "" when it was of none or did not exist; `undefined` when nobody kept that. */
  readonly before: string | undefined;
  /** "" when it is of none or is gone; `undefined` when nobody kept that. */
  readonly after: string | undefined;
}

/** What one revision changed. */
export interface ChangeBatch {
  readonly revision: number;
  readonly changes: readonly Change[];
}

/** How far back a history reaches: whichever bound is met first. */
export interface HistoryLimits {
  readonly batches: number;
  readonly changes: number;
}

/** Names of what changed, revision by revision, back to a bound. What became of each is read from the state. */
export class ChangeHistory {
  readonly #limits: HistoryLimits;
  #batches: ChangeBatch[] = [];
  /** Index of the oldest batch that is kept; those before it are cut off now and then. */
  #start = 0;
  #changes = 0;
  #floor: number;

  /** Complete after the revision `floor`. */
  constructor(limits: HistoryLimits, floor: number) {
    this.#limits = limits;
    this.#floor = floor;
  }

  /** Every change after this revision is known. */
  get floor(): number {
    return this.#floor;
  }

  /** Revisions come in order. */
  push(batch: ChangeBatch): void {
    this.#batches.push(batch);
    this.#changes += batch.changes.length;
    while (
      this.#batches.length - this.#start > this.#limits.batches ||
      this.#changes > this.#limits.changes
    ) {
      const oldest = this.#batches[this.#start];
      if (oldest === undefined) {
        break;
      }
      this.#start += 1;
      this.#changes -= oldest.changes.length;
      this.#floor = oldest.revision;
    }
    if (this.#start > 1000 && this.#start * 2 > this.#batches.length) {
      this.#batches = this.#batches.slice(this.#start);
      this.#start = 0;
    }
  }

  /** Forgets everything: what there was up to `revision` is not known. */
  reset(revision: number): void {
    this.#batches = [];
    this.#start = 0;
    this.#changes = 0;
    this.#floor = revision;
  }

  /** Batches after a revision that is not below `floor`. */
  since(revision: number): readonly ChangeBatch[] {
    let low = this.#start;
    let high = this.#batches.length;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if ((this.#batches[middle]?.revision ?? 0) <= revision) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return this.#batches.slice(low);
  }
}
