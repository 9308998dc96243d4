import { lstat, unlink } from "node:fs/promises";
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server as HttpServer,
  type ServerOptions as HttpOptions,
  type ServerResponse,
} from "node:http";
import { createServer as createHttpsServer, type Server as HttpsServer } from "node:https";
import { connect, type ListenOptions, type Socket } from "node:net";

import type { FastifyInstance } from "fastify";

import { NetworkError } from "../core/errors.ts";
import { Connections, markStream } from "./open-connections.ts";
import type { ServerTls } from "./tls.ts";

/**
 * Where a server listens: a TCP port (0: any free one) of a host, with or without TLS, or a unix socket. `config` reads it from text.
 */
export type ListenAddress =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number; readonly tls?: boolean }
  | { readonly kind: "unix"; readonly path: string };

declare module "fastify" {
  interface FastifyContextConfig {
    /** Answers with a stream that has no end. */
    readonly stream?: true;
  }
}

/** One open address. */
interface Listener {
  readonly server: HttpServer | HttpsServer;
  readonly connections: Connections;
}

const socketMode = 0o600;

/** Connections that came in by a unix socket. */
const byUnixSocket = new WeakSet<Socket>();

/** Whether a connection came in by a unix socket. Its own addresses do not tell: one of TCP has none either once its client has cut it. */
export function isByUnixSocket(connection: Socket): boolean {
  return byUnixSocket.has(connection);
}

/** How the connections of a server are treated, whichever address they come in by. */
export interface ConnectionOptions {
  /** Time to receive a whole request: Node ends a connection that dribbles. */
  readonly receiveTimeoutMs: number;
  /** When the server closes: who has not taken an answer, or the end of a stream, by then is cut off. */
  readonly closingMs: number;
  /** Answers what is no HTTP request and ends the connection; absent: as Node does. */
  readonly refuse?: (error: NodeJS.ErrnoException, socket: Socket) => void;
}

/** What a server listens with, and the addresses that it has open. */
interface Listening {
  readonly options: ConnectionOptions;
  readonly listeners: Set<Listener>;
}

const listeningOf = new WeakMap<FastifyInstance, Listening>();

/**
 * Prepares a server to listen on several addresses: when it closes, they take no more connections, the idle ones end, and it waits for the answers that are
 * still owed, `closingMs` at most.
 */
export function prepareListening(app: FastifyInstance, options: ConnectionOptions): void {
  const listeners = new Set<Listener>();
  listeningOf.set(app, { options, listeners });
  app.addHook("onRequest", (request, reply, done) => {
    if (request.routeOptions.config.stream === true) {
      markStream(reply.raw);
    }
    done();
  });
  app.addHook("preClose", async () => {
    await Promise.all([...listeners].map((listener) => closeListener(listener, options.closingMs)));
    listeners.clear();
  });
}

/**
 * Opens one more address of the server and answers where it listens, with the port that it got: `HOST:PORT`, `https://HOST:PORT` or `unix:PATH`. A unix socket
 * is its owner's alone (mode 0600); one that is left over from a dead process is removed first, after nobody answered on it. Throws
 * `LISTEN_ADDRESS_TAKEN` (conflict) and `LISTEN_FAILED` (invalid).
 */
export async function listen(app: FastifyInstance, address: ListenAddress, tls?: ServerTls): Promise<string> {
  const text = formatListenAddress(address);
  await app.ready();
  const listening = listeningOf.get(app);
  if (listening === undefined) {
    throw new TypeError("this server was not prepared to listen");
  }
  const http = httpOptions(listening.options);
  const listener = isSecure(address) ? secureListener(app, http, text, tls) : plainListener(app, http);
  if (listening.options.refuse !== undefined) {
    listener.server.on("clientError", listening.options.refuse);
  }
  try {
    if (address.kind === "tcp") {
      await open(listener.server, { host: address.host, port: address.port });
    } else {
      listener.server.on("connection", (connection: Socket) => byUnixSocket.add(connection));
      await removeStaleSocket(address.path);
      await listenPrivately(listener.server, address.path);
    }
  } catch (error) {
    throw failure(text, error);
  }
  listening.listeners.add(listener);
  const bound = listener.server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : 0;
  return address.kind === "tcp" ? formatListenAddress({ ...address, port }) : text;
}

/** Cuts every stream that the server sends: whoever it is for may have lost the right to it, and asks again. */
export function endStreams(app: FastifyInstance): void {
  listeningOf.get(app)?.listeners.forEach(({ connections }) => connections.endStreams("unfinished"));
}

function isSecure(address: ListenAddress): boolean {
  return address.kind === "tcp" && address.tls === true;
}

/** A connection on which nothing is asked is kept this long; longer than load balancers do, so that it is they who close. */
const keepAliveTimeout = 72_000;
const handshakeTimeout = 10_000;

function httpOptions({ receiveTimeoutMs }: ConnectionOptions): HttpOptions {
  return {
    requestTimeout: receiveTimeoutMs,
    // Node swaps the two when that of the headers, 60 s, is the longer one.
    headersTimeout: receiveTimeoutMs,
    connectionsCheckingInterval: Math.min(30_000, receiveTimeoutMs),
    keepAliveTimeout,
  };
}

function plainListener(app: FastifyInstance, http: HttpOptions): Listener {
  const server = createHttpServer(http);
  return serve(app, server, new Connections(server, "connection"));
}

function serve(app: FastifyInstance, server: HttpServer | HttpsServer, connections: Connections): Listener {
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    if (connections.hears(request.socket)) {
      app.routing(request, response);
    }
  });
  return { server, connections };
}

function secureListener(
  app: FastifyInstance,
  http: HttpOptions,
  text: string,
  tls: ServerTls | undefined,
): Listener {
  if (tls === undefined) {
    throw new NetworkError(
      "invalid",
      "LISTEN_FAILED",
      `cannot listen on ${text} without a certificate: give --tls-cert and --tls-key`,
      { address: text },
    );
  }
  const server = createHttpsServer({
    ...http,
    ...tls.context,
    handshakeTimeout,
    requestCert: tls.asksForCertificates,
    // Whoever has no certificate may have a token; what a certificate that is not verified is worth is decided with the request.
    rejectUnauthorized: false,
  });
  const connections = new Connections(server, "secureConnection");
  const forget = tls.onChange((trust) => {
    server.setSecureContext(tls.context);
    if (trust === "changed") {
      // Whom the old authority let in is not heard any more.
      connections.retire();
    } else {
      connections.leave();
    }
  });
  server.once("close", forget);
  return serve(app, server, connections);
}

/** Whoever reads a stream takes its end at once, if he takes anything. */
const streamEndMs = 2_000;

async function closeListener({ server, connections }: Listener, closingMs: number): Promise<void> {
  const timers = [
    setTimeout(() => connections.endStreams("now"), Math.min(streamEndMs, closingMs)),
    setTimeout(() => connections.cut(), closingMs),
  ];
  try {
    await new Promise<void>((resolve) => {
      // It ends the idle ones.
      server.close(() => resolve());
      connections.finish();
      connections.endStreams("in order");
    });
  } finally {
    timers.forEach((timer) => clearTimeout(timer));
  }
}

function open(server: HttpServer | HttpsServer, options: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(options, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function failure(text: string, error: unknown): NetworkError {
  if (error instanceof NetworkError) {
    return error;
  }
  const { code } = error as NodeJS.ErrnoException;
  return code === "EADDRINUSE"
    ? taken(text, error)
    : new NetworkError(
        "invalid",
        "LISTEN_FAILED",
        `cannot listen on ${text} (${code ?? String(error)}): choose another --listen address`,
        { address: text },
        error,
      );
}

function formatListenAddress(address: ListenAddress): string {
  if (address.kind === "unix") {
    return `unix:${address.path}`;
  }
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `${address.tls === true ? "https://" : ""}${host}:${address.port}`;
}

/** The socket file gets its mode when it is bound, so that there is no moment at which others may connect. */
async function listenPrivately(server: HttpServer | HttpsServer, path: string): Promise<void> {
  const before = process.umask(0o777 & ~socketMode);
  try {
    await open(server, { path });
  } finally {
    process.umask(before);
  }
}

async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") {
      return undefined;
    }
    throw error;
  });
  if (found === undefined) {
    return;
  }
  if (!found.isSocket()) {
    throw new NetworkError(
      "invalid",
      "LISTEN_FAILED",
      `cannot listen on unix:${path}: a file that is no socket stands there; remove it or choose another --listen address`,
      { path },
    );
  }
  if (await answers(path)) {
    throw taken(`unix:${path}`);
  }
  await unlink(path);
}

/** Whether a process accepts connections on a socket. Refused, and gone in between, mean no; anything else is thrown. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED" || error.code === "ENOENT") {
        resolve(false);
      } else {
        reject(error);
      }
    });
  });
}

function taken(text: string, cause?: unknown): NetworkError {
  return new NetworkError(
    "conflict",
    "LISTEN_ADDRESS_TAKEN",
    `cannot listen on ${text}: another process does; stop it or choose another --listen address`,
    { address: text },
    cause,
  );
}
