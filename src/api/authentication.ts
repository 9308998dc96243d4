import { createHash } from "node:crypto";
import { TLSSocket } from "node:tls";

import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";

import { decideAccess, type Access, type Caller } from "../core/access/access.ts";
import { NetworkError } from "../core/errors.ts";
import type { TokenAuthenticator } from "../ports/authenticator.ts";
import type { Clock } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";
import { accessOf, denied, nobody } from "./access.ts";
import { peerCaller } from "./client-certificate.ts";
import { FailedAttempts } from "./failed-attempts.ts";
import { isByUnixSocket } from "./listen.ts";

/** How callers are known. */
export interface Authentication {
  /** Asked in this order for the caller of a bearer token. */
  readonly tokens: readonly TokenAuthenticator[];
  /** Whether callers on loopback and on a unix socket have to be known too; else they are `admin`. */
  readonly requireAuth: boolean;
  readonly clock: Clock;
}

/** The caller on loopback or on a unix socket of whom no more is asked. */
const local: Caller = { user: "local", role: "admin", host: "" };

/** Hosts that nobody in the internet can own: addresses, names without a dot, and those below `localhost`. */
const LOCAL_HOST = /^([\w-]+|.*\.localhost|[\d.]+|\[[\da-f:.]+\])(:\d+)?$/i;

/**
 * Finds out who asks, and refuses whoever is not known (401) or may not (403), before a byte of the body is read. By a bearer token when there is one, else by the
 * client certificate; over plain HTTP, which is served on loopback and on unix sockets alone, whoever says nothing is `admin`, unless `requireAuth`.
 */
export function authenticate(
  app: FastifyInstance,
  { tokens, requireAuth, clock }: Authentication,
  log: Logger,
): void {
  const failures = new FailedAttempts();
  app.decorateRequest("caller");

  app.addHook("onRequest", (request, reply, done) => {
    request.caller = nobody;
    const access = accessOf(request);
    if (access === "open") {
      done();
      return;
    }
    const token = bearerToken(request);
    if (token === undefined || (isPlain(request) && tokens.length === 0 && !requireAuth)) {
      done(admit(request, reply, access, callerWithoutToken(request)));
      return;
    }
    const stop = new AbortController();
    reply.raw.once("close", () =>
      stop.abort(new NetworkError("transient", "REQUEST_ABANDONED", "the client went away")),
    );
    const work = callerOf(token, sourceOf(request), stop.signal).then(({ caller, isCounted }) =>
      admit(request, reply, access, caller, isCounted),
    );
    // oxlint-disable-next-line promise/no-callback-in-promise -- a promise for every request only for those with a token
    work.then(done, done);
  });

  /** The error for whoever is not known or may not; lets everybody else in. */
  function admit(
    request: FastifyRequest,
    reply: FastifyReply,
    access: Access,
    caller: Caller | NetworkError,
    isCounted = false,
  ): NetworkError | undefined {
    if (caller instanceof NetworkError) {
      return refuse(request, reply, caller, isCounted);
    }
    request.caller = caller;
    return decideAccess(caller, access) === "denied" ? denied(caller, request) : undefined;
  }

  /** The answer to somebody who is not known; `isCounted`: as a failure, already. */
  function refuse(
    request: FastifyRequest,
    reply: FastifyReply,
    error: NetworkError,
    isCounted: boolean,
  ): NetworkError {
    const source = sourceOf(request);
    if (!isCounted && failures.isTooMany(source, clock.monotonic())) {
      return throttled();
    }
    log.warn(
      { source, method: request.method, route: request.routeOptions.url, code: error.code },
      "a caller is not known",
    );
    reply.header(
      "www-authenticate",
      error.code === "TOKEN_UNKNOWN" ? `${CHALLENGE}, error="invalid_token"` : CHALLENGE,
    );
    return error;
  }

  /** Whoever makes others be asked is counted as if it failed until it is known that it did not: else a flood of made-up tokens were a flood of reviews. */
  async function callerOf(
    token: string,
    source: string,
    signal: AbortSignal,
  ): Promise<{ readonly caller: Caller | NetworkError; readonly isCounted: boolean }> {
    let isCounted = false;
    const count = (): void => {
      if (!isCounted && failures.isTooMany(source, clock.monotonic())) {
        throw throttled();
      }
      isCounted = true;
    };
    const takeBack = (): void => {
      if (isCounted) {
        failures.takeBack(source);
      }
    };
    for (const authenticator of tokens) {
      try {
        const caller = await authenticator.callerOf(token, signal, count);
        if (caller !== undefined) {
          takeBack();
          return { caller, isCounted };
        }
      } catch (error) {
        // Whoever leaves has made others be asked all the same.
        if (!signal.aborted) {
          takeBack();
        }
        throw error;
      }
    }
    const caller = new NetworkError(
      "invalid",
      "TOKEN_UNKNOWN",
      "the token of this request is not known here: use one that stands in the controller's token file, or one of the cluster's for our audience",
    );
    return { caller, isCounted };
  }

  function callerWithoutToken(request: FastifyRequest): Caller | NetworkError {
    const { socket, headers } = request.raw;
    if (socket instanceof TLSSocket) {
      return peerCaller(socket, clock.now());
    }
    if (requireAuth) {
      return new NetworkError("invalid", "AUTH_REQUIRED", WHO);
    }
    // A web page whose name was made to mean 127.0.0.1 comes here with its own name as the host.
    return LOCAL_HOST.test(headers.host ?? "localhost") || isByUnixSocket(socket)
      ? local
      : new NetworkError(
          "invalid",
          "AUTH_REQUIRED",
          `callers on loopback are trusted when they ask for an address or a name without a dot, and this request asks for "${headers.host ?? ""}": use 127.0.0.1, or send a token`,
        );
  }
}

function throttled(): NetworkError {
  return new NetworkError(
    "transient",
    "AUTH_THROTTLED",
    "too many requests from this address failed to say who asks: wait a second, and correct the credentials",
  );
}

function sourceOf(request: FastifyRequest): string {
  return request.raw.socket.remoteAddress ?? "";
}

const CHALLENGE = 'Bearer realm="romana"';

const WHO =
  "the request does not say who asks: send a token (Authorization: Bearer ...), or use a client certificate over TLS";

/** The hash under which a token is looked up: the time that takes says nothing about a token that is known. */
export function hashToken(token: string): string {
  return createHash("sha256").update(token).digest("base64");
}

function isPlain(request: FastifyRequest): boolean {
  return !(request.raw.socket instanceof TLSSocket);
}

/**
 * The token of an Authorization header, "" for one of another scheme and for several headers, of which something in between may have looked at another one;
 * `undefined` without the header.
 */
function bearerToken({ headers, raw }: FastifyRequest): string | undefined {
  const { authorization } = headers;
  if (authorization === undefined) {
    return undefined;
  }
  // Names and values take turns.
  const given = raw.rawHeaders.filter(
    (name, index) => index % 2 === 0 && name.toLowerCase() === "authorization",
  );
  return given.length > 1 ? "" : (/^Bearer +(\S+) *$/i.exec(authorization)?.[1] ?? "");
}
