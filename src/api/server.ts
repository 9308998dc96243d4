import { fastify, type FastifyInstance } from "fastify";
import { validatorCompiler } from "fastify-type-provider-zod";

import type { Logger } from "../ports/logger.ts";
import type { RoutesView } from "../services/route-views.ts";
import { guardHosts } from "./access.ts";
import { limitInFlight, refuseCrossSite } from "./admission.ts";
import { authenticate, type Authentication } from "./authentication.ts";
import { closeInOrder, refuseConnection } from "./connections.ts";
import type { Addressing, PodOwners } from "./control-plane.ts";
import { withDeadline } from "./deadline.ts";
import { failWith, notFound, redirectTrailingSlash } from "./error-handler.ts";
import { sendToLeader } from "./leadership.ts";
import { prepareListening } from "./listen.ts";
import { meterRequests, type RequestMetrics } from "./metering.ts";
import { describeRoutes, openapiResource } from "./openapi.ts";
import type { LeaderSource, Liveness, StoreContact } from "./replica.ts";
import { readBodies, requireAcceptable } from "./request-bodies.ts";
import type { RequestTypes } from "./resource.ts";
import { addressesResource } from "./resources/addresses.ts";
import { explainResource, type Explainer } from "./resources/explain.ts";
import { hostsResource } from "./resources/hosts.ts";
import { leaderResource } from "./resources/leader.ts";
import { livenessResource } from "./resources/liveness.ts";
import { metricsResource } from "./resources/metrics.ts";
import { networksResource } from "./resources/networks.ts";
import { policiesResource, type Policies } from "./resources/policies.ts";
import { routeSpecResource, type RouteSpecDesk } from "./resources/route-spec.ts";
import { routesResource } from "./resources/routes.ts";
import { stateResource, type StateTransfer } from "./resources/state.ts";
import { tenantsResource, type Tenants } from "./resources/tenants.ts";
import { topologyResource } from "./resources/topology.ts";
import { watchResource, type Feed } from "./resources/watch.ts";
import { maxNameLength } from "./schemas.ts";
import { markStale, stalenessOf } from "./staleness.ts";

/** What a client can make the server spend. */
export interface ServerLimits {
  /** Requests that are worked on at once; one more is answered 429. */
  readonly maxInFlight: number;
  /** Bytes of a request's body; a topology of 5,000 hosts takes about 1 MB. */
  readonly maxBodyBytes: number;
  /** Time for a request to arrive whole; then its connection is ended with 408. Node looks every 30 s at most. */
  readonly receiveTimeoutMs: number;
  /** After this a request is answered 503 and its work is told to stop. */
  readonly requestTimeoutMs: number;
  /** The same for requests that wait for a pass over the cloud. */
  readonly passTimeoutMs: number;
  /** When the server ends, who has not taken an answer by then is cut off. */
  readonly closingMs: number;
  /** A store that is silent for longer makes reads stale and refuses writes. */
  readonly storeSilentMs: number;
}

/** Limits for one controller of up to 5,000 nodes. */
export const defaultLimits: ServerLimits = {
  maxInFlight: 128,
  maxBodyBytes: 16 * 1024 * 1024,
  receiveTimeoutMs: 30_000,
  requestTimeoutMs: 10_000,
  passTimeoutMs: 120_000,
  closingMs: 15_000,
  storeSilentMs: 7_000,
};

/** What the server serves. */
export interface ServerOptions {
  /** Absent in the stand-alone router, which keeps no addresses. */
  readonly addressing?: Addressing;
  /** Absent where no cluster is followed. */
  readonly pods?: PodOwners | undefined;
  /** The list of routes of the stand-alone router. */
  readonly routeSpec?: RouteSpecDesk;
  readonly routes: RoutesView;
  readonly policies?: Policies;
  readonly tenants?: Tenants;
  readonly feed?: Feed;
  /** Absent: nothing can be exported or imported. */
  readonly state?: StateTransfer | undefined;
  /** Absent: nothing is explained. */
  readonly explain?: Explainer | undefined;
  readonly log: Logger;
  /** How callers are known. */
  readonly authentication: Authentication;
  readonly limits?: Partial<ServerLimits>;
  /** Absent where one controller runs alone: it answers everything. */
  readonly leader?: LeaderSource | undefined;
  readonly liveness?: Liveness | undefined;
  readonly store?: StoreContact | undefined;
  /** Absent: requests are not counted and there is no /metrics. */
  readonly metrics?: RequestMetrics | undefined;
}

declare module "fastify" {
  interface FastifyInstance {
    /** Every path that is served, as `METHOD /path/{parameter}`, in order of registration. */
    readonly endpoints: readonly string[];
  }
}

/** The REST API, not listening yet: `listen` opens it, `close` ends it after the requests in flight. */
export function createServer(options: ServerOptions): FastifyInstance {
  const {
    addressing,
    pods,
    routeSpec,
    routes,
    policies,
    tenants,
    state,
    explain,
    feed,
    log,
    authentication,
    leader,
    liveness,
    store,
    metrics,
  } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const { maxInFlight, maxBodyBytes, receiveTimeoutMs, requestTimeoutMs, passTimeoutMs } = limits;
  const staleness = stalenessOf(store, limits.storeSilentMs);
  const app = fastify({
    logger: false,
    bodyLimit: maxBodyBytes,
    forceCloseConnections: "idle",
    return503OnClosing: false,
    exposeHeadRoutes: true,
    routerOptions: { maxParamLength: maxNameLength },
    frameworkErrors: (error, request, reply) => {
      failWith(log, error, request, reply);
    },
  }).withTypeProvider<RequestTypes>();

  meterRequests(app, metrics);
  // What waits for a pass does not hold up the end of the process; the rest is answered first.
  const closing = closeInOrder(app);

  const endpoints: string[] = [];
  app.decorate("endpoints", endpoints);
  app.addHook("onRoute", (route) => {
    const { method, url, config } = route;
    route.handler =
      config?.slow === true || config?.stream === true
        ? withDeadline(route.handler, config.stream === true ? Infinity : passTimeoutMs, closing)
        : withDeadline(route.handler, requestTimeoutMs);
    const methods = [method].flat().filter((name) => name !== "HEAD");
    endpoints.push(...methods.map((name) => `${name} ${url.replaceAll(/:(\w+)/g, "{$1}")}`));
  });

  app.setValidatorCompiler(validatorCompiler);
  // The schemas of answers describe them and no more (`describeRoutes`): what is sent was rendered by `answer`.
  app.setSerializerCompiler(() => (value) => JSON.stringify(value));
  app.setErrorHandler((error, request, reply) => failWith(log, error, request, reply));
  app.setNotFoundHandler(notFound);
  readBodies(app);

  prepareListening(app, { receiveTimeoutMs, closingMs: limits.closingMs, refuse: refuseConnection });
  authenticate(app, authentication, log);
  guardHosts(app, log);
  app.addHook("onRequest", redirectTrailingSlash);
  app.addHook("onRequest", refuseCrossSite);
  app.addHook("onRequest", limitInFlight(maxInFlight));
  app.addHook("onRequest", requireAcceptable);
  app.addHook("preHandler", markStale(staleness));
  app.addHook("preHandler", sendToLeader(leader));
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

  describeRoutes(app);
  // One line per resource; what a part of the system adds goes to the end.
  app.register(openapiResource);
  if (addressing !== undefined) {
    app.register(topologyResource, { addressing });
    app.register(hostsResource, { addressing });
    app.register(networksResource, { addressing });
    app.register(addressesResource, { addressing, pods });
  }
  if (routeSpec !== undefined) {
    app.register(routeSpecResource, { routeSpec, routes });
  }
  app.register(routesResource, { routes });
  app.register(livenessResource, { routes, liveness, leader, staleness });
  app.register(leaderResource, { leader });
  if (metrics !== undefined) {
    app.register(metricsResource, { metrics });
  }
  if (policies !== undefined) {
    app.register(policiesResource, { policies });
  }
  if (tenants !== undefined) {
    app.register(tenantsResource, { tenants });
  }
  if (feed !== undefined) {
    app.register(watchResource, { feed });
  }
  if (state !== undefined) {
    app.register(stateResource, { state });
  }
  if (explain !== undefined) {
    app.register(explainResource, { explain });
  }
  return app;
}
