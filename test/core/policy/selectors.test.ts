import fc from "fast-check";
import { expect, it } from "vitest";

import { readSelector } from "../../../src/core/policy/read-selector.ts";
import { matchesLabels } from "../../../src/core/policy/selectors.ts";
import { selector, writtenSelects } from "../../support/policy-world.ts";

const key = fc.constantFrom("app", "tier", "constructor", "example.com/x");
const value = fc.constantFrom("", "web", "db", "cache");
const labels = fc.dictionary(key, value, { noNullPrototype: true });
const expression = fc.oneof(
  fc.record({
    key,
    operator: fc.constantFrom("In", "NotIn"),
    values: fc.array(value, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({ key, operator: fc.constantFrom("Exists", "DoesNotExist"), values: fc.constant([]) }),
);
const anySelector = fc
  .tuple(labels, fc.array(expression, { maxLength: 3 }))
  .map(([matchLabels, expressions]) => selector(matchLabels, expressions));

function read(of: ReturnType<typeof selector>) {
  return readSelector(of, "spec.podSelector", "nothing is selected", []).selector;
}

it("selects what Kubernetes would", () => {
  fc.assert(
    fc.property(anySelector, labels, (of, given) => {
      expect(matchesLabels(read(of), given)).toBe(writtenSelects(of, given));
    }),
  );
});

it.for([
  ["no requirement", selector(), {}, true],
  ["a label", selector({ app: "web" }), { app: "web", tier: "x" }, true],
  ["a label with another value", selector({ app: "web" }), { app: "db" }, false],
  ["In with the key absent", withExpression("In", ["web"]), {}, false],
  ["NotIn with the key absent", withExpression("NotIn", ["web"]), {}, true],
  ["NotIn with a listed value", withExpression("NotIn", ["web"]), { app: "web" }, false],
  ["In with the empty value", withExpression("In", [""]), { app: "" }, true],
  ["Exists with the empty value", withExpression("Exists", []), { app: "" }, true],
  ["DoesNotExist with the key absent", withExpression("DoesNotExist", []), {}, true],
  ["DoesNotExist with the key there", withExpression("DoesNotExist", []), { app: "" }, false],
  ["a key that every object inherits", withExpression("Exists", [], "toString"), {}, false],
] as const)("reads %s", ([, of, given, expected]) => {
  expect(matchesLabels(read(of), given)).toBe(expected);
});

it("writes the same selector the same, whatever its order, repetitions and form", () => {
  const one = selector({ b: "2", a: "1" }, [{ key: "c", operator: "NotIn", values: ["y", "x", "y"] }]);
  const other = selector({ a: "1" }, [
    { key: "c", operator: "NotIn", values: ["x", "y"] },
    { key: "c", operator: "NotIn", values: ["y", "x"] },
    { key: "b", operator: "In", values: ["2"] },
  ]);

  expect(JSON.stringify(read(one))).toBe(JSON.stringify(read(other)));
});

function withExpression(operator: string, values: readonly string[], of = "app") {
  return selector({}, [{ key: of, operator, values }]);
}
