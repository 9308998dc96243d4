import type { FastifyPluginCallbackZod } from "fastify-type-provider-zod";

import type { RoutesView } from "../../services/route-views.ts";
import { answer } from "../answers.ts";

/** Routes, nodes and the controller itself. */
export const routesResource: FastifyPluginCallbackZod<{ routes: RoutesView }> = (app, { routes }, done) => {
  // These wait for the cloud, and a pass over a large region takes its time.
  const slow = { config: { slow: true } } as const;

  app.get("/plan", slow, async (request, reply) => answer(reply, await routes.plan(request.deadline)));

  app.get("/routes", (_request, reply) => answer(reply, routes.routes()));

  app.get("/health/nodes", (_request, reply) => answer(reply, routes.health()));

  app.get("/status", (_request, reply) => answer(reply, routes.status()));

  app.post("/rebalance", slow, async (request, reply) =>
    answer(reply, await routes.rebalance(request.deadline)),
  );

  app.post("/reconcile", slow, async (request, reply) =>
    answer(reply, await routes.reconcile(request.deadline)),
  );

  done();
};

/** For whoever watches the process: alive, and able to serve. They are answered however many requests are in flight. */
export const livenessResource: FastifyPluginCallbackZod<{ routes: RoutesView }> = (app, { routes }, done) => {
  app.get("/healthz", { config: { unlimited: true, access: "open" } }, (_request, reply) =>
    answer(reply, { status: "ok" }),
  );

  app.get("/readyz", { config: { unlimited: true, access: "open" } }, (_request, reply) => {
    const reasons = routes.notReady();
    if (reasons.length > 0) {
      reply.status(503).header("retry-after", "1");
    }
    return answer(reply, { ready: reasons.length === 0, reasons });
  });

  done();
};
