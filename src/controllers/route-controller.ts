import type { CloudFacts } from "../core/cloud/facts.ts";
import { NetworkError } from "../core/errors.ts";
import type { ProbeTarget } from "../core/health/state.ts";
import type { HealthSnapshot } from "../core/health/view.ts";
import {
  planSourceDestCheck,
  type SourceDestCheckOperation,
} from "../core/instances/plan-source-dest-check.ts";
import type { Cidr } from "../core/net/cidr.ts";
import type { RoutingTree } from "../core/routing/aggregate.ts";
import { isDead } from "../core/routing/choose-gateway.ts";
import { planFailover } from "../core/routing/failover.ts";
import type { PlannedHost } from "../core/routing/gateway.ts";
import { planRoutes } from "../core/routing/plan-routes.ts";
import type { DesiredRoute, RouteAlarm, RouteOperation, RoutePlan } from "../core/routing/route-plan.ts";
import type { TableSelector } from "../core/routing/select-tables.ts";
import { planView } from "../core/views/plan-view.ts";
import type { PassView, PlanView } from "../core/views/route-views.ts";
import type { Clock } from "../ports/clock.ts";
import type { Cloud } from "../ports/cloud.ts";
import type { Logger } from "../ports/logger.ts";
import type { RouteJournal } from "../services/route-journal.ts";
import { Setbacks } from "./backoff.ts";
import { probeTargets } from "./probe-targets.ts";
import { ReconcileLoop } from "./reconcile-loop.ts";
import { RouteExecutor } from "./route-executor.ts";
import { RouteOverlay } from "./route-overlay.ts";
import type { RouteWriter } from "./route-writer.ts";
import { SourceDestChecks } from "./source-dest-checks.ts";

/** How long we believe EC2's word that a table is full before we try the configured quota again. */
const LEARNED_QUOTA_MS = 3_600_000;
/** How long after a write a Describe may still show the state before it. */
const CONSISTENCY_MS = 5000;
/** How long a failover waits for the store to note its new targets. */
const JOURNAL_PATIENCE_MS = 200;
/** How long the first pass waits for the probes' first word. */
const FIRST_MEASURE_MS = 3000;

/** What we ask of the probes. `HealthMonitor` is the implementation; without probes every node is `unknown` (`NO_PROBES`). */
export interface HealthSource {
  setTargets(targets: readonly ProbeTarget[]): void;
  snapshot(): HealthSnapshot;
  whenMeasured(signal: AbortSignal, maxMs: number): Promise<void>;
}

export interface RouteControllerOptions {
  readonly cloud: Cloud;
  readonly writer: RouteWriter;
  readonly journal: RouteJournal;
  readonly clock: Clock;
  readonly log: Logger;
  readonly health: HealthSource;
  /** The addressing side at this moment. */
  readonly view: () => { readonly trees: readonly RoutingTree[]; readonly hosts: readonly PlannedHost[] };
  /** Called with what the cloud said, before a pass plans: hosts are registered and labelled here. */
  readonly onFacts: (facts: CloudFacts, signal: AbortSignal) => Promise<void>;
  readonly tables: TableSelector;
  readonly quota: number;
  readonly reserve: number;
  readonly ignore: readonly Cidr[];
  readonly intervalMs: number;
  readonly dryRun: boolean;
}

/** Health without probes: nothing is known, nothing moves on account of it. */
export const NO_PROBES: HealthSource = {
  setTargets: () => undefined,
  snapshot: () => ({ blind: false, nodes: new Map(), confirmed: () => true }),
  whenMeasured: () => Promise.resolve(),
};

/** A failover that was carried out. Times are monotonic milliseconds. */
export interface FailoverRecord {
  readonly host: string;
  readonly verdictAt: number;
  readonly movedAt: number;
  readonly moved: number;
  readonly failed: number;
  readonly stranded: number;
}

/** What the controller knows at one moment; everything that is shown is made from it. */
export interface RouteSnapshot {
  readonly facts: CloudFacts;
  readonly plan: RoutePlan;
  readonly desired: readonly DesiredRoute[];
  readonly hosts: readonly PlannedHost[];
  /** Wall clock, milliseconds. */
  readonly readAt: number;
  /** When the facts were asked for, monotonic milliseconds. */
  readonly askedAt: number;
}

interface PassMode {
  readonly sticky: boolean;
  readonly apply: boolean;
}

/**
 * Keeps the route tables of a VPC and the Source/Dest checks of its nodes as planned, and moves the routes of a node that falls silent.
 *
 *     every 30 s, or asked ─► describe ─► register hosts ─► plan ─► journal ─► write (bulk) ─► again, soon, if something was written
 *     a node is down ───────────────────► plan from the last facts ─► journal ─► write (urgent) ─► a full pass
 */
export class RouteController {
  readonly #options: RouteControllerOptions;
  readonly #loop: ReconcileLoop;
  readonly #executor: RouteExecutor;
  readonly #checks: SourceDestChecks;
  readonly #overlay = new RouteOverlay(CONSISTENCY_MS);
  readonly #setbacks = new Setbacks();
  readonly #learnedQuota = new Map<string, { readonly quota: number; readonly until: number }>();
  readonly #abort = new AbortController();
  readonly #failovers: FailoverRecord[] = [];
  readonly #stranded = new Map<Cidr, RouteAlarm>();
  #snapshot: RouteSnapshot | undefined;
  #lastPass: PassView | undefined;
  #epoch = 0;
  #measured = false;
  #unsettledPasses = 0;
  #wantsNext: number | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: RouteControllerOptions) {
    this.#options = options;
    const { clock, log, writer, journal } = options;
    this.#executor = new RouteExecutor({
      writer,
      journal,
      overlay: this.#overlay,
      setbacks: this.#setbacks,
      clock,
      log,
      onTableFull: (routeTableId) => this.#learnQuota(routeTableId),
    });
    this.#checks = new SourceDestChecks({ writer, setbacks: this.#setbacks, clock, log });
    this.#loop = new ReconcileLoop({
      clock,
      log,
      intervalMs: options.intervalMs,
      minGapMs: 1000,
      run: (signal) => this.#inTurn(() => this.#scheduledPass(signal)),
    });
  }

  start(): void {
    this.#loop.start();
  }

  async stop(): Promise<void> {
    this.#abort.abort(new Error("the controller stops"));
    await this.#loop.stop();
    await this.#turn.catch(() => undefined);
  }

  /** Asks for a pass soon: a host or the topology changed. */
  trigger(): void {
    this.#loop.trigger();
  }

  /** A block changed. Only where groups span subnets do routes depend on it; elsewhere pods come and go without a look at EC2. */
  blocksChanged(): void {
    if (this.#snapshot?.plan.blocksMatter === true) {
      this.#loop.trigger();
    }
  }

  /** What is known now, our writes since the last look included; `undefined` before the first pass. */
  snapshot(): RouteSnapshot | undefined {
    const snapshot = this.#snapshot;
    return snapshot && { ...snapshot, facts: this.#overlay.over(snapshot.facts, snapshot.askedAt) };
  }

  lastPass(): PassView | undefined {
    return this.#lastPass;
  }

  /** Scheduled passes in a row that failed. */
  get failures(): number {
    return this.#loop.failures;
  }

  /** The failovers so far, the last hundred of them. */
  failovers(): readonly FailoverRecord[] {
    return this.#failovers;
  }

  /** Failures that wait for their next try: routes by "table destination", tables and interfaces by id. */
  setbacks(): Setbacks {
    return this.#setbacks;
  }

  /** Alarms of the last plan, and of failovers since. */
  alarms(): readonly RouteAlarm[] {
    const planned = this.#snapshot?.plan.alarms ?? [];
    const subjects = new Set(planned.map(({ subject }) => subject));
    return [...planned, ...[...this.#stranded.values()].filter(({ subject }) => !subjects.has(subject))];
  }

  /** Routes per table that we believe EC2 allows. */
  quotaOf(routeTableId: string): number {
    const learned = this.#learnedQuota.get(routeTableId);
    return learned !== undefined && learned.until > this.#options.clock.monotonic()
      ? Math.min(learned.quota, this.#options.quota)
      : this.#options.quota;
  }

  /** Looks at the cloud and plans; changes nothing. */
  async plan(signal: AbortSignal): Promise<PlanView> {
    const askedAt = this.#options.clock.monotonic();
    const facts = this.#overlay.over(await this.#options.cloud.describe(signal), askedAt);
    const plan = planRoutes(this.#input(facts, true));
    return planView(plan, planSourceDestCheck(plan.gateways.values()));
  }

  /** One full pass now; answers what it did, or under dry-run would do. */
  async reconcile(signal: AbortSignal): Promise<PlanView> {
    return await this.#inTurn(() => this.#pass({ sticky: true, apply: true }, signal));
  }

  /** One full pass that chooses every gateway anew, the load spread evenly. */
  async rebalance(signal: AbortSignal): Promise<PlanView> {
    const view = await this.#inTurn(() => this.#pass({ sticky: false, apply: true }, signal));
    this.#loop.trigger();
    return view;
  }

  /** A node was confirmed down: its routes go to stand-ins that answered the same burst. Never rejects. */
  async failOver(host: string, answered: ReadonlySet<string>): Promise<void> {
    const { clock, log, health, journal, dryRun } = this.#options;
    const snapshot = this.#snapshot;
    const verdictAt = clock.monotonic();
    if (snapshot === undefined) {
      return;
    }
    const epoch = this.#nextEpoch();
    const { plan } = snapshot;
    const failover = planFailover({
      desired: snapshot.desired,
      routeTableIds: plan.routeTableIds,
      gateways: plan.gateways,
      dead: host,
      answered,
      health: health.snapshot(),
    });
    const operations = failover.operations.filter((operation) => journal.has(operation));
    for (const route of failover.stranded) {
      const message = `${host} is down and group ${route.group} has no healthy node to take over ${route.destination}: its route stays`;
      this.#stranded.set(route.destination, { kind: "no-stand-in", subject: route.destination, message });
      log.error(
        { host, cidr: route.destination, group: route.group },
        "no stand-in for the routes of a dead node",
      );
    }
    if (dryRun || operations.length === 0) {
      log.warn({ host, routes: operations.length, dryRun }, "a node is down, nothing is moved");
    } else {
      this.#publish({ ...snapshot, desired: moved(snapshot.desired, failover.moves) });
      // Believed from here on, so that a pass which plans meanwhile does not choose again.
      for (const { routeTableId, destination, target } of operations) {
        this.#overlay.note(routeTableId, destination, target, verdictAt);
      }
      await this.#recordMoves(operations);
      const results = await this.#executor.executeFailover(operations, epoch, this.#abort.signal);
      const record = {
        host,
        verdictAt,
        movedAt: clock.monotonic(),
        moved: results.filter(Boolean).length,
        failed: results.filter((done) => !done).length,
        stranded: failover.stranded.length,
      };
      this.#failovers.push(record);
      this.#failovers.splice(0, this.#failovers.length - 100);
      log.warn(
        { ...record, durationMs: Math.round(record.movedAt - verdictAt) },
        "a node is down, its routes moved",
      );
    }
    this.#loop.trigger();
  }

  /** The routes are on record already; that the record names the old target for a while must not hold up a failover. */
  async #recordMoves(operations: readonly Extract<RouteOperation, { kind: "replace" }>[]): Promise<void> {
    const { journal, clock, log } = this.#options;
    const patience = new AbortController();
    const timer = clock.setTimer(JOURNAL_PATIENCE_MS, () =>
      patience.abort(
        new NetworkError("transient", "STORE_SLOW", "the store did not answer a failover in time"),
      ),
    );
    try {
      await journal.record(
        operations.map(({ routeTableId, destination, target }) => ({ routeTableId, destination, target })),
        patience.signal,
      );
    } catch (error) {
      log.warn(
        { err: error },
        "the store did not take the new targets of moved routes, they are written all the same",
      );
    } finally {
      timer.cancel();
    }
  }

  async #scheduledPass(signal: AbortSignal): Promise<number | undefined> {
    const started = this.#options.clock.monotonic();
    const startedAt = new Date(this.#options.clock.now()).toISOString();
    try {
      await this.#pass({ sticky: true, apply: true }, signal);
    } catch (error) {
      const durationMs = Math.round(this.#options.clock.monotonic() - started);
      const message = error instanceof Error ? error.message : String(error);
      this.#lastPass = { startedAt, durationMs, outcome: "failed", operations: 0, failed: 0, error: message };
      throw error;
    }
    return this.#wantsNext;
  }

  async #pass(mode: PassMode, signal: AbortSignal): Promise<PlanView> {
    const { cloud, clock, log, onFacts, health, dryRun } = this.#options;
    const started = clock.monotonic();
    const readAt = clock.now();
    const raw = await cloud.describe(signal);
    await onFacts(raw, signal);
    if (!this.#measured) {
      const facts = this.#overlay.over(raw, started);
      this.#publish(this.#snapshotOf(facts, planRoutes(this.#input(facts, true)), readAt, started));
      await health.whenMeasured(signal, FIRST_MEASURE_MS);
      this.#measured = true;
    }
    // From here to the first write nothing waits, so that the plan knows every verdict up to now.
    const epoch = this.#nextEpoch();
    const facts = this.#overlay.over(raw, started);
    const input = this.#input(facts, mode.sticky);
    const plan = planRoutes(input);
    const checks = planSourceDestCheck(plan.gateways.values());
    this.#stranded.clear();
    this.#publish(this.#snapshotOf(facts, plan, readAt, started));
    this.#wantsNext = undefined;
    let done = 0;
    let failed = 0;
    if (mode.apply && !dryRun) {
      const endsOutage = outageEnder(plan, input.health);
      const urgent = (operation: RouteOperation) => mode.sticky && endsOutage(operation);
      const [execution, checked] = await Promise.all([
        this.#executor.execute(plan, this.#standing(plan, facts), urgent, epoch, signal),
        this.#checks.execute(checks, epoch, signal),
      ]);
      done = execution.done + checked.done;
      failed = execution.failed + checked.failed;
      const retryMs = this.#setbacks.nextRetryMs(clock.monotonic());
      this.#wantsNext =
        execution.stale || done > 0 || execution.superseded > 0
          ? 0
          : earlier(retryMs, this.#unsettledMs(plan));
      this.#setbacks.keep(this.#subjects(plan, checks));
    }
    const durationMs = Math.round(clock.monotonic() - started);
    const startedAt = new Date(readAt).toISOString();
    this.#lastPass = { startedAt, durationMs, outcome: "ok", operations: done, failed };
    if (done + failed > 0) {
      log.info({ durationMs, done, failed, routes: plan.desired.length }, "a pass changed the cloud");
    }
    return planView(plan, checks);
  }

  /**
   * A host that EC2 does not show is often one that it does not show yet, and a node without a stand-in gets one as soon as somebody answers: look
   * again soon, then ever later.
   */
  #unsettledMs(plan: RoutePlan): number | undefined {
    const unsettled =
      plan.skipped.some(({ reason }) => reason === "no-interface") ||
      plan.desired.some(({ choice }) => choice === "stays");
    this.#unsettledPasses = unsettled ? this.#unsettledPasses + 1 : 0;
    return unsettled ? Math.min(60_000, 500 * 2 ** Math.min(this.#unsettledPasses, 10)) : undefined;
  }

  /** Routes that are ours, or become ours in this pass, and stand. */
  #standing(plan: RoutePlan, facts: CloudFacts): ReadonlyMap<string, ReadonlySet<Cidr>> {
    const adopted = new Set(plan.adopt.map((route) => `${route.routeTableId} ${route.destination}`));
    return new Map(
      facts.routeTables.map(({ id, routes }) => [
        id,
        new Set(
          routes
            .map(({ destination }) => destination)
            .filter(
              (destination) =>
                adopted.has(`${id} ${destination}`) ||
                this.#options.journal.has({ routeTableId: id, destination }),
            ),
        ),
      ]),
    );
  }

  #subjects(plan: RoutePlan, checks: readonly SourceDestCheckOperation[]): ReadonlySet<string> {
    return new Set([
      ...plan.operations.flatMap((each) => [`${each.routeTableId} ${each.destination}`, each.routeTableId]),
      ...checks.map(({ interfaceId }) => interfaceId),
    ]);
  }

  #input(facts: CloudFacts, sticky: boolean) {
    const { view, health, journal, tables, reserve, ignore } = this.#options;
    const quotaOf = (routeTableId: string) => this.quotaOf(routeTableId);
    const owned = journal.owned();
    return { ...view(), facts, health: health.snapshot(), owned, tables, quotaOf, reserve, ignore, sticky };
  }

  #snapshotOf(facts: CloudFacts, plan: RoutePlan, readAt: number, askedAt: number): RouteSnapshot {
    return { facts, plan, desired: plan.desired, hosts: this.#options.view().hosts, readAt, askedAt };
  }

  /** Makes a snapshot the current one, and the probes follow it. */
  #publish(snapshot: RouteSnapshot): void {
    this.#snapshot = snapshot;
    const addresses = new Map(snapshot.hosts.map(({ name, ip }) => [name, ip]));
    this.#options.health.setTargets(
      probeTargets(snapshot.desired, snapshot.plan, (host) => addresses.get(host)),
    );
  }

  #learnQuota(routeTableId: string): void {
    const { clock, quota } = this.#options;
    const table = this.#snapshot?.facts.routeTables.find(({ id }) => id === routeTableId);
    const known = table === undefined ? undefined : this.#overlay.count(table);
    this.#learnedQuota.set(routeTableId, {
      quota: Math.min(quota, known ?? quota),
      until: clock.monotonic() + LEARNED_QUOTA_MS,
    });
  }

  #nextEpoch(): number {
    this.#epoch += 1;
    return this.#epoch;
  }

  /** One pass at a time, whoever asks. */
  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#abort.signal.aborted) {
      throw new NetworkError(
        "transient",
        "CONTROLLER_STOPPED",
        "the controller is shutting down: ask another one",
      );
    }
    const turn = this.#turn.then(work, work);
    this.#turn = turn.catch(() => undefined);
    return await turn;
  }
}

/** Tells the replaces that end an outage: their present target is dead or belongs to nobody. */
function outageEnder(plan: RoutePlan, health: HealthSnapshot): (operation: RouteOperation) => boolean {
  const holders = new Map([...plan.gateways.values()].map((gateway) => [gateway.interfaceId, gateway]));
  return (operation) => {
    if (operation.kind !== "replace" || operation.previous.kind !== "interface") {
      return false;
    }
    const holder = holders.get(operation.previous.id);
    return holder === undefined || isDead(holder, health);
  };
}

function earlier(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : Math.min(a, b ?? a);
}

function moved(desired: readonly DesiredRoute[], moves: readonly DesiredRoute[]): readonly DesiredRoute[] {
  const byDestination = new Map(moves.map((move) => [move.destination, move]));
  return desired.map((route) => byDestination.get(route.destination) ?? route);
}
