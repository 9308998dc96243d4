import swagger, { type FastifyDynamicSwaggerOptions, type SwaggerTransform } from "@fastify/swagger";
import type { FastifyInstance, FastifySchema } from "fastify";
import { jsonSchemaTransform, jsonSchemaTransformObject } from "fastify-type-provider-zod";
import { z } from "zod";

import { answerText } from "./answers.ts";
import { Problem } from "./problems.schemas.ts";
import type { Resource } from "./resource.ts";
import { accessOf, failuresOf } from "./route-config.ts";
import { JsonObject } from "./schemas.ts";

const description =
  "Addresses follow the topology: networks, hosts, blocks and addresses, and the routes that lead to them. " +
  "Answers are JSON also under the types application/vnd.romana.v1+json, application/vnd.romana+json and text/plain, if the request " +
  "accepts only these; requests may call their JSON by the first two. Every path answers HEAD where it answers GET. A path with a slash " +
  "at its end is redirected (301) to the one without. An unknown path, and a wrong method, is answered 404. While the store is silent, reads " +
  "have the header Romana-Stale with the seconds since its last answer. 429 and 503 have Retry-After, 307 has Location.";

/** What each status means, wherever it occurs. */
const meanings: Readonly<Record<number, string>> = {
  200: "Done.",
  307: "Another replica leads: ask it, at `Location`.",
  400: "The request cannot be read, or can never succeed as it is.",
  401: "The caller is not known.",
  403: "The caller may not do this, or a web page of another site asks for it.",
  404: "There is no such thing.",
  406: "The request accepts no type of answer that there is.",
  409: "The name is taken, addresses are in use, or none is left.",
  410: "The history does not reach back to the revision: list again.",
  413: "The body is too large.",
  414: "A name in the path is too long.",
  415: "The body is of a type that is not read.",
  422: "The body names nothing.",
  429: "Too many requests are being worked on: try again after `Retry-After` seconds.",
  503: "The store, the cloud or the leader does not answer: try again after `Retry-After` seconds.",
};

/** Adds to a route's own description what is the same for all: its errors, its media types, who may use it. */
const describe: SwaggerTransform = ({ schema, url, route, ...document }) => {
  const { config = {} } = route;
  const success = config.produces ?? "application/json";
  const failure = config.original === true ? "application/json" : "application/problem+json";
  const own = Object.entries((schema.response ?? {}) as Readonly<Record<string, z.ZodType>>);
  const response = {
    ...Object.fromEntries(failuresOf(route).map((status) => [status, contentOf(status, failure, Problem)])),
    ...Object.fromEntries(own.map(([status, body]) => [status, contentOf(Number(status), success, body)])),
  };
  const access = accessOf(route);
  const described: FastifySchema & Record<`x-${string}`, unknown> = {
    ...schema,
    response,
    ...(config.reads === undefined ? {} : { body: config.reads }),
    ...(config.form === true ? { consumes: ["application/json", "application/x-www-form-urlencoded"] } : {}),
    // The empty one: plain HTTP, which is served on loopback and unix sockets alone.
    security: access === "open" ? [] : [{ token: [] }, { certificate: [] }, {}],
    "x-access": access,
    ...(config.leader === true ? { "x-leader": true } : {}),
  };
  return jsonSchemaTransform({ schema: described, url, route, ...document });
};

function contentOf(status: number, type: string, schema: z.ZodType): object {
  return { description: meanings[status] ?? "An error.", content: { [type]: { schema } } };
}

type Components = NonNullable<NonNullable<FastifyDynamicSwaggerOptions["openapi"]>["components"]>;

/** A kind of OpenAPI 3.1 that the package's types lack. */
const mutualTls = { type: "mutualTLS" } as unknown as NonNullable<Components["securitySchemes"]>[string];

/**
 * Describes every route that is registered after it as OpenAPI 3.1, out of the zod schemas that check the requests. The schemas of answers are for
 * the description alone: nothing is checked or rendered by them at run time.
 */
export function describeRoutes(app: FastifyInstance): void {
  app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: "Romana", version: "2.0.0", description },
      components: {
        securitySchemes: {
          token: { type: "http", scheme: "bearer" },
          certificate: mutualTls,
        },
      },
    },
    convertConstToEnum: false,
    transform: describe,
    transformObject: (document) => withoutUnused(jsonSchemaTransformObject(document)),
  });
}

/** Drops the schemas that nothing refers to: each is made in a form for requests and one for answers. */
function withoutUnused<T extends object>(document: T): T {
  const { components: parts, ...rest } = document as T & { components: { schemas: Record<string, object> } };
  const schemas: Record<string, object> = {};
  const open = referencesIn(rest);
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const schema = parts.schemas[name];
    if (schema !== undefined && schemas[name] === undefined) {
      schemas[name] = schema;
      open.push(...referencesIn(schema));
    }
  }
  const sorted = Object.fromEntries(Object.entries(schemas).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  return { ...document, components: { ...parts, schemas: sorted } };
}

/** Names of the schemas that a part of the document refers to. */
function referencesIn(part: object): string[] {
  const texts = JSON.stringify(part).matchAll(/"\$ref":"#\/components\/schemas\/([^"/]+)"/g);
  return [...texts].map(([, name = ""]) => name);
}

const OpenapiDocument = z.object({
  openapi: z.literal("3.1.0"),
  info: JsonObject,
  components: JsonObject,
  paths: z.record(z.string(), JsonObject),
});

/** The document itself. */
export const openapiResource: Resource = (app, _options, done) => {
  let text: string | undefined;
  app.get(
    "/openapi.json",
    {
      schema: { summary: "This description", tags: ["controller"], response: { 200: OpenapiDocument } },
      config: { access: "reader" },
    },
    (_request, reply) => {
      text ??= JSON.stringify(app.swagger());
      return answerText(reply, text);
    },
  );
  done();
};
