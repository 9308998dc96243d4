import type { Caller } from "../core/access/access.ts";
import { parseTokenFile } from "../core/access/token-file.ts";
import { NetworkError } from "../core/errors.ts";
import type { TokenAuthenticator } from "../ports/authenticator.ts";
import { hashToken } from "./authentication.ts";
import { WatchedFiles, type WatchedFilesOptions } from "./watched-files.ts";

/** The callers of a token file, which is read again when it changes. A file that cannot be used is refused as a whole, and the last good one stays. */
export class TokenFile implements TokenAuthenticator {
  readonly #files: WatchedFiles;
  readonly #listeners = new Set<() => void>();
  #callers: ReadonlyMap<string, Caller> = new Map();

  private constructor(path: string, options: Omit<WatchedFilesOptions, "paths" | "use">) {
    this.#files = new WatchedFiles({
      ...options,
      paths: [path],
      use: ([text = ""]) => {
        this.#callers = readCallers(text, path);
        this.#listeners.forEach((listener) => listener());
      },
    });
  }

  /** Reads the file. Throws `TOKEN_FILE_INVALID` with the lines that are wrong, and `FILE_UNREADABLE`. */
  static async open(path: string, options: Omit<WatchedFilesOptions, "paths" | "use">): Promise<TokenFile> {
    const file = new TokenFile(path, options);
    await file.#files.start();
    return file;
  }

  callerOf(token: string): Promise<Caller | undefined> {
    return Promise.resolve(this.#callers.get(hashToken(token)));
  }

  /** Calls `listener` after each change: requests ask again by themselves, streams do not. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Looks at the file now. */
  look(): Promise<void> {
    return this.#files.look();
  }

  /** Ends the looking. */
  close(): void {
    this.#files.close();
  }
}

/** Callers by the hash of their token: the tokens themselves are not kept. */
function readCallers(text: string, path: string): ReadonlyMap<string, Caller> {
  try {
    return new Map(parseTokenFile(text).map(({ token, caller }) => [hashToken(token), caller]));
  } catch (error) {
    if (error instanceof NetworkError) {
      throw new NetworkError(error.kind, error.code, `${path}: ${error.message}`, error.details, error);
    }
    throw error;
  }
}
