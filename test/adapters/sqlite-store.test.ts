import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";

import { afterAll, expect, it } from "vitest";

import { migrate } from "../../src/adapters/sqlite/schema.ts";
import { SqliteStore } from "../../src/adapters/sqlite/sqlite-store.ts";
import { storeContract } from "../contracts/store.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { skipUnless } from "../support/skip.ts";

const never = new AbortController().signal;
const folder = mkdtempSync(join(tmpdir(), "romana-sqlite-"));
let files = 0;

function newFile(): string {
  files += 1;
  return join(folder, `store-${files}.db`);
}

function open(file: string): SqliteStore {
  return new SqliteStore({ file, clock: new FakeClock() });
}

function opening(file: string): () => SqliteStore {
  return () => open(file);
}

/** The code with which a file is refused; undefined when it is not. */
function refusal(file: string): unknown {
  try {
    void open(file).close();
    return undefined;
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
}

function put(key: string, value = "1", lease?: string) {
  return {
    compare: [],
    operations: [{ kind: "put" as const, key, value, ...(lease === undefined ? {} : { lease }) }],
  };
}

function child(script: string, ...args: string[]): string[] {
  const path = fileURLToPath(new URL(`../children/${script}`, import.meta.url));
  return [process.execPath, "--disable-warning=ExperimentalWarning", path, ...args];
}

afterAll(() => {
  rmSync(folder, { recursive: true });
});

storeContract("sqlite", async ({ historyLimit }) => {
  const clock = new FakeClock();
  const store = new SqliteStore({ file: newFile(), clock, historyLimit, synchronous: "NORMAL" });
  return { store, pass: (ms) => clock.advance(ms) };
});

it("finds entries and revisions again after it was closed and opened", async () => {
  const file = newFile();
  const first = open(file);
  await first.commit(put("/a", '"😀"'), never);
  await first.commit(put("/b"), never);
  await first.commit(put("/a", "2"), never);
  const before = await first.list("", never);
  await first.close();

  const second = open(file);

  expect(await second.list("", never)).toEqual(before);
  expect(await second.commit(put("/c"), never)).toEqual({ ok: true, revision: 4 });
  await second.close();
});

it("asks a watch to list again when it was started from before the store was opened", async () => {
  const file = newFile();
  const first = open(file);
  await first.commit(put("/a"), never);
  await first.commit(put("/b"), never);
  await first.close();
  const second = open(file);

  const fromBefore = second.watch("", 1, never)[Symbol.asyncIterator]().next();
  const fromNow = second.watch("", 2, never)[Symbol.asyncIterator]().next();
  await second.commit(put("/c"), never);

  await expect(fromBefore).rejects.toMatchObject({ code: "STORE_COMPACTED" });
  expect((await fromNow).value).toMatchObject({ revision: 3 });
  await second.close();
});

it("ends the leases of the process before, in one revision", async () => {
  const file = newFile();
  const first = open(file);
  const lease = await first.grantLease(60_000, never);
  await first.commit(put("/leader", "1", lease), never);
  await first.commit(put("/helper", "1", lease), never);
  await first.commit(put("/kept"), never);
  await first.close();

  const second = open(file);

  expect(await second.list("", never)).toMatchObject({ entries: [{ key: "/kept" }], revision: 4 });
  await expect(second.keepAlive(lease, never)).rejects.toMatchObject({ code: "LEASE_NOT_FOUND" });
  await second.close();
});

it("makes its folder, and files that only their owner may read", async () => {
  const file = join(folder, "new", "folder", "store.db");
  const store = open(file);
  await store.commit(put("/a"), never);

  const modes = ["", "-wal", "-shm", ".lock"].map((suffix) => statSync(`${file}${suffix}`).mode & 0o777);

  expect(modes).toEqual([0o600, 0o600, 0o600, 0o600]);
  expect(statSync(join(folder, "new")).mode & 0o777).toBe(0o700);
  await store.close();
});

it("takes a file that others may read away from them", async () => {
  const file = newFile();
  await open(file).close();
  chmodSync(file, 0o644);

  await open(file).close();

  expect(statSync(file).mode & 0o777).toBe(0o600);
});

it("refuses a second store on the same file under any name, until the first is closed", async () => {
  const file = newFile();
  const link = newFile();
  const first = open(file);
  symlinkSync(file, link);

  for (let attempt = 0; attempt < 3; attempt += 1) {
    expect(opening(file)).toThrow(expect.objectContaining({ kind: "conflict", code: "STORE_IN_USE" }));
    expect(opening(link)).toThrow(expect.objectContaining({ kind: "conflict", code: "STORE_IN_USE" }));
  }
  await first.close();

  await expect(open(link).close()).resolves.toBeUndefined();
});

it("keeps its lock against other processes after its own process tried to open the file again", async () => {
  const file = newFile();
  const store = open(file);
  expect(refusal(file)).toBe("STORE_IN_USE");

  const [command = "", ...args] = child("commit-until-killed.ts", file);
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", timeout: 10_000 });

  expect(stderr).toContain("STORE_IN_USE");
  expect(stdout).toBe("");
  expect(status).toBe(1);
  await store.close();
});

it("loses nothing that was acknowledged when its process is killed, refuses a second process and lets the next one in", async () => {
  const file = newFile();
  const refusals: unknown[] = [];
  let acknowledged = 0;

  for (const killAfter of [1, 2, 7, 40, 150]) {
    const [command = "", ...args] = child("commit-until-killed.ts", file, String(acknowledged));
    const running = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
    const ended = once(running, "exit");
    let lines = 0;
    for await (const line of createInterface({ input: running.stdout })) {
      acknowledged = Number(line);
      lines += 1;
      if (lines === 1) {
        refusals.push(refusal(file));
      }
      if (lines === killAfter) {
        running.kill("SIGKILL");
      }
    }
    expect(await ended).toEqual([null, "SIGKILL"]);

    const store = open(file);
    const { entries } = await store.list("/number/", never);
    const count = Number((await store.get("/count", never))?.value);
    await store.close();
    // The last one may have been taken without its acknowledgement having come out. Nothing is half done.
    expect(count - acknowledged).toBeOneOf([0, 1]);
    expect(entries.map(({ value }) => Number(value)).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: count }, (_, index) => index + 1),
    );
    acknowledged = count;
  }
  expect(refusals).toEqual(Array(5).fill("STORE_IN_USE"));
}, 30_000);

const inOwnMounts = [
  "--map-root-user",
  "--mount",
  "sh",
  "-c",
  'mount -t tmpfs -o size=2m tmpfs "$0" && exec "$@"',
];
const canMount = spawnSync("unshare", [...inOwnMounts, folder, "true"]).status === 0;

it.skipIf(skipUnless(canMount, "the right to mount a small disk (unshare --map-root-user --mount)"))(
  "says STORE_FULL on a full disk, keeps its state, and goes on when there is space again",
  () => {
    const disk = join(folder, "disk");
    mkdirSync(disk);
    const { stdout, stderr } = spawnSync("unshare", [...inOwnMounts, disk, ...child("fill-disk.ts", disk)], {
      encoding: "utf8",
      timeout: 20_000,
    });

    expect(stderr).toBe("");
    const seen = JSON.parse(stdout) as { acknowledged: number };
    const { acknowledged } = seen;
    expect(acknowledged).toBeGreaterThan(10);
    expect(acknowledged).toBeLessThan(100);
    expect(seen).toEqual({
      acknowledged,
      failure: {
        code: "STORE_FULL",
        kind: "exhausted",
        message: expect.stringContaining("nothing was changed"),
      },
      whenFull: { revision: acknowledged, entries: acknowledged + 1, count: String(acknowledged) },
      afterwards: { ok: true, revision: acknowledged + 1 },
      final: { revision: acknowledged + 1, entries: acknowledged + 2, count: String(acknowledged + 1) },
    });
  },
);

it("says which file is no database, and leaves it alone", () => {
  const file = newFile();
  const text = "a text of a hundred bytes and more\n".repeat(40);
  writeFileSync(file, text);

  expect(opening(file)).toThrow(
    expect.objectContaining({
      kind: "invalid",
      code: "STORE_CORRUPT",
      message: expect.stringContaining(file),
    }),
  );
  expect(readFileSync(file, "utf8")).toBe(text);
});

it("finds damage in the middle of a file when it opens it", async () => {
  const file = newFile();
  const store = open(file);
  for (let index = 0; index < 200; index += 1) {
    await store.commit(put(`/key-${index}`, "x".repeat(1000)), never);
  }
  await store.close();
  const bytes = readFileSync(file);
  bytes.fill(0xff, 8192, bytes.length - 8192);
  writeFileSync(file, bytes);

  expect(opening(file)).toThrow(expect.objectContaining({ kind: "invalid", code: "STORE_CORRUPT" }));
  // The lock was given back.
  expect(opening(file)).toThrow(expect.objectContaining({ code: "STORE_CORRUPT" }));
});

it("refuses the database of another program", () => {
  const file = newFile();
  const other = new DatabaseSync(file);
  other.exec("CREATE TABLE theirs (x)");
  other.close();

  expect(opening(file)).toThrow(expect.objectContaining({ code: "STORE_FILE_FOREIGN" }));
});

it("refuses a file that a newer version wrote", async () => {
  const file = newFile();
  await open(file).close();
  const database = new DatabaseSync(file);
  database.exec("PRAGMA user_version = 99");
  database.close();

  expect(opening(file)).toThrow(
    expect.objectContaining({ code: "STORE_VERSION_UNSUPPORTED", message: expect.stringContaining("99") }),
  );
});

it("brings an older file to the newest schema step by step, and repeats a step that failed", () => {
  const database = new DatabaseSync(":memory:");
  const first = "CREATE TABLE a (x); INSERT INTO a VALUES (1)";
  migrate(database, "f", [first]);

  const failing = "CREATE TABLE b (x); INSERT INTO nowhere VALUES (1)";
  expect(() => migrate(database, "f", [first, failing])).toThrow("nowhere");
  migrate(database, "f", [first, "CREATE TABLE b (x)", "INSERT INTO b SELECT x + 1 FROM a"]);
  migrate(database, "f", [first, "CREATE TABLE b (x)", "INSERT INTO b SELECT x + 1 FROM a"]);

  expect(
    database.prepare("SELECT (SELECT count(*) FROM a) AS a, (SELECT group_concat(x) FROM b) AS b").get(),
  ).toEqual({ a: 1, b: "2" });
  database.close();
});

it("says what is wrong with a path that cannot be opened", () => {
  const file = newFile();
  writeFileSync(file, "");

  expect(opening(join(file, "store.db"))).toThrow(
    expect.objectContaining({ kind: "transient", code: "STORE_UNAVAILABLE" }),
  );
});
