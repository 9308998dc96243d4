/** What we read of vitest's JSON report. */
export interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    /** Path of the file. */
    readonly name: string;
    readonly status: string;
    /** Why the file failed as a whole. */
    readonly message?: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages?: readonly string[];
    }[];
  }[];
}

/** Of a failure's message. */
const MESSAGE_LINES = 12;

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/**
 * Counts tests. A file that failed as a whole (it did not load) counts as one failed test, and so does a run that failed though no test did, or that
 * left no report, or in which nothing passed.
 */
export function countTests(report: Report | undefined, succeeded: boolean): Counts {
  if (report === undefined) {
    return { passed: 0, failed: 1, skipped: 0 };
  }
  const brokenFiles = report.testResults.filter(
    ({ status, assertionResults }) =>
      status === "failed" && !assertionResults.some((test) => test.status === "failed"),
  ).length;
  const found = report.numFailedTests + brokenFiles;
  const passed = report.numPassedTests;
  return {
    passed,
    failed: found === 0 && (!succeeded || passed === 0) ? 1 : found,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

/** What failed: where it stands, its name, and the beginning of its first message. A file that failed as a whole has its path and its message. */
export function listFailures(report: Report | undefined, root: string): readonly string[] {
  return (report?.testResults ?? []).flatMap(({ name, status, message = "", assertionResults }) => {
    const file = name.startsWith(`${root}/`) ? name.slice(root.length + 1) : name;
    const failed = assertionResults.filter((test) => test.status === "failed");
    if (failed.length === 0) {
      return status === "failed" ? [`failed: ${file}${beginning(message)}`] : [];
    }
    return failed.map(
      ({ fullName, failureMessages = [] }) =>
        `failed: ${file}: ${fullName}${beginning(failureMessages[0] ?? "")}`,
    );
  });
}

function beginning(message: string): string {
  const lines = message.split("\n").filter((line) => line.trim() !== "");
  return lines
    .slice(0, MESSAGE_LINES)
    .map((line) => `\n  ${line}`)
    .join("");
}

/** `N passed, N failed`, and `, N skipped` when there are any. */
export function formatCounts({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped === 0 ? "" : `, ${skipped} skipped`}`;
}
