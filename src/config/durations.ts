import { NetworkError } from "../core/errors.ts";

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;

type Unit = keyof typeof UNIT_MS;

/** From the widest, for `formatDuration`. */
const UNITS: readonly Unit[] = ["h", "m", "s", "ms"];

/**
 * Milliseconds of a duration as it is written in options: a whole number and its unit, `200ms`, `30s`, `5m` or `1h`. `0s` is 0, which options that
 * repeat something read as "never". Throws `NetworkError` `DURATION_INVALID`: without a unit nobody knows whether `30` is half a minute.
 */
export function parseDuration(text: string): number {
  const match = /^(\d+)(ms|s|m|h)$/.exec(text);
  const value = Number(match?.[1]) * UNIT_MS[(match?.[2] ?? "ms") as Unit];
  if (match === null || !Number.isSafeInteger(value)) {
    const hint = /^\d+$/.test(text) ? `; write ${text}s or ${text}ms` : "";
    throw new NetworkError(
      "invalid",
      "DURATION_INVALID",
      `not a duration: "${text}" (expected a whole number with its unit, such as 200ms, 30s, 5m or 1h${hint})`,
      { text },
    );
  }
  return value;
}

/** The shortest text that `parseDuration` reads as `ms` (a whole number, 0 or more). */
export function formatDuration(ms: number): string {
  if (ms === 0) {
    return "0s";
  }
  const unit = UNITS.find((each) => ms % UNIT_MS[each] === 0) ?? "ms";
  return `${ms / UNIT_MS[unit]}${unit}`;
}
