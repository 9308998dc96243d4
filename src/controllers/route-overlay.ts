import type { ActualRoute, CloudFacts, CloudRouteTable } from "../core/cloud/facts.ts";
import type { Cidr } from "../core/net/cidr.ts";

interface Write {
  readonly routeTableId: string;
  readonly destination: Cidr;
  /** The interface that the route leads to now, or null when it was deleted. */
  readonly target: string | null;
  readonly at: number;
}

/**
 * What we wrote so recently that a Describe may not show it yet (EC2 is eventually consistent). Lays our own writes over the facts; after `consistencyMs`
 * EC2's word counts again, so that a change made by hand is seen.
 */
export class RouteOverlay {
  readonly #consistencyMs: number;
  readonly #writes = new Map<string, Write>();

  constructor(consistencyMs: number) {
    this.#consistencyMs = consistencyMs;
  }

  /** Notes a write that EC2 has confirmed at `now` (monotonic milliseconds). */
  note(routeTableId: string, destination: Cidr, target: string | null, now: number): void {
    this.#writes.set(`${routeTableId} ${destination}`, { routeTableId, destination, target, at: now });
  }

  /** Forgets what we believed of a route: its last write failed or its outcome is unknown. */
  doubt(routeTableId: string, destination: Cidr): void {
    this.#writes.delete(`${routeTableId} ${destination}`);
  }

  /** Routes that count against a table's quota, our writes since the facts included. */
  count(table: CloudRouteTable): number {
    let count = table.routeCount;
    for (const { routeTableId, destination, target } of this.#writes.values()) {
      if (routeTableId === table.id) {
        const stood = table.routes.some((route) => route.destination === destination);
        count += (target === null ? 0 : 1) - (stood ? 1 : 0);
      }
    }
    return count;
  }

  /** The facts with the writes that were confirmed less than `consistencyMs` before the Describe was sent (`askedAt`), or after it. */
  over(facts: CloudFacts, askedAt: number): CloudFacts {
    for (const [key, write] of this.#writes) {
      if (write.at <= askedAt - this.#consistencyMs) {
        this.#writes.delete(key);
      }
    }
    if (this.#writes.size === 0) {
      return facts;
    }
    const byTable = Map.groupBy(this.#writes.values(), ({ routeTableId }) => routeTableId);
    return {
      ...facts,
      routeTables: facts.routeTables.map((table) => {
        const writes = byTable.get(table.id);
        if (writes === undefined) {
          return table;
        }
        const routes = new Map(table.routes.map((route) => [route.destination, route]));
        for (const { destination, target } of writes) {
          const known = routes.get(destination);
          if (target === null) {
            routes.delete(destination);
          } else if (known?.target.kind !== "interface" || known.target.id !== target) {
            routes.set(destination, active(destination, target));
          }
        }
        return {
          ...table,
          routes: [...routes.values()],
          routeCount: table.routeCount + routes.size - table.routes.length,
        };
      }),
    };
  }
}

function active(destination: Cidr, target: string): ActualRoute {
  return { destination, target: { kind: "interface", id: target }, state: "active" };
}
