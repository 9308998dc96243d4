import { NetworkError } from "../../core/errors.ts";
import type { Compare, Transaction } from "../../ports/store.ts";

/** Matches a lone surrogate (which has no UTF-8 form) or NUL. */
const UNSTORABLE = /[\p{Surrogate}\0]/u;

/**
 * Refuses what no store may be asked: `TRANSACTION_INVALID` for two operations on one key, `STORE_KEY_INVALID` for a key that is empty or has no
 * UTF-8 form.
 */
export function checkTransaction({ operations }: Transaction): void {
  const keys = new Set<string>();
  for (const { key } of operations) {
    checkKey(key);
    if (keys.has(key)) {
      throw new NetworkError(
        "invalid",
        "TRANSACTION_INVALID",
        `two operations on the key "${key}" in one transaction: which of them comes last is not defined; send one`,
        { key },
      );
    }
    keys.add(key);
  }
}

/** The compares that do not hold, with the revision found (0: no such key). */
export function failedCompares(
  compares: readonly Compare[],
  revisionOf: (key: string) => number,
): readonly Compare[] {
  const failed: Compare[] = [];
  for (const { key, modRevision } of compares) {
    const found = revisionOf(key);
    if (found !== modRevision) {
      failed.push({ key, modRevision: found });
    }
  }
  return failed;
}

/** The error of every call after `close`. */
export function storeClosed(): NetworkError {
  return new NetworkError("invalid", "STORE_CLOSED", "the store was closed: open it again");
}

function checkKey(key: string): void {
  if (key === "" || UNSTORABLE.test(key)) {
    throw new NetworkError(
      "invalid",
      "STORE_KEY_INVALID",
      `not a key: ${JSON.stringify(key)}; a key is text, not empty, without NUL and lone surrogates`,
      { key },
    );
  }
}
