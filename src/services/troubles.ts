import { NetworkError } from "../core/errors.ts";
import type { Logger } from "../ports/logger.ts";

/** Says what goes wrong again and again once, and once that it is over. */
export class Troubles<Step extends string> {
  readonly #log: Logger;
  readonly #standing = new Map<Step, string>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** `error` for what an operator must change (a role, a token), `warn` for what may pass; `debug` while the same goes on. */
  failed(step: Step, error: unknown, message: string): void {
    const isKnown = error instanceof NetworkError;
    const code = isKnown ? error.code : String(error);
    const isNew = this.#standing.get(step) !== code;
    this.#standing.set(step, code);
    const level = isKnown && error.kind !== "invalid" ? "warn" : "error";
    this.#log[isNew ? level : "debug"]({ ...(isKnown ? error.details : {}), step, err: error }, message);
  }

  /** The step went well. */
  went(step: Step, message: string): void {
    const was = this.#standing.get(step);
    if (was !== undefined) {
      this.#standing.delete(step);
      this.#log.info({ step, was }, message);
    }
  }
}
