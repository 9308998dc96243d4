import { constants } from "node:fs";
import { open } from "node:fs/promises";

import { NetworkError } from "../core/errors.ts";
import type { Terminal } from "./terminal.ts";

/** Takes a line of what `--verbose` says. */
export type Log = (line: string) => void;

/**
 * Where `--verbose` goes: nowhere, to standard error, or to the end of the log file, each line with its time there. A new file is its
 * owner's alone. Throws `LOG_FILE_UNWRITABLE`.
 */
export async function openLog(
  { verbose, logFile }: { readonly verbose: boolean; readonly logFile: string | undefined },
  terminal: Terminal,
): Promise<Log> {
  if (!verbose) {
    return () => undefined;
  }
  if (logFile === undefined) {
    return (line) => terminal.note(line);
  }
  const { O_APPEND, O_CREAT, O_NOFOLLOW, O_WRONLY } = constants;
  try {
    // No link is followed: the original's default, a known name in a folder that everybody can write, invites one.
    const file = await open(logFile, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600);
    const stream = file.createWriteStream();
    // A disk that fills up in the middle is no reason to stop the command.
    stream.once("error", (error) =>
      terminal.note(`Warning: ${logFile} takes no more lines: ${error.message}`),
    );
    return (line) => void stream.write(`${new Date().toISOString()} ${line}\n`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new NetworkError(
      "invalid",
      "LOG_FILE_UNWRITABLE",
      `cannot write to ${logFile} (${code ?? String(error)}): name another LogFile, or leave it out to read the log on standard error`,
      { file: logFile },
      error,
    );
  }
}
