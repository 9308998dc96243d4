import type { HealthSnapshot, NodeHealth } from "../health/view.ts";
import type { Cidr } from "../net/cidr.ts";
import type { Gateway } from "./gateway.ts";

/** What a choice is made from. `loadOf`: routes that a host was already given in this plan. */
export interface ChoiceContext {
  readonly health: HealthSnapshot;
  readonly loadOf: (host: string) => number;
}

export type GatewayChoice =
  /** `kept`: the current gateway stays. `chosen`: a new one. `stays`: the current one is dead, but there is nobody to take over. */
  { readonly kind: "kept" | "chosen" | "stays"; readonly gateway: Gateway } | { readonly kind: "none" };

/**
 * Chooses the gateway of one prefix among its candidates (decision 21):
 *
 *     current gateway                          others                    result
 *     ---------------------------------------  ------------------------  -------------------------------
 *     eligible                                 any                       kept
 *     leaving                                  one that may be chosen    chosen: the best of them
 *     leaving                                  none                      kept
 *     down (probes) or gone (EC2)              one that may be chosen    chosen: the best of them
 *     down or gone                             none                      stays, the caller raises an alarm
 *     any, while blind, unless gone            any                       kept
 *     none                                     any not down, not gone    chosen: the best of them
 *     none                                     none                      none
 *
 * One that may be chosen is up, not leaving, and answered a probe since the current gateway was found down. The best: measured up before never measured, ready before not ready before leaving, then the fewest routes in this plan, then the
 * highest rendezvous hash of prefix and host. Equal input gives an equal choice, whatever the order of the candidates.
 */
export function chooseGateway(
  destination: Cidr,
  candidates: readonly Gateway[],
  current: string | undefined,
  context: ChoiceContext,
): GatewayChoice {
  const holder = candidates.find((candidate) => candidate.host === current);
  const dead = holder !== undefined && isDead(holder, context.health);
  if (holder !== undefined && !dead && holder.standing !== "leaving") {
    return { kind: "kept", gateway: holder };
  }
  const best = bestOf(
    destination,
    candidates.filter((candidate) => candidate !== holder && mayBeChosen(candidate, holder, context.health)),
    context,
  );
  if (best !== undefined) {
    return { kind: "chosen", gateway: best };
  }
  if (holder !== undefined) {
    return { kind: dead ? "stays" : "kept", gateway: holder };
  }
  return { kind: "none" };
}

/** The best of these candidates by rank, load and rendezvous hash; the caller has already left out whom it does not want. */
export function bestOf(
  destination: Cidr,
  candidates: readonly Gateway[],
  context: ChoiceContext,
): Gateway | undefined {
  let best: Gateway | undefined;
  let bestKey: readonly [number, number, number] = [0, 0, 0];
  for (const candidate of candidates) {
    const key = [
      rank(candidate, context.health),
      context.loadOf(candidate.host),
      -rendezvousHash(destination, candidate.host),
    ] as const;
    if (best === undefined || compareKeys(key, bestKey, candidate.host, best.host) < 0) {
      best = candidate;
      bestKey = key;
    }
  }
  return best;
}

/** True when routes may not stay with this node if anybody else can take them. Blind, only EC2's word counts. */
export function isDead(gateway: Gateway, health: HealthSnapshot): boolean {
  return gateway.standing === "gone" || (!health.blind && lastOf(gateway.host, health) === "down");
}

/**
 * Who may be given a route: never a node that is down, gone or serving its hold-down. One that was never measured is better than no
 * route at all, but no reason to take a route from somebody; nor is one that leaves itself.
 */
function mayBeChosen(candidate: Gateway, holder: Gateway | undefined, health: HealthSnapshot): boolean {
  const state = healthOf(candidate.host, health);
  if (candidate.standing === "gone" || state === "down" || lastOf(candidate.host, health) === "down") {
    return false;
  }
  if (holder === undefined) {
    return true;
  }
  const confirmed = lastOf(holder.host, health) !== "down" || health.confirmed(candidate.host, holder.host);
  return state === "up" && candidate.standing !== "leaving" && confirmed;
}

function rank(candidate: Gateway, health: HealthSnapshot): number {
  const standing = { ready: 0, "not-ready": 1, leaving: 2, gone: 3 }[candidate.standing];
  return (healthOf(candidate.host, health) === "up" ? 0 : 10) + standing;
}

function healthOf(host: string, health: HealthSnapshot): NodeHealth {
  return health.nodes.get(host)?.health ?? "unknown";
}

function lastOf(host: string, health: HealthSnapshot): NodeHealth {
  return health.nodes.get(host)?.last ?? "unknown";
}

function compareKeys(
  a: readonly [number, number, number],
  b: readonly [number, number, number],
  hostA: string,
  hostB: string,
): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2] || (hostA < hostB ? -1 : 1);
}

/**
 * A 32-bit hash of a prefix and a host (FNV-1a with a final mix). Highest-random-weight hashing (Thaler and Ravishankar, 1998): a node that goes
 * moves only its own prefixes.
 */
export function rendezvousHash(destination: Cidr, host: string): number {
  let hash = 0x811c9dc5;
  const text = `${destination}|${host}`;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
