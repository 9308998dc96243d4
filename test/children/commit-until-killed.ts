/**
 * Commits for as long as it lives and tells each number after the store acknowledged it. Ends by being killed.
 * Arguments: the store's file, the number to start after.
 */
import { writeSync } from "node:fs";

import { SqliteStore } from "../../src/adapters/sqlite/sqlite-store.ts";
import { SystemClock } from "../../src/adapters/system/system-clock.ts";

const [file = "", start = "0"] = process.argv.slice(2);
const store = new SqliteStore({ file, clock: new SystemClock() });
const { signal } = new AbortController();

for (let number = Number(start) + 1; number < 1_000_000; number += 1) {
  const value = String(number);
  const operations = [
    { kind: "put" as const, key: "/count", value },
    { kind: "put" as const, key: `/number/${value}`, value },
  ];
  const { ok } = await store.commit({ compare: [], operations }, signal);
  if (!ok) {
    throw new Error("a commit without compares was refused");
  }
  writeSync(1, `${value}\n`);
}
