import type { Clock } from "../../ports/clock.ts";
import type { Logger } from "../../ports/logger.ts";

/** Files of TLS, in PEM. They are read again when they change. Without `cert` and `key` we show no certificate; without `ca` the system's authorities are trusted. */
export interface EtcdTlsFiles {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** Who we are for etcd; the password stands in a file, which is read again when it changes. A newline at its end is no part of it. */
export interface EtcdLogin {
  readonly user: string;
  readonly passwordFile: string;
}

/** What an `EtcdStore` needs. Times in milliseconds. */
export interface EtcdStoreOptions {
  /** `http://HOST:PORT` or `https://HOST:PORT`, all of one kind, at least one; without user or password in them. */
  readonly endpoints: readonly string[];
  readonly tls?: EtcdTlsFiles | undefined;
  readonly login?: EtcdLogin | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long one endpoint may take over one call (5,000). */
  readonly requestTimeoutMs?: number;
  /** Between two looks at the files of TLS and of the password (5,000). */
  readonly reloadMs?: number;
  /** A connection on which nothing comes for this long is asked for a sign of life (5,000: etcd ends connections that ask more often). */
  readonly keepaliveMs?: number;
  /** How long that sign may take before the connection is given up (2,000). */
  readonly keepaliveTimeoutMs?: number;
  /** Entries asked for at once when all is listed (10,000). */
  readonly pageSize?: number;
}
