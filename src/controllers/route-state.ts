import type { CloudFacts, CloudInstance } from "../core/cloud/facts.ts";
import type { PlannedHost } from "../core/routing/gateway.ts";
import type { DesiredRoute, RoutePlan } from "../core/routing/route-plan.ts";
import type { Clock } from "../ports/clock.ts";
import { Setbacks } from "./backoff.ts";
import type { HealthSource } from "./health-source.ts";
import { probeTargets } from "./probe-targets.ts";
import { RouteOverlay } from "./route-overlay.ts";

/** How long we believe EC2's word that a table is full before we try the configured quota again. */
const LEARNED_QUOTA_MS = 3_600_000;
/** How long after a write a Describe may still show the state before it. */
const CONSISTENCY_MS = 5000;

/** What is known at one moment; everything that is shown is made from it. */
export interface RouteSnapshot {
  readonly facts: CloudFacts;
  readonly plan: RoutePlan;
  /** Who serves what: the plan's routes, and the moves of failovers since. */
  readonly desired: readonly DesiredRoute[];
  readonly hosts: readonly PlannedHost[];
  /** Wall clock, milliseconds. */
  readonly readAt: number;
  /** When the facts were asked for, monotonic milliseconds. */
  readonly askedAt: number;
}

export interface RouteStateOptions {
  readonly clock: Clock;
  readonly health: HealthSource;
  /** Routes that a table may hold as far as the configuration knows. */
  readonly quota: number;
}

/** What passes and failovers share: the last look, our writes since, what failed, and the order in which decisions were made. */
export class RouteState {
  readonly overlay = new RouteOverlay(CONSISTENCY_MS);
  /** Failures that wait for their next try: routes by "table destination", tables and interfaces by id. */
  readonly setbacks = new Setbacks();
  /** Whether the first pass has waited for the probes' first word: until then a node may be up without our knowing it. */
  measured = false;
  readonly #options: RouteStateOptions;
  readonly #learnedQuota = new Map<string, { readonly quota: number; readonly until: number }>();
  #snapshot: RouteSnapshot | undefined;
  #epoch = 0;

  constructor(options: RouteStateOptions) {
    this.#options = options;
  }

  /** The number of the next decision; a write of an older one never overtakes it. */
  nextEpoch(): number {
    this.#epoch += 1;
    return this.#epoch;
  }

  /** Makes a snapshot the current one, and the probes follow it. */
  publish(snapshot: RouteSnapshot): void {
    this.#snapshot = snapshot;
    const addresses = new Map(snapshot.hosts.map(({ name, ip }) => [name, ip]));
    this.#options.health.setTargets(
      probeTargets(snapshot.desired, snapshot.plan, (host) => addresses.get(host)),
    );
  }

  /** Another plan from the same look, when hosts changed and nothing has to be written for it. */
  revise(plan: RoutePlan, hosts: readonly PlannedHost[]): void {
    if (this.#snapshot !== undefined) {
      this.publish({ ...this.#snapshot, plan, desired: plan.desired, hosts });
    }
  }

  /** Takes an instance that EC2 was asked about alone into the last look. */
  see(instance: CloudInstance): void {
    const snapshot = this.#snapshot;
    if (snapshot !== undefined) {
      const others = snapshot.facts.instances.filter(({ id }) => id !== instance.id);
      const instances = [...others, instance].toSorted((a, b) => (a.id < b.id ? -1 : 1));
      this.#snapshot = { ...snapshot, facts: { ...snapshot.facts, instances } };
    }
  }

  /** The Source/Dest checks of these interfaces are off since the last look. */
  seeChecksOff(interfaceIds: ReadonlySet<string>): void {
    const snapshot = this.#snapshot;
    if (snapshot !== undefined) {
      const instances = snapshot.facts.instances.map((instance) =>
        instance.interfaces.some(({ id }) => interfaceIds.has(id))
          ? {
              ...instance,
              interfaces: instance.interfaces.map((each) =>
                interfaceIds.has(each.id) ? { ...each, sourceDestCheck: false } : each,
              ),
            }
          : instance,
      );
      this.#snapshot = { ...snapshot, facts: { ...snapshot.facts, instances } };
    }
  }

  /** What is known now, our writes since the last look included; `undefined` before the first pass. */
  snapshot(): RouteSnapshot | undefined {
    const snapshot = this.#snapshot;
    return snapshot && { ...snapshot, facts: this.overlay.over(snapshot.facts, snapshot.askedAt) };
  }

  /** Routes per table that we believe EC2 allows. */
  quotaOf(routeTableId: string): number {
    const { clock, quota } = this.#options;
    const learned = this.#learnedQuota.get(routeTableId);
    return learned !== undefined && learned.until > clock.monotonic()
      ? Math.min(learned.quota, quota)
      : quota;
  }

  /** EC2 said that this table is full: what it holds now is all that it takes. */
  learnQuota(routeTableId: string): void {
    const { clock, quota } = this.#options;
    const table = this.#snapshot?.facts.routeTables.find(({ id }) => id === routeTableId);
    const known = table === undefined ? quota : this.overlay.count(table);
    this.#learnedQuota.set(routeTableId, {
      quota: Math.min(quota, known),
      until: clock.monotonic() + LEARNED_QUOTA_MS,
    });
  }
}
