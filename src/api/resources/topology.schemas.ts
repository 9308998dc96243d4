import { z } from "zod";

const labels = z.record(z.string(), z.string());

/** A group, or a host when it has an `ip`, as `GET /topology` shows it. */
const Group = z
  .object({
    name: z.string(),
    ip: z.string().optional(),
    cidr: z.string().optional(),
    assignment: labels.optional(),
    routing: z.string().optional(),
    dummy: z.literal(true).optional(),
    get groups() {
      return z.array(Group).optional();
    },
  })
  .meta({ id: "Group" });

/** `GET /topology`. */
export const TopologyDocument = z
  .object({
    networks: z
      .array(
        z.object({
          name: z.string(),
          cidr: z.string(),
          block_mask: z.int().min(0).max(32),
          tenants: z.array(z.string()),
        }),
      )
      .nullable(),
    topologies: z.array(z.object({ networks: z.array(z.string()), map: z.array(Group) })).nullable(),
  })
  .meta({ id: "Topology" });

/** A group or a host as it is posted. */
const PostedGroup = z
  .object({
    name: z.string().nullish(),
    ip: z.string().nullish(),
    cidr: z.string().nullish(),
    assignment: labels.nullish(),
    routing: z.string().nullish(),
    dummy: z.boolean().nullish(),
    get groups() {
      return z.array(PostedGroup).nullish();
    },
    get hosts() {
      return z.array(PostedGroup).nullish();
    },
  })
  .meta({ id: "PostedGroup" });

/** `POST /topology`, for the description alone: the document is checked, with all its problems and their places, by `readTopology`. */
export const PostedTopology = z
  .object({
    networks: z
      .array(
        z.object({
          name: z.string(),
          cidr: z.string(),
          block_mask: z.int().min(0).max(32).nullish(),
          tenants: z.array(z.string()).nullish(),
        }),
      )
      .nullish(),
    topologies: z
      .array(z.object({ networks: z.array(z.string()).nullish(), map: z.array(PostedGroup).nullish() }))
      .nullish(),
  })
  .nullable()
  .meta({ id: "PostedTopology" });

/** `GET /topology/status`. */
export const TopologyStatus = z.object({
  revision: z.int(),
  warnings: z.array(z.object({ place: z.string(), message: z.string() })),
});
