import type { FastifyInstance } from "fastify";

/** What a client of the original sends: the headers are those of its Go library. */
export interface Sent {
  readonly method: "GET" | "POST" | "DELETE";
  readonly url: string;
  readonly body?: string;
}

const always = {
  "user-agent": "go-resty v0.12 - https://github.com/go-resty/resty",
  "accept-encoding": "gzip",
};
const withBody = { "content-type": "application/json", accept: "application/json" };

/** Sends a request as the original's client does: no Accept without a body, and a body with any method. */
export async function exchange(app: FastifyInstance, { method, url, body }: Sent) {
  return await app.inject({
    method,
    url,
    headers: body === undefined ? always : { ...always, ...withBody },
    ...(body === undefined ? {} : { payload: body }),
  });
}
