import { afterEach, expect, it, vi } from "vitest";

import { skipUnless } from "./skip.ts";

afterEach(() => {
  vi.unstubAllEnvs();
});

it.for([
  ["runs what the machine can run", true, "", false],
  ["skips what it cannot", false, "", true],
  ["skips nothing where CI=true", false, "true", false],
  ["takes only CI=true for it", false, "false", true],
] as const)("%s", ([, available, ci, skipped]) => {
  vi.stubEnv("CI", ci);

  const said: string[] = [];

  expect(skipUnless(available, "a server", (text) => said.push(text))).toBe(skipped);
  expect(said.map((text) => text.includes("SKIPPED: this machine lacks a server"))).toEqual(
    skipped ? [true] : [],
  );
});
