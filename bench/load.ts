import { execFile, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const FOLDER = new URL("load/", import.meta.url).pathname;
const run = promisify(execFile);

/** What one run of the load program printed. */
export interface LoadResult {
  readonly count: number;
  readonly seconds: number;
  /** Requests a second. */
  readonly rate: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface LoadFlags {
  readonly mode: "raw" | "rest";
  readonly urls: readonly string[];
  readonly inFlight: number;
  readonly count: number;
  readonly prefix: string;
  readonly hosts?: number;
  readonly pauseMs?: number;
}

/** Builds the load program (`bench/load`), once per version of its sources, outside of the checkout. Throws when there is no Go. */
export function buildLoad(): string {
  const hash = createHash("sha256");
  for (const file of ["main.go", "go.mod", "go.sum"]) {
    hash.update(readFileSync(join(FOLDER, file)));
  }
  const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "romana");
  const program = join(cache, `load-${hash.digest("hex").slice(0, 16)}`);
  if (!existsSync(program)) {
    mkdirSync(cache, { recursive: true });
    execFileSync("go", ["build", "-o", program, "."], {
      cwd: FOLDER,
      env: { ...process.env, CGO_ENABLED: "0" },
      stdio: ["ignore", "ignore", "inherit"],
    });
  }
  return program;
}

/** Runs the load program to its end. */
export async function load(program: string, flags: LoadFlags): Promise<LoadResult> {
  const { stdout } = await run(
    program,
    [
      flags.mode,
      `-urls=${flags.urls.join(",")}`,
      `-in-flight=${flags.inFlight}`,
      `-count=${flags.count}`,
      `-prefix=${flags.prefix}`,
      `-hosts=${flags.hosts ?? 1000}`,
      `-pause=${flags.pauseMs ?? 0}ms`,
    ],
    { timeout: 600_000 },
  );
  return JSON.parse(stdout) as LoadResult;
}
