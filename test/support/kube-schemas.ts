import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { z } from "zod";

const openApiSchema = z.looseObject({
  definitions: z.record(z.string(), z.looseObject({})),
});

const kindsSchema = z.array(z.object({ group: z.string(), version: z.string(), kind: z.string() }));

/**
 * Writes the schemas of every kind that an API server says it has (its answer to `/openapi/v2`) as kubeconform takes them from a folder with
 * `{{.ResourceKind}}{{.KindSuffix}}.json`. Unknown fields are refused. Answers how many kinds there are.
 */
export function writeKubeSchemas(openApi: unknown, folder: string): number {
  const { definitions } = openApiSchema.parse(openApi);
  mkdirSync(folder, { recursive: true });
  const strict = Object.fromEntries(
    Object.entries(definitions).map(([name, schema]) => [name, tighten(name, schema)]),
  );
  writeFileSync(join(folder, "_definitions.json"), JSON.stringify({ definitions: strict }));
  let count = 0;
  for (const [name, schema] of Object.entries(definitions)) {
    const kinds = kindsSchema.safeParse(schema["x-kubernetes-group-version-kind"]);
    for (const { group, version, kind } of kinds.success ? kinds.data : []) {
      // As kubeconform calls it: the first word of the group, if there is one, and the version.
      const suffix = group === "" ? version : `${group.split(".")[0] ?? ""}-${version}`;
      const file = join(folder, `${kind.toLowerCase()}-${suffix}.json`);
      writeFileSync(file, JSON.stringify({ $ref: `_definitions.json#/definitions/${name}` }));
      count += 1;
    }
  }
  return count;
}

/** The schema with references into the one file, no fields but its own, and the unions that OpenAPI 2 cannot say. */
function tighten(name: string, schema: Readonly<Record<string, unknown>>): unknown {
  if (name.endsWith(".resource.Quantity")) {
    return { type: ["string", "number"] };
  }
  if (name.endsWith(".intstr.IntOrString")) {
    return { type: ["string", "integer"] };
  }
  return tightened(schema);
}

function tightened(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(tightened);
  }
  if (typeof value !== "object" || value === null) {
    return value;
  }
  const schema = value as Readonly<Record<string, unknown>>;
  if (schema["x-kubernetes-int-or-string"] === true) {
    return { type: ["string", "integer"] };
  }
  const copy = Object.fromEntries(
    Object.entries(schema)
      // Their words are Kubernetes', not JSON Schema's.
      .filter(([key]) => !key.startsWith("x-kubernetes-") && key !== "format")
      .map(([key, each]) => [key, tightened(each)]),
  );
  const isClosed =
    typeof schema["properties"] === "object" &&
    schema["additionalProperties"] === undefined &&
    schema["x-kubernetes-preserve-unknown-fields"] !== true;
  return isClosed ? { ...copy, additionalProperties: false } : copy;
}
