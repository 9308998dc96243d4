import { z } from "zod";

import { JsonValue } from "../schemas.ts";

const count = z.int().min(0);

/** `POST /import`: what the document means is for the reader of states, so it is any object here. */
export const importBody = z.record(z.string(), JsonValue);

/** `POST /import?repair=true&dry_run=true`. */
export const importQuery = z.object({
  repair: z.enum(["true", "false"]).default("false"),
  dry_run: z.enum(["true", "false"]).default("false"),
});

const Owner = z.object({ host: z.string(), tenant: z.string(), segment: z.string() });

/** `GET /export`. */
export const StateDocument = z.object({
  kind: z.literal("romana-state"),
  version: z.literal(1),
  exportedAt: z.iso.datetime(),
  topologyRevision: count,
  revisionBase: z.object({ total: count, networks: z.record(z.string(), count) }),
  topology: z
    .object({ networks: z.array(JsonValue).nullable(), topologies: z.array(JsonValue).nullable() })
    .nullable(),
  hosts: z.array(
    z.object({
      name: z.string(),
      ip: z.string(),
      agentPort: count,
      tags: z.record(z.string(), z.string()),
      origin: z.enum(["document", "api", "cloud", "kubernetes"]),
      sequence: count,
      groups: z.array(z.object({ network: z.string(), cidr: z.string(), subnet: z.string() })),
      misplaced: z.boolean(),
      node: z.object({ uid: z.string(), instanceId: z.string() }).optional(),
    }),
  ),
  blocks: z.array(
    z.object({
      network: z.string(),
      cidr: z.string(),
      owner: Owner.nullable(),
      revision: count,
      sequence: count,
    }),
  ),
  addresses: z.array(
    z.object({
      name: z.string(),
      address: z.string(),
      host: z.string(),
      tenant: z.string(),
      segment: z.string(),
      pod: z.object({ namespace: z.string(), name: z.string(), uid: z.string() }).optional(),
    }),
  ),
  blackouts: z.array(z.object({ network: z.string(), cidrs: z.array(z.string()) })),
  tenants: z.array(JsonValue),
  policies: z.array(JsonValue),
  routes: z.array(z.object({ routeTableId: z.string(), destination: z.string(), target: z.string() })),
});

/** The answer to `POST /import`. */
export const ImportReport = z.object({
  source: z.enum(["romana-state", "original"]),
  applied: z.boolean(),
  sound: z.boolean(),
  networks: count,
  groups: count,
  hosts: count,
  blocks: count,
  addresses: count,
  blackouts: count,
  tenants: count,
  policies: count,
  findings: z.array(
    z.object({
      code: z.string(),
      severity: z.enum(["unsound", "note"]),
      place: z.string(),
      message: z.string(),
      repair: z.string(),
    }),
  ),
});
