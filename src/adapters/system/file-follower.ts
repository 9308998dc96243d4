import { constants, type BigIntStats } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";

import { NetworkError } from "../../core/errors.ts";
import type { Clock, Timer } from "../../ports/clock.ts";

/** Between two looks. What changed is told at the second look that finds the same text: within half a second, reading included. */
const POLL_MS = 200;
/**
 * Looks after a change at which the file is read although nothing about it seems to have changed: the time of a change is only as fine as the file system keeps it,
 * on some two seconds.
 */
const WATCHFUL_LOOKS = 12;

export interface FileFollowerOptions {
  /** Followed through symbolic links at every look, so that a swap of one (a ConfigMap's `..data`) counts. */
  readonly path: string;
  /** Bytes that are read at most; a longer file is refused. */
  readonly maxBytes: number;
  readonly clock: Clock;
  /** Called with each new text, one after another. Rejects when it wants the text once more at the next look. */
  readonly onText: (text: string) => Promise<void>;
  /** Called when the file cannot be read; once for each message, until it could be read again. */
  readonly onFailure: (error: NetworkError) => void;
}

/** Reads a file once. Throws `FILE_UNREADABLE` (invalid) when it is missing, no file, too long or no UTF-8. */
export async function readSmallFile(path: string, maxBytes: number): Promise<string> {
  return (await look(path, maxBytes, undefined)).text ?? "";
}

/**
 * Follows the text of a file by looking at it again and again. Notifications of the kernel are not used: they name inodes, and a rename over the file, a link that
 * leads elsewhere and a network file system each lose them in another way. A text counts when two looks in a row found it, so that a writer's half-written file
 * is not taken for the new one.
 */
export class FileFollower {
  readonly #options: FileFollowerOptions;
  #timer: Timer | undefined;
  #work: Promise<void> = Promise.resolve();
  #stopped = false;
  #mark: string | undefined;
  #quietLooks = 0;
  #seen: string | undefined;
  #told: string | undefined;
  #failure: string | undefined;

  constructor(options: FileFollowerOptions) {
    this.#options = options;
  }

  /** Begins with a look at once. */
  start(): void {
    this.#schedule(0);
  }

  /** Ends; resolves when nothing is called any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#work;
  }

  #schedule(delayMs: number): void {
    if (!this.#stopped) {
      this.#timer = this.#options.clock.setTimer(delayMs, () => {
        this.#work = this.#look().then(() => this.#schedule(POLL_MS));
        return this.#work;
      });
    }
  }

  async #look(): Promise<void> {
    const { path, maxBytes, onFailure } = this.#options;
    const known = this.#quietLooks >= WATCHFUL_LOOKS ? this.#mark : undefined;
    try {
      const { mark, text = this.#seen } = await look(path, maxBytes, known);
      this.#quietLooks = mark === this.#mark ? this.#quietLooks + 1 : 0;
      this.#mark = mark;
      this.#failure = undefined;
      const isSteady = text === this.#seen;
      this.#seen = text;
      if (isSteady && text !== undefined && text !== this.#told && !this.#stopped) {
        await this.#tell(text);
      }
    } catch (error) {
      if (!(error instanceof NetworkError)) {
        throw error;
      }
      this.#mark = undefined;
      this.#seen = undefined;
      this.#told = undefined;
      if (this.#failure !== error.message) {
        this.#failure = error.message;
        onFailure(error);
      }
    }
  }

  async #tell(text: string): Promise<void> {
    try {
      await this.#options.onText(text);
      this.#told = text;
    } catch {
      // Whoever rejects has said why, and wants to be asked again.
      this.#told = undefined;
    }
  }
}

interface Look {
  /** Equal marks mean, as far as the file system says, the same text. */
  readonly mark: string;
  /** Left out when the mark is the known one. */
  readonly text?: string;
}

async function look(path: string, maxBytes: number, known: string | undefined): Promise<Look> {
  try {
    // Without O_NONBLOCK a pipe would hold up the look until somebody writes to it.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      return await lookInto(file, path, maxBytes, known);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof NetworkError) {
      throw error;
    }
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === "ERR_ENCODING_INVALID_ENCODED_DATA" ? "it is no UTF-8" : (code ?? message);
    throw unreadable(path, reason, error);
  }
}

async function lookInto(
  file: FileHandle,
  path: string,
  maxBytes: number,
  known: string | undefined,
): Promise<Look> {
  const stats = await file.stat({ bigint: true });
  const mark = markOf(stats);
  if (!stats.isFile()) {
    throw unreadable(path, "it is no plain file");
  }
  if (mark === known) {
    return { mark };
  }
  const buffer = Buffer.alloc(maxBytes + 1);
  let length = 0;
  for (let read = -1; read !== 0 && length < buffer.length; length += read) {
    read = (await file.read(buffer, length, buffer.length - length, length)).bytesRead;
  }
  if (length > maxBytes) {
    throw unreadable(path, `it has more than ${maxBytes} bytes`);
  }
  return { mark, text: new TextDecoder("utf-8", { fatal: true }).decode(buffer.subarray(0, length)) };
}

function markOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(" ");
}

function unreadable(path: string, reason: string, cause?: unknown): NetworkError {
  return new NetworkError(
    "invalid",
    "FILE_UNREADABLE",
    `cannot read ${path}: ${reason}; name a file that exists and may be read`,
    { path },
    cause,
  );
}
