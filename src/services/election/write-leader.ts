import { NetworkError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Store, StoreEntry } from "../../ports/store.ts";
import { storeBound, within } from "./within.ts";

export interface LeaderWrite {
  readonly store: Store;
  readonly clock: Clock;
  readonly key: string;
  /** Like no other value that was ever written there. */
  readonly value: string;
  /** The key as it was read. */
  readonly read: StoreEntry | undefined;
  /** Whether that which stands there now may be overwritten. */
  readonly mayReplace: (entry: StoreEntry | undefined) => boolean;
  /** Milliseconds that are left. */
  readonly remainingMs: () => number;
  /** The longest call. */
  readonly attemptMs: number;
}

/**
 * Puts the leader's key, compared with what was read, and again when it was changed meanwhile. Answers its revision; `undefined` when it must not be written or time is over.
 * An answer that was lost is looked up. Throws what the store throws; the key may then still come to be written, unless somebody else writes it first.
 */
export async function writeLeader(write: LeaderWrite, signal: AbortSignal): Promise<number | undefined> {
  const { store, key, value, mayReplace, remainingMs } = write;
  let { read } = write;
  while (remainingMs() > 0 && mayReplace(read)) {
    const committed = await put(write, read?.modRevision ?? 0, signal);
    if (typeof committed === "number") {
      return remainingMs() > 0 ? committed : undefined;
    }
    read = await bounded(write, signal, (abort) => store.get(key, abort));
    if (read?.value === value) {
      return remainingMs() > 0 ? read.modRevision : undefined;
    }
    if (committed !== undefined) {
      throw committed;
    }
  }
  return undefined;
}

/** The revision; `undefined` when the compare failed; the error when nobody knows. */
async function put(
  write: LeaderWrite,
  modRevision: number,
  signal: AbortSignal,
): Promise<number | NetworkError | undefined> {
  const { store, key, value } = write;
  try {
    const transaction = {
      compare: [{ key, modRevision }],
      operations: [{ kind: "put" as const, key, value }],
    };
    const result = await bounded(write, signal, (abort) => store.commit(transaction, abort));
    return result.ok ? result.revision : undefined;
  } catch (error) {
    if (error instanceof NetworkError && !signal.aborted) {
      return error;
    }
    throw error;
  }
}

function bounded<T>(
  { clock, attemptMs, remainingMs }: LeaderWrite,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return within(storeBound({ clock }, Math.max(0, Math.min(attemptMs, remainingMs())), signal), work);
}
