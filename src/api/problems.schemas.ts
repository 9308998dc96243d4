import { z } from "zod";

import { JsonObject } from "./schemas.ts";

/** The body of every error, as `problems.ts` makes it. */
export const Problem = z
  .object({
    status_code: z.int(),
    details: z.union([z.string(), JsonObject]).optional(),
    resource_id: z.string().optional(),
    resource_type: z.string().optional(),
    see_also: z.literal(""),
    message: z.string(),
    type: z.string(),
    title: z.string(),
  })
  .meta({ id: "Problem" });
