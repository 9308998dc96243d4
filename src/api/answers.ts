import type { FastifyReply, FastifyRequest } from "fastify";

import { answerType } from "./media-types.ts";

/**
 * Sends `value` as JSON text, byte for byte what `JSON.stringify` says, under the type that the client asked for. It goes out as bytes:
 * to a string Fastify adds a charset, which the original does not.
 */
export function answer(reply: FastifyReply, value: unknown): FastifyReply {
  return answerText(reply, JSON.stringify(value));
}

/** The same for a value that is JSON text already. */
export function answerText(reply: FastifyReply, text: string): FastifyReply {
  return reply.type(answerType(reply.request.headers.accept) ?? "application/json").send(Buffer.from(text));
}

/** Waits for the work and sends the original's body for "done". */
export async function answerNull(reply: FastifyReply, work: Promise<unknown>): Promise<FastifyReply> {
  await work;
  return answer(reply, null);
}

/** The path of a request as a client sees it, without its query. */
export function pathOf(request: FastifyRequest): string {
  const url = request.raw.url ?? "";
  const query = url.indexOf("?");
  return query < 0 ? url : url.slice(0, query);
}
