import type { CloudFacts } from "../cloud/facts.ts";
import { compareCidr, containsAddress, containsCidr, type Cidr } from "../net/cidr.ts";
import type { Aggregation, Prefix, RefusedPrefix } from "./aggregate.ts";
import type { Gateway, PlannedHost } from "./gateway.ts";
import type { ListedRoute } from "./route-plan.ts";

/**
 * The prefixes of a list, as the planner takes them: each by itself, none put together with another. A host that no interface stands for is reported, the others
 * are candidates. Where not all fit into `budget` routes, those that `stands` already come first.
 */
export function listedPrefixes(
  listed: readonly ListedRoute[],
  gateways: ReadonlyMap<string, Gateway>,
  budget: number,
  stands: (destination: Cidr) => boolean,
): Aggregation {
  const prefixes: Prefix[] = [];
  const refused: RefusedPrefix[] = [];
  const first = (destination: Cidr) => (stands(destination) ? 0 : 1);
  const wanted = listed.filter(({ hosts }) => hosts.length > 0);
  const ordered = wanted.toSorted(
    (a, b) => first(a.destination) - first(b.destination) || compareCidr(a.destination, b.destination),
  );
  for (const { destination, hosts } of ordered) {
    const names = [...new Set(hosts)].toSorted();
    const missing = names.filter((host) => !gateways.has(host));
    const candidates = names.flatMap((host) => gateways.get(host) ?? []);
    if (missing.length > 0) {
      const message = `no instance of the VPC has the address ${missing.join(", ")}, listed for ${destination}: correct the list, or start the instance`;
      refused.push({ destination, network: "", reason: "no-interface", message });
    }
    if (candidates.length > 0 && prefixes.length >= budget) {
      const message = `the list has ${wanted.length} routes, ${budget} fit: raise the quota of the fullest route table or remove routes from it`;
      refused.push({ destination, network: "", reason: "over-budget", message });
    } else if (candidates.length > 0) {
      prefixes.push({ destination, network: "", group: "", level: "listed", subnetId: "", candidates });
    }
  }
  return {
    prefixes: prefixes.toSorted((a, b) => compareCidr(a.destination, b.destination)),
    refused: refused.toSorted((a, b) => compareCidr(a.destination, b.destination)),
    finest: wanted.length,
    blocksMatter: false,
    collapsed: [],
  };
}

/**
 * The subnets that hold a listed address, by their CIDRs: they are known also while no interface has the address, so that a table does not lose its routes because
 * an instance is gone.
 */
export function subnetsOf(hosts: readonly PlannedHost[], facts: CloudFacts): readonly string[] {
  return facts.subnets
    .filter(({ cidr }) => hosts.some(({ ip }) => containsAddress(cidr, ip)))
    .map(({ id }) => id);
}

/**
 * Whether EC2 refuses a route for this destination because the VPC's local route is wider (Amazon VPC user guide, Route tables): one inside a CIDR of the VPC,
 * unless it is exactly a subnet's.
 */
export function isInsideVpc(destination: Cidr, facts: CloudFacts): boolean {
  return (
    facts.vpcCidrs.some((cidr) => containsCidr(cidr, destination)) &&
    (facts.vpcCidrs.includes(destination) || !facts.subnets.some(({ cidr }) => cidr === destination))
  );
}
