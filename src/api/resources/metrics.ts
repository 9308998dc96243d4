import { z } from "zod";

import type { RequestMetrics } from "../metering.ts";
import type { Resource } from "../resource.ts";

/** The numbers of this process for a scraper, however many requests are in flight. */
export const metricsResource: Resource<{ metrics: RequestMetrics }> = (app, { metrics }, done) => {
  app.get(
    "/metrics",
    {
      schema: {
        summary: "Numbers in Prometheus' text format",
        tags: ["controller"],
        response: { 200: z.string() },
      },
      config: { produces: "text/plain", unlimited: true },
    },
    async (_request, reply) => reply.type(metrics.contentType).send(Buffer.from(await metrics.render())),
  );
  done();
};
