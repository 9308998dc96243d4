import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { formatDuration, parseDuration } from "../../src/config/durations.ts";

describe("parseDuration", () => {
  it.for([
    ["0s", 0],
    ["0ms", 0],
    ["1ms", 1],
    ["200ms", 200],
    ["30s", 30_000],
    ["5m", 300_000],
    ["1h", 3_600_000],
    ["168h", 604_800_000],
    ["007s", 7000],
  ] as const)("reads %s as %d ms", ([text, ms]) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.for([
    "",
    "s",
    "ms",
    "1",
    "1.5s",
    "-1s",
    "+1s",
    " 1s",
    "1s ",
    "1 s",
    "1S",
    "1sec",
    "1m30s",
    "1d",
    "1e3s",
    "٣s",
    "0x1s",
  ])("refuses %j", (text) => {
    expect(() => parseDuration(text)).toThrow(
      expect.objectContaining({
        code: "DURATION_INVALID",
        kind: "invalid",
        message: expect.stringContaining(`"${text}"`),
      }),
    );
  });

  it("says how to write a bare number", () => {
    expect(() => parseDuration("30")).toThrow("write 30s or 30ms");
  });

  it("refuses what no number holds exactly", () => {
    expect(() => parseDuration("99999999999999h")).toThrow("not a duration");
  });
});

describe("formatDuration", () => {
  it.for([
    [0, "0s"],
    [150, "150ms"],
    [1500, "1500ms"],
    [2000, "2s"],
    [90_000, "90s"],
    [600_000, "10m"],
    [7_200_000, "2h"],
  ] as const)("writes %d ms as %s", ([ms, text]) => {
    expect(formatDuration(ms)).toBe(text);
  });

  it("writes what parseDuration reads", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10 ** 12 }), (ms) => {
        expect(parseDuration(formatDuration(ms))).toBe(ms);
      }),
    );
  });
});
