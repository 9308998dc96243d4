import { NetworkError } from "../../core/errors.ts";
import type { Compare, StoreLimits, Transaction } from "../../ports/store.ts";

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

/** No bound of the store's own. */
export const UNLIMITED: StoreLimits = { operations: Infinity, bytes: Infinity };

/** The compares that do not hold, with the revision found. `revisionOf`: 0 for no such key; `latestUnder`: 0 for no key with the prefix. */
export function failedCompares(
  compares: readonly Compare[],
  revisionOf: (key: string) => number,
  latestUnder: (prefix: string) => number,
): readonly Compare[] {
  const failed: Compare[] = [];
  for (const compare of compares) {
    if ("key" in compare) {
      const found = revisionOf(compare.key);
      if (found !== compare.modRevision) {
        failed.push({ key: compare.key, modRevision: found });
      }
    } else {
      const found = latestUnder(compare.prefix);
      if (found > compare.maxRevision) {
        failed.push({ prefix: compare.prefix, maxRevision: found });
      }
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
