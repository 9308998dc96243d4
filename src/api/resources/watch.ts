import type { ServerResponse } from "node:http";

import { z } from "zod";

import { NetworkError } from "../../core/errors.ts";
import type { WatchKind, WatchRequest } from "../../services/resource-feed.ts";
import type { StreamSink } from "../../services/watch-channel.ts";
import type { Resource } from "../resource.ts";

/** What the API asks of the part that keeps the streams. */
export interface Feed {
  open(request: WatchRequest, accept: () => StreamSink, signal: AbortSignal): Promise<void>;
  close(): void;
}

const revision = z
  .string()
  .regex(/^\d{1,16}$/, "expected a whole number")
  .transform(Number)
  .pipe(z.int());

const wholeQuery = z.object({ revision: revision.optional() });
const hostQuery = wholeQuery.extend({ host: z.string().min(1).optional() });

const EventStream = z
  .string()
  .describe("Server-sent events: put, delete and bookmark, with JSON as their data.");

const summaries: Readonly<Record<WatchKind, string>> = {
  hosts: "Hosts, as they change",
  blocks: "Blocks, as they change",
  addresses: "Addresses, as they are given and released",
  policies: "The models of all policies, as they change",
  "policy-documents": "Romana's own documents of policies, as they change",
  routes: "Routes, as they change",
};

/** `/watch/…`: streams that have no end. */
export const watchResource: Resource<{ feed: Feed }> = (app, { feed }, done) => {
  app.addHook("preClose", (closed) => {
    feed.close();
    closed();
  });

  for (const kind of ["hosts", "blocks", "addresses", "policies", "policy-documents", "routes"] as const) {
    const belongsToHosts = kind === "hosts" || kind === "blocks" || kind === "addresses";
    const querystring = belongsToHosts ? hostQuery : wholeQuery;
    app.get(
      `/watch/${kind}`,
      {
        // A HEAD would be the same stream without its events.
        exposeHeadRoute: false,
        schema: { summary: summaries[kind], tags: ["watch"], querystring, response: { 200: EventStream } },
        config: {
          stream: true,
          produces: "text/event-stream",
          failures: [410],
          ...(kind === "routes" ? { leader: true } : {}),
        },
      },
      async (request, reply) => {
        const query: z.output<typeof hostQuery> = request.query;
        const after = lastEventId(request.headers["last-event-id"]) ?? query.revision;
        await feed.open(
          { kind, after, host: query.host },
          () => {
            reply.hijack();
            return sinkOf(reply.raw, reply.getHeaders());
          },
          request.deadline,
        );
        return reply;
      },
    );
  }

  done();
};

/** The revision that a browser or a client of ours was cut off at; it counts more than the query, which stays what it was. */
function lastEventId(header: string | readonly string[] | undefined): number | undefined {
  if (header === undefined || header === "") {
    return undefined;
  }
  const parsed = revision.safeParse(header);
  if (!parsed.success) {
    throw new NetworkError(
      "invalid",
      "REQUEST_INVALID",
      "the request is not valid: Last-Event-ID is no revision of a stream; leave it out to begin now",
    );
  }
  return parsed.data;
}

function sinkOf(
  response: ServerResponse,
  headers: Readonly<Record<string, number | string | string[] | undefined>>,
): StreamSink {
  const waiting: (() => void)[] = [];
  const wake = (): void => {
    waiting.splice(0).forEach((resolve) => resolve());
  };
  response.on("drain", wake).on("close", wake);
  // Its reader is gone; "close" follows and says so.
  response.on("error", () => response.destroy());
  response.writeHead(200, {
    ...headers,
    "content-type": "text/event-stream",
    "cache-control": "no-store",
    // A proxy that gathers events would deliver them late.
    "x-accel-buffering": "no",
  });
  response.flushHeaders();
  return {
    write: (bytes) => response.destroyed || response.writableEnded || response.write(bytes),
    drained: () =>
      response.destroyed || !response.writableNeedDrain
        ? Promise.resolve()
        : new Promise((resolve) => {
            waiting.push(resolve);
          }),
    pendingBytes: () => response.writableLength,
    end: () => response.end(),
    destroy: () => response.destroy(),
    onClose: (listener) => response.once("close", listener),
  };
}
