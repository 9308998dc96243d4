import type { FastifyInstance } from "fastify";

/** Where requests are counted. */
export interface RequestMetrics {
  requestBegun(): void;
  /** Its connection is done with, whether it was answered or its client went away. */
  requestClosed(): void;
  requestAnswered(request: {
    readonly method: string;
    /** The pattern of its path; undefined for a path that is not served. */
    readonly route: string | undefined;
    readonly status: number;
    readonly seconds: number;
  }): void;
  /** Media type of what `render` makes. */
  readonly contentType: string;
  render(): Promise<string>;
}

/** Counts every request, refused ones too: before all other hooks. */
export function meterRequests(app: FastifyInstance, metrics: RequestMetrics | undefined): void {
  if (metrics === undefined) {
    return;
  }
  app.addHook("onRequest", (_request, reply, done) => {
    metrics.requestBegun();
    reply.raw.on("close", () => metrics.requestClosed());
    done();
  });
  app.addHook("onResponse", (request, reply, done) => {
    metrics.requestAnswered({
      method: request.method,
      route: request.routeOptions.url,
      status: reply.statusCode,
      seconds: reply.elapsedTime / 1000,
    });
    done();
  });
}
