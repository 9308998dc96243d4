import { TokenBucket } from "../core/cloud/token-bucket.ts";

/** Failures that one source has at once, and how many come back each second. */
const LIMIT = { capacity: 20, refillPerSecond: 1, reserve: 0 };
/** Sources that are remembered; beyond it the one that was quiet for longest is forgotten. */
const MAX_SOURCES = 10_000;

/** Whom an address stands for: itself, or of IPv6 its /64, of which one machine has every address. */
function sourceOf(address: string): string {
  if (!address.includes(":") || address.includes(".")) {
    return address;
  }
  const [head = [], tail = []] = address.split("::").map((part) => part.split(":").filter(Boolean));
  const zeros = Array.from({ length: Math.max(0, 8 - head.length - tail.length) }, () => "0");
  return [...head, ...zeros, ...tail].slice(0, 4).join(":");
}

/**
 * Counts failed attempts to be known, by source, so that guessing, its log lines and what it costs others stay slow. An attempt for which somebody else has to be asked counts before
 * that, and no more when it succeeds.
 */
export class FailedAttempts {
  readonly #buckets = new Map<string, TokenBucket>();

  /** Counts a failure; answers whether this source has had too many of late. `nowMs` is monotonic. */
  isTooMany(source: string, nowMs: number): boolean {
    const key = sourceOf(source);
    const bucket = this.#buckets.get(key) ?? new TokenBucket(LIMIT);
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > MAX_SOURCES) {
      for (const oldest of this.#buckets.keys()) {
        this.#buckets.delete(oldest);
        break;
      }
    }
    return bucket.take(nowMs, true) > 0;
  }

  /** What was counted was no failure of this source. */
  takeBack(source: string): void {
    this.#buckets.get(sourceOf(source))?.giveBack();
  }
}
