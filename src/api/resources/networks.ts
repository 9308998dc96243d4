import type { FastifyPluginCallbackZod } from "fastify-type-provider-zod";

import { NetworkError } from "../../core/errors.ts";
import { parseCidr } from "../../core/net/cidr.ts";
import { answer, answerNull } from "../answers.ts";
import type { Addressing, BlockState } from "../control-plane.ts";
import { blackoutBody, blackoutQuery, nameParams } from "../schemas.ts";

/** `/networks`, `/blocks` and what lies below. */
export const networksResource: FastifyPluginCallbackZod<{ addressing: Addressing }> = (
  app,
  { addressing },
  done,
) => {
  app.get("/networks", { config: { original: true } }, (_request, reply) =>
    answer(
      reply,
      addressing.networks().map(({ revision, id, cidr }) => ({ revision, id, cidr })),
    ),
  );

  app.get("/blocks", { config: { original: true } }, (_request, reply) => {
    const { revision, blocks } = addressing.blocks() ?? { revision: 0, blocks: [] };
    return answer(reply, { revision, blocks: blocks.map(originalBlock) });
  });

  app.get(
    "/networks/:name/blocks",
    { schema: { params: nameParams }, config: { original: true, resourceType: "network" } },
    (request, reply) => {
      const found = addressing.blocks(request.params.name);
      if (found === undefined) {
        throw new NetworkError(
          "not-found",
          "NETWORK_NOT_FOUND",
          `no network is called "${request.params.name}": GET /networks lists those that are known`,
          { network: request.params.name },
        );
      }
      return answer(reply, { revision: found.revision, blocks: found.blocks.map(originalBlock) });
    },
  );

  const blackouts = { resourceType: "network" } as const;

  app.get(
    "/networks/:name/blackouts",
    { schema: { params: nameParams }, config: blackouts },
    (request, reply) =>
      answer(
        reply,
        addressing.blackouts(request.params.name).map((cidr) => ({ cidr })),
      ),
  );

  app.post(
    "/networks/:name/blackouts",
    { schema: { params: nameParams, body: blackoutBody }, config: blackouts },
    (request, reply) =>
      answerNull(
        reply,
        addressing.addBlackout(request.params.name, parseCidr(request.body.cidr), request.deadline),
      ),
  );

  app.delete(
    "/networks/:name/blackouts",
    { schema: { params: nameParams, querystring: blackoutQuery }, config: blackouts },
    (request, reply) =>
      answerNull(
        reply,
        addressing.removeBlackout(request.params.name, parseCidr(request.query.cidr), request.deadline),
      ),
  );

  done();
};

/** The original's fields in the original's order. */
function originalBlock(block: BlockState) {
  return {
    revision: block.revision,
    cidr: block.cidr,
    tenant: block.tenant,
    segment: block.segment,
    host: block.host,
    allocated_ip_count: block.allocated_ip_count,
  };
}
