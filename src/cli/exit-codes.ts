import { NetworkError, type ErrorKind } from "../core/errors.ts";

/** The program's exit codes (`docs/cli.md`). 75 is EX_TEMPFAIL of sysexits.h: try again later. */
const exitCodes: Readonly<Record<ErrorKind, number>> = {
  invalid: 2,
  "not-found": 3,
  conflict: 4,
  exhausted: 5,
  transient: 75,
};

/** Wrong use of the command line. */
export const usageExitCode = exitCodes.invalid;

/** Exit code for what was thrown; 1 is for a bug. */
export function exitCodeOf(error: unknown): number {
  return error instanceof NetworkError ? exitCodes[error.kind] : 1;
}
