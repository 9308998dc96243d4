import type { FastifySchemaCompiler } from "fastify";
import { validatorCompiler } from "fastify-type-provider-zod";

import { NetworkError } from "../../core/errors.ts";
import type { ImportReport as Report } from "../../core/views/state-views.ts";
import type { ImportOptions } from "../../services/state-service.ts";
import { answer, answerPieces } from "../answers.ts";
import type { Resource } from "../resource.ts";
import { ImportReport, importBody, importQuery, StateDocument } from "./state.schemas.ts";

/** Bytes of a state; 250,000 addresses take 35 to 50 MB, and about ten times that of memory while they are read. */
export const maxStateBytes = 256 * 1024 * 1024;

/** What the API asks of the part that exports and imports. */
export interface StateTransfer {
  export(signal: AbortSignal): Promise<Iterable<string>>;
  import(document: unknown, options: ImportOptions, signal: AbortSignal): Promise<Report>;
}

const tags = ["state"];

/** The reader of states checks the body field by field; a second time would take seconds for a large one. */
const bodyAsItIs: FastifySchemaCompiler<unknown> = (route) =>
  route.httpPart === "body"
    ? (value) => ({ value })
    : validatorCompiler(route as Parameters<typeof validatorCompiler>[0]);

/** `/export` and `/import`: the whole state out and in. */
export const stateResource: Resource<{ state: StateTransfer }> = (app, { state }, done) => {
  app.get(
    "/export",
    {
      schema: { summary: "The whole state as one document", tags, response: { 200: StateDocument } },
      config: { access: "admin", slow: true },
    },
    async (request, reply) => answerPieces(reply, await state.export(request.deadline)),
  );

  app.post(
    "/import",
    {
      bodyLimit: maxStateBytes,
      validatorCompiler: bodyAsItIs,
      schema: {
        summary: "Put a state in the place of one without addresses",
        tags,
        body: importBody,
        querystring: importQuery,
        response: { 200: ImportReport },
      },
      config: { access: "admin", slow: true },
    },
    async (request, reply) => {
      const document: unknown = request.body;
      if (document === undefined || document === null) {
        throw new NetworkError(
          "invalid",
          "IMPORT_MALFORMED",
          "nothing was imported: the request has no body; send the document that GET /export gave, or the original's state, as application/json",
        );
      }
      const { repair, dry_run: dryRun } = request.query;
      const options = { repair: repair === "true", dryRun: dryRun === "true" };
      return answer(reply, await state.import(document, options, request.deadline));
    },
  );

  done();
};
