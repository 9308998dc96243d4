import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { FileFollower, readSmallFile } from "../../src/adapters/system/file-follower.ts";
import { SystemClock } from "../../src/adapters/system/system-clock.ts";
import { NetworkError } from "../../src/core/errors.ts";
import { until } from "../support/moto-lab.ts";

/** What "within a second" leaves to the poll, on a machine that is busy with other things too. */
const NOTICED_MS = 1000;

describe("a followed file", () => {
  let folder: string;
  let path: string;
  let texts: string[];
  let failures: string[];
  let answer: (text: string) => Promise<void>;
  let follower: FileFollower;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "romana-follow-"));
    path = join(folder, "routes.json");
    texts = [];
    failures = [];
    answer = () => Promise.resolve();
    follower = new FileFollower({
      path,
      maxBytes: 1000,
      clock: new SystemClock(),
      onText: (text) => {
        texts.push(text);
        return answer(text);
      },
      onFailure: (error) => failures.push(error.message),
    });
  });
  afterEach(async () => {
    await follower.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function following(text: string): Promise<void> {
    writeFileSync(path, text);
    follower.start();
    await until("the first text is told", () => texts.length === 1);
  }

  /** The next text that is told, and how many milliseconds that took. */
  async function next(): Promise<{ readonly text: string | undefined; readonly tookMs: number }> {
    const before = texts.length;
    const tookMs = await until("another text is told", () => texts.length > before);
    return { text: texts.at(-1), tookMs };
  }

  it("tells the text that it has at the start, once", async () => {
    await following("one");
    // Only its time changes; a second follower that starts afterwards shows that many looks have passed.
    utimesSync(path, 1, 1);
    const seen: string[] = [];
    const second = new FileFollower({
      path,
      maxBytes: 1000,
      clock: new SystemClock(),
      onText: (text) => Promise.resolve(void seen.push(text)),
      onFailure: (error) => failures.push(error.message),
    });
    second.start();
    await until("the second has told it", () => seen.length === 1);
    await second.stop();
    writeFileSync(path, "two");
    await next();

    expect(texts).toEqual(["one", "two"]);
  });

  it("notices a rewritten file within a second", async () => {
    await following("one");
    writeFileSync(path, "two");
    const { text, tookMs } = await next();

    expect(text).toBe("two");
    expect(tookMs).toBeLessThan(NOTICED_MS);
  });

  it("notices a rename over the file within a second, also with the same length and times", async () => {
    await following("one");
    const times = statSync(path);
    writeFileSync(join(folder, "new"), "two");
    utimesSync(join(folder, "new"), times.atime, times.mtime);
    renameSync(join(folder, "new"), path);
    const { text, tookMs } = await next();

    expect(text).toBe("two");
    expect(tookMs).toBeLessThan(NOTICED_MS);
  });

  it("notices the swap of a ConfigMap's link within a second, again and again", async () => {
    const version = (name: string, text: string): void => {
      mkdirSync(join(folder, name));
      writeFileSync(join(folder, name, "routes.json"), text);
      symlinkSync(name, join(folder, "..data_tmp"));
      renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
    };
    version("..2026_1", "one");
    symlinkSync("..data/routes.json", path);
    follower.start();
    await until("the first text is told", () => texts.length === 1);
    for (const [name, text] of [
      ["..2026_2", "two"],
      ["..2026_3", "three"],
    ] as const) {
      version(name, text);
      const { tookMs } = await next();
      expect(tookMs).toBeLessThan(NOTICED_MS);
    }

    expect(texts).toEqual(["one", "two", "three"]);
    expect(failures).toEqual([]);
  });

  it("does not tell a text that changes from look to look until it stands still", async () => {
    await following("one");
    writeFileSync(path, "");
    const written = performance.now();
    // Grows every few milliseconds, far below the pause between two looks, for longer than three of them.
    let part = 0;
    await until(
      "it has grown for long",
      () => {
        appendFileSync(path, String(part % 10));
        part += 1;
        return performance.now() - written > 700;
      },
      5000,
      5,
    );
    const { text } = await next();

    expect(texts).toHaveLength(2);
    expect(text).toMatch(/^01234/);
    expect(text?.length).toBe(statSync(path).size);
  });

  it("tells once that the file is gone, and the text anew when it is back", async () => {
    await following("one");
    rmSync(path);
    await until("the failure is told", () => failures.length > 0);
    writeFileSync(path, "one");
    await next();

    expect(texts).toEqual(["one", "one"]);
    expect(failures).toEqual([`cannot read ${path}: ENOENT; name a file that exists and may be read`]);
  });

  it("asks again with the same text after it was turned down, until it is taken", async () => {
    const refusals = [new Error("later"), new Error("later")];
    answer = () => {
      const refusal = refusals.pop();
      return refusal === undefined ? Promise.resolve() : Promise.reject(refusal);
    };
    writeFileSync(path, "one");
    follower.start();
    await until("it was told three times", () => texts.length === 3);
    writeFileSync(path, "two");
    await next();

    expect(texts).toEqual(["one", "one", "one", "two"]);
  });

  it("says nothing more after it was stopped", async () => {
    await following("one");
    writeFileSync(path, "two");
    await follower.stop();
    const told = [...texts];
    const second = new FileFollower({
      path,
      maxBytes: 1000,
      clock: new SystemClock(),
      onText: (text) => {
        texts.push(`second ${text}`);
        return Promise.resolve();
      },
      onFailure: (error) => failures.push(error.message),
    });
    second.start();
    await until("another follower has told it", () => texts.includes("second two"));
    await second.stop();

    expect(texts).toEqual([...told, "second two"]);
  });
});

describe("reading a small file", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "romana-read-"));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  async function refusal(path: string): Promise<string> {
    try {
      await readSmallFile(path, 10);
    } catch (error) {
      if (error instanceof NetworkError && error.code === "FILE_UNREADABLE") {
        return error.message;
      }
      throw error;
    }
    return "none";
  }

  it("reads as many bytes as it may, and none more", async () => {
    writeFileSync(join(folder, "full"), "0123456789");
    writeFileSync(join(folder, "long"), "0123456789a");

    expect(await readSmallFile(join(folder, "full"), 10)).toBe("0123456789");
    expect(await refusal(join(folder, "long"))).toMatch(/it has more than 10 bytes/);
  });

  it("refuses what is missing, no plain file, endless or no UTF-8, and waits for none of them", async () => {
    execFileSync("mkfifo", [join(folder, "pipe")]);
    writeFileSync(join(folder, "binary"), Buffer.from([0xff, 0xfe, 0x00]));

    expect(await refusal(join(folder, "missing"))).toMatch(/ENOENT/);
    expect(await refusal(folder)).toMatch(/no plain file/);
    expect(await refusal(join(folder, "pipe"))).toMatch(/no plain file/);
    expect(await refusal("/dev/zero")).toMatch(/no plain file/);
    expect(await refusal(join(folder, "binary"))).toMatch(/no UTF-8/);
  });
});
