import type { ErrorKind, NetworkError } from "../core/errors.ts";
import { supportedTypes } from "./media-types.ts";

/**
 * The body of every error: the original's keys first, in its order, then those of RFC 9457. `details`, `resource_id` and `resource_type`
 * are left out when there is nothing to say; `type` is `urn:romana:error:<kind>:<CODE>`, so that a program can tell a taken name from a
 * full network, which are both 409.
 */
export interface Problem {
  readonly status_code: number;
  readonly details?: unknown;
  readonly resource_id?: string;
  readonly resource_type?: string;
  readonly see_also: string;
  readonly message: string;
  readonly type: string;
  readonly title: string;
}

/** What the error is about, as the route knows it. */
export interface Subject {
  readonly resourceType?: string | undefined;
  readonly resourceId?: string | undefined;
}

const statusOfKind: Readonly<Record<ErrorKind, number>> = {
  invalid: 400,
  "not-found": 404,
  conflict: 409,
  exhausted: 409,
  transient: 503,
};

/** Codes whose status is not that of their kind: what HTTP itself has a word for. */
const statusOfCode: Readonly<Record<string, number>> = {
  NOT_LEADER: 307,
  AUTH_REQUIRED: 401,
  TOKEN_UNKNOWN: 401,
  CLIENT_CERTIFICATE_REFUSED: 401,
  ACCESS_DENIED: 403,
  TOKEN_UNBOUND: 403,
  ADDRESS_ELSEWHERE: 403,
  POD_ELSEWHERE: 403,
  AUTH_THROTTLED: 429,
  REQUEST_CROSS_SITE: 403,
  REQUEST_HEAD_TOO_LARGE: 431,
  REQUEST_NOT_ACCEPTABLE: 406,
  REQUEST_SLOW: 408,
  REQUEST_TOO_LARGE: 413,
  REQUEST_URI_TOO_LONG: 414,
  REQUEST_TYPE_UNSUPPORTED: 415,
  REQUESTS_TOO_MANY: 429,
  POLICY_ID_MISSING: 422,
  WATCH_TOO_OLD: 410,
  WATCH_STREAMS_TOO_MANY: 429,
  // The server's own trouble, for now: no client shall take it for a full network.
  STORE_FULL: 503,
};

/** Where the original's `details` is a text that its clients compare. */
const textOfCode: Readonly<Record<string, string>> = {
  ADDRESS_NAME_MISSING: "Name required",
  ADDRESS_HOST_MISSING: "Host required",
  POLICY_NOT_NAMED: "Request must either be to /policies/{policyID} or have a body.",
  POLICY_ID_MISSING: "Policy ID not found in input",
};

const titles: Readonly<Record<number, string>> = {
  307: "Temporary Redirect",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  406: "Not Acceptable",
  408: "Request Timeout",
  409: "Conflict",
  410: "Gone",
  413: "Content Too Large",
  414: "URI Too Long",
  415: "Unsupported Media Type",
  422: "Unprocessable Content",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

/** HTTP status of an error of ours. */
export function statusOf(error: NetworkError): number {
  return statusOfCode[error.code] ?? statusOfKind[error.kind];
}

/** The document for an error of ours. */
export function problemOf(error: NetworkError, subject: Subject): Problem {
  const status = statusOf(error);
  const details = detailsOf(error, subject);
  return {
    status_code: status,
    ...(details === undefined ? {} : { details }),
    ...(subject.resourceId === undefined ? {} : { resource_id: subject.resourceId }),
    ...(subject.resourceType === undefined ? {} : { resource_type: subject.resourceType }),
    see_also: "",
    message: error.message,
    type: `urn:romana:error:${error.kind}:${error.code}`,
    title: titles[status] ?? "Error",
  };
}

/** The document for a bug of ours: it tells nothing of the inside, the log does. */
export function internalProblem(): Problem {
  return {
    status_code: 500,
    see_also: "",
    message: "the server failed on this request; its log says why",
    type: "about:blank",
    title: "Internal Server Error",
  };
}

function detailsOf(error: NetworkError, subject: Subject): unknown {
  const text = textOfCode[error.code];
  if (text !== undefined) {
    return text;
  }
  if (error.code === "REQUEST_NOT_ACCEPTABLE" || error.code === "REQUEST_TYPE_UNSUPPORTED") {
    return { supported_content_types: supportedTypes };
  }
  if (error.kind === "conflict" && error.code.endsWith("_EXISTS")) {
    return existsDetails(error, subject);
  }
  return Object.keys(error.details).length === 0 ? undefined : error.details;
}

/** The original's "exists" error: `Object` is what stands in the way as it is recorded, an address with whom it belongs to, a host with its address. */
function existsDetails(error: NetworkError, subject: Subject): unknown {
  const { name, address, ip } = error.details;
  const attributes = Object.entries({ name, IP: ip }).filter(([, value]) => value !== undefined);
  return {
    Type: subject.resourceType ?? error.code.slice(0, -"_EXISTS".length).toLowerCase(),
    Attributes: attributes.map(([key, value]) => `${key}=${String(value)}`),
    Object: holderOf(error),
    Message:
      error.code === "ADDRESS_EXISTS"
        ? `Address with name ${String(name)} already allocated: ${String(address)}`
        : error.message,
  };
}

function holderOf({ details }: NetworkError): unknown {
  const { name, address, host, tenant, segment, namespace, pod, podUID, holderName, holderIp } = details;
  if (address !== undefined) {
    const given = podUID === undefined ? {} : { pod: { namespace, name: pod, uid: podUID } };
    return { address, host, tenant, segment, ...given };
  }
  return holderName === undefined ? (name ?? "") : { ip: holderIp, name: holderName };
}
