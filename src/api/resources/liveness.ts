import type { FastifyReply } from "fastify";
import { z } from "zod";

import type { RoutesView } from "../../services/route-views.ts";
import { answer } from "../answers.ts";
import type { LeaderSource, Liveness } from "../replica.ts";
import type { Resource } from "../resource.ts";
import type { Staleness } from "../staleness.ts";

const tags = ["controller"];

const Alive = z.object({ status: z.literal("ok") });

const Stuck = z.object({ status: z.literal("stuck"), reasons: z.array(z.string()) });

const Readiness = z.object({
  ready: z.boolean(),
  reasons: z.array(z.string()),
  stale: z.boolean(),
  leader: z.boolean(),
});

/** What the answers depend on. */
export interface LivenessParts {
  readonly routes: RoutesView;
  readonly liveness: Liveness | undefined;
  readonly leader: LeaderSource | undefined;
  readonly staleness: Staleness;
}

/** For whoever watches the process: alive, and able to serve. They are answered however many requests are in flight. */
export const livenessResource: Resource<LivenessParts> = (app, parts, done) => {
  const { routes, liveness, leader, staleness } = parts;
  const config = { unlimited: true, access: "open" } as const;

  app.get(
    "/healthz",
    { schema: { summary: "Whether the process lives", tags, response: { 200: Alive, 503: Stuck } }, config },
    (_request, reply) => {
      const reasons = liveness?.stuck() ?? [];
      return reasons.length === 0
        ? answer(reply, { status: "ok" })
        : answer(unavailable(reply), { status: "stuck", reasons });
    },
  );

  app.get(
    "/readyz",
    {
      schema: { summary: "Whether it can serve", tags, response: { 200: Readiness, 503: Readiness } },
      config,
    },
    (_request, reply) => {
      const leads = leader === undefined || leader.leader()?.id === leader.selfId;
      // The routes are the leader's affair: a follower serves all else without them.
      const reasons = leads ? routes.notReady() : [];
      const ready = reasons.length === 0;
      return answer(ready ? reply : unavailable(reply), {
        ready,
        reasons,
        stale: staleness.seconds() !== undefined,
        leader: leads,
      });
    },
  );

  done();
};

function unavailable(reply: FastifyReply): FastifyReply {
  return reply.status(503).header("retry-after", "1");
}
