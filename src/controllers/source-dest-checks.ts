import type { SourceDestCheckOperation } from "../core/instances/plan-source-dest-check.ts";
import type { Clock } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";
import type { RouteState } from "./route-state.ts";
import type { RouteWriter } from "./route-writer.ts";

/** How long after a call a Describe may still show the check on. */
const CONSISTENCY_MS = 5000;

export interface SourceDestChecksOptions {
  readonly writer: RouteWriter;
  readonly state: RouteState;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Turns Source/Dest checks off, interface by interface; what is refused waits for its own next try. */
export class SourceDestChecks {
  readonly #options: SourceDestChecksOptions;
  readonly #turnedOffAt = new Map<string, number>();
  readonly #inFlight = new Set<string>();

  constructor(options: SourceDestChecksOptions) {
    this.#options = options;
  }

  async execute(
    operations: readonly SourceDestCheckOperation[],
    epoch: number,
    signal: AbortSignal,
  ): Promise<{ readonly done: number; readonly failed: number }> {
    const { clock } = this.#options;
    const { setbacks } = this.#options.state;
    const now = clock.monotonic();
    for (const [interfaceId, at] of this.#turnedOffAt) {
      if (at <= now - CONSISTENCY_MS) {
        this.#turnedOffAt.delete(interfaceId);
      }
    }
    const ready = operations.filter(
      ({ interfaceId }) => !setbacks.waits(interfaceId, now) && !this.#turnedOffAt.has(interfaceId),
    );
    const results = await Promise.all(ready.map((operation) => this.#turnOff(operation, epoch, signal)));
    return {
      done: results.filter((kind) => kind === "done").length,
      failed: results.filter((kind) => kind === "failed").length,
    };
  }

  /** Whether the check of an interface is being turned off, or was so lately that a Describe may still show it on. */
  covers(interfaceId: string): boolean {
    const at = this.#turnedOffAt.get(interfaceId) ?? -Infinity;
    return this.#inFlight.has(interfaceId) || at > this.#options.clock.monotonic() - CONSISTENCY_MS;
  }

  async #turnOff({ interfaceId, host }: SourceDestCheckOperation, epoch: number, signal: AbortSignal) {
    const { writer, clock, log } = this.#options;
    const { setbacks } = this.#options.state;
    this.#inFlight.add(interfaceId);
    const result = await writer.disableSourceDestCheck(interfaceId, epoch, signal);
    this.#inFlight.delete(interfaceId);
    if (result.kind === "done") {
      setbacks.succeeded(interfaceId);
      this.#turnedOffAt.set(interfaceId, clock.monotonic());
      log.info({ host, eniId: interfaceId }, "source/dest check turned off");
    } else if (result.kind === "failed") {
      const { attempts } = setbacks.failed(interfaceId, result.error, clock.monotonic());
      log.warn(
        { host, eniId: interfaceId, err: result.error, attempts },
        "source/dest check could not be turned off",
      );
    }
    return result.kind;
  }
}
