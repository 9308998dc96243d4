import { parseCidr, type Cidr } from "../../core/net/cidr.ts";
import { parseIpv4, type Ipv4 } from "../../core/net/ipv4.ts";
import type { IpExplanation, RouteExplanation } from "../../core/views/explain-views.ts";
import { answer } from "../answers.ts";
import type { Resource } from "../resource.ts";
import { addressParams, cidrQuery, ExplainedIp, ExplainedRoute } from "./explain.schemas.ts";

/** What the API asks of the part that explains. It answers from memory. */
export interface Explainer {
  explainIp(address: Ipv4): IpExplanation;
  explainRoute(cidr: Cidr): RouteExplanation;
}

const tags = ["explain"];

/** `/explain`: where a packet goes, and why. The leader alone has looked at the route tables. */
export const explainResource: Resource<{ explain: Explainer }> = (app, { explain }, done) => {
  app.get(
    "/explain/ip/:address",
    {
      schema: {
        summary: "What an address is, and how each route table leads there",
        tags,
        params: addressParams,
        response: { 200: ExplainedIp },
      },
      config: { leader: true },
    },
    (request, reply) => answer(reply, explain.explainIp(parseIpv4(request.params.address))),
  );

  app.get(
    "/explain/route",
    {
      schema: {
        summary: "Who wants a route, how it stands, and who could be its gateway",
        tags,
        querystring: cidrQuery,
        response: { 200: ExplainedRoute },
      },
      config: { leader: true },
    },
    (request, reply) => answer(reply, explain.explainRoute(parseCidr(request.query.cidr))),
  );

  done();
};
