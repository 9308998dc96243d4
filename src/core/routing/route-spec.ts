import { compareCidr, type Cidr } from "../net/cidr.ts";
import { ipv4Value, type Ipv4 } from "../net/ipv4.ts";
import type { ListedRoute, RouteDemand } from "./route-plan.ts";

/** A list of routes with the addresses of their possible gateways, read and found good. */
export interface RouteSpec {
  /** By destination; what is listed with no address at all (`--allow-empty`) is left out. Addresses in the order given, each once. */
  readonly routes: ReadonlyMap<Cidr, readonly Ipv4[]>;
  /** The document as it was given, parsed. */
  readonly document: object;
}

/** Every address of a list, each once, in numeric order. */
export function addressesOf(spec: RouteSpec): readonly Ipv4[] {
  return [...new Set([...spec.routes.values()].flat())].toSorted((a, b) => ipv4Value(a) - ipv4Value(b));
}

/** A list as the planner takes it. The hosts are the addresses themselves. */
export function demandOf(spec: RouteSpec, takeOver: boolean): RouteDemand {
  const listed = [...spec.routes]
    .map(([destination, hosts]): ListedRoute => ({ destination, hosts }))
    .toSorted((a, b) => compareCidr(a.destination, b.destination));
  const hosts = addressesOf(spec).map((ip) => ({ name: ip, ip, standing: "ready" as const }));
  return { trees: [], listed, takeOver, hosts };
}
