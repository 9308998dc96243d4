import { z } from "zod";

import { NetworkError, type ErrorKind } from "../../core/errors.ts";

/** What was asked of the API server, for messages and for the code. */
export interface AskedCall {
  /** `get`, `list`, `watch`, `create`, `update`, `patch`: as RBAC calls it. */
  readonly verb: string;
  /** `pods`, `nodes/status`: as RBAC calls it. */
  readonly resource: string;
}

const Status = z.object({
  kind: z.literal("Status"),
  message: z.string().default("").catch(""),
  reason: z.string().default("").catch(""),
  details: z
    .object({ causes: z.array(z.object({ reason: z.string().optional() })).optional() })
    .optional()
    .catch(undefined),
});

interface Verdict {
  readonly kind: ErrorKind;
  readonly code: string;
  readonly wayOut: string;
}

const UNAVAILABLE: Verdict = {
  kind: "transient",
  code: "CLUSTER_UNAVAILABLE",
  wayOut: "what became of it is unknown; see whether the API server runs and is reached",
};
const REFUSED: Verdict = {
  kind: "invalid",
  code: "CLUSTER_REFUSED",
  wayOut: "see what it says",
};
const VERDICTS: ReadonlyMap<number, Verdict> = new Map([
  [
    401,
    {
      kind: "invalid",
      code: "CLUSTER_UNAUTHENTICATED",
      wayOut: "the token is expired or unknown: see the service account or the kubeconfig file",
    },
  ],
  [403, { kind: "invalid", code: "CLUSTER_FORBIDDEN", wayOut: "give the role that verb for that resource" }],
  [404, { kind: "not-found", code: "CLUSTER_NOT_FOUND", wayOut: "it is gone, or never was" }],
  [409, { kind: "conflict", code: "CLUSTER_CONFLICT", wayOut: "read it again" }],
  [408, UNAVAILABLE],
  [429, UNAVAILABLE],
]);

/**
 * The error for an answer that is none of success; the table is in `ports/cluster.ts`. `details` have verb, resource, HTTP status and the `reason` of the
 * API server.
 */
export function errorOfStatus(call: AskedCall, status: number, body: string): NetworkError {
  const said = statusOf(body);
  const isTerminating = said.causes.includes("NamespaceTerminating");
  const verdict = isTerminating ? REFUSED : (VERDICTS.get(status) ?? (status >= 500 ? UNAVAILABLE : REFUSED));
  const words = said.message === "" ? "" : `: ${said.message.slice(0, 500)}`;
  return errorOf(verdict, call, `${status}${words}`, { status, reason: said.reason });
}

/** The error for a call that got no whole answer: a socket's error, a time-out, bytes that are no JSON. */
export function errorOfConnection(call: AskedCall, problem: string, cause?: unknown): NetworkError {
  return errorOf(UNAVAILABLE, call, problem, {}, cause);
}

function errorOf(
  { kind, code, wayOut }: Verdict,
  { verb, resource }: AskedCall,
  obstacle: string,
  details: { readonly status?: number; readonly reason?: string },
  cause?: unknown,
): NetworkError {
  const message = `cannot ${verb} ${resource}: ${obstacle}; ${wayOut}`;
  return new NetworkError(kind, code, message, { verb, resource, ...details }, cause);
}

function statusOf(body: string): {
  readonly message: string;
  readonly reason: string;
  readonly causes: readonly string[];
} {
  let raw: unknown;
  try {
    raw = JSON.parse(body);
  } catch {
    // A proxy or a server that starts answers with plain text.
    return { message: body.trim(), reason: "", causes: [] };
  }
  const { data } = Status.safeParse(raw);
  return {
    message: data?.message ?? "",
    reason: data?.reason ?? "",
    causes: (data?.details?.causes ?? []).map(({ reason }) => reason ?? ""),
  };
}
