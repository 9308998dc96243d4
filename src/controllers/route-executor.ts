import type { NetworkError } from "../core/errors.ts";
import type { Cidr } from "../core/net/cidr.ts";
import type { OwnedRoute, RouteOperation, RoutePlan } from "../core/routing/route-plan.ts";
import type { Clock } from "../ports/clock.ts";
import type { RouteWrite } from "../ports/cloud.ts";
import type { Logger } from "../ports/logger.ts";
import type { RouteJournal } from "../services/route-journal.ts";
import type { RouteState } from "./route-state.ts";
import type { RouteWriter, WriteResult } from "./route-writer.ts";

export interface RouteExecutorOptions {
  readonly writer: RouteWriter;
  readonly journal: RouteJournal;
  readonly state: RouteState;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * A table gives up our routes when it was not selected for so long: EC2 may show a new node or association in one look and not in the next, and then the
 * table serves a subnet all the while.
 */
const LEAVE_TABLE_MS = 60_000;

/** How an execution went. `stale`: EC2 answered something that our facts do not explain, look again at once. */
export interface Execution {
  readonly done: number;
  readonly failed: number;
  readonly superseded: number;
  readonly waiting: number;
  readonly stale: boolean;
  /** When a table that is no longer selected may be left: in so many milliseconds. */
  readonly leaveMs: number | undefined;
}

type Outcome = "done" | "failed" | "superseded" | "waiting" | "stale";
type Write = Extract<RouteOperation, { kind: "create" | "replace" }>;

/** Carries out plans: journal first, then EC2; what takes over before what goes; one failure stops nothing else. */
export class RouteExecutor {
  readonly #options: RouteExecutorOptions;
  readonly #full = new Set<string>();
  /**
   * Creates of a destination that somebody else's route took since we looked, and replaces of somebody else's route that EC2 refused: a record made for them would
   * make that route ours.
   */
  readonly #taken: RouteOperation[] = [];
  #yielded = false;
  /** Tables that hold routes of ours and are not selected, since when (monotonic milliseconds). */
  #unselected: ReadonlyMap<string, number> = new Map();

  constructor(options: RouteExecutorOptions) {
    this.#options = options;
  }

  /** Performs a pass's plan. `standing` are the routes per table that are ours and stand, from the same facts. */
  async execute(
    plan: RoutePlan,
    standing: ReadonlyMap<string, ReadonlySet<Cidr>>,
    isUrgent: (operation: RouteOperation) => boolean,
    epoch: number,
    signal: AbortSignal,
  ): Promise<Execution> {
    const { journal, clock, state } = this.#options;
    const { setbacks } = state;
    const now = clock.monotonic();
    this.#yielded = false;
    this.#unselected = this.#stillUnselected(plan, now);
    const since = [...this.#unselected.values()].filter((at) => at + LEAVE_TABLE_MS > now);
    const waits = (operation: RouteOperation) =>
      ((this.#unselected.get(operation.routeTableId) ?? -Infinity) + LEAVE_TABLE_MS > now &&
        !(operation.kind === "delete" && operation.isUnlisted === true)) ||
      setbacks.waits(subjectOf(operation), now, targetOf(operation)) ||
      setbacks.waits(operation.routeTableId, now);
    const ready = plan.operations.filter((operation) => !waits(operation));
    const outcomes: Outcome[] = plan.operations.filter(waits).map(() => "waiting");
    const adopted = new Set(plan.adopt.map(subjectOf));
    const unrecorded = new Set<RouteOperation>(
      ready.filter(
        (operation) =>
          operation.kind !== "delete" && !journal.has(operation) && !adopted.has(subjectOf(operation)),
      ),
    );

    await journal.record(
      [
        ...plan.adopt,
        ...ready.flatMap((operation): OwnedRoute[] =>
          operation.kind === "delete"
            ? []
            : [
                {
                  routeTableId: operation.routeTableId,
                  destination: operation.destination,
                  target: operation.target,
                },
              ],
        ),
      ],
      signal,
    );
    await journal.forget(plan.forget, signal);
    const tables = Map.groupBy(ready, ({ routeTableId }) => routeTableId);
    const results = await Promise.all(
      [...tables].map(([routeTableId, operations]) =>
        this.#executeTable(operations, new Set(standing.get(routeTableId)), isUrgent, epoch, signal),
      ),
    );
    outcomes.push(...results.flat());
    await journal.forget(
      this.#taken.splice(0).filter((operation) => unrecorded.has(operation)),
      signal,
    );
    this.#reportFull();
    const count = (outcome: Outcome) => outcomes.filter((each) => each === outcome).length;
    return {
      done: count("done"),
      failed: count("failed") + count("stale"),
      superseded: count("superseded"),
      waiting: count("waiting"),
      stale: outcomes.includes("stale"),
      leaveMs: since.length === 0 ? undefined : Math.min(...since) + LEAVE_TABLE_MS - now,
    };
  }

  #stillUnselected(plan: RoutePlan, now: number): ReadonlyMap<string, number> {
    const selected = new Set(plan.routeTableIds);
    return new Map(
      plan.operations
        .filter(({ routeTableId }) => !selected.has(routeTableId))
        .map(({ routeTableId }) => [routeTableId, this.#unselected.get(routeTableId) ?? now] as const),
    );
  }

  /** Ends a pass's writes early: what was not sent yet is left to the next pass, which knows more. */
  yieldBulk(): void {
    this.#yielded = true;
    this.#options.writer.yieldBulk();
  }

  /**
   * Performs a failover's replaces, all at once and ahead of everything else. When one fails, a pass that is writing ends early, so that the next one can try it
   * again soon.
   */
  async executeFailover(
    operations: readonly Write[],
    epoch: number,
    signal: AbortSignal,
  ): Promise<readonly boolean[]> {
    const results = await Promise.all(
      operations.map(async (operation) => (await this.#write(operation, true, epoch, signal)) === "done"),
    );
    this.#reportFull();
    if (results.includes(false)) {
      this.yieldBulk();
    }
    return results;
  }

  /** Only when every write has its answer is it known how many routes a full table holds. */
  #reportFull(): void {
    this.#full.forEach((routeTableId) => this.#options.state.learnQuota(routeTableId));
    this.#full.clear();
  }

  async #executeTable(
    operations: readonly RouteOperation[],
    standing: Set<Cidr>,
    isUrgent: (operation: RouteOperation) => boolean,
    epoch: number,
    signal: AbortSignal,
  ): Promise<Outcome[]> {
    const outcomes: Outcome[] = [];
    for (const operation of operations) {
      if (operation.kind === "delete" && operation.makesRoom) {
        outcomes.push(await this.#delete(operation, epoch, signal));
      }
    }
    outcomes.push(
      ...(await Promise.all(
        operations.flatMap((operation) =>
          operation.kind === "delete"
            ? []
            : [
                this.#write(operation, isUrgent(operation), epoch, signal).then((outcome) => {
                  if (outcome === "done") {
                    standing.add(operation.destination);
                  }
                  return outcome;
                }),
              ],
        ),
      )),
    );
    const rest = operations.filter((operation) => operation.kind === "delete" && !operation.makesRoom);
    outcomes.push(
      ...(await Promise.all(
        rest.map(async (operation): Promise<Outcome> => {
          const missing = operation.kind === "delete" && operation.after.some((each) => !standing.has(each));
          return missing || this.#yielded ? "waiting" : await this.#delete(operation, epoch, signal);
        }),
      )),
    );
    return outcomes;
  }

  async #write(operation: Write, urgent: boolean, epoch: number, signal: AbortSignal): Promise<Outcome> {
    const { writer } = this.#options;
    const { routeTableId, destination, target } = operation;
    const write = { kind: operation.kind, routeTableId, destination, target } satisfies RouteWrite;
    const result = await writer.write(write, urgent, epoch, signal);
    if (operation.kind === "replace" && isCode(result, "ROUTE_NOT_FOUND")) {
      // Somebody deleted it since we looked; what we want is the same.
      const again = await writer.write({ ...write, kind: "create" }, urgent, epoch, signal);
      return this.#conclude(operation, again);
    }
    return this.#conclude(operation, result);
  }

  async #delete(operation: RouteOperation, epoch: number, signal: AbortSignal): Promise<Outcome> {
    const { routeTableId, destination } = operation;
    const result = await this.#options.writer.write(
      { kind: "delete", routeTableId, destination },
      false,
      epoch,
      signal,
    );
    const gone = result.kind === "done" || isCode(result, "ROUTE_NOT_FOUND");
    const outcome = this.#conclude(operation, gone ? { kind: "done" } : result);
    if (gone) {
      await this.#options.journal.forget([operation], signal);
    }
    return outcome;
  }

  #conclude(operation: RouteOperation, result: WriteResult): Outcome {
    const { clock, log } = this.#options;
    const { overlay, setbacks } = this.#options.state;
    const { kind, routeTableId, destination } = operation;
    const fields = {
      operation: kind,
      routeTableId,
      cidr: destination,
      ...(operation.kind === "delete" ? {} : { eniId: operation.target, host: operation.host }),
    };
    switch (result.kind) {
      case "done":
        setbacks.succeeded(subjectOf(operation));
        setbacks.succeeded(routeTableId);
        overlay.note(
          routeTableId,
          destination,
          operation.kind === "delete" ? null : operation.target,
          clock.monotonic(),
        );
        log.info({ ...fields, reason: operation.reason }, "route written");
        return "done";
      case "superseded":
        return "superseded";
      case "failed":
        overlay.doubt(routeTableId, destination);
        if (result.error.code === "ROUTE_EXISTS") {
          this.#taken.push(operation);
          return "stale";
        }
        if (result.error.code === "WRITE_SUPERSEDED") {
          return "stale";
        }
        if (result.error.code === "ROUTE_LIMIT_EXCEEDED") {
          this.#full.add(routeTableId);
          log.warn({ ...fields, err: result.error }, "a route table is full, planning coarser");
          return "stale";
        }
        if (operation.kind === "replace" && result.error.kind !== "transient") {
          this.#taken.push(operation);
        }
        this.#setBack(result.error, operation, fields);
        return "failed";
    }
  }

  #setBack(error: NetworkError, operation: RouteOperation, fields: object): void {
    const { clock, log } = this.#options;
    const { setbacks } = this.#options.state;
    const subject = error.code === "ROUTE_TABLE_NOT_FOUND" ? operation.routeTableId : subjectOf(operation);
    const now = clock.monotonic();
    const tried = subject === operation.routeTableId ? "" : targetOf(operation);
    const setback = setbacks.failed(subject, error, now, tried);
    log.warn(
      { ...fields, err: error, attempts: setback.attempts, retryMs: setback.retryAt - now },
      "a route could not be written",
    );
  }
}

/** What a setback of this operation is filed under. */
export function subjectOf({
  routeTableId,
  destination,
}: Pick<RouteOperation, "routeTableId" | "destination">): string {
  return `${routeTableId} ${destination}`;
}

function targetOf(operation: RouteOperation): string {
  return operation.kind === "delete" ? "" : operation.target;
}

function isCode(result: WriteResult, code: string): boolean {
  return result.kind === "failed" && result.error.code === code;
}
