import { z } from "zod";

/** A tenant. */
export const TenantObject = z
  .object({
    name: z.string(),
    declared: z.boolean(),
    segments: z.array(z.string()),
    networks: z.array(z.string()),
    addresses: z.int(),
    blocks: z.int(),
  })
  .meta({ id: "Tenant" });

/** `GET /tenants`. */
export const TenantList = z.array(TenantObject);

/** A segment of a tenant. */
export const SegmentObject = z
  .object({ name: z.string(), declared: z.boolean(), addresses: z.int(), blocks: z.int() })
  .meta({ id: "Segment" });

/** `GET /tenants/{name}/segments`. */
export const SegmentList = z.array(SegmentObject);

/** `POST /tenants` and `POST /tenants/{name}/segments`. */
export const nameBody = z.object({ name: z.string() }).meta({ examples: [{ name: "shop" }] });
