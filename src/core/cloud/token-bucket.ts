import { NetworkError } from "../errors.ts";

/** Sums of fractions of a token differ from whole ones by rounding; a difference this small is none. */
const ROUNDING = 1e-9;

/** Size of a bucket, in tokens; a call costs one. */
export interface TokenBucketOptions {
  /** Tokens in a full bucket, at least 1. EC2's own bucket for calls that change something holds 50. */
  readonly capacity: number;
  /** Tokens that come back each second, above 0. EC2's own rate is 5. */
  readonly refillPerSecond: number;
  /** Tokens that only urgent calls may take, at least 0 and at most `capacity - 1`. */
  readonly reserve: number;
}

/**
 * A token bucket as EC2 keeps one per action, account and region, kept on our side so that calls wait here instead of being refused there.
 * Bulk work leaves `reserve` tokens to urgent work. It starts full. Pure: time is an argument, in milliseconds of any clock; a clock that
 * goes back adds nothing.
 *
 *     capacity ─┬───────────┐
 *               │ anyone    │  ▲ refillPerSecond
 *     reserve  ─┼───────────┤
 *               │ urgent    │
 *     0        ─┴───────────┘
 */
export class TokenBucket {
  readonly #capacity: number;
  readonly #refillPerMs: number;
  readonly #reserve: number;
  #tokens: number;
  #at = Number.NEGATIVE_INFINITY;

  /** Throws `NetworkError` `TOKEN_BUCKET_INVALID` for numbers with which a call would wait for ever. */
  constructor({ capacity, refillPerSecond, reserve }: TokenBucketOptions) {
    if (!(capacity >= 1 && refillPerSecond > 0 && reserve >= 0 && reserve <= capacity - 1)) {
      throw new NetworkError(
        "invalid",
        "TOKEN_BUCKET_INVALID",
        `a bucket of ${capacity} tokens, ${refillPerSecond}/s, of which ${reserve} are kept back, would let some calls wait for ever: ` +
          "set the size to 1 or more, the rate above 0, and keep back at least one token less than the size",
        { capacity, refillPerSecond, reserve },
      );
    }
    this.#capacity = capacity;
    this.#refillPerMs = refillPerSecond / 1000;
    this.#reserve = reserve;
    this.#tokens = capacity;
  }

  /**
   * Takes a token. Answers 0 when it was taken; otherwise takes nothing and answers the whole milliseconds after which the same call
   * would succeed if nobody else took one meanwhile.
   */
  take(nowMs: number, urgent: boolean): number {
    this.#refill(nowMs);
    const missing = 1 + (urgent ? 0 : this.#reserve) - this.#tokens;
    if (missing > ROUNDING) {
      // At least 1: after rounding, a wait of 0 would read as "taken".
      return Math.max(1, Math.ceil(missing / this.#refillPerMs - ROUNDING));
    }
    this.#tokens = Math.max(0, this.#tokens - 1);
    return 0;
  }

  /** Puts a token back that was taken for nothing. */
  giveBack(): void {
    this.#tokens = Math.min(this.#capacity, this.#tokens + 1);
  }

  #refill(nowMs: number): void {
    if (nowMs > this.#at) {
      const elapsed = nowMs - this.#at;
      this.#tokens = Math.min(this.#capacity, this.#tokens + elapsed * this.#refillPerMs);
      this.#at = nowMs;
    }
  }
}
