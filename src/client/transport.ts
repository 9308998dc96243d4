import { setTimeout as delay } from "node:timers/promises";

import { NetworkError } from "../core/errors.ts";
import type { Credentials } from "./credentials.ts";
import { exchange, formatEndpoint, parseEndpoint, type Endpoint, type HttpRequest } from "./http.ts";

/** One exchange that ended, for a log. No header and no body is in it, so no secret either. */
export interface ExchangeNote {
  readonly method: HttpRequest["method"];
  readonly path: string;
  readonly place: string;
  /** `ok`, or the code of the error. */
  readonly outcome: string;
  readonly durationMs: number;
}

/** What a transport works with. */
export interface TransportParts {
  readonly endpoint: Endpoint;
  readonly credentials: Credentials;
  readonly signal: AbortSignal;
  readonly observe: (note: ExchangeNote) => void;
}

/** The longest time that a read waits before it is tried again, and what it waits when the server does not say. */
const longestWaitSeconds = 3;
const usualWaitSeconds = 1;

/**
 * Exchanges with one controller. A follower's 307 is followed once, to the leader that it names; a read that is answered 429 or 503 is tried
 * once more, after what `Retry-After` says but three seconds at most.
 */
export class Transport {
  readonly #parts: TransportParts;

  constructor(parts: TransportParts) {
    this.#parts = parts;
  }

  /** Answers the parsed body of a 2xx; throws as `exchange` does, and `REDIRECT_REFUSED`. */
  async request(request: HttpRequest): Promise<unknown> {
    try {
      return await this.#followed(request);
    } catch (error) {
      const waitSeconds = waitBefore(request, error);
      if (waitSeconds === undefined) {
        throw error;
      }
      await delay(waitSeconds * 1000, undefined, { signal: this.#parts.signal }).catch(() =>
        this.#parts.signal.throwIfAborted(),
      );
      return await this.#followed(request);
    }
  }

  async #followed(request: HttpRequest): Promise<unknown> {
    const { endpoint, credentials } = this.#parts;
    try {
      return await this.#observed(endpoint, request);
    } catch (error) {
      const location = locationOf(error);
      if (location === undefined) {
        throw error;
      }
      const leader = leaderAt(location, endpoint, credentials, request, error);
      return await this.#observed(leader.endpoint, { ...request, path: leader.path });
    }
  }

  async #observed(endpoint: Endpoint, request: HttpRequest): Promise<unknown> {
    const { credentials, signal, observe } = this.#parts;
    const startMs = performance.now();
    let outcome = "ok";
    try {
      return await exchange(endpoint, { ...request, credentials }, signal);
    } catch (error) {
      outcome = error instanceof NetworkError ? error.code : "failed";
      throw error;
    } finally {
      const { method, path } = request;
      observe({
        method,
        path,
        place: formatEndpoint(endpoint),
        outcome,
        durationMs: performance.now() - startMs,
      });
    }
  }
}

function waitBefore({ method }: HttpRequest, error: unknown): number | undefined {
  if (method !== "GET" || !(error instanceof NetworkError)) {
    return undefined;
  }
  const { status, retryAfterSeconds = usualWaitSeconds } = error.details;
  return status === 429 || status === 503
    ? Math.min(Number(retryAfterSeconds), longestWaitSeconds)
    : undefined;
}

function locationOf(error: unknown): string | undefined {
  const { status, location } = error instanceof NetworkError ? error.details : {};
  return status === 307 && typeof location === "string" ? location : undefined;
}

/** Where a follower sends us. Throws `REDIRECT_REFUSED` when going there would give away what TLS protects. */
function leaderAt(
  location: string,
  from: Endpoint,
  credentials: Credentials,
  { method, path }: HttpRequest,
  cause: unknown,
): { readonly endpoint: Endpoint; readonly path: string } {
  const asked = `${method} ${path}`;
  const url = URL.parse(location);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw refused(
      `${asked}: ${formatEndpoint(from)} does not lead and points to "${location}", which is no URL`,
      cause,
    );
  }
  const port = url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port);
  const endpoint = parseEndpoint(`${url.protocol}//${url.hostname}:${port}`, port);
  const place = formatEndpoint(endpoint);
  const isPlain = url.protocol === "http:";
  if (isPlain && formatEndpoint(from).startsWith("https:")) {
    throw refused(
      `${asked}: ${formatEndpoint(from)} does not lead and points to ${place} without TLS: give the leader an https URL, or ask it with --rootURL`,
      cause,
    );
  }
  if (isPlain && credentials.token !== undefined && !isSameHost(endpoint, from)) {
    throw refused(
      `${asked}: ${formatEndpoint(from)} does not lead and points to ${place}; a token is not sent to another host without TLS: ask that one with --rootURL, if you trust the way there`,
      cause,
    );
  }
  return { endpoint, path: `${url.pathname}${url.search}` };
}

function isSameHost(one: Endpoint, other: Endpoint): boolean {
  return one.kind === "tcp" && other.kind === "tcp" && one.host === other.host;
}

function refused(message: string, cause: unknown): NetworkError {
  return new NetworkError("invalid", "REDIRECT_REFUSED", message, {}, cause);
}
