import { z } from "zod";

/** A host as the original lists it, with its place. */
const Host = z
  .object({
    ip: z.string(),
    name: z.string(),
    agent_port: z.int().min(0).max(65_535),
    tags: z.record(z.string(), z.string()).nullable(),
    k8s_info: z.object({ uid: z.string(), instance_id: z.string() }).nullable(),
    placed: z.boolean(),
  })
  .meta({ id: "Host" });

/** A host with all that is known of it. */
export const FullHost = z
  .object({
    ...Host.shape,
    misplaced: z.boolean(),
    reason: z.string(),
    origin: z.enum(["document", "api", "cloud", "kubernetes"]),
    groups: z.array(z.object({ network: z.string(), cidr: z.string() })),
  })
  .meta({ id: "FullHost" });

/** `GET /hosts`; the fuller form with `full=true`. */
export const HostList = z.object({ hosts: z.array(z.union([Host, FullHost])), revision: z.int() });
