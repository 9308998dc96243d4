import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

import { skipUnless } from "./skip.ts";

/** Where `scripts/install-servers.sh` puts schemathesis, unless `ROMANA_SCHEMATHESIS` names another one. */
function program(): string {
  const cache = process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  return (
    process.env["ROMANA_SCHEMATHESIS"] ||
    join(cache, "romana", "venv-schemathesis-4.32.5", "bin", "schemathesis")
  );
}

/** For `describe.skipIf`: true when there is no schemathesis on this machine. With `CI=true` it is always false. */
export function requireSchemathesis(): boolean {
  return skipUnless(existsSync(program()), `schemathesis (${program()}; \`make test\` installs it)`);
}

/** What a run said. `code` is 0 when nothing was found. */
export interface Findings {
  readonly code: number;
  readonly output: string;
}

const checks = [
  "not_a_server_error",
  "status_code_conformance",
  "content_type_conformance",
  "response_schema_conformance",
];

/** Makes requests out of the description at `${url}/openapi.json`, sends them, and checks every answer against it; streams are left out. */
export function runSchemathesis(
  url: string,
  examples: number,
  timeoutMs: number,
  only = "^/",
): Promise<Findings> {
  const options = [
    `--checks=${checks.join(",")}`,
    "--phases=examples,coverage,fuzzing",
    `--max-examples=${examples}`,
    "--seed=1",
    "--workers=1",
    "--generation-database=none",
    "--request-timeout=5",
    "--exclude-path-regex=^/watch",
    `--include-path-regex=${only}`,
    "--no-color",
  ];
  return new Promise((resolve, reject) => {
    execFile(
      program(),
      ["run", `${url}/openapi.json`, ...options],
      // Elsewhere than the checkout: it leaves files where it runs.
      { cwd: tmpdir(), timeout: timeoutMs, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : error.code;
        if (typeof code === "number") {
          resolve({ code, output: stdout + stderr });
        } else {
          reject(error ?? new Error("schemathesis ended without a word"));
        }
      },
    );
  });
}
