import { NetworkError, type ErrorKind } from "../core/errors.ts";

/** The program's exit codes (`docs/cli.md`). 75 is EX_TEMPFAIL of sysexits.h: try again later. */
const exitCodes: Readonly<Record<ErrorKind, number>> = {
  invalid: 2,
  "not-found": 3,
  conflict: 4,
  exhausted: 5,
  transient: 75,
};

/** A check found something: that is an answer, and no failure of the program. */
export const findingsExitCode = 6;

/** Wrong use of the command line. */
export const usageExitCode = exitCodes.invalid;

/** Exit code for what was thrown; 1 is for a bug. */
export function exitCodeOf(error: unknown): number {
  return error instanceof NetworkError ? exitCodes[error.kind] : 1;
}

/** Ends a command that did what was asked, and has said what it found, with another exit code than 0. */
export class CommandEnd extends Error {
  override readonly name = "CommandEnd";
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`the command ends with ${exitCode}`);
    this.exitCode = exitCode;
  }
}
