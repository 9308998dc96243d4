import type { CloudFacts, CloudInstance } from "../core/cloud/facts.ts";
import { NetworkError } from "../core/errors.ts";
import type { HealthSnapshot } from "../core/health/view.ts";
import {
  planSourceDestCheck,
  type SourceDestCheckOperation,
} from "../core/instances/plan-source-dest-check.ts";
import type { Cidr } from "../core/net/cidr.ts";
import { isDead } from "../core/routing/choose-gateway.ts";
import { groupByInterface } from "../core/routing/gateway.ts";
import { planRoutes } from "../core/routing/plan-routes.ts";
import type { RouteAlarm, RouteDemand, RouteOperation, RoutePlan } from "../core/routing/route-plan.ts";
import type { TableSelector } from "../core/routing/select-tables.ts";
import { planView } from "../core/views/plan-view.ts";
import type { PassView, PlanView } from "../core/views/route-views.ts";
import type { Clock, Timer } from "../ports/clock.ts";
import type { Cloud } from "../ports/cloud.ts";
import type { Logger } from "../ports/logger.ts";
import type { Meter } from "../ports/meter.ts";
import type { RouteJournal } from "../services/route-journal.ts";
import type { FailoverController } from "./failover-controller.ts";
import type { HealthSource } from "./health-source.ts";
import { ReconcileLoop } from "./reconcile-loop.ts";
import type { RouteExecutor } from "./route-executor.ts";
import type { RouteSnapshot, RouteState } from "./route-state.ts";
import type { SourceDestChecks } from "./source-dest-checks.ts";

/** How long the first pass waits for the probes' first word. */
const FIRST_MEASURE_MS = 3000;
/** How long a pass goes on writing before another look; a large cluster's first routes take minutes at EC2's rate. */
const MAX_WRITING_MS = 30_000;

/** A pass that takes so long will not end: each of its calls has a time limit, and its writes half a minute. */
const STUCK_MINUTES = 10;

/** Changes of hosts that come within this time are planned together. */
const REPLAN_MS = 50;
/** … and this long lies between two such plans. */
const REPLAN_GAP_MS = 250;
/** So long the Source/Dest check of an interface that was looked at alone is left to whoever looked. */
const FRESH_MS = 5000;

export interface RouteControllerOptions {
  readonly state: RouteState;
  readonly executor: RouteExecutor;
  readonly checks: SourceDestChecks;
  readonly failover: FailoverController;
  readonly cloud: Cloud;
  readonly journal: RouteJournal;
  readonly clock: Clock;
  readonly log: Logger;
  readonly health: HealthSource;
  /** What wants routes at this moment. */
  readonly view: () => RouteDemand;
  /** Called with what the cloud said, before a pass plans: hosts are registered and labelled here. */
  readonly onFacts: (facts: CloudFacts, signal: AbortSignal) => Promise<void>;
  /** Called with the plan of each pass, before it is carried out. */
  readonly onPlan?: (plan: RoutePlan) => void;
  readonly tables: TableSelector;
  readonly reserve: number;
  readonly ignore: readonly Cidr[];
  readonly intervalMs: number;
  readonly dryRun: boolean;
  readonly meter?: Meter | undefined;
}

interface PassMode {
  readonly sticky: boolean;
  readonly apply: boolean;
}

/**
 * Keeps the route tables of a VPC and the Source/Dest checks of its nodes as planned.
 *
 *     every 30 s, or asked ─► describe ─► register hosts ─► plan ─► journal ─► write (bulk) ─► again, soon, if something was written
 */
export class RouteController {
  readonly #options: RouteControllerOptions;
  readonly #loop: ReconcileLoop;
  readonly #abort = new AbortController();
  #lastPass: PassView | undefined;
  #unsettledPasses = 0;
  #wantsNext: number | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  /** Interfaces that were looked at alone, and until when somebody sees to their checks. */
  readonly #fresh = new Map<string, number>();
  #replanTimer: Timer | undefined;
  #replannedAt = -Infinity;

  constructor(options: RouteControllerOptions) {
    this.#options = options;
    const { clock, log } = options;
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
    this.#replanTimer?.cancel();
    await this.#loop.stop();
    await this.#turn.catch(() => undefined);
  }

  /** Asks for a pass soon: a host or the topology changed. */
  trigger(): void {
    this.#loop.trigger();
  }

  /**
   * A host came, went or changed its group or its standing. Plans on what the last look showed, and asks for a pass only when there is something to write or to find out: the
   * hundredth node of a group needs no look at the VPC.
   */
  hostsChanged(): void {
    const { state, clock } = this.#options;
    if (state.snapshot() === undefined || !state.measured) {
      this.#loop.trigger();
    } else if (this.#replanTimer === undefined && !this.#abort.signal.aborted) {
      const delayMs = Math.max(REPLAN_MS, this.#replannedAt + REPLAN_GAP_MS - clock.monotonic());
      this.#replanTimer = clock.setTimer(delayMs, () => {
        this.#replanTimer = undefined;
        this.#replannedAt = clock.monotonic();
        this.#replan();
      });
    }
  }

  /** EC2 was asked about this instance alone, and whoever asked turns its Source/Dest check off. */
  instanceSeen(instance: CloudInstance): void {
    const now = this.#options.clock.monotonic();
    this.#fresh.forEach((until, id) => until <= now && this.#fresh.delete(id));
    instance.interfaces.forEach(({ id }) => this.#fresh.set(id, now + FRESH_MS));
    this.#options.state.see(instance);
  }

  /** Turns the Source/Dest checks of new hosts off, now and within the budget of all writes; what fails is left to a pass. Never rejects. */
  async turnOffChecks(checks: readonly SourceDestCheckOperation[], signal: AbortSignal): Promise<void> {
    const { state, checks: checker, dryRun } = this.#options;
    const ids = new Set(checks.map(({ interfaceId }) => interfaceId));
    const { done } = dryRun ? { done: 0 } : await checker.execute(checks, state.nextEpoch(), signal);
    ids.forEach((id) => this.#fresh.delete(id));
    if (done === checks.length) {
      state.seeChecksOff(ids);
    } else {
      this.#loop.trigger();
    }
  }

  #replan(): void {
    const { state, clock, checks: checker } = this.#options;
    const snapshot = state.snapshot();
    if (snapshot === undefined) {
      return;
    }
    const input = this.#input(snapshot.facts, true);
    const plan = planRoutes(input);
    const now = clock.monotonic();
    const checks = planSourceDestCheck(plan.gateways.values()).filter(
      ({ interfaceId }) => (this.#fresh.get(interfaceId) ?? 0) <= now && !checker.covers(interfaceId),
    );
    const writes = plan.operations.length + plan.adopt.length + plan.forget.length + checks.length;
    const isUnseen = input.hosts.some(({ name }) => !plan.gateways.has(name));
    if (writes > 0 || isUnseen) {
      this.#loop.trigger();
    } else {
      state.revise(plan, input.hosts);
    }
  }

  /** A block changed. Only where groups span subnets do routes depend on it; elsewhere pods come and go without a look at EC2. */
  blocksChanged(): void {
    if (this.#options.state.snapshot()?.plan.blocksMatter === true) {
      this.#loop.trigger();
    }
  }

  lastPass(): PassView | undefined {
    return this.#lastPass;
  }

  /** What has stopped and will not go on by itself, one phrase each. */
  stuck(): readonly string[] {
    const minutes = Math.floor(this.#loop.lateMs / 60_000);
    return minutes < STUCK_MINUTES ? [] : [`no pass over the cloud has ended for ${minutes} min`];
  }

  /** Scheduled passes in a row that failed. */
  get failures(): number {
    return this.#loop.failures;
  }

  /** Alarms of the last plan, and of failovers since; none before the probes had their first word. */
  alarms(): readonly RouteAlarm[] {
    const { state, failover } = this.#options;
    const planned = (state.measured ? state.snapshot()?.plan.alarms : undefined) ?? [];
    const subjects = new Set(planned.map(({ subject }) => subject));
    return [...planned, ...failover.alarms().filter(({ subject }) => !subjects.has(subject))];
  }

  /** Looks at the cloud and plans; changes nothing. */
  async plan(signal: AbortSignal): Promise<PlanView> {
    const askedAt = this.#options.clock.monotonic();
    const facts = this.#options.state.overlay.over(await this.#options.cloud.describe(signal), askedAt);
    const plan = planRoutes(this.#input(facts, true));
    return planView(plan, planSourceDestCheck(plan.gateways.values()));
  }

  /** One full pass now; answers what it did, or under dry-run would do. */
  async reconcile(signal: AbortSignal): Promise<PlanView> {
    return await this.#inTurn(() => this.#pass({ sticky: true, apply: true }, signal));
  }

  /** One full pass that chooses every gateway anew, the load spread evenly. */
  async rebalance(signal: AbortSignal): Promise<PlanView> {
    if (this.#options.health.snapshot().blind) {
      throw new NetworkError(
        "conflict",
        "REBALANCE_BLIND",
        "cannot rebalance: nobody answers our probes, so nobody is known to be alive; see `romana health`, and try again when it is no longer blind",
      );
    }
    const view = await this.#inTurn(() => this.#pass({ sticky: false, apply: true }, signal));
    this.#loop.trigger();
    return view;
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
      this.#options.meter?.pass("failed", durationMs / 1000);
      throw error;
    }
    return this.#wantsNext;
  }

  async #pass(mode: PassMode, signal: AbortSignal): Promise<PlanView> {
    const {
      state,
      cloud,
      clock,
      log,
      onFacts,
      health,
      dryRun,
      executor,
      checks: checker,
      failover,
    } = this.#options;
    const started = clock.monotonic();
    const readAt = clock.now();
    const raw = await cloud.describe(signal);
    await onFacts(raw, signal);
    if (!state.measured) {
      const facts = state.overlay.over(raw, started);
      state.publish(this.#snapshotOf(facts, planRoutes(this.#input(facts, true)), readAt, started));
      await Promise.all([health.whenMeasured(signal, FIRST_MEASURE_MS), failover.failOverEarly()]);
      state.measured = true;
    }
    // From here to the first write nothing waits, so that the plan knows every verdict up to now.
    const epoch = state.nextEpoch();
    const facts = state.overlay.over(raw, started);
    const input = this.#input(facts, mode.sticky);
    const plan = planRoutes(input);
    const checks = planSourceDestCheck(plan.gateways.values());
    failover.settled();
    state.publish(this.#snapshotOf(facts, plan, readAt, started));
    this.#options.onPlan?.(plan);
    this.#wantsNext = undefined;
    let done = 0;
    let failed = 0;
    if (mode.apply && !dryRun) {
      const endsOutage = outageEnder(plan, input.health);
      const urgent = (operation: RouteOperation) => mode.sticky && endsOutage(operation);
      const tooLong = clock.setTimer(MAX_WRITING_MS, () => executor.yieldBulk());
      const [execution, checked] = await Promise.all([
        executor.execute(plan, this.#standing(plan, facts), urgent, epoch, signal),
        checker.execute(checks, epoch, signal),
      ]).finally(() => tooLong.cancel());
      done = execution.done + checked.done;
      failed = execution.failed + checked.failed;
      const retryMs = state.setbacks.nextRetryMs(clock.monotonic());
      this.#wantsNext =
        execution.stale || done > 0 || execution.superseded > 0
          ? 0
          : earlier(earlier(retryMs, execution.leaveMs), this.#unsettledMs(plan));
      state.setbacks.keep(this.#subjects(plan, checks));
    }
    const durationMs = Math.round(clock.monotonic() - started);
    const startedAt = new Date(readAt).toISOString();
    this.#lastPass = { startedAt, durationMs, outcome: "ok", operations: done, failed };
    this.#options.meter?.pass("ok", durationMs / 1000);
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
    const { state, view, health, journal, tables, reserve, ignore } = this.#options;
    const quotaOf = (routeTableId: string) => state.quotaOf(routeTableId);
    const owned = journal.owned();
    return { ...view(), facts, health: health.snapshot(), owned, tables, quotaOf, reserve, ignore, sticky };
  }

  #snapshotOf(facts: CloudFacts, plan: RoutePlan, readAt: number, askedAt: number): RouteSnapshot {
    return { facts, plan, desired: plan.desired, hosts: this.#options.view().hosts, readAt, askedAt };
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
  const byInterface = groupByInterface(plan.gateways.values());
  return (operation) => {
    if (operation.kind !== "replace" || operation.previous.kind !== "interface") {
      return false;
    }
    return (byInterface.get(operation.previous.id) ?? []).every((holder) => isDead(holder, health));
  };
}

function earlier(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : Math.min(a, b ?? a);
}
