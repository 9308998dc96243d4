import type { IncomingMessage, RequestOptions } from "node:http";

import { NetworkError, type ErrorKind } from "../core/errors.ts";
import type { Credentials } from "./credentials.ts";
import { distrusted } from "./distrusted.ts";

/** Where a controller listens; `tls` for https. */
export type Endpoint =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number; readonly tls?: true }
  | { readonly kind: "unix"; readonly path: string };

/** One request. `body` is sent as JSON unless it is undefined. */
export interface HttpRequest {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
  /** The whole exchange may take this long. */
  readonly deadlineMs: number;
  /** What the answer must be; JSON unless given. */
  readonly accept?: string;
  /** The connection may be silent this long; without, as long as the deadline lets it. */
  readonly idleMs?: number;
  /** With what the client proves itself. A token goes over TLS, a unix socket and loopback, and nowhere else. */
  readonly credentials?: Credentials;
}

/**
 * Reads `http://HOST[:PORT]`, `https://HOST[:PORT]`, `HOST[:PORT]` (plain HTTP) or `unix:/PATH`; `defaultPort` is for a text without one. Throws
 * `SERVER_URL_INVALID`.
 */
export function parseEndpoint(text: string, defaultPort: number): Endpoint {
  if (text.startsWith("unix:/")) {
    return { kind: "unix", path: text.slice("unix:".length).replace(/^\/\/\//, "/") };
  }
  const url = URL.parse(text.includes("://") ? text : `http://${text}`);
  const tls = url?.protocol === "https:";
  if (
    url === null ||
    (url.protocol !== "http:" && !tls) ||
    url.hostname === "" ||
    !/^\/?$/.test(url.pathname) ||
    // It would end up in messages, and nothing reads it.
    url.username + url.password !== ""
  ) {
    throw new NetworkError(
      "invalid",
      "SERVER_URL_INVALID",
      `not the address of a controller: "${withoutUser(text)}"; write http://HOST:PORT or https://HOST:PORT, such as http://127.0.0.1:9600, or unix:/PATH`,
      { url: withoutUser(text) },
    );
  }
  const port = /:\d+\/?$/.test(text) ? Number(url.port || (tls ? 443 : 80)) : defaultPort;
  return {
    kind: "tcp",
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port,
    ...(tls ? { tls: true } : {}),
  };
}

/** A URL with user and password is refused, and they are not repeated. */
function withoutUser(text: string): string {
  return text.replace(/[^/]*@/, "");
}

/** The endpoint as a person writes it. */
export function formatEndpoint(endpoint: Endpoint): string {
  if (endpoint.kind === "unix") {
    return `unix:${endpoint.path}`;
  }
  const host = endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host;
  return `${endpoint.tls === true ? "https" : "http"}://${host}:${endpoint.port}`;
}

/**
 * Makes one request and answers the parsed body of a 2xx. Throws `NetworkError`: what the server's problem document says, or its status;
 * `SERVER_UNREACHABLE` and `SERVER_TIMED_OUT` (transient) when there is no answer, `ANSWER_MALFORMED` (invalid) when it is not ours. The
 * details of a refusal hold `status`, and `location` and `retryAfterSeconds` where the answer has these headers. Rejects with the signal's
 * reason when that is aborted.
 */
export async function exchange(
  endpoint: Endpoint,
  request: HttpRequest,
  signal: AbortSignal,
): Promise<unknown> {
  const deadline = AbortSignal.timeout(request.deadlineMs);
  try {
    return readAnswer(endpoint, request, await send(endpoint, request, AbortSignal.any([signal, deadline])));
  } catch (error) {
    if (error instanceof NetworkError) {
      throw error;
    }
    signal.throwIfAborted();
    throw unanswered(endpoint, request, error, deadline.aborted);
  }
}

/** A response that was read to its end. */
export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: { readonly location?: string; readonly retryAfterSeconds?: number };
}

async function send(endpoint: Endpoint, request: HttpRequest, signal: AbortSignal): Promise<Answer> {
  return await readWhole(await connect(endpoint, request, signal));
}

/** Makes a request and answers the response as soon as its headers are there. The signal ends the response too. Rejects with what Node throws. */
export async function connect(
  endpoint: Endpoint,
  { method, path, body, accept = "application/json", idleMs, credentials = {} }: HttpRequest,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const { token, serverName, ...certificates } = credentials;
  if (token !== undefined && !isPrivate(endpoint)) {
    throw new NetworkError(
      "invalid",
      "TOKEN_UNPROTECTED",
      `${method} ${path}: a token is not sent to ${formatEndpoint(endpoint)} without TLS, where others could read it: write https:// in --rootURL`,
      { place: formatEndpoint(endpoint) },
    );
  }
  const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
  const isSecure = endpoint.kind === "tcp" && endpoint.tls === true;
  const options: RequestOptions = {
    method,
    path,
    signal,
    agent: false,
    headers: {
      accept,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      // Stated for a DELETE too: Node would send its body chunked, which some servers and proxies refuse.
      ...(payload === undefined
        ? {}
        : { "content-type": "application/json", "content-length": payload.length }),
    },
    ...(endpoint.kind === "unix"
      ? { socketPath: endpoint.path }
      : { host: endpoint.host, port: endpoint.port }),
    ...(isSecure ? { ...certificates, minVersion: "TLSv1.2" } : {}),
    // Also for the leader that a follower names: its address need not stand in its certificate.
    ...(isSecure && serverName !== undefined ? { servername: serverName } : {}),
  };
  // Loaded when it is needed: it takes longer than everything else that a command without a request loads.
  const { request: httpRequest } = isSecure ? await import("node:https") : await import("node:http");
  return await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = httpRequest(options, resolve).once("error", reject);
    if (idleMs !== undefined) {
      sent.setTimeout(idleMs, () => sent.destroy(new Error(`nothing came for ${idleMs / 1000} s`)));
    }
    sent.end(payload);
  });
}

/** The rest of a response, as text. */
export async function readWhole(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) {
    chunks.push(chunk as Buffer);
  }
  const { location, "retry-after": retryAfter } = response.headers;
  return {
    status: response.statusCode ?? 0,
    text: Buffer.concat(chunks).toString("utf8"),
    headers: {
      ...(location === undefined ? {} : { location }),
      ...(/^\d{1,9}$/.test(retryAfter ?? "") ? { retryAfterSeconds: Number(retryAfter) } : {}),
    },
  };
}

/** Whether nobody can listen on the way. */
function isPrivate(endpoint: Endpoint): boolean {
  return (
    endpoint.kind === "unix" ||
    endpoint.tls === true ||
    /^(localhost|127\.\d+\.\d+\.\d+|::1)$/.test(endpoint.host)
  );
}

/** The parsed body of a 2xx. Throws what `exchange` throws for any other answer. */
export function readAnswer(
  endpoint: Endpoint,
  request: HttpRequest,
  { status, text, headers }: Answer,
): unknown {
  const body = parseJson(text);
  if (status >= 200 && status < 300 && body !== undefined) {
    return body.value;
  }
  if (status >= 400 || status === 307) {
    throw refusal({ status, ...headers }, body?.value, () => {
      const asked = `${request.method} ${request.path}`;
      return `${formatEndpoint(endpoint)} answers ${asked} with status ${status} and no reason: is it a Romana controller, and of the same version?`;
    });
  }
  throw new NetworkError(
    "invalid",
    "ANSWER_MALFORMED",
    `${formatEndpoint(endpoint)} answered ${status} with something that is not Romana's: is it a Romana controller?`,
    { status },
  );
}

function parseJson(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

/** The error that a problem document stands for; without one, the status decides. */
function refusal(
  details: { readonly status: number } & Answer["headers"],
  body: unknown,
  withoutReason: () => string,
): NetworkError {
  const { status } = details;
  const problem = (typeof body === "object" && body !== null ? body : {}) as Readonly<
    Record<string, unknown>
  >;
  const [, kind, code] = /^urn:romana:error:([a-z-]+):([A-Z_]+)$/.exec(String(problem["type"])) ?? [];
  const message = typeof problem["message"] === "string" ? problem["message"] : withoutReason();
  return new NetworkError(
    isKind(kind) ? kind : kindOfStatus(status),
    code ?? "REQUEST_REFUSED",
    message,
    details,
  );
}

function isKind(text: string | undefined): text is ErrorKind {
  return (
    text === "invalid" ||
    text === "not-found" ||
    text === "conflict" ||
    text === "exhausted" ||
    text === "transient"
  );
}

function kindOfStatus(status: number): ErrorKind {
  if (status === 404) {
    return "not-found";
  }
  if (status === 409) {
    return "conflict";
  }
  return status >= 500 || status === 429 || status === 307 ? "transient" : "invalid";
}

/** The error for a request that has no answer; `late`: its deadline has passed. */
export function unanswered(
  endpoint: Endpoint,
  request: HttpRequest,
  cause: unknown,
  late: boolean,
): NetworkError {
  const place = formatEndpoint(endpoint);
  if (late) {
    const seconds = request.deadlineMs / 1000;
    return new NetworkError(
      "transient",
      "SERVER_TIMED_OUT",
      `${request.method} ${request.path} on ${place} took longer than ${seconds} s: try again, or look at the controller's log`,
      { place },
      cause,
    );
  }
  const distrust = distrusted(place, cause);
  if (distrust !== undefined) {
    return distrust;
  }
  const { code, message } = cause as NodeJS.ErrnoException;
  const isCut = code === "ECONNRESET" && place.startsWith("http:");
  return new NetworkError(
    "transient",
    "SERVER_UNREACHABLE",
    `no controller answers on ${place} (${code ?? message}): start one with "romana controller", or name another with --rootURL${isCut ? "; if it serves TLS, write https://" : ""}`,
    { place },
    cause,
  );
}
