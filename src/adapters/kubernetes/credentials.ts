import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { isIPv6 } from "node:net";
import { join } from "node:path";

import { NetworkError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Logger } from "../../ports/logger.ts";

/** What a connection to the API server is made with. */
export interface TlsOptions {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

/** Where the API server is and how we say who we are. */
export interface Credentials {
  /** `https://10.96.0.1:443`, without a slash at the end. */
  readonly server: string;
  readonly tls: TlsOptions;
  /** `authorization` and the like; secret. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Reads credentials from where they are kept. `anew`: what was answered last was refused, so nothing that is remembered counts. */
export type LoadCredentials = (anew: boolean) => Promise<Credentials>;

/** Where a Pod finds the token and the authority of its service account. */
const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
/** A projected token is replaced when four fifths of its life are over (kubelet), by an hour or more before its end; so old it may be used. */
const GOOD_FOR_MS = 10_000;
const LOAD_TIMEOUT_MS = 30_000;

type Environment = Readonly<Record<string, string | undefined>>;

/** Whether this process runs in a Pod with a service account: the kubelet sets the variables, and the token is mounted. */
export function isInCluster(env: Environment = process.env, folder = SERVICE_ACCOUNT): boolean {
  if ((env["KUBERNETES_SERVICE_HOST"] ?? "") === "") {
    return false;
  }
  try {
    readFileSync(join(folder, "token"));
    return true;
  } catch {
    // Not there, or not for us: in either case there is no service account to use.
    return false;
  }
}

/** The service account of the Pod that we run in. Throws `CLUSTER_UNCONFIGURED` when there is none. */
export function inClusterCredentials(
  env: Environment = process.env,
  folder = SERVICE_ACCOUNT,
): LoadCredentials {
  if (!isInCluster(env, folder)) {
    throw unconfigured(
      `cannot follow the cluster that we run in: there is no KUBERNETES_SERVICE_HOST or no ${join(folder, "token")}; run in a Pod with a service account, or name a kubeconfig file`,
    );
  }
  const host = env["KUBERNETES_SERVICE_HOST"] ?? "";
  const port = env["KUBERNETES_SERVICE_PORT_HTTPS"] ?? env["KUBERNETES_SERVICE_PORT"] ?? "443";
  const server = `https://${isIPv6(host) ? `[${host}]` : host}:${port}`;
  return async () => {
    const [token, ca] = await Promise.all([
      readFile(join(folder, "token"), "utf8"),
      readFile(join(folder, "ca.crt"), "utf8"),
    ]);
    return { server, tls: { ca }, headers: { authorization: `Bearer ${token.trim()}` } };
  };
}

export function unconfigured(message: string, cause?: unknown): NetworkError {
  return new NetworkError("invalid", "CLUSTER_UNCONFIGURED", message, {}, cause);
}

export interface CredentialKeeperOptions {
  readonly load: LoadCredentials;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Credentials as calls use them: read again when they are 10 s old, and at once when the API server refused them. */
export class CredentialKeeper {
  readonly #options: CredentialKeeperOptions;
  #current: { readonly value: Credentials; readonly at: number } | undefined;
  #loading: Promise<Credentials> | undefined;
  #isRefused = false;
  #failure = "";

  constructor(options: CredentialKeeperOptions) {
    this.#options = options;
  }

  /** While they cannot be read, the last ones are used on. Rejects with `CLUSTER_UNAUTHENTICATED` when there are none. */
  async current(): Promise<Credentials> {
    const { clock, log } = this.#options;
    const known = this.#current;
    if (known !== undefined && !this.#isRefused && clock.monotonic() - known.at < GOOD_FOR_MS) {
      return known.value;
    }
    try {
      // One for all callers; one that hangs is waited for and never doubled.
      this.#loading ??= this.#load().finally(() => {
        this.#loading = undefined;
      });
      return await this.#inTime(this.#loading);
    } catch (error) {
      const failure = error instanceof Error ? withoutSecrets(error.message) : "unknown";
      if (failure !== this.#failure) {
        this.#failure = failure;
        log.warn({ reason: failure }, "the credentials for the API server cannot be read");
      }
      if (known !== undefined) {
        return known.value;
      }
      // Not as the cause: what a plugin or a parser says may hold what it read.
      // oxlint-disable-next-line preserve-caught-error
      throw new NetworkError(
        "invalid",
        "CLUSTER_UNAUTHENTICATED",
        `cannot read the credentials for the API server: ${failure}; look at the service account, or at the kubeconfig file and its plugin`,
      );
    }
  }

  /** The API server answered 401 to these. */
  refuse(used: Credentials): void {
    this.#isRefused ||= this.#current?.value === used;
  }

  async #load(): Promise<Credentials> {
    const value = await this.#options.load(this.#isRefused);
    this.#current = { value, at: this.#options.clock.monotonic() };
    this.#isRefused = false;
    this.#failure = "";
    return value;
  }

  async #inTime(loading: Promise<Credentials>): Promise<Credentials> {
    const late = Promise.withResolvers<never>();
    const timer = this.#options.clock.setTimer(LOAD_TIMEOUT_MS, () => {
      late.reject(new Error(`nothing came within ${LOAD_TIMEOUT_MS} ms`));
    });
    try {
      return await Promise.race([loading, late.promise]);
    } finally {
      timer.cancel();
    }
  }
}

/** Cuts a text and takes out what may be a token or a key: longer runs of the characters that those are made of. */
export function withoutSecrets(message: string): string {
  return message.replaceAll(/[A-Za-z0-9_+=-]{32,}(\.[A-Za-z0-9_+=-]+)*/g, "…").slice(0, 500);
}
