import { fastify, type FastifyInstance } from "fastify";
import { validatorCompiler, type ZodTypeProvider } from "fastify-type-provider-zod";

import { NetworkError } from "../core/errors.ts";
import type { Logger } from "../ports/logger.ts";
import type { RoutesView } from "../services/route-views.ts";
import { guardHosts } from "./access.ts";
import { limitInFlight, refuseCrossSite } from "./admission.ts";
import { authenticate, type Authentication } from "./authentication.ts";
import type { Addressing } from "./control-plane.ts";
import { withDeadline } from "./deadline.ts";
import { failWith, notFound, redirectTrailingSlash } from "./error-handler.ts";
import { prepareListening } from "./listen.ts";
import { readBodies, requireAcceptable } from "./request-bodies.ts";
import { addressesResource } from "./resources/addresses.ts";
import { hostsResource } from "./resources/hosts.ts";
import { networksResource } from "./resources/networks.ts";
import { routeSpecResource, type RouteSpecDesk } from "./resources/route-spec.ts";
import { livenessResource, routesResource } from "./resources/routes.ts";
import { topologyResource } from "./resources/topology.ts";
import { maxNameLength } from "./schemas.ts";

/** What a client can make the server spend. */
export interface ServerLimits {
  /** Requests that are worked on at once; one more is answered 429. */
  readonly maxInFlight: number;
  /** Bytes of a request's body; a topology of 5,000 hosts takes about 1 MB. */
  readonly maxBodyBytes: number;
  /** After this a request is answered 503 and its work is told to stop. */
  readonly requestTimeoutMs: number;
  /** The same for requests that wait for a pass over the cloud. */
  readonly passTimeoutMs: number;
}

/** Limits for one controller of up to 5,000 nodes. */
export const defaultLimits: ServerLimits = {
  maxInFlight: 128,
  maxBodyBytes: 16 * 1024 * 1024,
  requestTimeoutMs: 10_000,
  passTimeoutMs: 120_000,
};

/** What the server serves. */
export interface ServerOptions {
  /** Absent in the stand-alone router, which keeps no addresses. */
  readonly addressing?: Addressing;
  /** The list of routes of the stand-alone router. */
  readonly routeSpec?: RouteSpecDesk;
  readonly routes: RoutesView;
  readonly log: Logger;
  /** How callers are known. */
  readonly authentication: Authentication;
  readonly limits?: Partial<ServerLimits>;
}

declare module "fastify" {
  interface FastifyContextConfig {
    /** One of the original's paths: its errors are `application/json`, ours `application/problem+json`. */
    readonly original?: true;
    /** What an error of this path is about. */
    readonly resourceType?: "host" | "network" | "address";
    /** Waits for a pass over the cloud, so it has `passTimeoutMs`. */
    readonly slow?: true;
    /** Answered however many requests are in flight. */
    readonly unlimited?: true;
  }
  interface FastifyInstance {
    /** Every path that is served, as `METHOD /path/{parameter}`, in order of registration. */
    readonly endpoints: readonly string[];
  }
}

/** The REST API, not listening yet: `listen` opens it, `close` ends it after the requests in flight. */
export function createServer({
  addressing,
  routeSpec,
  routes,
  log,
  authentication,
  limits = {},
}: ServerOptions): FastifyInstance {
  const { maxInFlight, maxBodyBytes, requestTimeoutMs, passTimeoutMs } = { ...defaultLimits, ...limits };
  const app = fastify({
    logger: false,
    bodyLimit: maxBodyBytes,
    // Time to receive a whole request: Node ends a connection that dribbles.
    requestTimeout: 30_000,
    forceCloseConnections: "idle",
    exposeHeadRoutes: true,
    routerOptions: { maxParamLength: maxNameLength },
    frameworkErrors: (error, request, reply) => {
      failWith(log, error, request, reply);
    },
  }).withTypeProvider<ZodTypeProvider>();

  // What waits for a pass does not hold up the end of the process; the rest is answered first.
  const closing = new AbortController();
  app.addHook("preClose", (done) => {
    closing.abort(
      new NetworkError("transient", "SERVER_CLOSING", "the controller is stopping: ask again when it runs"),
    );
    done();
  });

  const endpoints: string[] = [];
  app.decorate("endpoints", endpoints);
  app.addHook("onRoute", (route) => {
    const { method, url, config } = route;
    route.handler =
      config?.slow === true
        ? withDeadline(route.handler, passTimeoutMs, closing.signal)
        : withDeadline(route.handler, requestTimeoutMs);
    const methods = [method].flat().filter((name) => name !== "HEAD");
    endpoints.push(...methods.map((name) => `${name} ${url.replaceAll(/:(\w+)/g, "{$1}")}`));
  });

  app.setValidatorCompiler(validatorCompiler);
  app.setErrorHandler((error, request, reply) => failWith(log, error, request, reply));
  app.setNotFoundHandler(notFound);
  readBodies(app);

  prepareListening(app, { receiveTimeoutMs: 30_000 });
  authenticate(app, authentication, log);
  guardHosts(app, log);
  app.addHook("onRequest", redirectTrailingSlash);
  app.addHook("onRequest", refuseCrossSite);
  app.addHook("onRequest", limitInFlight(maxInFlight));
  app.addHook("onRequest", requireAcceptable);
  app.addHook("onResponse", (request, reply, done) => {
    log.debug(
      {
        method: request.method,
        path: request.routeOptions.url,
        status: reply.statusCode,
        durationMs: Math.round(reply.elapsedTime),
      },
      "request answered",
    );
    done();
  });

  if (addressing !== undefined) {
    app.register(topologyResource, { addressing });
    app.register(hostsResource, { addressing });
    app.register(networksResource, { addressing });
    app.register(addressesResource, { addressing });
  }
  if (routeSpec !== undefined) {
    app.register(routeSpecResource, { routeSpec, routes });
  }
  app.register(routesResource, { routes });
  app.register(livenessResource, { routes });
  return app;
}
