import { Readable } from "node:stream";

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

/** Sends JSON text that comes in pieces: a large document is neither held as one text nor rendered in one go. */
export function answerPieces(reply: FastifyReply, pieces: Iterable<string>): FastifyReply {
  return reply
    .type(answerType(reply.request.headers.accept) ?? "application/json")
    .send(Readable.from(inBytes(pieces)));
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

/** Gives other requests their turn between two pieces. */
async function* inBytes(pieces: Iterable<string>): AsyncGenerator<Buffer, void, undefined> {
  for (const piece of pieces) {
    yield Buffer.from(piece);
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}
