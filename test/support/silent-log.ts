import type { Logger } from "../../src/ports/logger.ts";

/** A log that nobody reads. */
export const silentLog: Logger = {
  child: () => silentLog,
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
};
