import { readFile } from "node:fs/promises";

import { NetworkError } from "../core/errors.ts";
import type { Clock, Timer } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";

/** Files that are read again and again, and what to do with their texts. */
export interface WatchedFilesOptions {
  readonly paths: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
  /** Between two looks. */
  readonly intervalMs: number;
  /** Takes the texts, in the order of `paths`, or throws `NetworkError` and leaves everything as it was. */
  readonly use: (texts: readonly string[]) => void;
  /** Called after each look, whatever it found. */
  readonly looked?: () => void;
}

/** How often files are looked at, unless a test wants otherwise. */
export const WATCH_INTERVAL_MS = 2000;

/** After a change the files are read once more this much later: what is the same then is whole, and is used. */
const SETTLE_MS = 200;

/**
 * Reads files that belong together and reads them again every few seconds, so that every way to change them is noticed: in place, by an atomic
 * rename, by the swap of a link as in a mounted ConfigMap or Secret. What changed is used as a whole or refused as a whole, and only when two reads in a row
 * found it: half a line of a file that is being written may be a good line, of somebody else. A refusal is logged when two looks in a row find the same texts:
 * between them, somebody may be at the second of two files.
 */
export class WatchedFiles {
  readonly #options: WatchedFilesOptions;
  #used = "";
  /** What the last read found. */
  #seen = "";
  /** What the last look refused, and whether that was said. */
  #refused = { state: "", isLogged: false };
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: WatchedFilesOptions) {
    this.#options = options;
  }

  /** Reads the files for the first time and starts to look at them. Throws what is wrong with them. */
  async start(): Promise<void> {
    const { paths, use } = this.#options;
    const texts = await readAll(paths);
    use(texts);
    this.#used = JSON.stringify(texts);
    this.#schedule();
  }

  /** Looks now, for somebody who knows that nobody is writing: what is found is used at once. Never rejects. */
  async look(): Promise<void> {
    await this.#look(() => true);
  }

  /** Answers whether what it found waits for another look. Never rejects. */
  async #look(isWhole: (state: string) => boolean): Promise<boolean> {
    try {
      const texts = await readAll(this.#options.paths);
      const state = JSON.stringify(texts);
      const waits = state !== this.#used && !isWhole(state);
      this.#seen = state;
      if (waits) {
        return true;
      }
      if (state !== this.#used && !this.#isClosed) {
        this.#options.use(texts);
        this.#used = state;
        this.#options.log.info({ files: this.#options.paths }, "changed files are in use");
      }
      this.#refused = { state: "", isLogged: false };
    } catch (error) {
      this.#refuse(error instanceof Error ? error.message : String(error), error);
    }
    this.#options.looked?.();
    return false;
  }

  /** Ends the looking. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #refuse(state: string, error: unknown): void {
    const isAgain = state === this.#refused.state;
    if (isAgain && !this.#refused.isLogged) {
      this.#options.log.error(
        { files: this.#options.paths, err: error },
        "changed files are refused, the old ones stay in use",
      );
    }
    this.#refused = { state, isLogged: isAgain };
  }

  #schedule(isSettling = false): void {
    if (this.#isClosed) {
      return;
    }
    const { clock, intervalMs } = this.#options;
    this.#timer = clock.setTimer(isSettling ? SETTLE_MS : intervalMs, async () => {
      this.#schedule(await this.#look((state) => state === this.#seen));
    });
  }
}

function readAll(paths: readonly string[]): Promise<readonly string[]> {
  return Promise.all(paths.map(async (path) => await readText(path)));
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new NetworkError(
      code === "ENOENT" ? "not-found" : "invalid",
      "FILE_UNREADABLE",
      `cannot read ${path} (${code ?? String(error)}): name a file that exists and that the controller may read`,
      { file: path },
      error,
    );
  }
}
