import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContextOptions } from "node:tls";

import { NetworkError } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";
import { WatchedFiles } from "./watched-files.ts";

/** Where the server's certificate and key stand, and the authority whose client certificates are taken. PEM. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string | undefined;
}

/** What goes with the files. */
export interface ServerTlsOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly intervalMs: number;
}

/** Whether a change of the files is one of whose certificates are taken. */
export type Trust = "same" | "changed";

const DAY_MS = 86_400_000;
/** Less than this before its end, a certificate is warned of once a day. */
const WARN_MS = 14 * DAY_MS;

/**
 * Certificate, key and client authority of the server, read again when they change. Who listens with them is told, and takes the new ones for new connections; the
 * standing ones are to be closed, those that were let in by an authority which counts no more at once. A set that does not fit together, has expired or has not begun is refused and the old one stays.
 */
export class ServerTls {
  readonly #files: WatchedFiles;
  readonly #listeners = new Set<(trust: Trust) => void>();
  readonly #options: ServerTlsOptions;
  #context: SecureContextOptions = {};
  #notAfterMs = 0;
  #warnedMs = Number.NEGATIVE_INFINITY;

  private constructor(files: TlsFiles, options: ServerTlsOptions) {
    this.#options = options;
    const { cert, key, clientCa } = files;
    this.#files = new WatchedFiles({
      ...options,
      paths: clientCa === undefined ? [cert, key] : [cert, key, clientCa],
      use: ([certText = "", keyText = "", ca]) => {
        this.#notAfterMs = checkPair(files, certText, keyText, ca, options.clock.now());
        const trust = this.#context.ca === ca ? "same" : "changed";
        // All of it each time: what is left out here, `setSecureContext` forgets.
        this.#context = {
          cert: certText,
          key: keyText,
          minVersion: "TLSv1.2",
          ...(ca === undefined ? {} : { ca }),
        };
        this.#warnedMs = Number.NEGATIVE_INFINITY;
        this.#listeners.forEach((listener) => listener(trust));
      },
      looked: () => this.#warnOfExpiry(),
    });
  }

  /** Reads the files. Throws `TLS_FILES_INVALID` and `FILE_UNREADABLE`. */
  static async open(files: TlsFiles, options: ServerTlsOptions): Promise<ServerTls> {
    const tls = new ServerTls(files, options);
    await tls.#files.start();
    tls.#warnOfExpiry();
    return tls;
  }

  /** What a listener is opened with, and takes again after each change. */
  get context(): SecureContextOptions {
    return this.#context;
  }

  /** Whether clients are asked for a certificate; fixed for the life of the process. */
  get asksForCertificates(): boolean {
    return this.#context.ca !== undefined;
  }

  /** End of the server certificate, wall clock in milliseconds: for a gauge. */
  get notAfterMs(): number {
    return this.#notAfterMs;
  }

  /** Calls `listener` after each change, and says whether other clients are trusted from now on; answers how to end that. */
  onChange(listener: (trust: Trust) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Looks at the files now. */
  look(): Promise<void> {
    return this.#files.look();
  }

  /** Ends the looking. */
  close(): void {
    this.#files.close();
  }

  #warnOfExpiry(): void {
    const { clock, log } = this.#options;
    const leftMs = this.#notAfterMs - clock.now();
    if (leftMs > WARN_MS || clock.monotonic() - this.#warnedMs < DAY_MS) {
      return;
    }
    this.#warnedMs = clock.monotonic();
    log.warn(
      { notAfter: new Date(this.#notAfterMs).toISOString(), days: Math.floor(leftMs / DAY_MS) },
      "the server certificate ends soon: put a new one in its place",
    );
  }
}

/** Throws `TLS_FILES_INVALID` unless a server can be run on the texts; answers when the certificate ends. Quotes no text. */
function checkPair(
  { cert, key, clientCa }: TlsFiles,
  certText: string,
  keyText: string,
  ca: string | undefined,
  nowMs: number,
): number {
  const certificate = attempt(`${cert} holds no certificate in PEM`, () => new X509Certificate(certText));
  const privateKey = attempt(`${key} holds no private key in PEM that can be read without a password`, () =>
    createPrivateKey(keyText),
  );
  if (!certificate.checkPrivateKey(privateKey)) {
    throw invalid(`the key in ${key} does not belong to the certificate in ${cert}`);
  }
  const notAfterMs = Date.parse(certificate.validTo);
  if (notAfterMs < nowMs) {
    throw invalid(`the certificate in ${cert} ended on ${new Date(notAfterMs).toISOString()}`);
  }
  const notBeforeMs = Date.parse(certificate.validFrom);
  if (notBeforeMs > nowMs) {
    throw invalid(
      `the certificate in ${cert} begins on ${new Date(notBeforeMs).toISOString()}, by this machine's clock later than now`,
    );
  }
  if (ca !== undefined) {
    attempt(`${clientCa ?? ""} holds no certificate in PEM`, () => new X509Certificate(ca));
  }
  attempt(`the files ${cert} and ${key} cannot be used together`, () =>
    createSecureContext({ cert: certText, key: keyText, ...(ca === undefined ? {} : { ca }) }),
  );
  return notAfterMs;
}

function attempt<T>(problem: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw invalid(problem, error);
  }
}

function invalid(problem: string, cause?: unknown): NetworkError {
  return new NetworkError(
    "invalid",
    "TLS_FILES_INVALID",
    `TLS cannot be served: ${problem}; give a certificate with its key (--tls-cert, --tls-key), made by "romana certs init" for a trial`,
    {},
    cause,
  );
}
