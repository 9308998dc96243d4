import { execFileSync } from "node:child_process";

import { parse, parseAllDocuments } from "yaml";
import { z } from "zod";

import { skipUnless } from "../../support/skip.ts";
import { findTool, toolPath, type Tool } from "../../support/tools.ts";

/** A Kubernetes object as far as tests look into it without asking for more. */
export const manifestSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string().optional(),
    labels: z.record(z.string(), z.string()).optional(),
    annotations: z.record(z.string(), z.string()).optional(),
  }),
});

export type Manifest = z.output<typeof manifestSchema>;

/** For `describe.skipIf`. */
export function requireTools(...tools: readonly Tool[]): boolean {
  const missing = tools.filter((tool) => findTool(tool) === undefined);
  return skipUnless(
    missing.length === 0,
    `${missing.join(", ")} (\`make test\` builds them where there is Go)`,
  );
}

/** The objects of a text of YAML documents; empty documents are none. */
export function readManifests(text: string): readonly Manifest[] {
  return parseAllDocuments(text)
    .map((document) => document.toJS() as unknown)
    .filter((value) => value !== null)
    .map((value) => manifestSchema.parse(value));
}

/** `Deployment kube-system/romana-controller`. */
export function nameOf({ kind, metadata: { namespace, name } }: Manifest): string {
  return namespace === undefined ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
}

/** What `helm template` makes of the chart, values as `--set` takes them. */
export function helmTemplate(...values: readonly string[]): string {
  return execFileSync(
    toolPath("helm"),
    [
      "template",
      "romana",
      "deploy/helm/romana",
      "--namespace",
      "kube-system",
      ...values.flatMap((each) => ["--set", each]),
    ],
    { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] },
  );
}

/**
 * The same object without what only one of the two tools adds: Helm its own labels and the checksum that restarts Pods, the overlay for kOps the label of addons. The
 * controller's configuration is compared as what it says.
 */
export function comparable(manifest: Manifest): unknown {
  const { metadata, ...rest } = structuredClone(manifest);
  for (const label of ["helm.sh/chart", "app.kubernetes.io/managed-by", "k8s-addon"]) {
    delete metadata.labels?.[label];
  }
  const known = z
    .looseObject({
      data: z.looseObject({ "controller.yaml": z.string() }).optional(),
      spec: z
        .looseObject({
          template: z
            .looseObject({ metadata: z.looseObject({ annotations: z.unknown().optional() }) })
            .optional(),
        })
        .optional(),
    })
    .safeParse(rest);
  if (known.success && known.data.data !== undefined) {
    return { ...rest, metadata, data: parse(known.data.data["controller.yaml"]) as unknown };
  }
  if (known.success && known.data.spec?.template !== undefined) {
    const { annotations, ...templateMetadata } = known.data.spec.template.metadata;
    z.strictObject({ "checksum/config": z.string() }).optional().parse(annotations);
    return {
      ...rest,
      metadata,
      spec: { ...known.data.spec, template: { ...known.data.spec.template, metadata: templateMetadata } },
    };
  }
  return { ...rest, metadata };
}
