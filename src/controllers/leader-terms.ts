import type { Clock } from "../ports/clock.ts";
import type { Election, Leadership } from "../ports/election.ts";
import type { Logger } from "../ports/logger.ts";

/** What a leader does, from its election to the end of its term. */
export interface Duties {
  /** Ends all of it and waits for what is under way. Never rejects. */
  stop(): Promise<void>;
}

export interface LeaderTermsOptions {
  readonly election: Election;
  readonly clock: Clock;
  readonly log: Logger;
  /** Begins the duties of a term; `signal` is aborted when the term is over or the process stops. */
  readonly begin: (term: Leadership, signal: AbortSignal) => Promise<Duties>;
}

/** After duties that could not begin: somebody else may have better luck. */
const AFTER_FAILURE_MS = 1_000;

/** Stands for election again and again, and leads while elected. */
export class LeaderTerms {
  readonly #options: LeaderTermsOptions;
  readonly #stopping = new AbortController();
  #work: Promise<void> = Promise.resolve();
  #leads = false;
  #failure: string | undefined;

  constructor(options: LeaderTermsOptions) {
    this.#options = options;
  }

  /** Whether the duties of a term have begun and not ended. */
  get leads(): boolean {
    return this.#leads;
  }

  start(): void {
    this.#work = this.#run().catch((error: unknown) => {
      this.#failure = error instanceof Error ? error.message : String(error);
      this.#options.log.error({ err: error }, "this replica stands for election no longer");
    });
  }

  /** What has ended and should not have, one phrase each. */
  stuck(): readonly string[] {
    return this.#failure === undefined
      ? []
      : [`this replica stands for election no longer: ${this.#failure}`];
  }

  /** Ends the duties, then hands the lead over. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the controller stops"));
    await this.#work;
  }

  async #run(): Promise<void> {
    const { election, log } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      let term: Leadership;
      try {
        term = await election.campaign(signal);
      } catch (error) {
        if (!signal.aborted) {
          throw error;
        }
        return;
      }
      log.info({ epoch: term.epoch }, "this replica leads");
      await this.#lead(term);
    }
  }

  async #lead(term: Leadership): Promise<void> {
    const { begin, clock, log } = this.#options;
    const over = AbortSignal.any([term.ended, this.#stopping.signal]);
    let duties: Duties | undefined;
    try {
      duties = await begin(term, over);
      this.#leads = true;
      await aborted(over);
    } catch (error) {
      if (!over.aborted) {
        log.error(
          { err: error, epoch: term.epoch },
          "the duties of the leader could not begin; the lead is given up",
        );
      }
    }
    this.#leads = false;
    await duties?.stop();
    await term.resign();
    if (!over.aborted || duties === undefined) {
      await clock.sleep(AFTER_FAILURE_MS, this.#stopping.signal).catch(() => undefined);
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
    } else {
      signal.addEventListener("abort", () => resolve(), { once: true });
    }
  });
}
