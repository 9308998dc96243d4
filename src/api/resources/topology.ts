import type { FastifyPluginCallbackZod } from "fastify-type-provider-zod";

import { NetworkError } from "../../core/errors.ts";
import { answer, answerNull } from "../answers.ts";
import type { Addressing } from "../control-plane.ts";
import { bodyFormat } from "../media-types.ts";

/** `/topology` and what the last update warned of. */
export const topologyResource: FastifyPluginCallbackZod<{ addressing: Addressing }> = (
  app,
  { addressing },
  done,
) => {
  app.get("/topology", { config: { original: true } }, (_request, reply) =>
    answer(reply, addressing.topology()),
  );

  app.post("/topology", { config: { original: true } }, (request, reply) => {
    if (request.body === undefined) {
      throw new NetworkError(
        "invalid",
        "REQUEST_MALFORMED",
        "the request has no body: send a topology document, or null to empty the topology",
      );
    }
    if (bodyFormat(request.headers["content-type"]) === "form") {
      // A form has no lists: read as a document it would be an empty one, and empty the topology.
      throw new NetworkError(
        "invalid",
        "REQUEST_TYPE_UNSUPPORTED",
        "a topology document cannot be sent as a form: send it as application/json",
      );
    }
    return answerNull(reply, addressing.updateTopology(request.body, request.deadline));
  });

  app.get("/topology/status", (_request, reply) => answer(reply, addressing.topologyStatus()));

  done();
};
