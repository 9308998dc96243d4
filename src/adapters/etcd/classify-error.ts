import {
  ClientClosedError,
  EtcdAuthenticationFailedError,
  EtcdError,
  EtcdInvalidAuthTokenError,
  EtcdLeaseInvalidError,
  EtcdPermissionDeniedError,
  EtcdUserNotFoundError,
  GRPCGenericError,
  castGrpcError,
} from "etcd3";

import { NetworkError } from "../../core/errors.ts";

/** What a failed call means. */
export interface EtcdFailure {
  /** For the caller: a `NetworkError`, or the error itself when it is none of etcd's (a bug). */
  readonly error: unknown;
  /** The request surely never left this machine, or was refused unread: it may be sent again whatever it was. */
  readonly notSent: boolean;
  /** Another endpoint may answer. */
  readonly elsewhere: boolean;
  /** Our token is of no use any more: log in again. */
  readonly loginStale: boolean;
}

/** Words of grpc-js for a call that found no connection (load-balancer-pick-first.js, internal-channel.js, resolver-dns.js, 1.14). */
const NOT_SENT = /No connection established|Channel closed before call started|Name resolution failed/;
/** Words of etcd (`api/v3rpc/rpctypes/error.go`, 3.4 and 3.5). */
const STALE_LOGIN = /invalid auth token|revision of auth store is old/;
const DENIED =
  /permission denied|user name is empty|user name not found|authentication failed|authentication is not enabled/;
const TOO_LARGE = /request is too large|too many operations in txn|message larger than max/;

/**
 * The one place that says what an error of a call to etcd means. `doing` completes "cannot …"; `endpoint` is named, credentials never are.
 *
 * - no answer, a lost connection, no leader, an overload: `STORE_UNAVAILABLE` (transient)
 * - etcd's space quota or disk is used up: `STORE_FULL` (exhausted)
 * - user, password, role or certificate refused: `STORE_DENIED` (invalid)
 * - `STORE_COMPACTED` (conflict), `LEASE_NOT_FOUND` (not-found), `TRANSACTION_TOO_LARGE` (invalid)
 */
export function classifyError(thrown: unknown, endpoint: string, doing: string): EtcdFailure {
  const error = thrown instanceof Error ? castGrpcError(thrown) : thrown;
  if (!isEtcdError(error)) {
    return { error, notSent: false, elsewhere: false, loginStale: false };
  }
  const { message } = error;
  const loginStale = STALE_LOGIN.test(message);
  const notSent = NOT_SENT.test(message) || error instanceof ClientClosedError || loginStale;
  const named = refusal(error, endpoint, doing);
  return {
    error: named ?? unavailable(endpoint, doing, message, error),
    notSent,
    elsewhere: named === undefined && !loginStale && !(error instanceof ClientClosedError),
    loginStale,
  };
}

/** `STORE_UNAVAILABLE`, transient: whoever wrote does not know what became of it. */
export function unavailable(endpoint: string, doing: string, reason: string, cause?: unknown): NetworkError {
  return new NetworkError(
    "transient",
    "STORE_UNAVAILABLE",
    `cannot ${doing}: etcd at ${endpoint}: ${reason}; look whether it runs and has a leader (etcdctl endpoint status)`,
    { endpoint },
    cause,
  );
}

/** `STORE_COMPACTED`, conflict. */
export function compacted(endpoint: string, doing: string, reason: string, cause?: unknown): NetworkError {
  return new NetworkError(
    "conflict",
    "STORE_COMPACTED",
    `cannot ${doing}: ${reason}; list everything again`,
    { endpoint },
    cause,
  );
}

/** `LEASE_NOT_FOUND`, not-found. */
export function leaseNotFound(lease: string, cause?: unknown): NetworkError {
  return new NetworkError(
    "not-found",
    "LEASE_NOT_FOUND",
    `no lease "${lease}": it ended or was never granted; ask for a new one and write its keys again`,
    { lease },
    cause,
  );
}

function refusal(error: Error, endpoint: string, doing: string): NetworkError | undefined {
  const { message } = error;
  if (error instanceof EtcdLeaseInvalidError || message.includes("requested lease not found")) {
    return new NetworkError(
      "not-found",
      "LEASE_NOT_FOUND",
      `cannot ${doing}: the lease ended or was never granted; ask for a new one and write its keys again`,
      { endpoint },
      error,
    );
  }
  if (message.includes("database space exceeded")) {
    return new NetworkError(
      "exhausted",
      "STORE_FULL",
      `cannot ${doing}: etcd at ${endpoint} has no space left (alarm NOSPACE); nothing was changed; compact and defragment it, ` +
        "raise its --quota-backend-bytes if need be, and then clear the alarm (etcdctl alarm disarm)",
      { endpoint },
      error,
    );
  }
  if (message.includes("required revision has been compacted")) {
    return compacted(endpoint, doing, "the history of etcd no longer reaches back that far", error);
  }
  if (TOO_LARGE.test(message)) {
    return new NetworkError(
      "invalid",
      "TRANSACTION_TOO_LARGE",
      `cannot ${doing}: etcd at ${endpoint} refuses its size (${message}); split it, or leave etcd's --max-request-bytes and --max-txn-ops at their defaults`,
      { endpoint },
      error,
    );
  }
  const denied =
    error instanceof EtcdAuthenticationFailedError ||
    error instanceof EtcdPermissionDeniedError ||
    error instanceof EtcdUserNotFoundError ||
    DENIED.test(message);
  return denied
    ? new NetworkError(
        "invalid",
        "STORE_DENIED",
        `cannot ${doing}: etcd at ${endpoint} refuses us (${message}); look at the user, its password file, its role and the client certificate`,
        { endpoint },
        error,
      )
    : undefined;
}

function isEtcdError(error: unknown): error is Error {
  return [
    GRPCGenericError,
    EtcdError,
    ClientClosedError,
    EtcdLeaseInvalidError,
    EtcdAuthenticationFailedError,
    EtcdInvalidAuthTokenError,
    EtcdPermissionDeniedError,
    EtcdUserNotFoundError,
  ].some((kind) => error instanceof kind);
}
