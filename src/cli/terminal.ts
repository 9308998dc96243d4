import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline/promises";
import { text } from "node:stream/consumers";
import { isatty } from "node:tty";

import { NetworkError } from "../core/errors.ts";

/** Where the program reads and writes. */
export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Writes to standard output. */
  write(text: string): void;
  /** Writes a line to standard error. */
  note(line: string): void;
  /** Whether standard output may be coloured. */
  readonly coloured: boolean;
  /** Characters in a line of the terminal; undefined when standard output is none. */
  readonly width: number | undefined;
  /** The text of a file; "-" is standard input. */
  read(file: string): Promise<string>;
  /** Asks a question that is answered by y or n. Without a person at the terminal it throws `CONFIRMATION_MISSING`. */
  confirm(question: string, signal: AbortSignal): Promise<boolean>;
}

/** The terminal of this process. Colours only for a person who did not ask for none (https://no-color.org). */
export function processTerminal(): Terminal {
  const { env, stdin, stdout, stderr } = process;
  return {
    env,
    coloured: isatty(stdout.fd) && !env["NO_COLOR"] && env["TERM"] !== "dumb",
    width: isatty(stdout.fd) ? stdout.columns : undefined,
    write: (content) => {
      stdout.write(content);
    },
    note: (line) => {
      stderr.write(`${line}\n`);
    },
    read: (file) => (file === "-" ? text(stdin) : readNamed(file)),
    confirm: async (question, signal) => {
      if (!stdin.isTTY) {
        throw new NetworkError(
          "invalid",
          "CONFIRMATION_MISSING",
          `${question} Nobody is there to answer: say --yes to go ahead`,
        );
      }
      const lines = createInterface({ input: stdin, output: stderr });
      try {
        return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `, { signal })).trim());
      } finally {
        lines.close();
      }
    },
  };
}

async function readNamed(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new NetworkError(
      code === "ENOENT" ? "not-found" : "invalid",
      "FILE_UNREADABLE",
      `cannot read ${file} (${code ?? String(error)}): name a file that exists and may be read, or - for standard input`,
      { file },
      error,
    );
  }
}
