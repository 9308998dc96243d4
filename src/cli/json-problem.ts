/** Blanks, then a mark, a string, or another value; the groups tell which. */
const token =
  // oxlint-disable-next-line no-control-regex -- JSON has none in its strings
  /[ \t\r\n]*(?:([{}[\],:])|("(?:[^"\\\u0000-\u001F]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null))/y;

type Expected = "value" | "value or end" | "key" | "key or end" | "colon" | "comma or end";

/** Line and column, from 1, of the first place where a text is no JSON; undefined when it is. `JSON.parse` does not always say. */
export function findJsonProblem(
  text: string,
): { readonly line: number; readonly column: number } | undefined {
  const open: ("{" | "[")[] = [];
  let expected: Expected = "value";
  let position = 0;
  for (;;) {
    token.lastIndex = position;
    const found = token.exec(text);
    if (found === null) {
      const rest = /[ \t\r\n]*/y;
      rest.lastIndex = position;
      const at = position + (rest.exec(text)?.[0].length ?? 0);
      return at === text.length && expected === "comma or end" && open.length === 0
        ? undefined
        : placeOf(text, at);
    }
    const [whole, mark, string] = found;
    const next = step(expected, open, mark, string !== undefined);
    if (next === undefined) {
      return placeOf(text, position + whole.length - whole.trimStart().length);
    }
    expected = next;
    position += whole.length;
  }
}

/** What may follow a token; undefined when it may not stand there. Keeps what is open. */
function step(
  expected: Expected,
  open: ("{" | "[")[],
  mark: string | undefined,
  isString: boolean,
): Expected | undefined {
  const inside = open.at(-1);
  const takesValue = expected === "value" || expected === "value or end";
  if (mark === "{" || mark === "[") {
    open.push(mark);
    return takesValue ? (mark === "{" ? "key or end" : "value or end") : undefined;
  }
  if (mark === "}" || mark === "]") {
    const mayEnd = expected === "comma or end" || expected === (mark === "}" ? "key or end" : "value or end");
    open.pop();
    return mayEnd && inside === (mark === "}" ? "{" : "[") ? "comma or end" : undefined;
  }
  if (mark === ",") {
    const next = inside === "{" ? "key" : "value";
    return expected === "comma or end" && inside !== undefined ? next : undefined;
  }
  if (mark === ":") {
    return expected === "colon" ? "value" : undefined;
  }
  if (isString && (expected === "key" || expected === "key or end")) {
    return "colon";
  }
  return takesValue ? "comma or end" : undefined;
}

function placeOf(text: string, offset: number): { readonly line: number; readonly column: number } {
  const before = text.slice(0, offset).split("\n");
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}
