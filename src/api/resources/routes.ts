import type { RoutesView } from "../../services/route-views.ts";
import { answer } from "../answers.ts";
import type { Resource } from "../resource.ts";
import { NodeHealthList, Plan, RouteStatus, Status } from "./routes.schemas.ts";

const tags = ["routes"];

/** Routes, nodes and the controller itself. */
export const routesResource: Resource<{ routes: RoutesView }> = (app, { routes }, done) => {
  // These wait for the cloud, and a pass over a large region takes its time.
  const slow = { slow: true, leader: true } as const;

  app.get(
    "/plan",
    { schema: { summary: "What a pass would do now", tags, response: { 200: Plan } }, config: slow },
    async (request, reply) => answer(reply, await routes.plan(request.deadline)),
  );

  app.get(
    "/routes",
    {
      schema: {
        summary: "The routes that are wanted, and how they stand",
        tags,
        response: { 200: RouteStatus },
      },
      config: { leader: true },
    },
    (_request, reply) => answer(reply, routes.routes()),
  );

  app.get(
    "/health/nodes",
    {
      schema: { summary: "What the probes say of the nodes", tags, response: { 200: NodeHealthList } },
      config: { leader: true },
    },
    (_request, reply) => answer(reply, routes.health()),
  );

  app.get(
    "/status",
    { schema: { summary: "The controller at a glance", tags: ["controller"], response: { 200: Status } } },
    (_request, reply) => answer(reply, routes.status()),
  );

  app.post(
    "/rebalance",
    {
      schema: { summary: "Spread the routes anew", tags, response: { 200: Plan } },
      config: { ...slow, failures: [409] },
    },
    async (request, reply) => answer(reply, await routes.rebalance(request.deadline)),
  );

  app.post(
    "/reconcile",
    { schema: { summary: "Make a pass now", tags, response: { 200: Plan } }, config: slow },
    async (request, reply) => answer(reply, await routes.reconcile(request.deadline)),
  );

  done();
};
