import fc from "fast-check";
import { expect, it } from "vitest";

import { LineTooLongError, linesOf } from "../../../src/adapters/kubernetes/watch-lines.ts";

async function read(chunks: readonly Buffer[], maxBytes = 1_000_000): Promise<readonly string[]> {
  async function* stream(): AsyncGenerator<Buffer> {
    yield* chunks;
  }
  const lines: string[] = [];
  for await (const line of linesOf(stream(), maxBytes)) {
    lines.push(line);
  }
  return lines;
}

/** Cuts bytes at these places. */
function cutAt(bytes: Buffer, places: readonly number[]): readonly Buffer[] {
  const ends = [...new Set(places.map((place) => place % (bytes.length + 1))), bytes.length].toSorted(
    (a, b) => a - b,
  );
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

it("gives the same lines however the bytes are cut, and drops what was cut off", async () => {
  const line = fc.string({ unit: "grapheme" }).map((text) => text.replaceAll("\n", ""));
  await fc.assert(
    fc.asyncProperty(fc.array(line), line, fc.array(fc.nat()), async (lines, rest, places) => {
      const bytes = Buffer.from(`${lines.map((one) => `${one}\n`).join("")}${rest}`);
      expect(await read(cutAt(bytes, places))).toEqual(lines);
    }),
  );
});

it("gives up on a line without end", async () => {
  const endless = Array.from({ length: 20 }, () => Buffer.alloc(10, "x"));

  await expect(read(endless, 150)).rejects.toThrow(LineTooLongError);
  expect(await read([...endless, Buffer.from("\n")], 200)).toHaveLength(1);
});
