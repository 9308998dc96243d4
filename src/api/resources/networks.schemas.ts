import { z } from "zod";

/** `GET /networks`. */
export const NetworkList = z.array(z.object({ revision: z.int(), id: z.string(), cidr: z.string() }));

/** `GET /blocks`, of one network and of one host too. */
export const BlockList = z
  .object({
    revision: z.int(),
    blocks: z.array(
      z.object({
        revision: z.int(),
        cidr: z.string(),
        tenant: z.string(),
        segment: z.string(),
        host: z.string(),
        allocated_ip_count: z.int(),
      }),
    ),
  })
  .meta({ id: "BlockList" });

/** `GET /networks/{name}/blackouts`. */
export const BlackoutList = z.array(z.object({ cidr: z.string() }));
