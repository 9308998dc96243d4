import { pino, stdTimeFunctions, type DestinationStream } from "pino";

import { NetworkError } from "../core/errors.ts";
import type { Logger } from "../ports/logger.ts";

export type LogLevel = "error" | "warn" | "info" | "debug";

/** `destination`: a file descriptor's name, or where a test reads the lines. Lines below `level` are not written. */
export interface LoggerOptions {
  readonly level: LogLevel;
  readonly destination?: "stdout" | "stderr" | DestinationStream;
}

/** Names of fields whose values never reach the log. */
const SECRETS = [
  "authorization",
  "Authorization",
  "accessKeyId",
  "credentials",
  "password",
  "secret",
  "secretAccessKey",
  "sessionToken",
  "token",
  "cookie",
].map((name) => `.${name}`);

/** Headers: their names need quotes. */
const SECRET_HEADERS = ["x-amz-security-token", "x-aws-ec2-metadata-token", "set-cookie"].map(
  (name) => `["${name}"]`,
);

/** Secrets are looked for down to this depth; deeper objects are not logged here. */
const DEPTH = 4;

/** Errors carry their causes along, at most this many. */
const CAUSES = 5;

/**
 * Lines of JSON, one per call, written before the call returns: `level` (by name), `time` (ISO 8601), the fields, `msg`. The field `err` is for errors;
 * of those only name, code, kind, message, details, stack and causes are written, for an SDK hangs its request, headers and all, on its errors. A stack
 * is written of bugs; of a `NetworkError` and what caused it at level `debug` only, since its message says what there is to do.
 */
export function createLogger({ level, destination = "stdout" }: LoggerOptions): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: (error: unknown) => describeError(error, CAUSES, level === "debug") },
      redact: { paths: secretPaths(), censor: "[redacted]" },
    },
    typeof destination === "string" ? pino.destination(destination === "stdout" ? 1 : 2) : destination,
  );
}

function secretPaths(): string[] {
  const paths: string[] = [];
  for (let depth = 0; depth < DEPTH; depth += 1) {
    const above = Array<string>(depth).fill("*").join(".");
    for (const name of [...SECRETS, ...SECRET_HEADERS]) {
      paths.push(depth === 0 && name.startsWith(".") ? name.slice(1) : `${above}${name}`);
    }
  }
  return paths;
}

function describeError(error: unknown, causes: number, allStacks: boolean, isExpectedCause = false): unknown {
  if (!(error instanceof Error)) {
    return error;
  }
  const { name, message, stack, cause } = error;
  const isExpected = isExpectedCause || error instanceof NetworkError;
  return {
    type: name,
    message,
    ...("code" in error ? { code: error.code } : {}),
    ...(error instanceof NetworkError ? { kind: error.kind, details: error.details } : {}),
    ...(allStacks || !isExpected ? { stack } : {}),
    ...(cause === undefined || causes === 0
      ? {}
      : { cause: describeError(cause, causes - 1, allStacks, isExpected) }),
    ...(error instanceof AggregateError
      ? { errors: error.errors.map((each) => describeError(each, 0, allStacks, isExpected)) }
      : {}),
  };
}
