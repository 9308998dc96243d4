import { z } from "zod";

/** `POST /address` answers the address. */
export const GivenAddress = z.ipv4();

/** `GET /addresses`. */
export const AddressList = z.array(
  z.object({
    name: z.string(),
    address: z.ipv4(),
    host: z.string(),
    tenant: z.string(),
    segment: z.string(),
    network: z.string(),
    pod: z.object({ namespace: z.string(), name: z.string(), uid: z.string() }).optional(),
  }),
);
