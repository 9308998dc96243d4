import { z } from "zod";

import type { RoutesView } from "../../services/route-views.ts";
import { answer } from "../answers.ts";
import type { Resource } from "../resource.ts";

const tags = ["controller"];

const Health = z.object({ status: z.literal("ok") });

const Readiness = z.object({ ready: z.boolean(), reasons: z.array(z.string()) });

/** For whoever watches the process: alive, and able to serve. They are answered however many requests are in flight. */
export const livenessResource: Resource<{ routes: RoutesView }> = (app, { routes }, done) => {
  const config = { unlimited: true, access: "open" } as const;

  app.get(
    "/healthz",
    { schema: { summary: "Whether the process lives", tags, response: { 200: Health } }, config },
    (_request, reply) => answer(reply, { status: "ok" }),
  );

  app.get(
    "/readyz",
    {
      schema: { summary: "Whether it can serve", tags, response: { 200: Readiness, 503: Readiness } },
      config,
    },
    (_request, reply) => {
      const reasons = routes.notReady();
      if (reasons.length > 0) {
        reply.status(503).header("retry-after", "1");
      }
      return answer(reply, { ready: reasons.length === 0, reasons });
    },
  );

  done();
};
