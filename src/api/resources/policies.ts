import { z } from "zod";

import { NetworkError } from "../../core/errors.ts";
import type { Policy } from "../../core/policy/policy.ts";
import { answer, answerNull } from "../answers.ts";
import { bodyFormat } from "../media-types.ts";
import type { Resource } from "../resource.ts";
import { Done } from "../schemas.ts";
import { PolicyList, PolicyObject, PolicyReference, PostedPolicies } from "./policies.schemas.ts";

/** What the API asks of the part that keeps policies. Failures are `NetworkError`s. */
export interface Policies {
  /** Sorted by key. */
  list(): readonly Policy[];
  /** By id or name. */
  find(idOrName: string): Policy;
  /** In whichever form; all of them or none. */
  save(document: unknown, signal: AbortSignal): Promise<unknown>;
  /** By id or name. */
  remove(idOrName: string, signal: AbortSignal): Promise<void>;
}

const tags = ["policies"];
const idParams = z.object({
  id: z.string().meta({ description: "Id or name of the policy", examples: ["web"] }),
});

/** `/policies` of the original. */
export const policiesResource: Resource<{ policies: Policies }> = (app, { policies }, done) => {
  const config = { original: true, resourceType: "policy" } as const;

  app.get(
    "/policies",
    { schema: { summary: "All policies", tags, response: { 200: PolicyList } }, config },
    (_request, reply) => answer(reply, policies.list()),
  );

  app.get(
    "/policies/:id",
    {
      schema: {
        summary: "One policy, by id or name",
        tags,
        params: idParams,
        response: { 200: PolicyObject },
      },
      config: { ...config, failures: [409] },
    },
    (request, reply) => answer(reply, policies.find(request.params.id)),
  );

  app.post(
    "/policies",
    {
      schema: { summary: "Store policies, replacing those of the same id", tags, response: { 200: Done } },
      config: { ...config, failures: [409], reads: PostedPolicies },
    },
    (request, reply) => {
      if (request.body === undefined) {
        throw new NetworkError("invalid", "REQUEST_MALFORMED", "the request has no body: send a policy");
      }
      if (bodyFormat(request.headers["content-type"]) === "form") {
        throw new NetworkError(
          "invalid",
          "REQUEST_TYPE_UNSUPPORTED",
          "a policy cannot be sent as a form, which has no lists: send it as application/json",
        );
      }
      return answerNull(reply, policies.save(request.body, request.deadline));
    },
  );

  app.delete(
    "/policies/:id",
    {
      schema: {
        summary: "Remove a policy, by id or name",
        tags,
        params: idParams,
        response: { 200: Done },
      },
      config: { ...config, failures: [409] },
    },
    (request, reply) => answerNull(reply, policies.remove(request.params.id, request.deadline)),
  );

  app.delete(
    "/policies",
    {
      schema: { summary: "Remove the policy that the body names", tags, response: { 200: Done } },
      config: { ...config, failures: [404, 409, 422], reads: PolicyReference },
    },
    (request, reply) => answerNull(reply, policies.remove(idIn(request.body), request.deadline)),
  );

  done();
};

/** The original's two refusals, in its order. */
function idIn(body: unknown): string {
  if (body === undefined) {
    throw new NetworkError(
      "invalid",
      "POLICY_NOT_NAMED",
      'the request names no policy: ask for DELETE /policies/{id}, or send {"id": …} as its body',
    );
  }
  const id: unknown = typeof body === "object" && body !== null && "id" in body ? body.id : undefined;
  if (typeof id === "string" && id !== "") {
    return id;
  }
  throw new NetworkError(
    "invalid",
    "POLICY_ID_MISSING",
    'the request\'s body names no policy: it needs an "id", which is a text',
  );
}
