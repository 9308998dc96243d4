import { NetworkError } from "../../core/errors.ts";
import { parseCidr } from "../../core/net/cidr.ts";
import { answer, answerNull } from "../answers.ts";
import type { Addressing } from "../control-plane.ts";
import type { Resource } from "../resource.ts";
import { blackoutBody, blackoutQuery, Done, networkParams } from "../schemas.ts";
import { BlackoutList, BlockList, NetworkList } from "./networks.schemas.ts";
import { originalBlock } from "./original-block.ts";

const tags = ["networks"];

/** `/networks`, `/blocks` and what lies below. */
export const networksResource: Resource<{ addressing: Addressing }> = (app, { addressing }, done) => {
  const list = {
    schema: { summary: "All networks", tags, response: { 200: NetworkList } },
    config: { original: true },
  } as const;
  app.get("/networks", list, (_request, reply) =>
    answer(
      reply,
      addressing.networks().map(({ revision, id, cidr }) => ({ revision, id, cidr })),
    ),
  );

  const allBlocks = {
    schema: { summary: "The blocks of all networks", tags, response: { 200: BlockList } },
    config: { original: true },
  } as const;
  app.get("/blocks", allBlocks, (_request, reply) => {
    const { revision, blocks } = addressing.blocks() ?? { revision: 0, blocks: [] };
    return answer(reply, { revision, blocks: blocks.map(originalBlock) });
  });

  app.get(
    "/networks/:name/blocks",
    {
      schema: {
        summary: "The blocks of one network",
        tags,
        params: networkParams,
        response: { 200: BlockList },
      },
      config: { original: true, resourceType: "network" },
    },
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

  app.get(
    "/networks/:name/blackouts",
    {
      schema: {
        summary: "The blackouts of a network",
        tags,
        params: networkParams,
        response: { 200: BlackoutList },
      },
      config: { resourceType: "network" },
    },
    (request, reply) =>
      answer(
        reply,
        addressing.blackouts(request.params.name).map((cidr) => ({ cidr })),
      ),
  );

  app.post(
    "/networks/:name/blackouts",
    {
      schema: {
        summary: "Keep a range free of addresses",
        tags,
        params: networkParams,
        body: blackoutBody,
        response: { 200: Done },
      },
      config: { resourceType: "network", failures: [409] },
    },
    (request, reply) =>
      answerNull(
        reply,
        addressing.addBlackout(request.params.name, parseCidr(request.body.cidr), request.deadline),
      ),
  );

  app.delete(
    "/networks/:name/blackouts",
    {
      schema: {
        summary: "Give a range back",
        tags,
        params: networkParams,
        querystring: blackoutQuery,
        response: { 200: Done },
      },
      config: { resourceType: "network" },
    },
    (request, reply) =>
      answerNull(
        reply,
        addressing.removeBlackout(request.params.name, parseCidr(request.query.cidr), request.deadline),
      ),
  );

  done();
};
