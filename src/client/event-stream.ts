import type { IncomingMessage } from "node:http";

import { NetworkError } from "../core/errors.ts";
import {
  connect,
  formatEndpoint,
  readAnswer,
  readWhole,
  unanswered,
  type Endpoint,
  type HttpRequest,
} from "./http.ts";

/** One server-sent event. `data` has the lines of the event, joined by line feeds. */
export interface StreamEvent {
  /** `message` when the event does not say. */
  readonly event: string;
  readonly data: string;
  /** Absent when the event has none. */
  readonly id?: string;
}

/** The longest event that is read, in characters: nothing that Romana sends comes near. */
const longestEvent = 16_777_216;

/**
 * Opens a stream of server-sent events. The deadline of the request is for its headers; after them a connection that is silent for `idleMs` is
 * cut. Throws as `exchange` does when there is no stream; the iteration throws `SERVER_UNREACHABLE` (transient) when it is cut off, ends when
 * the server ends it, and rejects with the signal's reason when that is aborted.
 */
export async function openStream(
  endpoint: Endpoint,
  request: HttpRequest,
  signal: AbortSignal,
): Promise<AsyncIterable<StreamEvent>> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), request.deadlineMs);
  try {
    const asked = { ...request, accept: "text/event-stream" };
    const response = await connect(endpoint, asked, AbortSignal.any([signal, late.signal]));
    if (response.statusCode === 200 && /^text\/event-stream\b/.test(response.headers["content-type"] ?? "")) {
      return events(endpoint, request, response, signal);
    }
    const answer = await readWhole(response);
    readAnswer(endpoint, request, answer);
    throw new NetworkError(
      "invalid",
      "ANSWER_MALFORMED",
      `${request.method} ${request.path} on ${formatEndpoint(endpoint)} is no stream of events: is it a Romana controller, and of the same version?`,
      { status: answer.status },
    );
  } catch (error) {
    if (error instanceof NetworkError) {
      throw error;
    }
    signal.throwIfAborted();
    throw unanswered(endpoint, request, error, late.signal.aborted);
  } finally {
    clearTimeout(timer);
  }
}

async function* events(
  endpoint: Endpoint,
  request: HttpRequest,
  response: IncomingMessage,
  signal: AbortSignal,
): AsyncGenerator<StreamEvent> {
  const parser = new EventStreamParser();
  try {
    for await (const chunk of response.setEncoding("utf8")) {
      yield* parser.push(chunk as string);
    }
  } catch (error) {
    if (error instanceof NetworkError) {
      throw error;
    }
    signal.throwIfAborted();
    throw unanswered(endpoint, request, error, false);
  } finally {
    response.destroy();
  }
}

/** Cuts a text that comes in pieces into events, as the HTML standard's "Server-sent events" has it; `retry` and comments are left out. */
export class EventStreamParser {
  #rest = "";
  #event = "";
  #id: string | undefined;
  #data: string[] = [];

  /** The events that end in this piece. Throws `ANSWER_MALFORMED` when one has no end. */
  push(piece: string): readonly StreamEvent[] {
    const text = this.#rest + piece;
    const found: StreamEvent[] = [];
    let start = 0;
    for (;;) {
      const end = text.indexOf("\n", start);
      if (end < 0) {
        break;
      }
      const event = this.#line(text.slice(start, end).replace(/\r$/, ""));
      if (event !== undefined) {
        found.push(event);
      }
      start = end + 1;
    }
    this.#rest = text.slice(start);
    if (this.#rest.length > longestEvent) {
      throw new NetworkError(
        "invalid",
        "ANSWER_MALFORMED",
        "a line of the stream has no end: is it a Romana controller?",
      );
    }
    return found;
  }

  #line(line: string): StreamEvent | undefined {
    if (line === "") {
      return this.#dispatch();
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") {
      this.#event = value;
    } else if (field === "data") {
      this.#data.push(value);
    } else if (field === "id" && !value.includes("\0")) {
      this.#id = value;
    }
    return undefined;
  }

  #dispatch(): StreamEvent | undefined {
    const [event, data, id] = [this.#event || "message", this.#data, this.#id];
    this.#event = "";
    this.#data = [];
    this.#id = undefined;
    return data.length === 0
      ? undefined
      : { event, data: data.join("\n"), ...(id === undefined ? {} : { id }) };
  }
}
