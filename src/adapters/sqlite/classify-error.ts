import { NetworkError } from "../../core/errors.ts";

/** SQLite's primary result codes that mean something to us (sqlite.org/rescode.html). */
const BUSY = 5;
const LOCKED = 6;
const CORRUPT = 11;
const FULL = 13;
const NOT_A_DATABASE = 26;

/**
 * What an error of `node:sqlite` means for the caller: `STORE_FULL`, `STORE_CORRUPT`, else `STORE_UNAVAILABLE`. A `NetworkError`, and what is no
 * error of SQLite (a bug), come back unchanged. `doing` completes "cannot …".
 */
export function classifyError(error: unknown, file: string, doing: string): unknown {
  const code = resultCode(error);
  if (code === undefined) {
    return error;
  }
  const reason = (error as Error).message;
  const details = { file, sqliteCode: code };
  switch (code) {
    case FULL:
      return new NetworkError(
        "exhausted",
        "STORE_FULL",
        `cannot ${doing}: no space is left for ${file}; nothing was changed; free some space on its disk`,
        details,
        error,
      );
    case CORRUPT:
    case NOT_A_DATABASE:
      return new NetworkError(
        "invalid",
        "STORE_CORRUPT",
        `cannot ${doing}: ${file} is no sound database (${reason}); put a backup in its place, or move it away to start empty`,
        details,
        error,
      );
    default:
      return new NetworkError(
        "transient",
        "STORE_UNAVAILABLE",
        `cannot ${doing}: ${file}: ${reason}; look at its disk, its owner and its permissions`,
        details,
        error,
      );
  }
}

/** True when another connection holds the lock that was asked for. */
export function isBusy(error: unknown): boolean {
  const code = resultCode(error);
  return code === BUSY || code === LOCKED;
}

/** The primary result code of an error of `node:sqlite`; extended codes carry it in their low byte. */
function resultCode(error: unknown): number | undefined {
  if (error instanceof Error && "code" in error && error.code === "ERR_SQLITE_ERROR" && "errcode" in error) {
    return Number(error.errcode) & 0xff;
  }
  return undefined;
}
