import type { FastifyError, FastifyReply, FastifyRequest, onRequestHookHandler } from "fastify";
import { hasZodFastifySchemaValidationErrors } from "fastify-type-provider-zod";

import { NetworkError } from "../core/errors.ts";
import type { Logger } from "../ports/logger.ts";
import { pathOf } from "./answers.ts";
import { internalProblem, problemOf, type Problem, type Subject } from "./problems.ts";

/** The original's paths with a name in them. */
const originalPath = /^\/(policies\/[^/]+|networks\/[^/]+\/blocks)$/;

/** Seconds after which a client may try again what failed for now. */
const retryAfterSeconds = "1";

/**
 * Turns whatever was thrown into the body and status of `problems.ts`. What is neither ours nor the framework's word on a bad request is
 * a bug: 500, and the log has it.
 */
export function failWith(
  log: Logger,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const known = translate(error, request);
  if (known === undefined) {
    log.error({ err: error, method: request.method, path: pathOf(request) }, "request failed on a bug");
    return send(internalProblem(), request, reply);
  }
  const problem = problemOf(known, missingSubject(known) ?? subjectOf(request));
  if (problem.status_code === 503) {
    log.warn({ err: known, method: request.method, path: pathOf(request) }, "request failed for now");
  }
  return send(problem, request, reply);
}

/** Sends a path with a slash too many to the one without (301), with its query, as the original does. */
export const redirectTrailingSlash: onRequestHookHandler = (request, reply, done) => {
  const path = pathOf(request);
  // Not //host/: a Location that starts with two slashes names another server.
  if (path.length > 1 && path.endsWith("/") && !/^[/\\]{2}/.test(path)) {
    const query = (request.raw.url ?? "").slice(path.length);
    reply
      .status(301)
      .header("location", path.replace(/\/+$/, "") + query)
      .send();
    return;
  }
  done();
};

/** The original's answer to an unknown path and to a wrong method alike. */
export function notFound(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const path = pathOf(request);
  const shown = path === request.raw.url ? path : `${path}?...`;
  const body = { status_code: 404, resource_id: shown, resource_type: "URI", see_also: "" };
  return reply
    .status(404)
    .type("text/plain; charset=utf-8")
    .send(`${JSON.stringify(body)}\n`);
}

function send(problem: Problem, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (problem.status_code === 503 || problem.status_code === 429) {
    reply.header("retry-after", retryAfterSeconds);
  }
  const { url, config } = request.routeOptions;
  // A path with a name that cannot be read leads to no route.
  const original = url === undefined ? originalPath.test(pathOf(request)) : config.original === true;
  return reply
    .status(problem.status_code)
    .type(original ? "application/json" : "application/problem+json")
    .send(Buffer.from(JSON.stringify(problem)));
}

/** Our error for what was thrown; `undefined` for a bug. */
function translate(error: unknown, request: FastifyRequest): NetworkError | undefined {
  if (error instanceof NetworkError) {
    return error;
  }
  if (hasZodFastifySchemaValidationErrors(error)) {
    return invalidRequest(
      error.validation.map(({ instancePath, message }) => ({ instancePath, message: message ?? "" })),
      error,
    );
  }
  const { statusCode, message } = error as FastifyError;
  if (statusCode === 413) {
    const limit = request.routeOptions.bodyLimit ?? 0;
    return new NetworkError(
      "invalid",
      "REQUEST_TOO_LARGE",
      `the request's body is larger than ${limit} bytes, the limit`,
      { limit },
      error,
    );
  }
  if (statusCode === 414) {
    return new NetworkError(
      "invalid",
      "REQUEST_URI_TOO_LONG",
      "a name in the request's path is too long",
      {},
      error,
    );
  }
  if (statusCode === 415) {
    return new NetworkError(
      "invalid",
      "REQUEST_TYPE_UNSUPPORTED",
      "the request's Content-Type is not a media type",
      {},
      error,
    );
  }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new NetworkError(
      "invalid",
      "REQUEST_MALFORMED",
      `the request cannot be read: ${message}`,
      {},
      error,
    );
  }
  return undefined;
}

function invalidRequest(
  issues: readonly { instancePath: string; message: string }[],
  cause: unknown,
): NetworkError {
  const texts = issues.map(({ instancePath, message }) => {
    const place = instancePath.split("/").filter(Boolean).join(".");
    return place === "" ? message : `${place}: ${message}`;
  });
  return new NetworkError(
    "invalid",
    "REQUEST_INVALID",
    `the request is not valid: ${texts.join("; ")}`,
    { issues: texts },
    cause,
  );
}

/** The policy that the body of `DELETE /policies` names. */
function namedInBody(request: FastifyRequest): string | undefined {
  const body: unknown = request.body;
  if (request.method !== "DELETE" || typeof body !== "object" || body === null || !("id" in body)) {
    return undefined;
  }
  const { id } = body;
  return typeof id === "string" && id !== "" ? id : undefined;
}

/** What is not there, which need not be what the path ends with. */
function missingSubject({ code, details }: NetworkError): Subject | undefined {
  const resourceType = /^(HOST|NETWORK|TENANT|SEGMENT|POLICY)_NOT_FOUND$/.exec(code)?.[1]?.toLowerCase();
  const resourceId = resourceType === undefined ? undefined : details[resourceType];
  return typeof resourceId === "string" ? { resourceType, resourceId } : undefined;
}

/** A name in the path or the query is the resource's id; the original shows its query as a Go map. */
function subjectOf(request: FastifyRequest): Subject {
  const { resourceType } = request.routeOptions.config;
  if (resourceType === undefined) {
    return {};
  }
  const { name, id, segment } = (request.params ?? {}) as Readonly<Record<string, string | undefined>>;
  const { addressName } = (request.query ?? {}) as { readonly addressName?: string };
  const released = resourceType === "address" && request.method === "DELETE";
  return {
    resourceType,
    resourceId: released ? `map[name:${addressName ?? ""}]` : (segment ?? id ?? name ?? namedInBody(request)),
  };
}
