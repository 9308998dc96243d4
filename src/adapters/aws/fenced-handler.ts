import {
  Agent as HttpAgent,
  request as requestHttp,
  type ClientRequest,
  type IncomingMessage,
} from "node:http";
import { Agent as HttpsAgent, request as requestHttps, type AgentOptions } from "node:https";
import type { Socket } from "node:net";

/** What the SDK wants sent, as far as EC2's query protocol and the credential services use it. */
interface WireRequest {
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly method: string;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

interface WireAnswer {
  readonly statusCode: number;
  readonly reason: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: IncomingMessage;
}

/** Throws when the attempt that has this signal must not be sent any more. */
type Fence = () => void;

const fences = new WeakMap<AbortSignal, Fence>();

/** The attempt with this signal asks `fence` at the last moment before it is sent; what that throws ends it. */
export function fenceAttempt(signal: AbortSignal, fence: Fence): void {
  fences.set(signal, fence);
}

/**
 * Sends the SDK's requests. Unlike the SDK's own handler it first gets a connection, then asks the attempt's fence, and writes in the same turn: between the
 * question and the write nothing waits. A process that is stopped anywhere before sends nothing when it wakes up; one that is stopped right between the two
 * sends this one request (decision 29).
 *
 *     admitted ─► credentials, signature ─► connection, TLS ─► fence ─► write ─► answer
 */
export class FencedHandler {
  readonly metadata = { handlerProtocol: "http/1.1" };
  readonly #http: HttpAgent;
  readonly #https: HttpsAgent;
  readonly #connectionTimeoutMs: number;

  constructor(agents: AgentOptions, connectionTimeoutMs: number) {
    this.#http = new HttpAgent(agents);
    this.#https = new HttpsAgent(agents);
    this.#connectionTimeoutMs = connectionTimeoutMs;
  }

  /** Rejects with the fence's error, with a socket's error, or with one whose name says `TimeoutError` or `AbortError`. */
  handle(
    request: WireRequest,
    options: { readonly abortSignal?: unknown } = {},
  ): Promise<{ readonly response: WireAnswer }> {
    const { promise, resolve, reject } = Promise.withResolvers<{ readonly response: WireAnswer }>();
    // The SDK's type allows other signals than the platform's; here nobody gives any.
    const abortSignal = options.abortSignal instanceof AbortSignal ? options.abortSignal : undefined;
    if (abortSignal?.aborted === true) {
      reject(named("AbortError", "the request was given up before it was sent"));
      return promise;
    }
    const fence = abortSignal === undefined ? undefined : fences.get(abortSignal);
    const wire = this.#open(request);
    const giveUp = (): void => void wire.destroy(named("AbortError", "the request was given up"));
    abortSignal?.addEventListener("abort", giveUp, { once: true });
    wire.once("close", () => abortSignal?.removeEventListener("abort", giveUp));
    wire.on("error", reject);
    wire.once("response", (answer) => {
      resolve({
        response: {
          statusCode: answer.statusCode ?? 0,
          reason: answer.statusMessage,
          headers: plainHeaders(answer),
          body: answer,
        },
      });
    });
    wire.once("socket", (socket) => {
      this.#whenConnected(wire, socket, () => {
        try {
          fence?.();
        } catch (error) {
          wire.destroy(error as Error);
          return;
        }
        wire.end(request.body ?? "");
      });
    });
    return promise;
  }

  /** Part of the SDK's interface; there is nothing to set. */
  updateHttpClientConfig(): void {}

  /** Part of the SDK's interface. */
  httpHandlerConfigs(): Record<string, never> {
    return {};
  }

  /** Closes its connections; requests under way fail. */
  destroy(): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  /** A request that waits for its connection; nothing of it is written yet. */
  #open({ protocol, hostname, port, method, path, query, headers }: WireRequest): ClientRequest {
    const secure = protocol === "https:";
    const options = {
      host: hostname.replace(/^\[(.*)\]$/, "$1"),
      port,
      method,
      path: path + queryText(query),
      headers,
    };
    return secure
      ? requestHttps({ ...options, agent: this.#https })
      : requestHttp({ ...options, agent: this.#http });
  }

  #whenConnected(wire: ClientRequest, socket: Socket, go: () => void): void {
    const secure = "secureConnecting" in socket;
    const waits = socket.connecting || (secure && socket.secureConnecting === true);
    if (!waits) {
      go();
      return;
    }
    const timer = setTimeout(() => {
      wire.destroy(named("TimeoutError", `no connection within ${this.#connectionTimeoutMs} ms`));
    }, this.#connectionTimeoutMs);
    wire.once("close", () => clearTimeout(timer));
    socket.once(secure ? "secureConnect" : "connect", () => {
      clearTimeout(timer);
      if (!wire.destroyed) {
        go();
      }
    });
  }
}

function named(name: string, message: string): Error {
  const error = new Error(message);
  error.name = name;
  return error;
}

function queryText(query: WireRequest["query"]): string {
  const pairs = Object.entries(query ?? {}).flatMap(([name, value]): [string, string][] =>
    typeof value === "string" ? [[name, value]] : (value ?? [""]).map((each) => [name, each]),
  );
  return pairs.length === 0 ? "" : `?${new URLSearchParams(pairs).toString()}`;
}

function plainHeaders({ headers }: IncomingMessage): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(", ") : (value ?? ""),
    ]),
  );
}
