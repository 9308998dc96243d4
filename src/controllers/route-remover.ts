import type { Cidr } from "../core/net/cidr.ts";
import { planRemoval, type RemovalPlan, type RemovedRoute } from "../core/routing/plan-removal.ts";
import type { RouteOperation, RoutePlan } from "../core/routing/route-plan.ts";
import type { Clock } from "../ports/clock.ts";
import type { Cloud } from "../ports/cloud.ts";
import type { RouteJournal } from "../services/route-journal.ts";
import { subjectOf, type RouteExecutor } from "./route-executor.ts";
import type { RouteState } from "./route-state.ts";

export interface RouteRemoverOptions {
  readonly cloud: Cloud;
  readonly clock: Clock;
  readonly journal: RouteJournal;
  /** Absent where nothing may be changed. */
  readonly hands: { readonly executor: RouteExecutor; readonly state: RouteState } | undefined;
  /** CIDRs of Romana's networks. */
  readonly networks: readonly Cidr[];
  /** `--ignore-routes`. */
  readonly ignore: readonly Cidr[];
}

/** A route that could not be removed, and why. */
export interface RemainingRoute extends RemovedRoute {
  readonly problem: string;
}

/** The plan that a removal began with, and what of it remains. */
export interface Removal {
  readonly plan: RemovalPlan;
  readonly remaining: readonly RemainingRoute[];
}

/** A route that EC2 did not delete is tried so often in all, beside the adapter's own repeats. */
const ROUNDS = 3;
/** Between two rounds; not shorter than what a setback waits at first. */
const PAUSE_MS = 5_000;

/** Takes every route of ours out of the route tables, through the very executor that writes them: the budget, the journal and the fence are the same. */
export class RouteRemover {
  readonly #options: RouteRemoverOptions;

  constructor(options: RouteRemoverOptions) {
    this.#options = options;
  }

  /** What there is to remove. Errors: those of `Cloud.describe` and of `planRemoval`. */
  async plan(signal: AbortSignal): Promise<RemovalPlan> {
    const { cloud, journal, networks, ignore } = this.#options;
    return planRemoval({ facts: await cloud.describe(signal), owned: journal.owned(), networks, ignore });
  }

  /**
   * Removes what a plan names, and forgets it. What EC2 refuses is tried three times, and remains then. Throws `LEADERSHIP_LOST` when somebody else was elected
   * meanwhile.
   */
  async remove(plan: RemovalPlan, signal: AbortSignal): Promise<Removal> {
    const { clock, journal, hands } = this.#options;
    if (hands === undefined) {
      return {
        plan,
        remaining: plan.remove.map((route) => ({ ...route, problem: "nothing may be changed" })),
      };
    }
    const { executor, state } = hands;
    let open = plan.remove;
    for (let round = 1; round <= ROUNDS && (round === 1 || open.length > 0); round += 1) {
      if (round > 1) {
        await clock.sleep(PAUSE_MS, signal);
      }
      const operations = open.map(deletion);
      await executor.execute(
        { ...NOTHING, operations, forget: round === 1 ? plan.forget : [] },
        new Map(),
        () => false,
        state.nextEpoch(),
        signal,
      );
      signal.throwIfAborted();
      open = open.filter((route) => journal.has(route));
    }
    return {
      plan,
      remaining: open.map((route) => ({
        ...route,
        problem: state.setbacks.get(subjectOf(route))?.error.message ?? "it was not sent",
      })),
    };
  }
}

/** A plan that wants nothing. */
const NOTHING: RoutePlan = {
  gateways: new Map(),
  routeTableIds: [],
  desired: [],
  operations: [],
  adopt: [],
  forget: [],
  skipped: [],
  alarms: [],
  budget: 0,
  finest: 0,
  blocksMatter: false,
  collapsed: [],
  isListed: false,
};

/** `isUnlisted`: nobody wants it any more, so that no table is waited for. */
function deletion({ routeTableId, destination }: RemovedRoute): RouteOperation {
  return {
    kind: "delete",
    routeTableId,
    destination,
    after: [],
    makesRoom: false,
    isUnlisted: true,
    reason: "Romana is taken away",
  };
}
