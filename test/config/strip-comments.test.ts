import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { stripComments } from "../../src/config/strip-comments.ts";

describe("stripComments", () => {
  it.for([
    ["# whole line", "            "],
    ['{"a": 1} # why', '{"a": 1}      '],
    ['{"a": 1} // why', '{"a": 1}       '],
    ["1 / 2", "1 / 2"],
    ['"#1", "//2"', '"#1", "//2"'],
    [String.raw`"a\"#b" # c`, String.raw`"a\"#b"    `],
    [String.raw`"a\\" # c`, String.raw`"a\\"    `],
    ['# "a\n"b#"', '    \n"b#"'],
    ["# a\r\n# b\r\n", "   \r\n   \r\n"],
    ['"open # kept\n# gone', '"open # kept\n      '],
    ["", ""],
  ] as const)("makes %j into %j", ([text, stripped]) => {
    expect(stripComments(text)).toBe(stripped);
  });

  it("leaves any JSON text as it is, however it is indented", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.nat(4), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent);
        expect(stripComments(text)).toBe(text);
      }),
    );
  });

  it("keeps every line and every column, so that nothing but the comments is missing", () => {
    const comment = fc
      .constantFrom("#", "//")
      .chain((mark) => fc.string().map((text) => mark + oneLine(text)));
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(
            fc.string().map((text) => JSON.stringify(text)),
            comment,
          ),
        ),
        (lines) => {
          const stripped = stripComments(lines.map(([json, note]) => `${json},${note}`).join("\n")).split(
            "\n",
          );

          for (const [index, [json, note]] of lines.entries()) {
            expect(stripped[index]).toBe(`${json},${" ".repeat(note.length)}`);
          }
        },
      ),
    );
  });

  it("reads a string of a megabyte", () => {
    const text = JSON.stringify("# ".repeat(500_000));

    expect(stripComments(text)).toBe(text);
  });
});

function oneLine(text: string): string {
  return text.replaceAll(/[\r\n]/g, " ");
}
