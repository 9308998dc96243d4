import type { CloudRouteTable } from "../cloud/facts.ts";
import { overlaps, type Cidr } from "../net/cidr.ts";
import type { DesiredRoute, RoutePlan } from "./route-plan.ts";

/** What is known of routes at one moment. */
export interface StandingRoutes {
  readonly plan: Pick<RoutePlan, "routeTableIds" | "skipped">;
  readonly desired: readonly Pick<DesiredRoute, "destination" | "target">[];
  readonly tables: readonly Pick<CloudRouteTable, "id" | "routes">[];
}

/**
 * Whether everything that is wanted for `group` stands in every table that is ours to write: its own route, that of a parent which took its place, or those of its blocks.
 * Nothing may be open or left out for it, and there must be a table.
 */
export function routesStand({ plan, desired, tables }: StandingRoutes, group: Cidr): boolean {
  const wanted = desired.filter(({ destination }) => overlaps(destination, group));
  const selected = plan.routeTableIds.map((id) => tables.find((table) => table.id === id));
  return (
    selected.length > 0 &&
    !plan.skipped.some(({ destination }) => overlaps(destination, group)) &&
    selected.every((table) =>
      wanted.every(({ destination, target }) =>
        table?.routes.some(
          (route) =>
            route.destination === destination &&
            route.state === "active" &&
            route.target.kind === "interface" &&
            route.target.id === target,
        ),
      ),
    )
  );
}
