import type { HealthSnapshot } from "../health/view.ts";
import { compareCidr } from "../net/cidr.ts";
import { bestOf } from "./choose-gateway.ts";
import type { Gateway } from "./gateway.ts";
import type { DesiredRoute, RouteOperation } from "./route-plan.ts";

export interface FailoverInput {
  /** Who serves what at this moment. */
  readonly desired: readonly DesiredRoute[];
  readonly routeTableIds: readonly string[];
  readonly gateways: ReadonlyMap<string, Gateway>;
  /** The host that went down. */
  readonly dead: string;
  /** Hosts that answered the very burst which confirmed it; nobody else takes over (issue: no route to a silent stand-in). */
  readonly answered: ReadonlySet<string>;
  readonly health: HealthSnapshot;
}

export interface FailoverPlan {
  /** The dead host's routes with their new gateways, the group with most hosts first. */
  readonly moves: readonly DesiredRoute[];
  /** The dead host's routes that nobody can take over. They stay. */
  readonly stranded: readonly DesiredRoute[];
  /** One replace per table and move to another interface, the moves in order. */
  readonly operations: readonly Extract<RouteOperation, { kind: "replace" }>[];
}

/**
 * Moves what one dead node served to its stand-ins, without another look at the VPC: everything comes from the last pass. Stand-ins are up, running, not leaving,
 * and answered the burst; ranked and spread as in `chooseGateway`.
 */
export function planFailover(input: FailoverInput): FailoverPlan {
  const load = new Map<string, number>();
  const moves: DesiredRoute[] = [];
  const stranded: DesiredRoute[] = [];
  const previous = input.gateways.get(input.dead)?.interfaceId ?? "";
  for (const { host } of input.desired) {
    load.set(host, (load.get(host) ?? 0) + 1);
  }
  const context = { health: input.health, loadOf: (host: string) => load.get(host) ?? 0 };
  const lost = input.desired
    .filter(({ host }) => host === input.dead)
    .toSorted(
      (a, b) => b.candidates.length - a.candidates.length || compareCidr(a.destination, b.destination),
    );
  for (const route of lost) {
    const standIns = route.candidates.flatMap((host) => {
      const gateway = input.gateways.get(host);
      const state = input.health.nodes.get(host)?.health;
      const fit =
        gateway !== undefined &&
        host !== input.dead &&
        input.answered.has(host) &&
        state === "up" &&
        (gateway.standing === "ready" || gateway.standing === "not-ready");
      return fit ? [gateway] : [];
    });
    // Another address of the same interface answers: the route leads to it already.
    const best =
      standIns.find(({ interfaceId }) => interfaceId === previous) ??
      bestOf(route.destination, standIns, context);
    if (best === undefined) {
      stranded.push(route);
    } else {
      load.set(best.host, (load.get(best.host) ?? 0) + 1);
      moves.push({ ...route, host: best.host, target: best.interfaceId, choice: "chosen" });
    }
  }
  return {
    moves,
    stranded,
    operations: moves
      .filter(({ target }) => target !== previous)
      .flatMap((move) =>
        input.routeTableIds.map((routeTableId) => ({
          kind: "replace" as const,
          routeTableId,
          destination: move.destination,
          target: move.target,
          host: move.host,
          previous: { kind: "interface" as const, id: previous },
          reason: `${input.dead} is down, ${move.host} takes over`,
        })),
      ),
  };
}
