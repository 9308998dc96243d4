import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { JsonTokens, TextPlaces } from "../../src/config/json-tokens.ts";

/** A JSON text with blanks of all kinds, and the tokens that it is made of. */
function tokensOf(value: unknown): readonly string[] {
  if (Array.isArray(value)) {
    return ["[", ...value.flatMap(tokensOf), "]"];
  }
  if (typeof value === "object" && value !== null) {
    return [
      "{",
      ...Object.entries(value).flatMap(([key, of]) => [JSON.stringify(key), ...tokensOf(of)]),
      "}",
    ];
  }
  return [JSON.stringify(value)];
}

describe("JsonTokens", () => {
  it("finds every bracket and scalar of any JSON text, at its place", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom("", " ", "\t", "\r\n  "), (value, indent) => {
        const text = indent === "" ? JSON.stringify(value) : JSON.stringify(value, null, indent);
        const tokens = new JsonTokens(text);
        const found: string[] = [];
        for (let token = tokens.next(); token.text !== ""; token = tokens.next()) {
          expect(text.startsWith(token.text, token.at)).toBe(true);
          found.push(token.text);
        }
        expect(found).toEqual(tokensOf(JSON.parse(text)));
      }),
    );
  });

  it("goes to the end of any value", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const tokens = new JsonTokens(`${JSON.stringify(value)} "end"`);
        tokens.skip(tokens.next());
        expect(tokens.next().text).toBe('"end"');
      }),
    );
  });

  it("goes as deep as the text does", () => {
    const tokens = new JsonTokens(`${"[".repeat(500_000)}${"]".repeat(500_000)} 7`);
    tokens.skip(tokens.next());
    expect(tokens.next().text).toBe("7");
  });
});

describe("TextPlaces", () => {
  it("counts lines and columns from one, as splitting the text does", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", "\n", "\r") }), fc.nat(), (text, number) => {
        const offset = number % (text.length + 1);
        const before = text.slice(0, offset).split("\n");
        expect(new TextPlaces(text).placeOf(offset)).toBe(
          `line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`,
        );
      }),
    );
  });
});
