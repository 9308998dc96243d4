import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, it } from "vitest";

import { TokenFile } from "../../src/api/token-file.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { MemoryLogger, serverWithOneHost } from "./support.ts";

const first = "first-token-0123456789";
const second = "second-token-0123456789";

let folder = "";
let path = "";
let clock: FakeClock;
let log: MemoryLogger;
const opened: TokenFile[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "romana-tokens-"));
  path = join(folder, "tokens.csv");
  clock = new FakeClock();
  log = new MemoryLogger();
});

afterEach(async () => {
  opened.splice(0).forEach((file) => file.close());
  await rm(folder, { recursive: true });
});

async function openFile(text?: string, at = path): Promise<TokenFile> {
  if (text !== undefined) {
    await writeFile(at, text);
  }
  const file = await TokenFile.open(at, { clock, log, intervalMs: 1000 });
  opened.push(file);
  return file;
}

async function users(file: TokenFile): Promise<readonly (string | undefined)[]> {
  const callers = await Promise.all([first, second].map((token) => file.callerOf(token)));
  return callers.map((caller) => caller?.user);
}

it("knows the callers of its tokens, exactly", async () => {
  const file = await openFile(`${first},ann,admin\n${second},agents,agent:node-1`);

  expect(await file.callerOf(first)).toEqual({ user: "ann", role: "admin", host: "" });
  expect(await file.callerOf(second)).toEqual({ user: "agents", role: "agent", host: "node-1" });
  const wrong = [first.slice(0, -1), `${first} `, first.toUpperCase(), ""];
  expect(await Promise.all(wrong.map((token) => file.callerOf(token)))).toEqual(wrong.map(() => undefined));
});

it.for([
  ["in place", () => writeFile(path, `${second},bob,reader`)],
  [
    "by an atomic rename",
    async () => {
      await writeFile(`${path}.new`, `${second},bob,reader`);
      await rename(`${path}.new`, path);
    },
  ],
] as const)("notices by itself that the file was changed %s", async ([, change]) => {
  const file = await openFile(`${first},ann,admin`);
  await change();

  await clock.advance(1000);
  await settled(() => clock.pendingTimers > 0);
  await clock.advance(200);
  await settled(() => log.lines.length > 0);

  expect(await users(file)).toEqual([undefined, "bob"]);
  expect(log.lines).toEqual([
    { level: "info", fields: { files: [path] }, message: "changed files are in use" },
  ]);
});

it("never takes half a line of a file that is being written, though it is a good line of somebody else", async () => {
  const file = await openFile(`${first},ann,admin`);
  const hosts: (string | undefined)[] = [];
  for (const [host, delayMs] of [
    ["node-1", 1000],
    ["node-12", 200],
  ] as const) {
    await writeFile(path, `${second},agents,agent:${host}`);
    await clock.advance(delayMs);
    await settled(() => clock.pendingTimers > 0);
    hosts.push((await file.callerOf(second))?.host);
  }
  await clock.advance(200);
  await settled(() => log.lines.length > 0);
  hosts.push((await file.callerOf(second))?.host);

  expect(hosts).toEqual([undefined, undefined, "node-12"]);
});

it("notices the swap of links by which a ConfigMap or Secret is changed", async () => {
  for (const [version, line] of [
    ["v1", `${first},ann,admin`],
    ["v2", `${second},bob,reader`],
  ] as const) {
    await mkdir(join(folder, version));
    await writeFile(join(folder, version, "tokens.csv"), line);
  }
  await symlink("v1", join(folder, "..data"));
  await symlink(join("..data", "tokens.csv"), path);
  const file = await openFile();
  await symlink("v2", join(folder, "..data_tmp"));
  await rename(join(folder, "..data_tmp"), join(folder, "..data"));

  await file.look();

  expect(await users(file)).toEqual([undefined, "bob"]);
});

it("refuses a bad file whole, names the line and never the token, and keeps the old one", async () => {
  const file = await openFile(`${first},ann,admin`);
  await writeFile(path, `${second},bob,reader\n${second}-2,ann,${second}-3`);

  await file.look();
  await file.look();
  await file.look();

  expect(await users(file)).toEqual(["ann", undefined]);
  expect(log.lines).toHaveLength(1);
  expect(log.lines[0]).toMatchObject({
    level: "error",
    fields: {
      err: { code: "TOKEN_FILE_INVALID", message: expect.stringMatching(/tokens\.csv: .*line 2: the role/) },
    },
  });
  const errors = log.lines.map(({ fields }) =>
    "err" in fields && fields.err instanceof Error ? fields.err : undefined,
  );
  const texts = errors.map((error) => [error?.message, error?.stack, String(error?.cause)]);
  expect(texts).toHaveLength(1);
  expect(JSON.stringify([log.lines, texts])).not.toContain("second-token");
});

it("takes everybody away with an emptied file", async () => {
  const file = await openFile(`${first},ann,admin`);
  await writeFile(path, "# nobody\n");

  await file.look();

  expect(await users(file)).toEqual([undefined, undefined]);
});

it("cannot start on a bad file or on none", async () => {
  await expect(openFile("x,y")).rejects.toMatchObject({ code: "TOKEN_FILE_INVALID" });
  await expect(openFile(undefined, join(folder, "none"))).rejects.toMatchObject({
    kind: "not-found",
    code: "FILE_UNREADABLE",
  });
});

it("stops looking when it is closed", async () => {
  const file = await openFile(`${first},ann,admin`);

  file.close();

  expect(clock.pendingTimers).toBe(0);
});

it("lets a server take and lose callers while it runs", async () => {
  const file = await openFile(`${first},ann,admin`);
  const { app } = await serverWithOneHost({}, { tokens: [file], requireAuth: true, clock });
  const ask = async () =>
    (await app.inject({ url: "/hosts", headers: { authorization: `Bearer ${first}` } })).statusCode;
  const before = await ask();
  await writeFile(path, `${second},bob,reader`);

  await file.look();

  expect([before, await ask()]).toEqual([200, 401]);
});

/** Waits in turns of the event loop for what the file system takes its time for. */
async function settled(isDone: () => boolean): Promise<void> {
  const until = performance.now() + 5000;
  while (!isDone() && performance.now() < until) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}
