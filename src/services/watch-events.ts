const encoder = new TextEncoder();

/** One server-sent event without an id: a reader that is cut off after it begins again before it. */
export function eventText(kind: "put" | "delete", value: object): string {
  return `event: ${kind}\ndata: ${JSON.stringify(value)}\n\n`;
}

/** The events of one revision. The last carries the id: whoever has that has them all. */
export function encodeBatch(revision: number, events: readonly string[]): Uint8Array | undefined {
  const last = events.length - 1;
  return events.length === 0
    ? undefined
    : encoder.encode(
        events.map((text, index) => (index === last ? `id: ${revision}\n${text}` : text)).join(""),
      );
}

/** Events that are to be repeated should the reader be cut off before the next id. */
export function encodeEvents(events: readonly string[]): Uint8Array {
  return encoder.encode(events.join(""));
}

/** Says that everything up to `revision` was sent. */
export function encodeBookmark(revision: number): Uint8Array {
  return encoder.encode(`id: ${revision}\nevent: bookmark\ndata: {"revision":${revision}}\n\n`);
}
