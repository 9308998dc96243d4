import type { Authentication } from "../api/authentication.ts";
import { ServerTls } from "../api/tls.ts";
import { TokenFile } from "../api/token-file.ts";
import { WATCH_INTERVAL_MS } from "../api/watched-files.ts";
import type { SecurityConfig } from "../config/load.ts";
import type { TokenAuthenticator } from "../ports/authenticator.ts";
import type { Clock } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";

/** What a server is given to serve with TLS and to know its callers. */
export interface Security {
  readonly tls: ServerTls | undefined;
  readonly authentication: Authentication;
  /** Calls `listener` when callers may have lost their tokens. */
  onTokensChanged(listener: () => void): void;
  /** Stops looking at the files. */
  close(): void;
}

/**
 * Reads the files of TLS and tokens, and keeps them read. `others` know tokens that stand in no file, and are asked after it. Throws `TLS_FILES_INVALID`,
 * `TOKEN_FILE_INVALID` and `FILE_UNREADABLE`.
 */
export async function createSecurity(
  { tls: files, tokenFile, requireAuth }: SecurityConfig,
  clock: Clock,
  log: Logger,
  others: readonly TokenAuthenticator[] = [],
): Promise<Security> {
  const watch = { clock, log, intervalMs: WATCH_INTERVAL_MS };
  const tls = files === undefined ? undefined : await ServerTls.open(files, watch);
  try {
    const tokens = tokenFile === undefined ? undefined : await TokenFile.open(tokenFile, watch);
    return {
      tls,
      authentication: {
        tokens: [...(tokens === undefined ? [] : [tokens]), ...others],
        requireAuth,
        clock,
      },
      onTokensChanged: (listener) => tokens?.onChange(listener),
      close: () => {
        tls?.close();
        tokens?.close();
      },
    };
  } catch (error) {
    tls?.close();
    throw error;
  }
}
