import { z } from "zod";

/** `GET /explain/ip/{address}`. */
export const addressParams = z.object({ address: z.string() });

/** `GET /explain/route?cidr=`. */
export const cidrQuery = z.object({ cidr: z.string() });

const Sync = z.enum(["in-sync", "pending", "failed", "conflict", "none"]);

const GatewayNode = z.object({
  host: z.string(),
  interfaceId: z.string(),
  instanceId: z.string(),
  zone: z.string(),
  subnetId: z.string(),
  health: z.enum(["unknown", "rising", "up", "suspect", "down", "unmeasured"]),
  standing: z.enum(["ready", "not-ready", "leaving", "gone", ""]),
});

/** The answer to `GET /explain/ip/{address}`. */
export const ExplainedIp = z.object({
  address: z.string(),
  kind: z.enum(["in-use", "free", "node", "vpc", "outside"]),
  summary: z.string(),
  network: z.object({ name: z.string(), cidr: z.string(), tenants: z.array(z.string()) }).nullable(),
  groups: z.array(
    z.object({ name: z.string(), cidr: z.string(), kind: z.enum(["group", "reserve", "dummy"]) }),
  ),
  block: z
    .object({
      cidr: z.string(),
      state: z.enum(["owned", "returned", "unused"]),
      revision: z.int(),
      inUse: z.int(),
      size: z.int(),
    })
    .nullable(),
  blackout: z.string().nullable(),
  holder: z.string().nullable(),
  pod: z
    .object({
      namespace: z.string(),
      name: z.string(),
      uid: z.string(),
      labels: z.record(z.string(), z.string()).nullable(),
      phase: z.string().nullable(),
    })
    .nullable(),
  tenant: z.string().nullable(),
  segment: z.string().nullable(),
  host: z
    .object({
      name: z.string(),
      ip: z.string(),
      state: z.enum(["placed", "misplaced", "unplaced"]),
      reason: z.string(),
      labels: z.record(z.string(), z.string()),
      gateway: GatewayNode.nullable(),
    })
    .nullable(),
  readAt: z.iso.datetime().nullable(),
  routes: z.array(
    z.object({
      routeTableId: z.string(),
      subnetIds: z.array(z.string()),
      main: z.boolean(),
      destination: z.string(),
      ownership: z.enum(["ours", "foreign", "local", "missing"]),
      state: z.enum(["active", "blackhole", "missing"]),
      sync: Sync,
      target: z.string(),
      gateway: GatewayNode.nullable(),
      failure: z.string(),
      standIn: z.string(),
    }),
  ),
  notes: z.array(z.string()),
});

/** The answer to `GET /explain/route`. */
export const ExplainedRoute = z.object({
  cidr: z.string(),
  kind: z.enum(["wanted", "covered", "split", "refused", "unwanted", "outside"]),
  summary: z.string(),
  network: z.string().nullable(),
  group: z.string().nullable(),
  level: z.enum(["group", "parent", "block", "listed"]).nullable(),
  gateway: z.string().nullable(),
  choice: z.enum(["kept", "chosen", "stays"]).nullable(),
  granularity: z.string(),
  related: z.array(z.string()),
  readAt: z.iso.datetime().nullable(),
  tables: z.array(
    z.object({
      routeTableId: z.string(),
      main: z.boolean(),
      routeCount: z.int(),
      quota: z.int(),
      state: z.enum(["active", "blackhole", "missing"]),
      ownership: z.enum(["ours", "foreign", "missing"]),
      sync: Sync,
      target: z.string(),
      gateway: GatewayNode.nullable(),
      recorded: z.string(),
      failure: z.object({ message: z.string(), attempts: z.int(), retrySeconds: z.int() }).nullable(),
      skipped: z.string(),
    }),
  ),
  candidates: z.array(
    z.object({
      ...GatewayNode.shape,
      routes: z.int(),
      rank: z.int(),
      verdict: z.enum(["gateway", "stand-in", "no"]),
      reason: z.string(),
    }),
  ),
  notes: z.array(z.string()),
});
