import { readFileSync } from "node:fs";

import { parseAllDocuments } from "yaml";
import { z } from "zod";

const deploymentSchema = z.looseObject({
  kind: z.literal("Deployment"),
  metadata: z.looseObject({ name: z.literal("romana-controller"), namespace: z.string() }),
  spec: z.looseObject({
    template: z.looseObject({
      spec: z.looseObject({
        serviceAccountName: z.string(),
        containers: z
          .array(
            z.looseObject({
              args: z.array(z.string()),
              env: z.array(z.looseObject({ name: z.string(), value: z.string().optional() })),
            }),
          )
          .length(1),
      }),
    }),
  }),
});

const configMapSchema = z.looseObject({
  kind: z.literal("ConfigMap"),
  metadata: z.looseObject({ name: z.string() }),
  data: z.record(z.string(), z.string()),
});

/** What a manifest says about how the controller is started. */
export interface DeployedController {
  readonly account: { readonly namespace: string; readonly name: string };
  /** The container's arguments, `controller` first, with what the kubelet puts in for `$(POD_NAME)` and `$(POD_IP)`. */
  readonly args: readonly string[];
  /** Plain variables of the Pod and those of the ConfigMap of etcd. */
  readonly environment: Readonly<Record<string, string>>;
  /** The text of the file that `--config` names. */
  readonly config: string;
}

/** Reads it from a file of `deploy/rendered/`. */
export function deployedController(
  file: string,
  pod: { readonly name: string; readonly ip: string },
): DeployedController {
  const objects = parseAllDocuments(readFileSync(file, "utf8")).map((document) => document.toJS() as unknown);
  const deployment = objects
    .map((each) => deploymentSchema.safeParse(each))
    .find(({ success }) => success)?.data;
  if (deployment === undefined) {
    throw new Error(`${file} has no Deployment romana-controller`);
  }
  const dataOf = (name: string): Readonly<Record<string, string>> =>
    objects.map((each) => configMapSchema.safeParse(each).data).find((each) => each?.metadata.name === name)
      ?.data ?? {};
  const { serviceAccountName, containers } = deployment.spec.template.spec;
  const [container] = containers;
  const plain = (container?.env ?? []).flatMap(({ name, value }) =>
    value === undefined ? [] : [[name, value]],
  );
  return {
    account: { namespace: deployment.metadata.namespace, name: serviceAccountName },
    args: (container?.args ?? []).map((arg) =>
      arg.replaceAll("$(POD_NAME)", pod.name).replaceAll("$(POD_IP)", pod.ip),
    ),
    environment: { ...(Object.fromEntries(plain) as Record<string, string>), ...dataOf("romana-etcd") },
    config: dataOf("romana-config")["controller.yaml"] ?? "",
  };
}
