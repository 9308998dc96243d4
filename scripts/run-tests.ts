/**
 * Runs all tests and ends with one line that machines read, `N passed, N failed[, N skipped]`. Arguments go to vitest. Exit code 1 unless all is well.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { countTests, formatCounts, listFailures, type Report } from "./count-tests.ts";

const folder = mkdtempSync(join(tmpdir(), "romana-tests-"));
const reportFile = join(folder, "report.json");
const vitest = spawn(
  process.execPath,
  [
    "node_modules/vitest/vitest.mjs",
    "run",
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${reportFile}`,
    ...process.argv.slice(2),
  ],
  { stdio: "inherit" },
);
const [exitCode] = (await once(vitest, "exit")) as [number | null];

let report: Report | undefined;
try {
  report = JSON.parse(readFileSync(reportFile, "utf8")) as Report;
} catch (error) {
  console.error("vitest left no report:", error);
}
rmSync(folder, { recursive: true });

const counts = countTests(report, exitCode === 0);
if (exitCode !== 0 && counts.failed > 0 && (report?.numFailedTests ?? 0) === 0) {
  console.error("a failure outside of any test (see above) is counted as a failed one");
}
// Once more in short, where the end of a long log is all that one sees.
listFailures(report, process.cwd()).forEach((line) => console.log(line));
console.log(formatCounts(counts));
process.exitCode = counts.failed === 0 && exitCode === 0 ? 0 : 1;
