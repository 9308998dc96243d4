/** A line is longer than one object can be. */
export class LineTooLongError extends Error {
  override readonly name = "LineTooLongError";
}

const NEWLINE = 0x0a;

/**
 * The whole lines of a stream, without their ends, as soon as each is there, however it is cut into chunks (in the middle of a character too). What follows the last end
 * of a line is dropped: it was cut off. Throws `LineTooLongError`, and what the stream throws.
 */
export async function* linesOf(
  stream: AsyncIterable<Buffer>,
  maxBytes: number,
): AsyncGenerator<string, void, undefined> {
  let begun: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const rest = chunk.subarray(start, end);
      yield begun.length === 0 ? rest.toString("utf8") : Buffer.concat([...begun, rest]).toString("utf8");
      begun = [];
      bytes = 0;
      start = end + 1;
    }
    if (start < chunk.length) {
      begun.push(chunk.subarray(start));
      bytes += chunk.length - start;
      if (bytes > maxBytes) {
        throw new LineTooLongError(`a line of more than ${maxBytes} bytes`);
      }
    }
  }
}
