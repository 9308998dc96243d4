import type { RouteOptions } from "fastify";
import type { z } from "zod";

/** Who may use a route; each may do what those before it may, but for `agent`, who writes for its own host alone. */
export type Access = "open" | "reader" | "agent" | "admin";

/** Statuses of errors that belong to some routes only; those that every route can answer are added to all (`failuresOf`). */
export type OwnFailure = 404 | 409 | 410 | 422;

declare module "fastify" {
  interface FastifyContextConfig {
    /** Who may use it. Absent: a GET is for readers, everything else for admins. */
    readonly access?: Access;
    /** Only the leader can answer; a follower sends its caller there. */
    readonly leader?: true;
    /** Statuses of its own errors; 404 goes without saying where a path has a parameter. */
    readonly failures?: readonly OwnFailure[];
    /** What its body looks like, for the description alone, where another part of the system checks it (`schema.body` is absent then). */
    readonly reads?: z.ZodType;
    /** Takes its body as a form too. */
    readonly form?: true;
    /** Its answer's media type, where that is not JSON; `schema.response` then describes the text. */
    readonly produces?: string;
    /** Answers with a stream that has no end: no time limit, and not counted among the requests in flight. */
    readonly stream?: true;
    /** One of the original's paths: its errors are `application/json`, ours `application/problem+json`. */
    readonly original?: true;
    /** What an error of this path is about. */
    readonly resourceType?: "host" | "network" | "address" | "policy" | "tenant" | "segment";
    /** Waits for a pass over the cloud, so it has `passTimeoutMs`. */
    readonly slow?: true;
    /** Answered however many requests are in flight. */
    readonly unlimited?: true;
  }
}

/** What is read of a route here. */
export type DescribedRoute = Pick<RouteOptions, "method" | "url" | "config" | "schema">;

/** Who may use a route. */
export function accessOf({ method, config }: Pick<RouteOptions, "method" | "config">): Access {
  const reads = [method].flat().every((name) => name === "GET" || name === "HEAD");
  return config?.access ?? (reads ? "reader" : "admin");
}

/** Every status other than 200 that a route can answer, in order. What is a bug of ours (500) is not among them. */
export function failuresOf(route: DescribedRoute): readonly number[] {
  const { url, config = {}, schema = {} } = route;
  const [method = "GET"] = [route.method].flat();
  const named = url.includes(":");
  const writes = method !== "GET" && method !== "HEAD";
  const failures = new Set<number>([406, 503, ...(config.failures ?? [])]);
  const add = (condition: boolean, ...statuses: readonly number[]): void =>
    statuses.forEach((status) => condition && failures.add(status));
  add(config.leader === true, 307);
  add(named || writes || schema.querystring !== undefined, 400);
  add(accessOf(route) !== "open", 401, 403);
  add(named, 404, 414);
  add(writes, 403, 413, 415);
  add(config.unlimited !== true, 429);
  return [...failures].toSorted((a, b) => a - b);
}
