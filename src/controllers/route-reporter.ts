import type { RouteAlarm } from "../core/routing/route-plan.ts";
import { alarmView, healthView, routeStatusView } from "../core/views/plan-view.ts";
import type { HealthView, PlanView, RouteStatusView, StatusView } from "../core/views/route-views.ts";
import type { Clock } from "../ports/clock.ts";
import type { Cloud } from "../ports/cloud.ts";
import type { RouteJournal } from "../services/route-journal.ts";
import type { RoutesView } from "../services/route-views.ts";
import type { HealthSource } from "./health-source.ts";
import type { RouteController } from "./route-controller.ts";
import type { RouteState } from "./route-state.ts";

/** What a person asks about that the route controller does not know itself. */
export interface ReporterFacts {
  readonly version: string;
  readonly cloudName: string;
  readonly storeName: string;
  readonly dryRun: boolean;
  readonly hostCounts: () => StatusView["hosts"];
  /** Hosts that could not be registered or labelled, with the reason. */
  readonly refusedHosts: () => ReadonlyMap<string, string>;
}

export interface RouteReporterOptions {
  readonly controller: RouteController;
  readonly state: RouteState;
  readonly health: HealthSource;
  readonly journal: RouteJournal;
  readonly cloud: Cloud;
  readonly clock: Clock;
  readonly facts: ReporterFacts;
}

/** Passes in a row that may fail before the controller calls itself not ready. */
const TOLERATED_FAILURES = 3;

/** Says what the controller knows and does, for the REST API, the CLI and the simulator. */
export class RouteReporter implements RoutesView {
  readonly #options: RouteReporterOptions;
  readonly #startedAt: string;

  constructor(options: RouteReporterOptions) {
    this.#options = options;
    this.#startedAt = new Date(options.clock.now()).toISOString();
  }

  plan(signal: AbortSignal): Promise<PlanView> {
    return this.#options.controller.plan(signal);
  }

  rebalance(signal: AbortSignal): Promise<PlanView> {
    return this.#options.controller.rebalance(signal);
  }

  reconcile(signal: AbortSignal): Promise<PlanView> {
    return this.#options.controller.reconcile(signal);
  }

  routes(): RouteStatusView {
    const { state, journal } = this.#options;
    const snapshot = state.snapshot();
    if (snapshot === undefined) {
      return { granularity: "no pass yet", readAt: null, tables: [], routes: [], skipped: [] };
    }
    const { setbacks } = state;
    return routeStatusView({
      plan: snapshot.plan,
      desired: snapshot.desired,
      facts: snapshot.facts,
      readAt: new Date(snapshot.readAt).toISOString(),
      quotaOf: (routeTableId) => state.quotaOf(routeTableId),
      isOwned: (routeTableId, destination) => journal.has({ routeTableId, destination }),
      failureOf: (routeTableId, destination) =>
        (setbacks.get(`${routeTableId} ${destination}`) ?? setbacks.get(routeTableId))?.error.message,
    });
  }

  health(): HealthView {
    const { state, health, clock } = this.#options;
    const snapshot = state.snapshot();
    return healthView(
      snapshot?.hosts ?? [],
      snapshot?.desired ?? [],
      snapshot?.plan.gateways ?? new Map(),
      health.snapshot(),
      clock.monotonic(),
    );
  }

  status(): StatusView {
    const { controller, state, cloud, facts } = this.#options;
    const snapshot = state.snapshot();
    const routes = this.routes().routes;
    return {
      version: facts.version,
      startedAt: this.#startedAt,
      cloud: facts.cloudName,
      region: snapshot?.facts.region ?? null,
      vpcId: snapshot?.facts.vpcId ?? null,
      store: facts.storeName,
      leader: true,
      dryRun: facts.dryRun,
      hosts: facts.hostCounts(),
      routes: { desired: routes.length, active: routes.filter((route) => route.state === "active").length },
      lastPass: controller.lastPass() ?? null,
      cloudCalls: cloud.calls(),
      alarms: this.#alarms().map(alarmView),
    };
  }

  notReady(): readonly string[] {
    const { controller, state } = this.#options;
    const pass = controller.lastPass();
    if (state.snapshot() === undefined) {
      return [`the VPC was not read yet${pass?.error === undefined ? "" : `: ${pass.error}`}`];
    }
    return controller.failures >= TOLERATED_FAILURES
      ? [`${controller.failures} passes in a row failed, the last one with: ${pass?.error ?? "no message"}`]
      : [];
  }

  #alarms(): readonly RouteAlarm[] {
    const { controller, state, facts, health } = this.#options;
    const alarms = controller.alarms().filter(({ kind }) => kind !== "blind");
    const refused = [...facts.refusedHosts()].map(([subject, message]): RouteAlarm => ({
      kind: "host-refused",
      subject,
      message,
    }));
    const setbacks = state.setbacks.all().map(({ subject, error, attempts }): RouteAlarm => ({
      kind: "write-failed",
      subject,
      message: `${error.message} (${attempts} ${attempts === 1 ? "try" : "tries"})`,
    }));
    const blind: readonly RouteAlarm[] = health.snapshot().blind
      ? [
          {
            kind: "blind",
            subject: "probes",
            message: "nobody answers our probes: no route is moved until somebody does",
          },
        ]
      : [];
    return [...blind, ...alarms, ...setbacks, ...refused];
  }
}

/** What there is to say where no cloud is asked (`--cloud none`). */
export class NoRoutes implements RoutesView {
  readonly #facts: ReporterFacts;
  readonly #leads: () => boolean;
  readonly #startedAt: string;

  constructor(facts: ReporterFacts, clock: Clock, leads: () => boolean) {
    this.#facts = facts;
    this.#leads = leads;
    this.#startedAt = new Date(clock.now()).toISOString();
  }

  plan(): Promise<PlanView> {
    return Promise.resolve({
      granularity: "no cloud: no routes are kept",
      operations: [],
      sourceDestCheck: [],
      skipped: [],
      alarms: [],
    });
  }

  rebalance(): Promise<PlanView> {
    return this.plan();
  }

  reconcile(): Promise<PlanView> {
    return this.plan();
  }

  routes(): RouteStatusView {
    return { granularity: "no cloud: no routes are kept", readAt: null, tables: [], routes: [], skipped: [] };
  }

  health(): HealthView {
    return { blind: false, nodes: [] };
  }

  status(): StatusView {
    const { version, cloudName, storeName, dryRun, hostCounts } = this.#facts;
    return {
      version,
      startedAt: this.#startedAt,
      cloud: cloudName,
      region: null,
      vpcId: null,
      store: storeName,
      leader: this.#leads(),
      dryRun,
      hosts: hostCounts(),
      routes: { desired: 0, active: 0 },
      lastPass: null,
      cloudCalls: {},
      alarms: [],
    };
  }

  notReady(): readonly string[] {
    return [];
  }
}
