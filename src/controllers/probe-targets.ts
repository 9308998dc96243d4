import type { ProbeTarget } from "../core/health/state.ts";
import type { Ipv4 } from "../core/net/ipv4.ts";
import { rendezvousHash } from "../core/routing/choose-gateway.ts";
import type { DesiredRoute, RoutePlan } from "../core/routing/route-plan.ts";

/** At most this many stand-ins are asked in a burst: enough to find a healthy one, few enough to be asked within 150 ms. */
const STAND_INS = 16;

/**
 * Whom to probe for these routes: who holds one, and everybody who could. Instances that EC2 says are gone are left out; `isOwn` tells
 * this machine's addresses. Sorted by host.
 */
export function probeTargets(
  desired: readonly DesiredRoute[],
  plan: RoutePlan,
  addressOf: (host: string) => Ipv4 | undefined,
  isOwn: (address: Ipv4) => boolean = () => false,
): readonly ProbeTarget[] {
  const standIns = new Map<string, Set<string>>();
  const hosts = new Set<string>();
  for (const route of desired) {
    const others = standIns.get(route.host) ?? new Set<string>();
    standIns.set(route.host, others);
    hosts.add(route.host);
    const ranked =
      route.candidates.length <= STAND_INS
        ? route.candidates
        : route.candidates.toSorted(
            (a, b) => rendezvousHash(route.destination, b) - rendezvousHash(route.destination, a),
          );
    ranked.slice(0, STAND_INS + 1).forEach((host) => others.add(host));
    route.candidates.forEach((host) => hosts.add(host));
  }
  return [...hosts].toSorted().flatMap((host): ProbeTarget[] => {
    const address = addressOf(host);
    const gateway = plan.gateways.get(host);
    if (address === undefined || gateway === undefined || gateway.standing === "gone") {
      return [];
    }
    const others = standIns.get(host);
    return [
      {
        host,
        address,
        role: others === undefined ? "stand-in" : "gateway",
        standIns: [...(others ?? [])].filter((other) => other !== host).slice(0, STAND_INS),
        zone: gateway.zone,
        ...(isOwn(address) ? { own: true } : {}),
      },
    ];
  });
}
