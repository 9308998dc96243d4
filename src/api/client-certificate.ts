import type { TLSSocket } from "node:tls";

import { certificateCaller, type Caller } from "../core/access/access.ts";
import { NetworkError } from "../core/errors.ts";

/** What a connection's certificate says; it cannot change while the connection stands. */
interface PeerIdentity {
  readonly caller: Caller | NetworkError;
  /** Wall clock after which it no longer holds. */
  readonly untilMs: number;
}

const known = new WeakMap<TLSSocket, PeerIdentity>();

/**
 * Who stands behind a TLS connection by its client certificate, or the error that says why nobody does: `AUTH_REQUIRED` without a certificate,
 * `CLIENT_CERTIFICATE_REFUSED` for one that was not signed by the authority of `--tls-client-ca`, has expired, or names no role.
 */
export function peerCaller(socket: TLSSocket, nowMs: number): Caller | NetworkError {
  let identity = known.get(socket);
  if (identity === undefined) {
    identity = identify(socket);
    known.set(socket, identity);
  }
  return nowMs <= identity.untilMs ? identity.caller : refused("it has expired");
}

function identify(socket: TLSSocket): PeerIdentity {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) {
    return {
      untilMs: Number.POSITIVE_INFINITY,
      caller: new NetworkError(
        "invalid",
        "AUTH_REQUIRED",
        "the request does not say who asks: use a client certificate, or send a token (Authorization: Bearer ...)",
      ),
    };
  }
  const untilMs = Date.parse(certificate.validTo);
  if (!socket.authorized) {
    return { untilMs, caller: refused(`it is not verified (${String(socket.authorizationError)})`) };
  }
  const { subject } = certificate.toLegacyObject();
  const caller = certificateCaller({ organizations: values(subject.O), commonNames: values(subject.CN) });
  return { untilMs, caller: typeof caller === "string" ? refused(caller) : caller };
}

function refused(reason: string): NetworkError {
  return new NetworkError(
    "invalid",
    "CLIENT_CERTIFICATE_REFUSED",
    `the client certificate stands for nobody: ${reason}; use one of the authority in --tls-client-ca, or a token`,
  );
}

/** Node gives one value as a text, several as a list. */
function values(value: unknown): readonly string[] {
  if (value === undefined) {
    return [];
  }
  return (Array.isArray(value) ? value : [value]).map(String);
}
