import { chmodSync, closeSync, existsSync, mkdirSync, openSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";

import { NetworkError } from "../../core/errors.ts";
import { classifyError, isBusy } from "./classify-error.ts";
import { migrate } from "./schema.ts";

/** `FULL`: a commit survives a power cut. `NORMAL`: it survives the end of the process, and costs a fifth. */
export type Synchronous = "FULL" | "NORMAL";

/** An open store file. `lock` holds the file for this process until it is closed, or the process ends, however it ends. */
export interface OpenFile {
  readonly path: string;
  readonly database: DatabaseSync;
  readonly lock: DatabaseSync;
}

/**
 * Opens or makes the store file, readable and writable for its owner alone, its folder too when that is made. The lock is one of SQLite's own, on
 * `FILE.lock` beside it: the kernel lifts it with the process, so there is nothing to clean up after a crash, and other programs may read the store meanwhile.
 *
 * Throws `STORE_IN_USE` (conflict), `STORE_CORRUPT`, `STORE_FILE_FOREIGN`, `STORE_VERSION_UNSUPPORTED` (invalid), `STORE_FULL` (exhausted) or
 * `STORE_UNAVAILABLE` (transient).
 */
export function openFile(file: string, synchronous: Synchronous): OpenFile {
  const path = preparePath(file);
  const lock = takeLock(path);
  let database: DatabaseSync | undefined;
  try {
    makePrivate(path);
    database = new DatabaseSync(path, { timeout: 1000 });
    // The journal's mode is written into the file at the first time, so this also finds out whether it can be written.
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}`);
    checkSound(database, path);
    migrate(database, path);
    return { path, database, lock };
  } catch (error) {
    database?.close();
    lock.close();
    throw describe(error, path);
  }
}

/** One name per file, however it was reached: two names would mean two locks. */
function preparePath(file: string): string {
  const path = resolve(file);
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    return existsSync(path) ? realpathSync(path) : join(realpathSync(dirname(path)), basename(path));
  } catch (error) {
    throw describe(error, path);
  }
}

function takeLock(path: string): DatabaseSync {
  const lockPath = `${path}.lock`;
  let lock: DatabaseSync | undefined;
  try {
    makePrivate(lockPath);
    lock = new DatabaseSync(lockPath);
    lock.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
    return lock;
  } catch (error) {
    lock?.close();
    if (isBusy(error)) {
      throw new NetworkError(
        "conflict",
        "STORE_IN_USE",
        `cannot open the store ${path}: another process has it open; end that one, or give this one a file of its own`,
        { file: path },
        error,
      );
    }
    throw describe(error, lockPath);
  }
}

/**
 * SQLite gives its side files (-wal, -shm) the mode of the main one. A file that exists is not opened here: closing it again would lift every lock
 * that this process holds on it (POSIX), that of a store that it has open already among them.
 */
function makePrivate(path: string): void {
  if (!existsSync(path)) {
    closeSync(openSync(path, "a", 0o600));
  }
  if ((statSync(path).mode & 0o777) !== 0o600) {
    chmodSync(path, 0o600);
  }
}

function checkSound(database: DatabaseSync, path: string): void {
  const problem = database.prepare("PRAGMA quick_check(1)").get()?.["quick_check"];
  if (problem !== "ok") {
    throw new NetworkError(
      "invalid",
      "STORE_CORRUPT",
      `cannot open the store: ${path} is damaged (${String(problem)}); put a backup in its place, or move it away to start empty`,
      { file: path },
    );
  }
}

function describe(error: unknown, path: string): unknown {
  if (error instanceof Error && "syscall" in error) {
    return new NetworkError(
      "transient",
      "STORE_UNAVAILABLE",
      `cannot open the store ${path}: ${error.message}; look at its folder, its owner and its permissions, or name a file elsewhere (--store sqlite:FILE)`,
      { file: path },
      error,
    );
  }
  return classifyError(error, path, "open the store");
}
