import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";

import { NetworkError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import { errorOfConnection, errorOfStatus, type AskedCall } from "./classify-error.ts";
import type { CredentialKeeper, Credentials, TlsOptions } from "./credentials.ts";

/** One request to the API server. */
export interface ApiCall extends AskedCall {
  /** `GET` unless given. */
  readonly method?: "GET" | "POST" | "PUT" | "PATCH";
  /** With the query, if any: `/api/v1/nodes?limit=500`. */
  readonly path: string;
  readonly body?: unknown;
  /** `application/json` unless given. */
  readonly contentType?: string;
  /** Until the end of the answer; of a watch, until its beginning. 10 s unless given. */
  readonly timeoutMs?: number;
  /** A text of the body that must not get into any message. */
  readonly secret?: string;
}

export interface TransportOptions {
  readonly credentials: CredentialKeeper;
  readonly clock: Clock;
  /** Of the program; goes along as `romana-<component>/<version>`. */
  readonly version: string;
  /** Which part of it calls; `controller` unless given. */
  readonly component?: string;
  /** An answer may be so long; 64 MiB unless given. */
  readonly maxBodyBytes?: number;
}

const TIMEOUT_MS = 10_000;
const MAX_BODY_BYTES = 64 * 1024 * 1024;
/** Of an answer that refuses, what is read of it. */
const MAX_ERROR_BYTES = 64 * 1024;
/** A watch of each kind, and calls beside them; more wait. */
const MAX_SOCKETS = 32;
/** Connections without work that are kept. */
const MAX_FREE_SOCKETS = 8;

/** An answer is longer than may be taken. */
export class BodyTooLongError extends Error {
  override readonly name = "BodyTooLongError";
}

/**
 * Every call to the API server, over one agent that keeps its connections. It repeats nothing, but for a read whose kept connection turned out to be closed. Errors are
 * those of `ClusterWriter`; a call whose signal was aborted rejects with the signal's reason.
 */
export class Transport {
  readonly #options: TransportOptions;
  #agent: { readonly key: string; readonly agent: HttpAgent } | undefined;
  #isClosed = false;

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  /** Sends a call and reads its answer as JSON. Throws `BodyTooLongError` for one that is too long. */
  async json(call: ApiCall, signal: AbortSignal): Promise<unknown> {
    return this.#inTime(call, signal, async (callSignal) => {
      const answer = await this.#send(call, callSignal);
      const text = await bodyOf(answer, this.#options.maxBodyBytes ?? MAX_BODY_BYTES);
      try {
        return JSON.parse(text) as unknown;
      } catch {
        // Without the parser's words: they quote the body.
        throw new Error("the answer is no JSON");
      }
    });
  }

  /** Sends a call and hands over its answer as it comes. Whoever takes it destroys it, or reads it to its end; its errors are the socket's. */
  async stream(call: ApiCall, signal: AbortSignal): Promise<IncomingMessage> {
    return this.#inTime(call, signal, (callSignal) => this.#send(call, callSignal));
  }

  /** Closes every connection; calls that are on their way reject. */
  close(): void {
    this.#isClosed = true;
    this.#agent?.agent.destroy();
  }

  async #inTime<T>(
    call: ApiCall,
    signal: AbortSignal,
    work: (callSignal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    signal.throwIfAborted();
    const timeoutMs = call.timeoutMs ?? TIMEOUT_MS;
    const own = new AbortController();
    const callSignal = AbortSignal.any([signal, own.signal]);
    const late = new Error(`no answer within ${timeoutMs} ms`);
    const timer = this.#options.clock.setTimer(timeoutMs, () => own.abort(late));
    try {
      return await work(callSignal);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof NetworkError || error instanceof BodyTooLongError) {
        throw error;
      }
      const reason = own.signal.aborted ? late : error;
      throw errorOfConnection(call, wordsOf(reason), reason);
    } finally {
      timer.cancel();
    }
  }

  /** Resolves with an answer of success. */
  async #send(call: ApiCall, signal: AbortSignal): Promise<IncomingMessage> {
    const credentials = await this.#options.credentials.current();
    signal.throwIfAborted();
    const answer = await this.#exchange(call, credentials, signal);
    const status = answer.statusCode ?? 0;
    if (status >= 200 && status < 300) {
      return answer;
    }
    if (status === 401) {
      this.#options.credentials.refuse(credentials);
    }
    const body = await bodyOf(answer, MAX_ERROR_BYTES).catch(() => "");
    throw errorOfStatus(call, status, call.secret === undefined ? body : body.replaceAll(call.secret, "…"));
  }

  async #exchange(call: ApiCall, credentials: Credentials, signal: AbortSignal): Promise<IncomingMessage> {
    const { method = "GET", path } = call;
    const text = call.body === undefined ? undefined : JSON.stringify(call.body);
    const options = {
      method,
      signal,
      agent: this.#agentFor(credentials),
      headers: {
        ...credentials.headers,
        accept: "application/json",
        "user-agent": `romana-${this.#options.component ?? "controller"}/${this.#options.version}`,
        ...(text === undefined
          ? {}
          : {
              "content-type": call.contentType ?? "application/json",
              "content-length": Buffer.byteLength(text),
            }),
      },
    };
    const url = `${credentials.server}${path}`;
    const attempt = async (isLast: boolean): Promise<IncomingMessage> => {
      const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
      const request = url.startsWith("https:")
        ? httpsRequest(url, options, resolve)
        : httpRequest(url, options, resolve);
      request.once("error", reject);
      request.end(text);
      try {
        return await promise;
      } catch (error) {
        // The server had closed a kept connection at the moment at which it was taken again.
        if (!isLast && method === "GET" && request.reusedSocket && !signal.aborted) {
          return await attempt(true);
        }
        throw error;
      }
    };
    return attempt(false);
  }

  #agentFor({ server, tls }: Credentials): HttpAgent {
    if (this.#isClosed) {
      throw new Error("the connections to the API server are closed");
    }
    const key = JSON.stringify([server, tls]);
    if (this.#agent?.key !== key) {
      retire(this.#agent?.agent);
      this.#agent = { key, agent: createAgent(server, tls) };
    }
    return this.#agent.agent;
  }
}

function createAgent(server: string, tls: TlsOptions): HttpAgent {
  // The most recently used first, so that idle ones run out.
  const options = {
    keepAlive: true,
    maxSockets: MAX_SOCKETS,
    maxFreeSockets: MAX_FREE_SOCKETS,
    scheduling: "lifo",
  } as const;
  return server.startsWith("https:") ? new HttpsAgent({ ...options, ...tls }) : new HttpAgent(options);
}

/** Another certificate or authority is used from now on: what is on its way ends as it is, and nothing is sent there any more. */
function retire(agent: HttpAgent | undefined): void {
  if (agent !== undefined) {
    agent.maxFreeSockets = 0;
    Object.values(agent.freeSockets).forEach((sockets) => sockets?.forEach((socket) => socket.destroy()));
  }
}

async function bodyOf(answer: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) {
      throw new BodyTooLongError(`an answer of more than ${maxBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes).toString("utf8");
}

function wordsOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code !== undefined && !message.includes(code) ? `${code} ${message}` : message;
}
