import { z } from "zod";

// What a kubelet has to know of a workload's Pods. What is not listed here and matters to a process is refused, so that no manifest is played by halves.

const projectedToken = z.strictObject({
  serviceAccountToken: z.strictObject({
    audience: z.string(),
    expirationSeconds: z.number(),
    path: z.string(),
  }),
});

const volume = z.strictObject({
  name: z.string(),
  configMap: z.strictObject({ name: z.string(), defaultMode: z.number().optional() }).optional(),
  secret: z.strictObject({ secretName: z.string(), defaultMode: z.number().optional() }).optional(),
  hostPath: z.strictObject({ path: z.string(), type: z.string() }).optional(),
  emptyDir: z.looseObject({}).optional(),
  projected: z
    .strictObject({ defaultMode: z.number().optional(), sources: z.array(projectedToken) })
    .optional(),
});

const variable = z.strictObject({
  name: z.string(),
  value: z.string().optional(),
  valueFrom: z
    .strictObject({
      fieldRef: z.strictObject({
        apiVersion: z.string().optional(),
        fieldPath: z.enum(["metadata.name", "spec.nodeName", "status.podIP"]),
      }),
    })
    .optional(),
});

const container = z.looseObject({
  name: z.string(),
  args: z.array(z.string()),
  // The image's own entry point is `romana`.
  command: z.undefined().optional(),
  workingDir: z.undefined().optional(),
  env: z.array(variable).default([]),
  envFrom: z.array(z.strictObject({ configMapRef: z.strictObject({ name: z.string() }) })).default([]),
  volumeMounts: z
    .array(
      z.strictObject({
        name: z.string(),
        mountPath: z.string(),
        readOnly: z.boolean().optional(),
      }),
    )
    .default([]),
  securityContext: z.strictObject({
    runAsUser: z.number(),
    runAsGroup: z.number(),
    runAsNonRoot: z.boolean().optional(),
    privileged: z.literal(false),
    allowPrivilegeEscalation: z.literal(false),
    readOnlyRootFilesystem: z.literal(true),
    capabilities: z.strictObject({ drop: z.tuple([z.literal("ALL")]), add: z.array(z.string()).default([]) }),
  }),
});

/** Deployment, DaemonSet or Job, as the API server has it. */
export const workloadSchema = z.looseObject({
  metadata: z.looseObject({ name: z.string(), namespace: z.string() }),
  spec: z.looseObject({
    template: z.looseObject({
      metadata: z.looseObject({ labels: z.record(z.string(), z.string()) }),
      spec: z.looseObject({
        serviceAccountName: z.string(),
        automountServiceAccountToken: z.boolean().default(true),
        hostNetwork: z.literal(true),
        containers: z.tuple([container]),
        initContainers: z.undefined().optional(),
        volumes: z.array(volume).default([]),
      }),
    }),
  }),
});

export type Workload = z.output<typeof workloadSchema>;
export type PodVolume = z.output<typeof volume>;
export type PodContainer = z.output<typeof container>;
