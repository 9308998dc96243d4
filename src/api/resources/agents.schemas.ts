import { z } from "zod";

/** `GET /hosts/{name}/agent`. */
export const AgentStatus = z.object({
  host: z.string(),
  ready: z.boolean(),
  endpoints: z.array(z.object({ address: z.string(), podUID: z.string() })),
  age_seconds: z.int(),
  silent: z.boolean(),
});
