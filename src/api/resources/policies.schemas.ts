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
