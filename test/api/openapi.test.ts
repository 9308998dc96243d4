import { expect, it } from "vitest";

import { emptyServer } from "./support.ts";

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

interface Operation {
  readonly summary?: string;
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { schema: Json }>> }>
  >;
}

async function readDocument() {
  const { app } = await emptyServer();
  await app.ready();
  const response = await app.inject("/openapi.json");
  const document = response.json<{
    openapi: string;
    paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
    components: { schemas: Readonly<Record<string, Json>> };
  }>();
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      operation,
    })),
  );
  return { app, response, document, operations };
}

/** Keys whose value is one schema, a list of schemas, or schemas by name. */
const single = new Set(["schema", "items", "additionalProperties", "not", "propertyNames"]);
const lists = new Set(["anyOf", "oneOf", "allOf", "prefixItems"]);
const named = new Set(["properties", "schemas", "patternProperties"]);

/** Every schema in a part of the document, with its place. */
function schemasIn(part: Json, place: string): readonly { readonly place: string; readonly schema: Json }[] {
  if (typeof part !== "object" || part === null) {
    return [];
  }
  return Object.entries(part).flatMap(([key, value]) => {
    const at = `${place}/${key}`;
    const found =
      single.has(key) && value !== false
        ? [{ place: at, schema: value }]
        : lists.has(key) || named.has(key)
          ? Object.entries(value as object).map(([index, schema]) => ({
              place: `${at}/${index}`,
              schema: schema as Json,
            }))
          : [];
    return [...found, ...schemasIn(value, at)];
  });
}

function referencesIn(part: Json): readonly string[] {
  return [...JSON.stringify(part).matchAll(/"\$ref":"([^"]+)"/g)].map(([, target = ""]) => target);
}

it("describes every path that is served, and no other", async () => {
  const { app, response, document, operations } = await readDocument();

  expect(response.headers["content-type"]).toBe("application/json");
  expect(document.openapi).toBe("3.1.0");
  expect(operations.map(({ name }) => name).toSorted()).toEqual(app.endpoints.toSorted());
});

it("has no empty schema", async () => {
  const { document } = await readDocument();

  const schemas = schemasIn(document as unknown as Json, "");
  const empty = schemas.filter(
    ({ schema }) => schema === true || (typeof schema === "object" && Object.keys(schema ?? {}).length === 0),
  );

  expect(empty.map(({ place }) => place)).toEqual([]);
  expect(schemas.length).toBeGreaterThan(200);
});

it("has no reference that leads nowhere, and no schema that nothing refers to", async () => {
  const { document } = await readDocument();

  const targets = new Set(referencesIn(document as unknown as Json));

  expect(targets).toEqual(
    new Set(Object.keys(document.components.schemas).map((name) => `#/components/schemas/${name}`)),
  );
  expect(targets.size).toBeGreaterThan(5);
});

it("says of every path what it is for and what it answers, with the schema of each answer", async () => {
  const { operations } = await readDocument();

  const lacking = operations.filter(
    ({ operation: { summary, responses } }) =>
      !summary ||
      responses["200"] === undefined ||
      Object.values(responses).some(({ content }) => Object.keys(content ?? {}).length === 0),
  );

  expect(lacking.map(({ name }) => name)).toEqual([]);
});

it("names for each path the errors that it can answer, and no others", async () => {
  const { operations } = await readDocument();
  const statuses = Object.fromEntries(
    operations.map(({ name, operation }) => [name, Object.keys(operation.responses).map(Number)]),
  );

  expect(statuses["GET /healthz"]).toEqual([200, 406, 503]);
  expect(statuses["GET /networks"]).toEqual([200, 401, 403, 406, 429, 503]);
  expect(statuses["GET /hosts/{name}"]).toEqual([200, 400, 401, 403, 404, 406, 414, 429, 503]);
  expect(statuses["GET /routes"]).toEqual([200, 307, 401, 403, 406, 429, 503]);
  expect(statuses["POST /address"]).toEqual([200, 400, 401, 403, 404, 406, 409, 413, 415, 429, 503]);
});
