import type { DatabaseSync } from "node:sqlite";

import { NetworkError } from "../../core/errors.ts";

/** "Roma" in the header of the file (`PRAGMA application_id`): tells our files from other databases. */
const APPLICATION_ID = 0x526f6d61;

/**
 * The steps from an empty file to the newest schema; a file at version N (`PRAGMA user_version`) still needs those from index N on. Steps are only
 * ever added. `leased`: the entry hangs on a lease of the process that wrote it.
 */
export const MIGRATIONS: readonly string[] = [
  `CREATE TABLE entries (
     key TEXT PRIMARY KEY,
     value TEXT NOT NULL,
     create_revision INTEGER NOT NULL,
     mod_revision INTEGER NOT NULL,
     leased INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX entries_leased ON entries (key) WHERE leased = 1;
   CREATE TABLE store (id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL) STRICT;
   INSERT INTO store VALUES (1, 0);`,
];

/**
 * Brings an open file to the newest schema, each step in a transaction of its own, so that a crash between two leaves a file that goes on from there.
 * Throws `STORE_FILE_FOREIGN` for another program's database, `STORE_VERSION_UNSUPPORTED` for one that a newer version wrote.
 */
export function migrate(
  database: DatabaseSync,
  file: string,
  migrations: readonly string[] = MIGRATIONS,
): void {
  const version = pragma(database, "user_version");
  const tables = Number(database.prepare("SELECT count(*) AS count FROM sqlite_schema").get()?.["count"]);
  const isNew = version === 0 && tables === 0;
  if (!isNew && pragma(database, "application_id") !== APPLICATION_ID) {
    throw new NetworkError(
      "invalid",
      "STORE_FILE_FOREIGN",
      `${file} is a database of another program: name another file`,
      { file },
    );
  }
  if (version > migrations.length) {
    throw new NetworkError(
      "invalid",
      "STORE_VERSION_UNSUPPORTED",
      `${file} has schema version ${version}, this program knows up to ${migrations.length}: run the newer program that wrote it`,
      { file, version, supported: migrations.length },
    );
  }
  for (const [index, migration] of migrations.entries()) {
    if (index >= version) {
      inTransaction(database, () => {
        database.exec(migration);
        database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${index + 1}`);
      });
    }
  }
}

/** Runs `work` in one write transaction: all of it, or nothing and the error. */
export function inTransaction<T>(database: DatabaseSync, work: () => T): T {
  database.exec("BEGIN IMMEDIATE");
  try {
    const result = work();
    database.exec("COMMIT");
    return result;
  } catch (error) {
    // After a full disk SQLite has rolled back itself, and another ROLLBACK would throw.
    if (database.isTransaction) {
      database.exec("ROLLBACK");
    }
    throw error;
  }
}

function pragma(database: DatabaseSync, name: "user_version" | "application_id"): number {
  return Number(database.prepare(`PRAGMA ${name}`).get()?.[name]);
}
