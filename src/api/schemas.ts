import { z } from "zod";

// Shapes of what callers send. A Go client writes `null` for what it does not set; that is absence here. Unknown keys are ignored, as the
// original ignores them. What the fields mean is checked by the services; here only their form is.

/** Any JSON value. */
export const JsonValue = z.json();
z.globalRegistry.add(JsonValue, { id: "JsonValue" });

/** Any JSON object. */
export const JsonObject = z.record(z.string(), JsonValue);

/** The original's body for "done". */
export const Done = z.null();

/** Longest name in a path, in characters; a host's name in Kubernetes has up to 253. */
export const maxNameLength = 1024;

/** A text that every store can hold and every client can read. */
const text = z
  .string()
  .refine((value) => value.isWellFormed(), "half of a surrogate pair is no character (\\ud800 to \\udfff)");

/** What shall stand in a path. */
const name = text.max(maxNameLength, `a name has at most ${maxNameLength} characters`);

/** Absent, `null` and what it takes. */
const optional = (kind: typeof text) => kind.nullish().transform((value) => value ?? undefined);

const labels = z.record(text, text);

/** An integer of JSON, or of a form as digits; an empty text is absence, as 0 is. */
const port = z
  .union(
    [
      z.int(),
      z
        .string()
        .regex(/^\d{0,5}$/)
        .transform(Number),
    ],
    { error: "expected a port number" },
  )
  .pipe(z.int().min(0).max(65_535));

/** `POST /hosts`. */
export const hostBody = z
  .object({
    name: optional(
      name.refine(
        (value) => value !== "." && value !== "..",
        "clients take . and .. out of a path: choose another name",
      ),
    ),
    ip: optional(text),
    agent_port: port.nullish(),
    tags: labels.nullish(),
  })
  .meta({ examples: [{ ip: "192.168.0.11", name: "node-3", tags: { zone: "a" } }] });

/** `PUT /hosts/{name}/labels`: the whole set. */
export const labelsBody = z.object({ labels });

/** `POST /address`. `address` asks for exactly that one. */
export const addressBody = z
  .object({
    name: optional(name),
    host: optional(text),
    tenant: optional(name),
    segment: optional(name),
    address: optional(text),
    namespace: optional(name),
    pod: optional(name),
    podUID: optional(name),
  })
  .meta({
    examples: [
      { name: "web-1.shop", host: "node-1", tenant: "shop", segment: "web" },
      {
        name: "web-2.shop.0f3a9b21",
        host: "node-1",
        namespace: "shop",
        pod: "web-2",
        podUID: "5b6f7f0e-8c1d-4a53-9d0e-1f2a3b4c5d6e",
      },
    ],
  });

/** A text that is read as an IPv4 network; what is wrong with it is said by `parseCidr`. */
const cidr = z.string().meta({ description: "An IPv4 network, a.b.c.d/length", examples: ["10.0.0.240/28"] });

/** `POST /networks/{name}/blackouts`. */
export const blackoutBody = z.object({ cidr });

/** A path with a name in it. The example is what `examples` of other schemas refer to. */
const namedBy = (description: string, example: string) =>
  z.object({ name: z.string().meta({ description, examples: [example] }) });

/** `/hosts/{name}`. */
export const hostParams = namedBy("Name of the host", "node-1");

/** `/networks/{name}`. */
export const networkParams = namedBy("Name of the network", "prod");

/** `DELETE /address`; a missing name is an unknown one, as the original answers. */
export const addressQuery = z.object({
  addressName: z
    .string()
    .default("")
    .meta({ description: "A name, or an IP address", examples: ["web-1.shop"] }),
  podUID: z
    .string()
    .optional()
    .meta({ description: "Only if it was given to the Pod with this UID; empty: to none" }),
});

/** `DELETE /networks/{name}/blackouts`. */
export const blackoutQuery = z.object({ cidr });

/** `GET /hosts`; `full=true` adds what the original's list does not have. */
export const hostsQuery = z.object({ full: z.enum(["true", "false"]).default("false") });
