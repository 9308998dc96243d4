import { readFileSync } from "node:fs";

import { afterAll, beforeAll, expect, it } from "vitest";

import { listen } from "../../src/api/listen.ts";
import { serverWithOneHost } from "../api/support.ts";
import { romanaHere } from "./in-process.ts";

/** One command with what it must print, from the fixture. */
interface Step {
  readonly typed: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

const steps = readFileSync("test/fixtures/cli/session.txt", "utf8")
  .split(/^\$ /m)
  .slice(1)
  .map((text): Step => {
    const [typed = "", ...lines] = text.split("\n");
    const marked = (mark: string): string =>
      lines
        .filter((line) => line.startsWith(`${mark} `))
        .map((line) => `${line.slice(2)}\n`)
        .join("");
    return { typed, stdout: marked("|"), stderr: marked("!"), code: Number(marked("?") || 0) };
  });

let server: Awaited<ReturnType<typeof serverWithOneHost>>;
let url: string;

beforeAll(async () => {
  server = await serverWithOneHost();
  url = await listen(server.app, { kind: "tcp", host: "127.0.0.1", port: 0 });
});

afterAll(async () => {
  await server.app.close();
});

// One server for all of them: each step stands on those before it.
it.for(steps)("prints what is written down for $typed", async ({ typed, stdout, stderr, code }) => {
  const [, ...args] = typed.split(" ");

  const result = await romanaHere(args, { env: { ROMANA_URL: url } });

  expect(result).toEqual({ code, stdout, stderr });
});

it("is a session of every kind of command, in tables and in JSON", () => {
  const nouns = (mark: RegExp): ReadonlySet<string | undefined> =>
    new Set(steps.filter(({ typed }) => mark.test(typed)).map(({ typed }) => typed.split(" ")[1]));
  const all = [
    "address",
    "blackout",
    "block",
    "host",
    "network",
    "policy",
    "route",
    "segment",
    "status",
    "tenant",
  ];

  expect([...nouns(/^(?!.*-[of] )/)]).toEqual(expect.arrayContaining(all));
  expect([...nouns(/-o json/)]).toEqual(expect.arrayContaining(all));
});
