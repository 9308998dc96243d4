import { NetworkError } from "../core/errors.ts";
import type { HealthView, PlanView, RouteStatusView, StatusView } from "../core/views/route-views.ts";
import type { Clock } from "../ports/clock.ts";
import type { Election } from "../ports/election.ts";
import type { RoutesView } from "../services/route-views.ts";
import type { ReporterFacts } from "./route-reporter.ts";

export interface ReplicaRoutesOptions {
  /** What the leader says; `undefined` while this replica does not lead. */
  readonly reporter: () => RoutesView | undefined;
  readonly follower: {
    readonly election: Election;
    readonly id: string;
    readonly facts: Omit<ReporterFacts, "refusedHosts">;
    readonly clock: Clock;
  };
}

/** What any replica can say about routes: the leader all, the others who leads. */
export class ReplicaRoutes implements RoutesView {
  readonly #options: ReplicaRoutesOptions;
  readonly #startedAt: string;
  #sawLeader = false;

  constructor(options: ReplicaRoutesOptions) {
    this.#options = options;
    this.#startedAt = new Date(options.follower.clock.now()).toISOString();
  }

  async plan(signal: AbortSignal): Promise<PlanView> {
    return this.#leading().plan(signal);
  }

  async rebalance(signal: AbortSignal): Promise<PlanView> {
    return this.#leading().rebalance(signal);
  }

  async reconcile(signal: AbortSignal): Promise<PlanView> {
    return this.#leading().reconcile(signal);
  }

  routes(): RouteStatusView {
    return this.#leading().routes();
  }

  health(): HealthView {
    return this.#leading().health();
  }

  status(): StatusView {
    const reporter = this.#options.reporter();
    const { facts, election, id } = this.#options.follower;
    return reporter === undefined
      ? {
          version: facts.version,
          startedAt: this.#startedAt,
          cloud: facts.cloudName,
          region: null,
          vpcId: null,
          store: facts.storeName,
          leader: false,
          dryRun: facts.dryRun,
          hosts: facts.hostCounts(),
          routes: { desired: 0, active: 0 },
          lastPass: null,
          cloudCalls: {},
          alarms: [],
        }
      : { ...reporter.status(), leader: election.leader()?.id === id, startedAt: this.#startedAt };
  }

  notReady(): readonly string[] {
    const reporter = this.#options.reporter();
    this.#sawLeader ||= reporter !== undefined || this.#options.follower.election.leader() !== undefined;
    return reporter?.notReady() ?? (this.#sawLeader ? [] : ["no replica leads yet"]);
  }

  #leading(): RoutesView {
    const reporter = this.#options.reporter();
    if (reporter !== undefined) {
      return reporter;
    }
    const { election, id } = this.#options.follower;
    const leader = election.leader();
    const where =
      leader === undefined || leader.id === id
        ? "nobody leads at this moment: ask again in a moment"
        : `ask ${leader.id}${leader.url === "" ? "" : ` at ${leader.url}`}`;
    throw new NetworkError(
      "transient",
      "NOT_LEADER",
      `only the leader can answer this, and this replica does not lead; ${where}`,
      {
        leader: leader?.id ?? "",
        url: leader?.url ?? "",
      },
    );
  }
}
