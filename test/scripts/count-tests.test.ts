import { expect, it } from "vitest";

import { countTests, formatCounts, listFailures, type Report } from "../../scripts/count-tests.ts";

const file = (status: string, ...tests: string[]) => ({
  name: "/checkout/test/a.test.ts",
  status,
  assertionResults: tests.map((each, index) => ({ status: each, fullName: `does ${index}` })),
});

function report(changes: Partial<Report>): Report {
  return {
    numPassedTests: 0,
    numFailedTests: 0,
    numPendingTests: 0,
    numTodoTests: 0,
    testResults: [],
    ...changes,
  };
}

it.for<readonly [string, Report | undefined, boolean, string]>([
  ["tests that passed", report({ numPassedTests: 7 }), true, "7 passed, 0 failed"],
  [
    "failed and skipped ones",
    report({
      numPassedTests: 7,
      numFailedTests: 1,
      numPendingTests: 2,
      numTodoTests: 1,
      testResults: [file("failed", "failed")],
    }),
    false,
    "7 passed, 1 failed, 3 skipped",
  ],
  [
    "a file that did not load as a failed test",
    report({ numPassedTests: 7, testResults: [file("passed", "passed"), file("failed")] }),
    false,
    "7 passed, 1 failed",
  ],
  [
    "a file whose hook failed after its tests as a failed test",
    report({ numPassedTests: 7, testResults: [file("failed", "passed", "passed")] }),
    false,
    "7 passed, 1 failed",
  ],
  [
    "an error outside of any test as a failed test",
    report({ numPassedTests: 7 }),
    false,
    "7 passed, 1 failed",
  ],
  ["a run without a report as a failed test", undefined, false, "0 passed, 1 failed"],
  [
    "a run in which nothing passed as a failed test",
    report({ numPendingTests: 3 }),
    true,
    "0 passed, 1 failed, 3 skipped",
  ],
])("counts %s", ([, given, succeeded, expected]) => {
  expect(formatCounts(countTests(given, succeeded))).toBe(expected);
});

it("names what failed, with the beginning of its message", () => {
  const testResults = [
    file("passed", "passed"),
    { ...file("failed"), message: "it does not load" },
    {
      ...file("failed"),
      assertionResults: [
        { status: "passed", fullName: "adds" },
        {
          status: "failed",
          fullName: "divides",
          failureMessages: [["expected 2", "", ...Array.from({ length: 50 }, () => "at")].join("\n")],
        },
      ],
    },
  ];
  const lines = listFailures(report({ testResults }), "/checkout");
  expect(lines[0]).toBe("failed: test/a.test.ts\n  it does not load");
  expect(lines[1]?.split("\n").slice(0, 3)).toEqual([
    "failed: test/a.test.ts: divides",
    "  expected 2",
    "  at",
  ]);
  expect(lines[1]?.split("\n").length).toBeLessThan(20);
  expect(lines).toHaveLength(2);
  expect(listFailures(undefined, "/checkout")).toEqual([]);
});
