import { CommanderError } from "commander";

import { NetworkError } from "../core/errors.ts";
import { CommandEnd, exitCodeOf, usageExitCode } from "./exit-codes.ts";
import { createProgram, type ProgramParts } from "./program.ts";

/**
 * Runs the command of `args` (without program name) and answers the exit code. Failures go to standard error as `Error: …`: what we know
 * as one message, a bug with its stack.
 */
export async function run(args: readonly string[], parts: ProgramParts): Promise<number> {
  try {
    const program = createProgram(parts);
    // Nothing said is a question.
    await program.parseAsync(args.length === 0 ? ["help"] : [...args], { from: "user" });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander has printed its message already; help and version are no failure.
      return error.exitCode === 0 ? 0 : usageExitCode;
    }
    if (error instanceof CommandEnd) {
      return error.exitCode;
    }
    if (parts.signal.aborted && error === parts.signal.reason) {
      return interruptedExitCode;
    }
    parts.terminal.note(describe(error));
    return exitCodeOf(error);
  }
}

/** 128 + SIGINT, as shells report it. */
const interruptedExitCode = 130;

function describe(error: unknown): string {
  if (error instanceof NetworkError) {
    return `Error: ${error.message}`;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `Error: this is a bug in romana, please report it\n${text}`;
}
