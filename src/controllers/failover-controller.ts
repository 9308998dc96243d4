import { NetworkError } from "../core/errors.ts";
import type { Cidr } from "../core/net/cidr.ts";
import { planFailover } from "../core/routing/failover.ts";
import type { DesiredRoute, RouteAlarm, RouteOperation } from "../core/routing/route-plan.ts";
import type { Clock } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";
import type { Meter } from "../ports/meter.ts";
import type { RouteJournal } from "../services/route-journal.ts";
import type { HealthSource } from "./health-source.ts";
import type { RouteExecutor } from "./route-executor.ts";
import type { RouteState } from "./route-state.ts";

/** How long a failover waits for the store to note its new targets. */
const JOURNAL_PATIENCE_MS = 200;
/** So long further stand-ins are waited for when one came up before the first pass: they come together. */
const TOGETHER_MS = 20;
/** Failovers that are remembered. */
const REMEMBERED = 100;

export interface FailoverControllerOptions {
  readonly state: RouteState;
  readonly executor: RouteExecutor;
  readonly journal: RouteJournal;
  readonly health: HealthSource;
  readonly clock: Clock;
  readonly log: Logger;
  readonly dryRun: boolean;
  /** Aborted when nothing may be written any more. */
  readonly signal: AbortSignal;
  readonly meter?: Meter | undefined;
}

/** A failover that was carried out. Times are monotonic milliseconds. */
export interface FailoverRecord {
  readonly host: string;
  readonly verdictAt: number;
  readonly movedAt: number;
  readonly moved: number;
  readonly failed: number;
  readonly stranded: number;
}

type Move = Extract<RouteOperation, { kind: "replace" }>;

/**
 * Moves the routes of a node that fell silent, at once: everything that is needed is known from the last pass.
 *
 *     verdict ─► plan from the last facts ─► journal (200 ms at most) ─► urgent writes ─► a full pass, asked for by the caller
 */
export class FailoverController {
  readonly #options: FailoverControllerOptions;
  readonly #records: FailoverRecord[] = [];
  readonly #stranded = new Map<Cidr, RouteAlarm>();
  /** Hosts that went down before the first pass, when nobody was known yet who could take over. */
  readonly #early = new Set<string>();
  #retrying = false;

  constructor(options: FailoverControllerOptions) {
    this.#options = options;
  }

  /** The failovers so far, the last hundred of them. */
  records(): readonly FailoverRecord[] {
    return this.#records;
  }

  /** Routes that nobody could take over since the last pass. */
  alarms(): readonly RouteAlarm[] {
    return [...this.#stranded.values()];
  }

  /** A pass has planned with all that was known: its own alarms count from here on. */
  settled(): void {
    this.#stranded.clear();
    this.#early.clear();
  }

  /** `host` was confirmed down: its routes go to stand-ins among those that `answered` the same burst. Never rejects. */
  async failOver(host: string, answered: ReadonlySet<string>): Promise<void> {
    const { state, clock, log, health, journal, dryRun } = this.#options;
    const snapshot = state.snapshot();
    const verdictAt = clock.monotonic();
    if (snapshot === undefined) {
      this.#early.add(host);
      return;
    }
    const epoch = state.nextEpoch();
    const { plan, desired } = snapshot;
    const { moves, stranded, operations } = planFailover({
      desired,
      routeTableIds: plan.routeTableIds,
      gateways: plan.gateways,
      dead: host,
      answered,
      health: health.snapshot(),
    });
    const ours = operations.filter((operation) => journal.has(operation));
    const waits = !state.measured && stranded.length > 0;
    if (waits) {
      this.#early.add(host);
    } else {
      this.#early.delete(host);
      stranded.forEach((route) => this.#strand(route, host));
    }
    if (waits && ours.length === 0) {
      log.debug({ host }, "a node is down; its stand-ins are not known yet");
      return;
    }
    if (dryRun || ours.length === 0) {
      log.warn({ host, routes: ours.length, dryRun }, "a node is down, nothing is moved");
      return;
    }
    const byDestination = new Map(moves.map((move) => [move.destination, move]));
    state.publish({
      ...snapshot,
      desired: desired.map((route) => byDestination.get(route.destination) ?? route),
    });
    const done = await this.#move(ours, epoch, verdictAt);
    const record = {
      host,
      verdictAt,
      movedAt: clock.monotonic(),
      moved: done,
      failed: ours.length - done,
      stranded: waits ? 0 : stranded.length,
    };
    this.#records.push(record);
    this.#records.splice(0, this.#records.length - REMEMBERED);
    const durationMs = Math.round(record.movedAt - verdictAt);
    this.#options.meter?.failover({ ...record, seconds: durationMs / 1000 });
    log.warn({ ...record, durationMs }, "a node is down, its routes moved");
  }

  /**
   * Something more is known before the first pass has planned: what stands, or that a node is up. Moves what could not be moved without it, so that one node that
   * is slow to be judged does not hold up the others' failover. Never rejects.
   */
  async failOverEarly(): Promise<void> {
    const { state, health, clock, signal } = this.#options;
    if (this.#early.size === 0 || this.#retrying || state.measured) {
      return;
    }
    this.#retrying = true;
    await clock.sleep(TOGETHER_MS, signal).catch(() => undefined);
    this.#retrying = false;
    const { blind, nodes, confirmed } = health.snapshot();
    if (blind || state.measured || signal.aborted) {
      return;
    }
    const dead = [...this.#early].filter((host) => nodes.get(host)?.health === "down");
    await Promise.all(
      dead.map((host) =>
        this.failOver(host, new Set([...nodes.keys()].filter((other) => confirmed(other, host)))),
      ),
    );
  }

  /** Answers how many of them EC2 took. */
  async #move(operations: readonly Move[], epoch: number, verdictAt: number): Promise<number> {
    const { state, executor, signal } = this.#options;
    // Believed from here on, so that a pass which plans meanwhile does not choose again.
    for (const { routeTableId, destination, target } of operations) {
      state.overlay.note(routeTableId, destination, target, verdictAt);
    }
    if (!(await this.#record(operations))) {
      return 0;
    }
    const results = await executor.executeFailover(operations, epoch, signal);
    return results.filter(Boolean).length;
  }

  /**
   * The routes are on record already; that the record names the old target for a while must not hold up a failover. False when somebody else leads: then
   * nothing may be written.
   */
  async #record(operations: readonly Move[]): Promise<boolean> {
    const { journal, clock, log } = this.#options;
    const patience = new AbortController();
    const timer = clock.setTimer(JOURNAL_PATIENCE_MS, () =>
      patience.abort(
        new NetworkError(
          "transient",
          "STORE_SLOW",
          "the store did not note a failover's new targets in time",
        ),
      ),
    );
    try {
      await journal.record(
        operations.map(({ routeTableId, destination, target }) => ({ routeTableId, destination, target })),
        patience.signal,
      );
    } catch (error) {
      if (error instanceof NetworkError && error.code === "LEADERSHIP_LOST") {
        log.warn({ err: error }, "a failover is left to the replica that leads now");
        return false;
      }
      log.warn(
        { err: error },
        "the store did not take the new targets of moved routes, they are written all the same",
      );
    } finally {
      timer.cancel();
    }
    return true;
  }

  #strand(route: DesiredRoute, host: string): void {
    const { destination, group } = route;
    const message =
      route.level === "listed"
        ? `${host} is down and no other address listed for ${destination} can take over: its route stays`
        : `${host} is down and group ${group} has no healthy node to take over ${destination}: its route stays`;
    this.#stranded.set(destination, { kind: "no-stand-in", subject: destination, message });
    this.#options.log.error({ host, cidr: destination, group }, "no stand-in for the routes of a dead node");
  }
}
