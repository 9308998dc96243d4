import { spawnSync } from "node:child_process";

import { expect, it } from "vitest";

import { NetworkError } from "../../src/core/errors.ts";
import type { Logger } from "../../src/ports/logger.ts";
import { createLogger, type LogLevel } from "../../src/telemetry/logger.ts";

type Line = Readonly<Record<string, unknown>>;

/** A logger and what it has written. */
function capture(level: LogLevel = "debug"): {
  logger: Logger;
  lines: () => readonly Line[];
  text: () => string;
} {
  let text = "";
  const destination = {
    write: (chunk: string): void => {
      text += chunk;
    },
  };
  return {
    logger: createLogger({ level, destination }),
    lines: () =>
      text
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Line),
    text: () => text,
  };
}

it("writes one JSON object a line: level by name, time, fields and message", () => {
  const { logger, lines } = capture();

  logger.info({ cidr: "10.0.0.0/24", durationMs: 3 }, "route created");
  logger.error({}, "no space left");

  expect(lines()).toEqual([
    { level: "info", time: expect.any(String), cidr: "10.0.0.0/24", durationMs: 3, msg: "route created" },
    { level: "error", time: expect.any(String), msg: "no space left" },
  ]);
  expect(Math.abs(Date.parse(String(lines()[0]?.["time"])) - Date.now())).toBeLessThan(60_000);
});

it.for([
  ["error", ["error"]],
  ["warn", ["error", "warn"]],
  ["info", ["error", "warn", "info"]],
  ["debug", ["error", "warn", "info", "debug"]],
] as const)("writes at level %s: %j", ([level, written]) => {
  const { logger, lines } = capture(level);

  for (const each of ["error", "warn", "info", "debug"] as const) {
    logger[each]({}, "x");
  }

  expect(lines().map((line) => line["level"])).toEqual(written);
});

it("gives a child's fields to each of its lines", () => {
  const { logger, lines } = capture();

  logger.child({ component: "routes" }).child({ pass: 7 }).debug({ routes: 3 }, "planned");

  expect(lines()[0]).toMatchObject({ component: "routes", pass: 7, routes: 3, msg: "planned" });
});

it.for([
  { token: "s3cret" },
  { credentials: { accessKeyId: "s3cret", secretAccessKey: "s3cret" } },
  { config: { credentials: "s3cret" } },
  { request: { headers: { authorization: "s3cret", Authorization: "s3cret" } } },
  { request: { headers: { "x-amz-security-token": "s3cret", "x-aws-ec2-metadata-token": "s3cret" } } },
  { list: [{ password: "s3cret" }, { deeper: { sessionToken: "s3cret" } }] },
])("never writes a secret: %j", (fields) => {
  const { logger, text } = capture();

  logger.info(fields, "call");
  logger.child(fields).info({}, "call of a child");
  logger.warn({ err: Object.assign(new Error("refused"), fields, { $response: fields }) }, "call failed");

  expect(text()).toContain("[redacted]");
  expect(text()).toContain("refused");
  expect(text()).not.toContain("s3cret");
  expect(JSON.stringify(fields)).toContain("s3cret");
});

it("leaves fields alone whose names only resemble a secret's", () => {
  const { logger, lines } = capture();

  logger.info({ tokens: 20, tokenBucket: { rate: 5 } }, "bucket");

  expect(lines()[0]).toMatchObject({ tokens: 20, tokenBucket: { rate: 5 } });
});

it("writes an error with its code, kind, details and causes", () => {
  const { logger, lines } = capture();
  const cause = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });

  logger.warn(
    {
      err: new NetworkError(
        "transient",
        "CLOUD_UNAVAILABLE",
        "EC2 does not answer",
        { action: "CreateRoute" },
        cause,
      ),
    },
    "call failed",
  );

  expect(lines()[0]?.["err"]).toEqual({
    type: "NetworkError",
    code: "CLOUD_UNAVAILABLE",
    kind: "transient",
    message: "EC2 does not answer",
    details: { action: "CreateRoute" },
    stack: expect.stringContaining("logger.test.ts"),
    cause: {
      type: "Error",
      code: "ECONNREFUSED",
      message: "connect ECONNREFUSED",
      stack: expect.any(String),
    },
  });
});

it("leaves the stacks of expected failures to level debug, those of bugs are always written", () => {
  const { logger, lines } = capture("info");
  const bug = new TypeError("x is undefined");

  logger.warn(
    { err: new NetworkError("transient", "CLOUD_UNAVAILABLE", "away", {}, new Error("reset")) },
    "1",
  );
  logger.error({ err: bug }, "2");

  expect(lines()[0]?.["err"]).toEqual({
    type: "NetworkError",
    code: "CLOUD_UNAVAILABLE",
    kind: "transient",
    message: "away",
    details: {},
    cause: { type: "Error", message: "reset" },
  });
  expect(lines()[1]?.["err"]).toMatchObject({ stack: bug.stack });
});

it("writes the errors of an AggregateError, and ends with causes that go in a circle", () => {
  const { logger, lines } = capture();
  const circle = new Error("one");
  circle.cause = new Error("two", { cause: circle });

  logger.error(
    { err: new AggregateError([new Error("first"), new Error("second")], "two failed") },
    "pass failed",
  );
  logger.error({ err: circle }, "circle");

  expect(lines()[0]?.["err"]).toMatchObject({ errors: [{ message: "first" }, { message: "second" }] });
  expect(lines()[1]?.["err"]).toMatchObject({ message: "one", cause: { message: "two" } });
});

it.for(["stdout", "stderr"] as const)("writes to %s, all of it before the process ends", (destination) => {
  const source = new URL("../../src/telemetry/logger.ts", import.meta.url).href;
  const program = `
    const { createLogger } = await import(${JSON.stringify(source)});
    const logger = createLogger({ level: "info", destination: ${JSON.stringify(destination)} });
    for (let index = 0; index < 500; index += 1) logger.info({ index }, "line");
    process.exit(0);`;

  const result = spawnSync(process.execPath, ["--input-type=module", "--eval", program], {
    encoding: "utf8",
  });

  expect(result[destination].trimEnd().split("\n")).toHaveLength(500);
  expect(result[destination === "stdout" ? "stderr" : "stdout"]).toBe("");
});
