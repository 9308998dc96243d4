import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";

import { NetworkError } from "../../core/errors.ts";
import type { Clock, Timer } from "../../ports/clock.ts";
import type { Logger } from "../../ports/logger.ts";
import type { EtcdLogin, EtcdTlsFiles } from "./options.ts";

/** What the files held when they were read. */
export interface Credentials {
  readonly tls?: { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer };
  readonly login?: { readonly user: string; readonly password: string };
  /** Differs when anything differs; says nothing of what it is made from. */
  readonly fingerprint: string;
}

/**
 * Reads all files, and checks that certificate and key are a pair. Throws `STORE_CREDENTIALS_INVALID`, kind invalid, which names the file and never
 * what is in it.
 */
export function readCredentials(tls: EtcdTlsFiles | undefined, login: EtcdLogin | undefined): Credentials {
  const hash = createHash("sha256");
  const read = (path: string | undefined): Buffer | undefined => {
    const content = path === undefined ? undefined : readOne(path);
    hash.update(`${content?.length ?? -1}:`).update(content ?? "");
    return content;
  };
  const [ca, cert, key] = [read(tls?.ca), read(tls?.cert), read(tls?.key)];
  if (tls !== undefined) {
    checkPair(tls, ca, cert, key);
  }
  const password = read(login?.passwordFile)
    ?.toString()
    .replace(/\r?\n$/, "");
  return {
    ...(tls === undefined ? {} : { tls: { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) } }),
    ...(login === undefined || password === undefined ? {} : { login: { user: login.user, password } }),
    fingerprint: hash.digest("hex"),
  };
}

export interface CredentialsWatchOptions {
  readonly read: () => Credentials;
  readonly current: Credentials;
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly changed: (credentials: Credentials) => void;
}

/**
 * Reads the files again and again (by content: a rename over them and a swapped symbolic link are noticed as well as a write in place), and tells
 * when they hold something else that is good. What is not good is said once in the log and left alone until the files change again.
 */
export class CredentialsWatch {
  readonly #options: CredentialsWatchOptions;
  #fingerprint: string;
  #refused = "";
  #timer: Timer;

  constructor(options: CredentialsWatchOptions) {
    this.#options = options;
    this.#fingerprint = options.current.fingerprint;
    this.#timer = this.#schedule();
  }

  stop(): void {
    this.#timer.cancel();
  }

  #schedule(): Timer {
    return this.#options.clock.setTimer(this.#options.intervalMs, () => this.#look());
  }

  #look(): void {
    const { read, log, changed } = this.#options;
    this.#timer = this.#schedule();
    try {
      const found = read();
      this.#refused = "";
      if (found.fingerprint !== this.#fingerprint) {
        this.#fingerprint = found.fingerprint;
        changed(found);
        log.info({}, "new credentials for etcd are in use");
      }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (reason !== this.#refused) {
        this.#refused = reason;
        log.error({ reason }, "new credentials for etcd are refused; the old ones stay in use");
      }
    }
  }
}

function readOne(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw invalid(`cannot read ${path}: ${reason}; look at its path, its owner and its permissions`, path);
  }
}

function checkPair(
  files: EtcdTlsFiles,
  ca: Buffer | undefined,
  cert: Buffer | undefined,
  key: Buffer | undefined,
): void {
  try {
    createSecureContext({ ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) });
  } catch (error) {
    const named = [files.ca, files.cert, files.key].filter((path) => path !== undefined).join(", ");
    // OpenSSL's own words, such as "key values mismatch": they quote nothing of a file.
    const reason = error instanceof Error ? error.message : String(error);
    throw invalid(
      `${named} are no certificates and key that fit together: ${reason}; write a whole set`,
      named,
    );
  }
}

function invalid(message: string, file: string): NetworkError {
  return new NetworkError("invalid", "STORE_CREDENTIALS_INVALID", message, { file });
}
