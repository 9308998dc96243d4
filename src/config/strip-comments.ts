/**
 * Blanks out the comments of a JSON text: from `#` or `//` to the end of the line, outside strings. Everything else keeps its line and
 * column, so that a parser's complaint points to the right place of the file. A string ends at the end of its line at the latest.
 */
export function stripComments(text: string): string {
  // A string with its escapes (closed or not), or a comment: whichever starts first wins.
  return text.replaceAll(/"(?:[^"\\\r\n]+|\\[^\r\n])*"?|(?:#|\/\/)[^\r\n]*/g, (match) =>
    match.startsWith('"') ? match : " ".repeat(match.length),
  );
}
