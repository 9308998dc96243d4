import { serializerCompiler, type FastifyPluginCallbackZod } from "fastify-type-provider-zod";
import { z } from "zod";

import { NetworkError } from "../../core/errors.ts";
import type { RouteSpec } from "../../core/routing/route-spec.ts";
import type { RouteSpecStatus } from "../../services/route-spec-keeper.ts";
import type { RoutesView } from "../../services/route-views.ts";
import { answer } from "../answers.ts";

/** What the API asks of the part that keeps the list of routes. */
export interface RouteSpecDesk {
  current(): RouteSpec | undefined;
  status(): RouteSpecStatus;
  take(text: string, signal: AbortSignal): Promise<unknown>;
}

const routeSpecDocument = z.record(z.string(), z.array(z.string()));

const overview = z.object({
  program: z.literal("romana vpc-router"),
  version: z.string(),
  routeSpec: z.object({
    source: z.string(),
    since: z.string().nullable(),
    routes: routeSpecDocument,
    problem: z.object({ at: z.string(), message: z.string() }).nullable(),
  }),
  ready: z.boolean(),
  notReady: z.array(z.string()),
  status: z.looseObject({ startedAt: z.string(), vpcId: z.string().nullable(), dryRun: z.boolean() }),
  routes: z.looseObject({ granularity: z.string(), readAt: z.string().nullable() }),
  health: z.looseObject({ blind: z.boolean() }),
});

/** The list of routes, and the page that shows everything at once. */
export const routeSpecResource: FastifyPluginCallbackZod<{
  routeSpec: RouteSpecDesk;
  routes: RoutesView;
}> = (app, { routeSpec, routes }, done) => {
  app.setSerializerCompiler(serializerCompiler);
  // The text itself goes to the reader: it knows lines, and keys that come twice.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "string" }, (_request, body, next) => next(null, body));
  // It is a list whatever it is called: the framework refuses a type that is empty or no type at all.
  app.addHook("onRequest", (request, _reply, next) => {
    request.raw.headers["content-type"] = "application/json";
    next();
  });

  const tags = ["route spec"];
  const shown = { schema: { summary: "Everything at once", tags, response: { 200: overview } } };
  app.get("/", shown, (_request, reply) => {
    const notReady = routes.notReady();
    const status = routes.status();
    void answer(reply, {
      program: "romana vpc-router",
      version: status.version,
      routeSpec: routeSpec.status(),
      ready: notReady.length === 0,
      notReady,
      status,
      routes: routes.routes(),
      health: routes.health(),
    });
  });

  const given = {
    schema: { summary: "The list of routes in force", tags, response: { 200: routeSpecDocument } },
    config: { failures: [404] },
  } as const;
  app.get("/route_spec", given, (_request, reply) => {
    const spec = routeSpec.current();
    if (spec === undefined) {
      throw new NetworkError(
        "not-found",
        "ROUTE_SPEC_MISSING",
        "there is no list of routes yet: POST one to /route_spec",
      );
    }
    void answer(reply, spec.document);
  });

  const taken = {
    schema: { summary: "Put another list of routes in force", tags, response: { 200: z.null() } },
    config: { reads: routeSpecDocument, failures: [409] },
  } as const;
  app.post("/route_spec", taken, async (request, reply) => {
    const { source } = routeSpec.status();
    if (source !== "api") {
      throw new NetworkError(
        "conflict",
        "ROUTE_SPEC_FROM_FILE",
        `the list of routes comes from ${source}: change that file, or start without --route-spec`,
      );
    }
    await routeSpec.take(typeof request.body === "string" ? request.body : "", request.deadline);
    return answer(reply, null);
  });

  done();
};
