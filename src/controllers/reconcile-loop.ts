import type { Clock, Timer } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";

export interface ReconcileLoopOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** A run starts at the latest this long after the last one ended; 0: only when asked for. */
  readonly intervalMs: number;
  /** Runs that were asked for start at least this long after the last one began; bursts merge into one. */
  readonly minGapMs: number;
  /** One run. Answers in how many milliseconds it wants the next, if earlier than the interval. A rejection is logged and repeated with back-off. */
  readonly run: (signal: AbortSignal) => Promise<number | undefined>;
}

/** Runs a reconciliation again and again: by interval, and soon after somebody asks. Never two at once. */
export class ReconcileLoop {
  readonly #options: ReconcileLoopOptions;
  readonly #abort = new AbortController();
  #timer: Timer | undefined;
  #timerAt = Infinity;
  #lastStart = -Infinity;
  #failures = 0;
  #running: Promise<void> | undefined;
  #askedWhileRunning = false;
  #started = false;

  constructor(options: ReconcileLoopOptions) {
    this.#options = options;
  }

  /** Begins; the first run starts at once. */
  start(): void {
    this.#started = true;
    this.#schedule(0);
  }

  /** Asks for a run soon; cheap, may be called for every event. */
  trigger(): void {
    if (this.#running !== undefined) {
      this.#askedWhileRunning = true;
    } else if (this.#started) {
      this.#schedule(this.#gapMs());
    }
  }

  /** Runs in a row that failed. */
  get failures(): number {
    return this.#failures;
  }

  /** Milliseconds by which it is behind: since when a run has been under way, or one is overdue; 0 while it waits for its time. */
  get lateMs(): number {
    const now = this.#options.clock.monotonic();
    if (this.#running !== undefined) {
      return now - this.#lastStart;
    }
    return this.#timer === undefined ? 0 : Math.max(0, now - this.#timerAt);
  }

  /** Ends; a run that is under way is aborted and awaited. */
  async stop(): Promise<void> {
    this.#started = false;
    this.#timer?.cancel();
    this.#abort.abort(new Error("the loop was stopped"));
    await this.#running;
  }

  #gapMs(): number {
    const { clock, minGapMs } = this.#options;
    const backoffMs = this.#failures === 0 ? 0 : Math.min(30_000, 500 * 2 ** Math.min(this.#failures, 16));
    return Math.max(0, this.#lastStart + Math.max(minGapMs, backoffMs) - clock.monotonic());
  }

  #schedule(delayMs: number): void {
    const { clock } = this.#options;
    const at = clock.monotonic() + delayMs;
    if (this.#timer !== undefined && this.#timerAt <= at) {
      return;
    }
    this.#timer?.cancel();
    this.#timerAt = at;
    this.#timer = clock.setTimer(delayMs, () => {
      this.#timer = undefined;
      this.#timerAt = Infinity;
      return this.#run();
    });
  }

  async #run(): Promise<void> {
    if (!this.#started || this.#running !== undefined) {
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#running = promise;
    this.#askedWhileRunning = false;
    this.#lastStart = this.#options.clock.monotonic();
    const wanted = await this.#attempt();
    this.#running = undefined;
    resolve();
    if (!this.#started) {
      return;
    }
    const { intervalMs } = this.#options;
    const waits = [
      ...(intervalMs > 0 ? [intervalMs] : []),
      ...(wanted === undefined ? [] : [Math.max(wanted, this.#gapMs())]),
      ...(this.#askedWhileRunning || this.#failures > 0 ? [this.#gapMs()] : []),
    ];
    if (waits.length > 0) {
      this.#schedule(Math.min(...waits));
    }
  }

  async #attempt(): Promise<number | undefined> {
    const { run, log } = this.#options;
    try {
      const wanted = await run(this.#abort.signal);
      this.#failures = 0;
      return wanted;
    } catch (error) {
      if (!this.#abort.signal.aborted) {
        this.#failures += 1;
        log.warn({ err: error, failures: this.#failures }, "a pass failed, the last good state stays");
      }
      return undefined;
    }
  }
}
