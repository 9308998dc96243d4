import pRetry from "p-retry";

import { NetworkError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Logger } from "../../ports/logger.ts";
import { classifyError, type AskedCall } from "./classify-error.ts";
import { fenceAttempt } from "./fenced-handler.ts";

/** One call to EC2, with all its attempts. */
export interface Ec2Call<Output> extends AskedCall {
  /** Under which name it is counted; the action, unless it is a further page. */
  readonly countedAs?: string;
  /** Awaited before every attempt, for the milliseconds that it may take at most. When it rejects, the call ends with that very error. */
  readonly admit?: () => Promise<number>;
  /** Milliseconds that one attempt may take, credentials included. Once they are over it is not sent any more, whatever held it up. */
  readonly timeoutMs: number;
  /** Sends it once. */
  readonly send: (abortSignal: AbortSignal) => Promise<Output>;
}

export interface Ec2CallerOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Further attempts after a transient failure, 0 or more. */
  readonly retries: number;
  /** Pause before the first further attempt in milliseconds, varied by half either way; it doubles each time. */
  readonly retryBaseMs: number;
  /** From 0 (included) to 1 (excluded); varies the pauses. */
  readonly random: () => number;
}

/**
 * Makes calls with an own time-out per attempt, few quick repeats of transient failures, and a count. The SDK's own repeats must be off
 * (`maxAttempts: 1`), or both multiply.
 */
export class Ec2Caller {
  readonly #options: Ec2CallerOptions;
  readonly #counts = new Map<string, number>();

  constructor(options: Ec2CallerOptions) {
    this.#options = options;
  }

  /** Attempts made so far, by the name they are counted under. */
  counts(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#counts].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }

  /**
   * Resolves with the answer. Rejects with the port's errors, with `admit`'s error, or with the signal's reason; an attempt that is under way
   * then is given up.
   */
  async call<Output>(call: Ec2Call<Output>, signal: AbortSignal): Promise<Output> {
    const { clock, log, retries, retryBaseMs, random } = this.#options;
    let admitted = false;
    let outcomeUnknown = false;
    return pRetry(
      async () => {
        admitted = false;
        signal.throwIfAborted();
        const allowedMs = (await call.admit?.()) ?? Infinity;
        signal.throwIfAborted();
        admitted = true;
        return this.#attempt(call, Math.min(call.timeoutMs, allowedMs), outcomeUnknown, signal);
      },
      {
        retries,
        // The pauses are the clock's, in onFailedAttempt.
        minTimeout: 0,
        shouldRetry: ({ error }) => admitted && isTransient(error) && !signal.aborted,
        onFailedAttempt: async ({ error, attemptNumber, retriesLeft }) => {
          if (!admitted || !isTransient(error) || retriesLeft === 0 || signal.aborted) {
            return;
          }
          outcomeUnknown ||= error.details["outcomeUnknown"] === true;
          const pauseMs = retryBaseMs * 2 ** (attemptNumber - 1) * (0.5 + random());
          log.warn({ action: call.action, attempt: attemptNumber, pauseMs, err: error }, "EC2 call repeated");
          await clock.sleep(pauseMs, signal);
        },
      },
    );
  }

  async #attempt<Output>(
    call: Ec2Call<Output>,
    timeoutMs: number,
    earlierOutcomeUnknown: boolean,
    signal: AbortSignal,
  ): Promise<Output> {
    const name = call.countedAs ?? call.action;
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
    const ending = new AbortController();
    let timedOut = false;
    const giveUp = (): void => ending.abort(signal.reason);
    signal.addEventListener("abort", giveUp, { once: true });
    const { clock } = this.#options;
    const sendByMs = clock.monotonic() + timeoutMs;
    const timer = clock.setTimer(timeoutMs, () => {
      timedOut = true;
      ending.abort();
    });
    fenceAttempt(ending.signal, () => {
      signal.throwIfAborted();
      if (clock.monotonic() >= sendByMs) {
        throw notSent(call, timeoutMs);
      }
    });
    try {
      // The race ends attempts whose credentials do not come; a request is not sent any more once the signal is aborted.
      return await Promise.race([call.send(ending.signal), rejectionOf(ending.signal)]);
    } catch (error) {
      signal.throwIfAborted();
      throw classifyError(error, call, {
        earlierOutcomeUnknown,
        ...(timedOut ? { timedOutAfterMs: timeoutMs } : {}),
      });
    } finally {
      timer.cancel();
      signal.removeEventListener("abort", giveUp);
    }
  }
}

function notSent({ action, asked, details }: AskedCall, timeoutMs: number): NetworkError {
  return new NetworkError(
    "transient",
    "CLOUD_UNAVAILABLE",
    `cannot ${asked}: EC2 ${action} was not sent, its ${Math.round(timeoutMs)} ms were over before a connection stood; it is tried again`,
    { ...details, action, outcomeUnknown: false },
  );
}

function isTransient(error: unknown): error is NetworkError {
  return error instanceof NetworkError && error.kind === "transient";
}

function rejectionOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
}
