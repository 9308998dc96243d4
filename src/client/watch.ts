import { setTimeout as delay } from "node:timers/promises";

import { NetworkError } from "../core/errors.ts";
import type { StreamEvent } from "./event-stream.ts";
import { fields, text, type Shape } from "./shape.ts";
import * as shapes from "./shapes.ts";
import type { Transport } from "./transport.ts";

/** What can be watched (`docs/rest-api.md`, Streams). */
export type WatchKind = "hosts" | "blocks" | "addresses" | "policies" | "policy-documents" | "routes";

/**
 * What a watch tells. First everything that is there, a `put` each, then `synced`; from then on what changes. After `reset` it begins like that
 * again, for what happened meanwhile is not known: what comes no more until `synced` is gone.
 */
export type WatchEvent =
  | { readonly kind: "put"; readonly object: unknown }
  /** `identity` has the fields that name what is gone. */
  | { readonly kind: "delete"; readonly identity: unknown }
  | { readonly kind: "synced" }
  | { readonly kind: "reset" };

export interface WatchOptions {
  readonly host?: string | undefined;
  /** Is told, in a sentence, why the stream was cut and is asked for again. */
  readonly notice?: (message: string) => void;
}

/** Time for the headers; the server takes up to 5 s to reach a revision that another replica has shown. */
const headersMs = 15_000;
/** A bookmark comes every 10 s: after this long without one, the connection is dead. */
const idleMs = 25_000;
/** A server that does not get to our revision so many times in a row, 5 s each, lost what it had: its store was restored. */
const maxAhead = 3;
/** Between one attempt and the next, doubled up to the second. */
const firstWaitMs = 250;
const longestWaitMs = 5000;

const puts: Readonly<Record<WatchKind, Shape>> = {
  hosts: shapes.host,
  blocks: shapes.block,
  addresses: shapes.address,
  policies: shapes.policyModel,
  "policy-documents": shapes.policy,
  routes: shapes.route,
};

const identities: Readonly<Record<WatchKind, Shape>> = {
  hosts: fields({ name: text }),
  blocks: fields({ cidr: text }),
  addresses: fields({ name: text }),
  policies: fields({ id: text }),
  "policy-documents": fields({ id: text }),
  routes: fields({ routeTableId: text, destination: text }),
};

/**
 * Watches a kind of objects. A stream that is cut is asked for again, from the last revision that was seen whole; one that the server cannot go on
 * with begins anew. Throws what the first request throws, and later what trying again does not help against; rejects with the signal's reason.
 */
export async function* watch({
  kind,
  host,
  notice,
  transport,
  signal,
  wait = pause,
}: {
  readonly kind: WatchKind;
  readonly host: string | undefined;
  readonly notice: (message: string) => void;
  readonly transport: Pick<Transport, "stream">;
  readonly signal: AbortSignal;
  /** Passes the time between two attempts. */
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>;
}): AsyncGenerator<WatchEvent, never> {
  let revision = "0";
  let isSynced = false;
  let hasAnswered = false;
  let waitMs = firstWaitMs;
  let ahead = 0;
  for (;;) {
    try {
      const query = `revision=${revision}${host === undefined ? "" : `&host=${encodeURIComponent(host)}`}`;
      const path = `/watch/${kind}?${query}`;
      const stream = await transport.stream({ method: "GET", path, deadlineMs: headersMs, idleMs });
      hasAnswered = true;
      for await (const event of stream) {
        waitMs = firstWaitMs;
        ahead = 0;
        const told = read(kind, event);
        if (told !== undefined) {
          yield told;
        }
        if (event.event === "bookmark" && !isSynced) {
          isSynced = true;
          yield { kind: "synced" };
        }
        // Until all was listed, a revision would leave out what has not come yet.
        if (isSynced && event.id !== undefined) {
          revision = event.id;
        }
      }
      notice("the stream ended; asking for it again");
    } catch (error) {
      if (!(error instanceof NetworkError) || !hasAnswered) {
        throw error;
      }
      ahead = error.code === "WATCH_AHEAD" ? ahead + 1 : ahead;
      if (ahead >= maxAhead) {
        notice(
          "the server does not know of what was seen last, as after a restored backup; listing all again",
        );
        revision = "0";
        ahead = 0;
      } else if (error.code === "WATCH_TOO_OLD") {
        notice("too much happened meanwhile; listing all again");
        revision = "0";
        // It answers again.
        waitMs = firstWaitMs;
      } else if (error.kind !== "transient") {
        throw error;
      } else {
        notice(`${error.message}; asking again`);
      }
    }
    if (!isSynced || revision === "0") {
      revision = "0";
      isSynced = false;
      yield { kind: "reset" };
    }
    await wait(waitMs, signal);
    waitMs = Math.min(waitMs * 2, longestWaitMs);
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
}

function read(kind: WatchKind, { event, data }: StreamEvent): WatchEvent | undefined {
  if (event === "put") {
    return { kind: "put", object: parse(event, data, puts[kind]) };
  }
  return event === "delete" ? { kind: "delete", identity: parse(event, data, identities[kind]) } : undefined;
}

function parse(event: string, data: string, shape: Shape): unknown {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch (error) {
    throw malformed(`a ${event} of the stream is not JSON`, error);
  }
  const place = shape(value);
  if (place !== undefined) {
    throw malformed(
      `in a ${event} of the stream, "${place}" is missing or of another kind than this romana reads`,
    );
  }
  return value;
}

function malformed(problem: string, cause?: unknown): NetworkError {
  return new NetworkError(
    "invalid",
    "ANSWER_MALFORMED",
    `${problem}: is it a Romana controller, and of the same version?`,
    {},
    cause,
  );
}
