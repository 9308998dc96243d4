import { isUtf8 } from "node:buffer";

import type { FastifyInstance, FastifyRequest, onRequestHookHandler } from "fastify";

import { NetworkError } from "../core/errors.ts";
import { answerType, bodyFormat, readForm, supportedTypes } from "./media-types.ts";

const BYTE_ORDER_MARK = 0xfeff;

/** Parts of keys that would change a prototype, and escapes that could spell one. */
const SUSPICIOUS = ["__proto__", "constructor", "\\u"];

/**
 * Makes the server read what the original's clients send: JSON under three names, with or without a charset, or with no type at all, and
 * forms. An empty body is no body (`undefined`). The body of a DELETE says nothing, so whatever it holds is let pass, unless the route reads it.
 */
export function readBodies(app: FastifyInstance): void {
  const parseJson = app.getDefaultJsonParser("error", "error");
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, (request, body: Buffer, done) => {
    try {
      const isRead = request.method !== "DELETE" || request.routeOptions.config.reads !== undefined;
      const text = isRead ? readText(request, body) : "";
      if (text.trim() === "") {
        done(null, undefined);
      } else if (bodyFormat(request.headers["content-type"]) === "form") {
        done(null, readForm(text));
      } else if (SUSPICIOUS.some((part) => text.includes(part))) {
        void parseJson(request, text, (error, value) => done(error && unreadable(text, error), value));
      } else {
        done(null, parsePlain(text));
      }
    } catch (error) {
      done(error as Error, undefined);
    }
  });
}

/** Refuses (406) a request whose Accept header leaves no type that we can answer with. */
export const requireAcceptable: onRequestHookHandler = (request, _reply, done) => {
  const { accept } = request.headers;
  // A stream's own type is not one of those; whoever asks for that path wants a stream.
  if (request.routeOptions.config.stream !== true && answerType(accept) === undefined) {
    done(
      new NetworkError(
        "invalid",
        "REQUEST_NOT_ACCEPTABLE",
        `the request accepts only ${accept ?? ""}: answers are JSON, so accept application/json or */*`,
      ),
    );
    return;
  }
  done();
};

/** Throws `REQUEST_MALFORMED`. */
function parsePlain(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw malformed((error as SyntaxError).message, error);
  }
}

/** Why the framework's parser, which tells no reason, refused a text: it is no JSON, or it has a key that would change a prototype. */
function unreadable(text: string, cause: Error): NetworkError {
  try {
    JSON.parse(text);
  } catch (error) {
    return malformed((error as SyntaxError).message, cause);
  }
  return malformed('it has a key "__proto__", or "prototype" in a "constructor", which are not taken', cause);
}

function malformed(reason: string, cause: unknown): NetworkError {
  return new NetworkError(
    "invalid",
    "REQUEST_MALFORMED",
    `the request's body cannot be read as JSON: ${reason}`,
    {},
    cause,
  );
}

function readText(request: FastifyRequest, body: Buffer): string {
  if (body.length === 0) {
    return "";
  }
  const contentType = request.headers["content-type"];
  if (bodyFormat(contentType) === "unsupported") {
    throw new NetworkError(
      "invalid",
      "REQUEST_TYPE_UNSUPPORTED",
      `the request's body is ${contentType ?? "untyped"}: send one of ${supportedTypes.slice(1).join(", ")}`,
    );
  }
  const encoding = request.headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity") {
    throw new NetworkError(
      "invalid",
      "REQUEST_TYPE_UNSUPPORTED",
      `the request's body is encoded as ${encoding}: send it as it is`,
    );
  }
  if (!isUtf8(body)) {
    throw new NetworkError(
      "invalid",
      "REQUEST_MALFORMED",
      "the request's body is not UTF-8: encode it as UTF-8",
    );
  }
  const text = body.toString();
  return text.charCodeAt(0) === BYTE_ORDER_MARK ? text.slice(1) : text;
}
