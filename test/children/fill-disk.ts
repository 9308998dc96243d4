/**
 * Runs a store on a small disk until it is full, frees the disk, and goes on. Prints what it saw as one line of JSON.
 * Argument: a folder on a disk of its own of 2 MB.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { SqliteStore } from "../../src/adapters/sqlite/sqlite-store.ts";
import { SystemClock } from "../../src/adapters/system/system-clock.ts";

const [folder = ""] = process.argv.slice(2);
const { signal } = new AbortController();
const file = join(folder, "store.db");
const filler = join(folder, "filler");
writeFileSync(filler, Buffer.alloc(500_000));
const open = () => new SqliteStore({ file, clock: new SystemClock() });
const store = open();

const put = (number: number) =>
  store.commit(
    {
      compare: [],
      operations: [
        { kind: "put", key: `/number/${number}`, value: JSON.stringify("x".repeat(20_000)) },
        { kind: "put", key: "/count", value: String(number) },
      ],
    },
    signal,
  );

let acknowledged = 0;
let failure: unknown;
while (failure === undefined && acknowledged < 1000) {
  try {
    await put(acknowledged + 1);
    acknowledged += 1;
  } catch (error) {
    failure = error;
  }
}
const state = await store.list("", signal);

rmSync(filler);
const afterwards = await put(acknowledged + 1);
await store.close();
const reopened = open();
const final = await reopened.list("", signal);
await reopened.close();

const { code, kind, message } = failure as { code?: string; kind?: string; message: string };
process.stdout.write(
  `${JSON.stringify({
    acknowledged,
    failure: { code, kind, message },
    whenFull: { revision: state.revision, entries: state.entries.length, count: state.entries[0]?.value },
    afterwards,
    final: { revision: final.revision, entries: final.entries.length, count: final.entries[0]?.value },
  })}\n`,
);
