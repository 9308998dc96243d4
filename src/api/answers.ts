import { Readable } from "node:stream";

import type { FastifyReply, FastifyRequest } from "fastify";

import { answerType } from "./media-types.ts";

/** Characters up to which an answer goes out as a string, in one piece with its head; longer ones are not copied for that. */
const SHORT = 16_384;

/** Says that a text is what it is: to one that Fastify takes for JSON it adds a charset, which the original does not. */
const asItIs = (text: unknown): string => text as string;

/** Sends `value` as JSON text, byte for byte what `JSON.stringify` says, under the type that the client asked for. */
export function answer(reply: FastifyReply, value: unknown): FastifyReply {
  return answerText(reply, JSON.stringify(value));
}

/** The same for a value that is JSON text already. */
export function answerText(reply: FastifyReply, text: string): FastifyReply {
  reply.type(answerType(reply.request.headers.accept) ?? "application/json");
  return text.length > SHORT ? reply.send(Buffer.from(text)) : reply.serializer(asItIs).send(text);
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
