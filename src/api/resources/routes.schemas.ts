import { z } from "zod";

// The documents of `core/views/route-views.ts`.

const Skipped = z.object({ routeTableId: z.string(), destination: z.string(), reason: z.string() });

const Alarm = z.object({ kind: z.string(), subject: z.string(), message: z.string() });

/** `GET /plan`, and what a pass did. */
export const Plan = z
  .object({
    granularity: z.string(),
    operations: z.array(
      z.object({
        kind: z.enum(["create", "replace", "delete"]),
        routeTableId: z.string(),
        destination: z.string(),
        target: z.string(),
        host: z.string(),
        previousTarget: z.string().optional(),
        reason: z.string(),
      }),
    ),
    sourceDestCheck: z.array(z.object({ interfaceId: z.string(), host: z.string() })),
    skipped: z.array(Skipped),
    alarms: z.array(Alarm),
  })
  .meta({ id: "Plan" });

/** `GET /routes`. */
export const RouteStatus = z.object({
  granularity: z.string(),
  readAt: z.iso.datetime().nullable(),
  tables: z.array(
    z.object({
      id: z.string(),
      main: z.boolean(),
      routeCount: z.int(),
      quota: z.int(),
      owned: z.int(),
    }),
  ),
  routes: z.array(
    z.object({
      routeTableId: z.string(),
      destination: z.string(),
      network: z.string(),
      group: z.string(),
      target: z.string(),
      host: z.string(),
      actual: z.string().nullable(),
      owned: z.boolean(),
      state: z.enum(["active", "blackhole", "pending", "failed", "conflict"]),
      message: z.string().optional(),
    }),
  ),
  skipped: z.array(Skipped),
});

/** `GET /health/nodes`. */
export const NodeHealthList = z.object({
  blind: z.boolean(),
  nodes: z.array(
    z.object({
      host: z.string(),
      ip: z.string(),
      health: z.enum(["unknown", "rising", "up", "suspect", "down", "unmeasured"]),
      last: z.enum(["unknown", "rising", "up", "down"]),
      holdDownSeconds: z.number(),
      gatewayOf: z.array(z.string()),
      instanceId: z.string(),
      interfaceId: z.string(),
      sourceDestCheck: z.enum(["off", "on", "unknown"]),
    }),
  ),
});

const Pass = z.object({
  startedAt: z.iso.datetime(),
  durationMs: z.number(),
  outcome: z.enum(["ok", "failed"]),
  operations: z.int(),
  failed: z.int(),
  error: z.string().optional(),
});

/** `GET /status`. */
export const Status = z.object({
  version: z.string(),
  startedAt: z.iso.datetime(),
  cloud: z.string(),
  region: z.string().nullable(),
  vpcId: z.string().nullable(),
  store: z.string(),
  leader: z.boolean(),
  dryRun: z.boolean(),
  hosts: z.object({ total: z.int(), unplaced: z.int(), misplaced: z.int() }),
  routes: z.object({ desired: z.int(), active: z.int() }),
  lastPass: Pass.nullable(),
  cloudCalls: z.record(z.string(), z.int()),
  alarms: z.array(Alarm),
});
