import { z } from "zod";

const Endpoint = z
  .object({
    peer: z.enum(["any", "local"]).optional(),
    cidr: z.string().optional(),
    dest: z.literal("host").optional(),
    tenant_id: z.string().optional(),
    segment_id: z.string().optional(),
  })
  .meta({ id: "PolicyEndpoint" });

const portNumber = z.int().min(0).max(65_535);

const Rule = z
  .object({
    protocol: z.enum(["tcp", "udp", "icmp", "any"]),
    ports: z.array(portNumber).optional(),
    port_ranges: z.array(z.array(portNumber).length(2)).optional(),
    icmp_type: z.int().min(0).max(255).optional(),
    icmp_code: z.int().min(0).max(255).optional(),
    is_stateful: z.boolean().optional(),
  })
  .meta({ id: "PolicyRule" });

/** A policy as it is kept (`core/policy/policy.ts`). */
export const PolicyObject = z
  .object({
    id: z.string(),
    name: z.string().optional(),
    direction: z.enum(["ingress", "egress"]),
    description: z.string().optional(),
    applied_to: z.array(Endpoint),
    ingress: z.array(z.object({ peers: z.array(Endpoint), rules: z.array(Rule) })),
  })
  .meta({ id: "Policy" });

/** `GET /policies`. */
export const PolicyList = z.array(PolicyObject);

const ManualEndpoint = z.object({
  peer: z.enum(["any", "local"]).optional(),
  cidr: z.string().optional(),
  dest: z.literal("host").optional(),
  tenant: z.string().optional(),
  segment: z.string().optional(),
});

/** `POST /policies`: one, several, or the manual's form. `core/policy` reads it. */
export const PostedPolicies = z.union([
  PolicyObject,
  PolicyList,
  z.object({
    securitypolicies: z.array(
      z.object({
        name: z.string(),
        description: z.string().optional(),
        direction: z.enum(["ingress", "egress"]),
        applied_to: z.array(ManualEndpoint),
        peers: z.array(ManualEndpoint),
        rules: z.array(Rule),
      }),
    ),
  }),
]);

/** `DELETE /policies`: other fields are ignored, so that a whole policy may be sent. */
export const PolicyReference = z.object({ id: z.string() });

const Requirement = z
  .object({
    key: z.string(),
    operator: z.enum(["in", "not-in", "exists", "not-exists"]),
    values: z.array(z.string()).optional(),
  })
  .meta({ id: "PolicyRequirement" });

const Namespaces = z.union([
  z.object({ kind: z.literal("named"), name: z.string() }),
  z.object({ kind: z.literal("labelled"), selector: z.array(Requirement) }),
]);

const PodSet = z.object({ kind: z.literal("pods"), namespaces: Namespaces, pods: z.array(Requirement) });

const TenantSet = z.object({ kind: z.literal("tenant"), tenant: z.string(), segment: z.string().optional() });

const ModelTarget = z
  .union([
    PodSet,
    TenantSet,
    z.object({ kind: z.literal("cidr"), cidr: z.string() }),
    z.object({ kind: z.literal("host") }),
  ])
  .meta({ id: "PolicyModelTarget" });

const ModelPeer = z
  .union([
    PodSet,
    TenantSet,
    z.object({ kind: z.literal("cidr"), cidr: z.string(), except: z.array(z.string()) }),
    z.object({ kind: z.enum(["any", "local"]) }),
  ])
  .meta({ id: "PolicyModelPeer" });

const ModelTraffic = z
  .union([
    z.object({ protocol: z.literal("any") }),
    z.object({
      protocol: z.literal("icmp"),
      type: z.int().min(0).max(255).optional(),
      code: z.int().min(0).max(255).optional(),
    }),
    z.object({
      protocol: z.enum(["sctp", "tcp", "udp"]),
      ports: z.union([
        z.literal("all"),
        z.array(z.union([portNumber, z.array(portNumber).length(2), z.string()])),
      ]),
    }),
  ])
  .meta({ id: "PolicyModelTraffic" });

const Allowance = z
  .object({ peers: z.array(ModelPeer), traffic: z.array(ModelTraffic) })
  .meta({ id: "PolicyModelAllowance" });

/** What every policy comes to (`core/policy/model.ts`). */
const PolicyModelObject = z
  .object({
    id: z.string(),
    source: z.union([
      z.object({ kind: z.literal("romana"), id: z.string(), name: z.string().optional() }),
      z.object({
        kind: z.literal("network-policy"),
        namespace: z.string(),
        name: z.string(),
        uid: z.string(),
      }),
      z.object({ kind: z.literal("isolation"), namespace: z.string(), uid: z.string() }),
    ]),
    targets: z.array(ModelTarget),
    isolates: z.array(z.enum(["ingress", "egress"])),
    ingress: z.array(Allowance),
    egress: z.array(Allowance),
  })
  .meta({ id: "PolicyModel" });

/** `GET /policy-models`. */
export const PolicyModelList = z.array(PolicyModelObject);
