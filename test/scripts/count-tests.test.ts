import { expect, it } from "vitest";

import { countTests, formatCounts, type Report } from "../../scripts/count-tests.ts";

const file = (status: string, ...tests: string[]) => ({
  status,
  assertionResults: tests.map((each) => ({ status: each })),
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
