import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { EventStreamParser, type StreamEvent } from "../../src/client/event-stream.ts";
import type { HttpRequest } from "../../src/client/http.ts";
import { watch, type WatchEvent } from "../../src/client/watch.ts";
import { NetworkError } from "../../src/core/errors.ts";

describe("a stream of events", () => {
  const text =
    'id: 7\nevent: put\ndata: {"a":1}\n\n: a comment\n\nretry: 5\ndata:one\r\ndata: two\r\n\r\nevent: lost\n\nevent: delete\ndata\nid\n\n';
  const events = [
    { id: "7", event: "put", data: '{"a":1}' },
    { event: "message", data: "one\ntwo" },
    { id: "", event: "delete", data: "" },
  ];

  it("is read the same however it is cut into pieces", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(text.length), { maxLength: 20 }), (cuts) => {
        const parser = new EventStreamParser();
        const bounds = [0, ...cuts.toSorted((a, b) => a - b), text.length];
        const pieces = bounds.slice(1).map((end, index) => text.slice(bounds[index], end));

        expect(pieces.flatMap((piece) => parser.push(piece))).toEqual(events);
      }),
    );
  });

  it("is refused when a line of it has no end", () => {
    const parser = new EventStreamParser();
    const piece = "x".repeat(4_194_304);

    expect(() => {
      for (let count = 0; count < 5; count += 1) {
        parser.push(piece);
      }
    }).toThrow(expect.objectContaining({ code: "ANSWER_MALFORMED" }));
  });
});

const put = (id: string): StreamEvent => ({ event: "put", data: JSON.stringify({ id }) });
const gone = (id: string, revision: string): StreamEvent => ({
  event: "delete",
  data: JSON.stringify({ id }),
  id: revision,
});
const bookmark = (revision: string): StreamEvent => ({
  event: "bookmark",
  data: JSON.stringify({ revision: Number(revision) }),
  id: revision,
});

/** Streams that come one after the other: events, then an end, or what is thrown. The last one waits for the signal. */
function streamsOf(...streams: readonly (readonly (StreamEvent | Error)[])[]) {
  const stop = new AbortController();
  const asked: string[] = [];
  const transport = {
    stream: async (request: HttpRequest): Promise<AsyncIterable<StreamEvent>> => {
      asked.push(request.path);
      const script = streams[asked.length - 1] ?? [];
      const [first] = script;
      if (first instanceof Error) {
        throw first;
      }
      return play(script, asked.length >= streams.length ? stop : undefined);
    },
  };
  return { stop, asked, transport };
}

async function* play(
  script: readonly (StreamEvent | Error)[],
  stop: AbortController | undefined,
): AsyncGenerator<StreamEvent> {
  for (const each of script) {
    if (each instanceof Error) {
      throw each;
    }
    yield await Promise.resolve(each);
  }
  if (stop !== undefined) {
    stop.abort(new Error("enough"));
    stop.signal.throwIfAborted();
  }
}

/** Reads a watch of policies until it is stopped; nothing waits, `waits` says how long it would have. */
async function read({ stop, transport }: ReturnType<typeof streamsOf>, host?: string) {
  const told: WatchEvent[] = [];
  const notices: string[] = [];
  const waits: number[] = [];
  const events = watch({
    kind: "policy-documents",
    host,
    notice: (message) => void notices.push(message),
    transport,
    signal: stop.signal,
    wait: async (ms) => void waits.push(ms),
  });
  let failure: unknown;
  try {
    for await (const event of events) {
      told.push(event);
    }
  } catch (error) {
    failure = error;
  }
  const words = told.map((event) => {
    const value = event.kind === "put" ? event.object : event.kind === "delete" ? event.identity : {};
    return `${event.kind} ${(value as { readonly id?: string }).id ?? ""}`.trim();
  });
  return { words, notices, waits, failure };
}

const cut = new NetworkError("transient", "SERVER_UNREACHABLE", "it was cut");

describe("a watch", () => {
  it("lists what there is, says when that is all, and goes on with what changes", async () => {
    const streams = streamsOf([put("a"), put("b"), bookmark("5"), put("c"), gone("a", "6"), bookmark("7")]);

    const { words, failure } = await read(streams, "node 1");

    expect(words).toEqual(["put a", "put b", "synced", "put c", "delete a"]);
    expect(streams.asked).toEqual(["/watch/policy-documents?revision=0&host=node%201"]);
    expect(failure).toMatchObject({ message: "enough" });
  });

  it("goes on after the last revision that came whole when it is cut", async () => {
    const streams = streamsOf(
      [put("a"), bookmark("5"), gone("a", "6"), put("b"), cut],
      [put("b"), bookmark("7")],
    );

    const { words, notices } = await read(streams);

    expect(streams.asked).toEqual(["/watch/policy-documents?revision=0", "/watch/policy-documents?revision=6"]);
    expect(words).toEqual(["put a", "synced", "delete a", "put b", "put b"]);
    expect(notices).toEqual(["it was cut; asking again"]);
  });

  it("begins anew when it is cut before all was listed", async () => {
    const streams = streamsOf([put("a"), gone("x", "3"), cut], [put("a"), bookmark("5")]);

    const { words } = await read(streams);

    expect(streams.asked).toEqual(["/watch/policy-documents?revision=0", "/watch/policy-documents?revision=0"]);
    expect(words).toEqual(["put a", "delete x", "reset", "put a", "synced"]);
  });

  it("begins anew when the server no longer knows what changed", async () => {
    const tooOld = new NetworkError("conflict", "WATCH_TOO_OLD", "too old", { status: 410 });
    const streams = streamsOf([put("a"), bookmark("5")], [tooOld], [put("b"), bookmark("99")]);

    const { words, notices } = await read(streams);

    expect(streams.asked).toEqual([
      "/watch/policy-documents?revision=0",
      "/watch/policy-documents?revision=5",
      "/watch/policy-documents?revision=0",
    ]);
    expect(words).toEqual(["put a", "synced", "reset", "put b", "synced"]);
    expect(notices).toEqual([
      "the stream ended; asking for it again",
      "too much happened meanwhile; listing all again",
    ]);
  });

  it("waits longer and longer while nobody answers, and not once a server says that all is to be listed anew", async () => {
    const tooOld = new NetworkError("conflict", "WATCH_TOO_OLD", "too old", { status: 410 });
    const away = Array.from({ length: 7 }, () => [cut]);
    const streams = streamsOf([bookmark("5")], ...away, [tooOld], [bookmark("99")]);

    const { waits } = await read(streams);

    expect(waits).toEqual([250, 500, 1000, 2000, 4000, 5000, 5000, 5000, 250]);
  });

  it("begins anew when servers do not get to its revision, as after a restored backup", async () => {
    const ahead = new NetworkError("transient", "WATCH_AHEAD", "not seen yet", { status: 503 });
    const streams = streamsOf(
      [put("a"), bookmark("5")],
      [ahead],
      [bookmark("6")],
      [ahead],
      [ahead],
      [ahead],
      [put("b"), bookmark("2")],
    );

    const { words } = await read(streams);

    expect(streams.asked.map((path) => path.replace("/watch/policy-documents?revision=", "")).join(" ")).toBe(
      "0 5 5 6 6 6 0",
    );
    expect(words).toEqual(["put a", "synced", "reset", "put b", "synced"]);
  });

  it("ends with the first refusal, and later with what trying again does not help against", async () => {
    const forbidden = new NetworkError("invalid", "FORBIDDEN", "no", { status: 403 });

    const first = await read(streamsOf([cut]));
    const later = await read(streamsOf([bookmark("5")], [forbidden], []));

    expect(first).toMatchObject({ words: [], failure: cut });
    expect(later).toMatchObject({ words: ["synced"], failure: forbidden });
  });

  it.for([
    [{ event: "put", data: "{" }, "not JSON"],
    [{ event: "put", data: '{"id":5}' }, '".id" is missing or of another kind'],
    [{ event: "delete", data: "{}" }, '".id" is missing'],
  ] as const)("refuses what is not a policy: %j", async ([event, message]) => {
    const { failure } = await read(streamsOf([event]));

    expect(failure).toMatchObject({ code: "ANSWER_MALFORMED", message: expect.stringContaining(message) });
  });
});
