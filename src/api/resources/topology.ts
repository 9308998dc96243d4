import { NetworkError } from "../../core/errors.ts";
import { answer, answerNull } from "../answers.ts";
import type { Addressing } from "../control-plane.ts";
import { bodyFormat } from "../media-types.ts";
import type { Resource } from "../resource.ts";
import { Done } from "../schemas.ts";
import { PostedTopology, TopologyDocument, TopologyStatus } from "./topology.schemas.ts";

const tags = ["topology"];

/** `/topology` and what the last update warned of. */
export const topologyResource: Resource<{ addressing: Addressing }> = (app, { addressing }, done) => {
  app.get(
    "/topology",
    {
      schema: { summary: "The topology document", tags, response: { 200: TopologyDocument } },
      config: { original: true },
    },
    (_request, reply) => answer(reply, addressing.topology()),
  );

  const update = {
    schema: { summary: "Replace the topology", tags, response: { 200: Done } },
    config: { original: true, failures: [409], reads: PostedTopology },
  } as const;
  app.post("/topology", update, (request, reply) => {
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

  app.get(
    "/topology/status",
    {
      schema: {
        summary: "Revision and warnings of the topology",
        tags,
        response: { 200: TopologyStatus },
      },
    },
    (_request, reply) => answer(reply, addressing.topologyStatus()),
  );

  done();
};
