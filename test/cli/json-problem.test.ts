import fc from "fast-check";
import { expect, it } from "vitest";

import { findJsonProblem } from "../../src/cli/json-problem.ts";

it("finds nothing in what JSON.parse takes, however it is laid out", () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 4 }), fc.nat(3), (text, indent) => {
      expect(findJsonProblem(JSON.stringify(JSON.parse(text), null, indent))).toBeUndefined();
    }),
  );
});

it("agrees with JSON.parse on what is none", () => {
  const marks = fc.constantFrom(
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"a"',
    "1",
    "-",
    "01",
    "true",
    "tru",
    " ",
    "\n",
    '"',
    "\t",
  );
  fc.assert(
    fc.property(fc.array(marks, { maxLength: 8 }), (parts) => {
      const text = parts.join("");
      let isJson = true;
      try {
        JSON.parse(text);
      } catch {
        isJson = false;
      }

      expect(findJsonProblem(text) === undefined).toBe(isJson);
    }),
    { numRuns: 2000 },
  );
});

it.for([
  ['{\n  "a": \n}', 3, 1],
  ['{\n  "a": 1,\n}', 3, 1],
  ["[1, 2\n 3]", 2, 2],
  ['{"a": 1} x', 1, 10],
  ['{"a": "unclosed\n}', 1, 7],
  ["{oops}", 1, 2],
  ["[1", 1, 3],
  ["", 1, 1],
] as const)("names the place in %j", ([text, line, column]) => {
  expect(findJsonProblem(text)).toEqual({ line, column });
});
