import type { onRequestHookHandler } from "fastify";

import { NetworkError } from "../core/errors.ts";

const safeMethods = new Set(["GET", "HEAD", "OPTIONS"]);

/**
 * Refuses (403) a change that a web page of another origin asks for: a browser sends forms and untyped bodies anywhere without asking
 * first, and a controller on loopback trusts whoever reaches it. Programs send neither header.
 */
export const refuseCrossSite: onRequestHookHandler = (request, _reply, done) => {
  const { origin, host } = request.headers;
  const site = request.headers["sec-fetch-site"];
  const foreign =
    (site !== undefined && site !== "same-origin" && site !== "none") ||
    (origin !== undefined && URL.parse(origin)?.host !== host);
  if (foreign && !safeMethods.has(request.method)) {
    done(
      new NetworkError(
        "invalid",
        "REQUEST_CROSS_SITE",
        "a web page of another site asked for a change: use the CLI, or a page that this server serves",
        { origin: origin ?? "" },
      ),
    );
    return;
  }
  done();
};

/**
 * Lets `maxInFlight` requests be worked on at once and answers 429 to one more. A request counts until its answer is out or its client is
 * gone.
 */
export function limitInFlight(maxInFlight: number): onRequestHookHandler {
  let inFlight = 0;
  return (request, reply, done) => {
    const { unlimited, stream } = request.routeOptions.config;
    if (unlimited === true || stream === true) {
      done();
      return;
    }
    if (inFlight >= maxInFlight) {
      done(
        new NetworkError(
          "transient",
          "REQUESTS_TOO_MANY",
          `${maxInFlight} requests are being worked on, which is the limit: try again in a second`,
          { maxInFlight },
        ),
      );
      return;
    }
    inFlight += 1;
    reply.raw.on("close", () => {
      inFlight -= 1;
    });
    done();
  };
}
