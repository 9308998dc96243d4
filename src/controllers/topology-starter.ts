import { NetworkError } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30_000;

export interface TopologyStarterOptions {
  readonly addressing: {
    networks(): readonly unknown[];
    updateTopology(document: unknown, signal: AbortSignal): Promise<unknown>;
  };
  /** The document to begin with; `undefined`: none. Rejects while that cannot be said. */
  readonly choose: (signal: AbortSignal) => Promise<unknown>;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Gives a store without networks the topology that a cluster begins with. Runs in the leader. What the choice depends on (the API server, EC2) may be away for now, so a failure is said once and tried
 * again, after 30 s at most; meanwhile everything else goes on, and a topology that somebody posts ends the search.
 */
export class TopologyStarter {
  readonly #options: TopologyStarterOptions;
  readonly #stopping = new AbortController();
  #work: Promise<void> = Promise.resolve();
  #problem = "";

  constructor(options: TopologyStarterOptions) {
    this.#options = options;
  }

  start(): void {
    this.#work = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new NetworkError("transient", "LEADERSHIP_LOST", "this replica leads no longer"));
    await this.#work;
  }

  /** Why there is no topology yet; "" when there is one, or nothing went wrong so far. */
  get problem(): string {
    return this.#problem;
  }

  async #run(): Promise<void> {
    const { addressing, clock, log } = this.#options;
    const { signal } = this.#stopping;
    for (let retryMs = FIRST_RETRY_MS; !signal.aborted; retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS)) {
      if (addressing.networks().length > 0) {
        this.#problem = "";
        return;
      }
      try {
        const document = await this.#options.choose(signal);
        // Somebody may have posted one meanwhile.
        if (document !== undefined && addressing.networks().length === 0) {
          await addressing.updateTopology(document, signal);
        }
        this.#problem = "";
        return;
      } catch (error) {
        if (signal.aborted) {
          return;
        }
        const problem = error instanceof Error ? error.message : String(error);
        if (problem !== this.#problem) {
          log.error({ err: error }, "there is no topology to start with yet; it is tried again");
        }
        this.#problem = problem;
      }
      await clock.sleep(retryMs, signal).catch(() => undefined);
    }
  }
}
