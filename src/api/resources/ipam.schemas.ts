import { z } from "zod";

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
/** Beyond it a duration is a mistake of the unit. */
const LONGEST_MS = 7 * 24 * 3_600_000;

/** A duration such as `10m`, `90s`, `0s`, in milliseconds. */
const duration = z
  .string()
  .regex(/^\d{1,9}(ms|s|m|h)$/, "expected a duration, such as 10m, 90s or 0s")
  .transform((text) => Number.parseInt(text, 10) * (UNITS[text.replace(/^\d+/, "")] ?? 1))
  .pipe(z.int().max(LONGEST_MS, "expected at most a week"));

/** `POST /ipam/leaks/release`. */
export const leakBody = z
  .object({ grace: duration.nullish() })
  .nullish()
  .meta({ examples: [{ grace: "0s" }] });

/** `POST /ipam/leaks/release?dry_run=`. */
export const leakQuery = z.object({ dry_run: z.enum(["true", "false"]).default("false") });

const Finding = z.object({
  kind: z.enum([
    "leaked",
    "suspected",
    "unclaimed",
    "unrecorded",
    "contested",
    "doubled",
    "orphaned",
    "misfiled",
  ]),
  address: z.ipv4(),
  name: z.string(),
  host: z.string(),
  tenant: z.string(),
  segment: z.string(),
  pod: z.object({ namespace: z.string(), name: z.string(), uid: z.string() }).nullable(),
  since: z.iso.datetime().nullable(),
  releaseAt: z.iso.datetime().nullable(),
  message: z.string(),
});

/** The answer to `GET /ipam/check`. */
export const CheckedIpam = z.object({
  checkedAt: z.iso.datetime(),
  clean: z.boolean(),
  addresses: z.int(),
  pods: z.int(),
  podsProblem: z.string(),
  silentHosts: z.array(z.string()),
  silentHostCount: z.int(),
  findings: z.array(Finding),
});

/** The answer to `POST /ipam/leaks/release`. */
export const ReleasedLeaks = z.object({
  dryRun: z.boolean(),
  released: z.array(Finding),
  kept: z.array(Finding),
  failed: z.array(Finding),
});
