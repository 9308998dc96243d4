import type { FastifyRequest, RouteHandlerMethod } from "fastify";

import { NetworkError } from "../core/errors.ts";
import { pathOf } from "./answers.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Aborted when the work for this request shall stop: its time is up, or its client is gone. Set when the handler starts. */
    deadline: AbortSignal;
  }
}

/**
 * A handler that is given `timeoutMs` (`Infinity`: as long as it takes): then the client gets `REQUEST_TIMED_OUT` (transient), whatever the work does with its signal. The
 * same happens when `closing` is aborted, with its reason.
 *
 * Fastify's `request.signal` and `handlerTimeout` do not serve here: they end with the request's `close` event, which Node emits once the
 * body was read, so the work of every POST would be aborted at its start.
 */
export function withDeadline(
  handler: RouteHandlerMethod,
  timeoutMs: number,
  closing?: AbortSignal,
): RouteHandlerMethod {
  return function limited(request, reply) {
    return new Promise((resolve, reject) => {
      const controller = new AbortController();
      let timer: NodeJS.Timeout | undefined;
      const fail = (reason: unknown): void => {
        clearTimeout(timer);
        reject(reason);
      };
      const stop = (reason: NetworkError): void => {
        controller.abort(reason);
        fail(reason);
      };
      request.deadline = controller.signal;
      if (closing !== undefined) {
        const either = AbortSignal.any([controller.signal, closing]);
        either.addEventListener("abort", () => fail(either.reason), { once: true });
        request.deadline = either;
      }
      reply.raw.on("close", () => {
        if (!reply.raw.writableFinished) {
          stop(new NetworkError("transient", "REQUEST_ABANDONED", "the client went away"));
        }
      });
      if (Number.isFinite(timeoutMs)) {
        timer = setTimeout(() => stop(timedOut(request, timeoutMs)), timeoutMs);
      }
      const succeed = (value: unknown): void => {
        clearTimeout(timer);
        resolve(value);
      };
      try {
        // oxlint-disable-next-line promise/prefer-await-to-then -- one promise for each request, not five
        Promise.resolve(handler.call(this, request, reply)).then(succeed, fail);
      } catch (error) {
        fail(error);
      }
    });
  };
}

function timedOut(request: FastifyRequest, timeoutMs: number): NetworkError {
  return new NetworkError(
    "transient",
    "REQUEST_TIMED_OUT",
    `${request.method} ${pathOf(request)} took longer than ${timeoutMs / 1000} s: try again`,
    { timeoutMs },
  );
}
