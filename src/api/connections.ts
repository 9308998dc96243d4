import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";

import type { FastifyInstance } from "fastify";

import { NetworkError } from "../core/errors.ts";
import { problemOf } from "./problems.ts";

/**
 * Ends a server in order: what it took is finished, what comes afterwards on a connection that stands is refused (503), and every answer from then on ends its
 * connection. The signal is aborted when the end begins.
 */
export function closeInOrder(app: FastifyInstance): AbortSignal {
  const closing = new AbortController();
  app.addHook("preClose", (done) => {
    closing.abort(
      new NetworkError("transient", "SERVER_CLOSING", "the controller is stopping: ask again when it runs"),
    );
    done();
  });
  app.addHook("onRequest", (_request, _reply, done) => {
    done(closing.signal.aborted ? (closing.signal.reason as NetworkError) : undefined);
  });
  app.addHook("onSend", (_request, reply, _payload, done) => {
    if (closing.signal.aborted) {
      reply.header("connection", "close");
    }
    done();
  });
  return closing.signal;
}

/** Answers what is no HTTP request that a route could answer, with a problem document, and ends the connection. */
export function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const problem = problemOf(connectionError(error), {});
  const body = JSON.stringify(problem);
  const head = [
    `HTTP/1.1 ${problem.status_code} ${STATUS_CODES[problem.status_code] ?? ""}`,
    "content-type: application/problem+json",
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}

function connectionError(error: NodeJS.ErrnoException): NetworkError {
  if (error.code === "HPE_HEADER_OVERFLOW") {
    return new NetworkError(
      "invalid",
      "REQUEST_HEAD_TOO_LARGE",
      "the request's line and headers have more than 16 KiB: send fewer or shorter ones",
      {},
      error,
    );
  }
  if (error.code === "ERR_HTTP_REQUEST_TIMEOUT") {
    return new NetworkError(
      "transient",
      "REQUEST_SLOW",
      "the request did not arrive in time: send it whole, then wait for the answer",
      {},
      error,
    );
  }
  return new NetworkError(
    "invalid",
    "REQUEST_MALFORMED",
    `this is no HTTP request: ${error.message}`,
    {},
    error,
  );
}
