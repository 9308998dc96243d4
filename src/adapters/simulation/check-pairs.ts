import { formatIpv4 } from "../../core/net/ipv4.ts";
import type { Death, ForwardingWalk, WalkResult } from "./forwarding-walk.ts";
import type { SeededRandom } from "./seeded-random.ts";

/** A pod as the check needs it; `address` is an unsigned value. */
export interface CheckedPod {
  readonly name: string;
  readonly address: number;
  readonly host: string;
  /** Its group: every ordered pair of groups is checked. */
  readonly group: string;
}

export interface LostPacket {
  readonly from: string;
  readonly to: string;
  readonly result: Extract<WalkResult, { readonly kind: "dead" }>;
}

export interface PairReport {
  readonly checked: number;
  readonly unreachable: number;
  /** Ordered pairs of groups of which at least one pair of pods was checked. */
  readonly groupPairs: number;
  readonly causes: Readonly<Partial<Record<Death, number>>>;
  /** The first few packets that died, for people. */
  readonly examples: readonly LostPacket[];
}

const EXAMPLES = 5;

/**
 * Sends a packet over ordered pairs of different pods: over all of them when they are at most `limit`, else over as many from each ordered
 * pair of groups as fit, at least one. Give it only pods whose nodes live.
 */
export function checkPairs(
  walk: ForwardingWalk,
  pods: readonly CheckedPod[],
  limit: number,
  random: SeededRandom,
): PairReport {
  const tally = new Tally(walk);
  const groups = [...groupPods(pods).values()];
  if (pods.length * (pods.length - 1) <= limit) {
    for (const from of pods) {
      for (const to of pods) {
        tally.check(from, to);
      }
    }
    return tally.report();
  }
  const perPair = Math.max(1, Math.floor(limit / groups.length ** 2));
  for (const senders of groups) {
    for (const receivers of groups) {
      for (let count = 0; count < perPair; count += 1) {
        const from = random.pick(senders);
        const others = receivers === senders ? receivers.filter((pod) => pod !== from) : receivers;
        const to = random.pick(others);
        if (from !== undefined && to !== undefined) {
          tally.check(from, to);
        }
      }
    }
  }
  return tally.report();
}

/** A packet for an address that nobody holds, from one pod of each group. `loops` must be 0. */
export interface StrayReport {
  readonly checked: number;
  readonly loops: number;
  /** Packets that reached somebody: must be 0. */
  readonly delivered: number;
  readonly examples: readonly LostPacket[];
}

export function checkStrays(
  walk: ForwardingWalk,
  pods: readonly CheckedPod[],
  addresses: readonly number[],
): StrayReport {
  const senders = [...groupPods(pods).values()].flatMap(([first]) => (first === undefined ? [] : [first]));
  let loops = 0;
  let delivered = 0;
  const examples: LostPacket[] = [];
  for (const from of senders) {
    for (const address of addresses) {
      const result = walk.send(from.host, address);
      if (result.kind === "delivered") {
        delivered += 1;
      } else if (result.cause === "loop") {
        loops += 1;
        if (examples.length < EXAMPLES) {
          examples.push({ from: from.name, to: formatIpv4(address), result });
        }
      }
    }
  }
  return { checked: senders.length * addresses.length, loops, delivered, examples };
}

class Tally {
  readonly #walk: ForwardingWalk;
  #checked = 0;
  #unreachable = 0;
  readonly #groupPairs = new Set<string>();
  readonly #causes: Partial<Record<Death, number>> = {};
  readonly #examples: LostPacket[] = [];

  constructor(walk: ForwardingWalk) {
    this.#walk = walk;
  }

  check(from: CheckedPod, to: CheckedPod): void {
    if (from === to) {
      return;
    }
    const result = this.#walk.send(from.host, to.address);
    this.#checked += 1;
    this.#groupPairs.add(`${from.group} ${to.group}`);
    if (result.kind === "dead") {
      this.#unreachable += 1;
      this.#causes[result.cause] = (this.#causes[result.cause] ?? 0) + 1;
      if (this.#examples.length < EXAMPLES) {
        this.#examples.push({ from: from.name, to: to.name, result });
      }
    }
  }

  report(): PairReport {
    return {
      checked: this.#checked,
      unreachable: this.#unreachable,
      groupPairs: this.#groupPairs.size,
      causes: this.#causes,
      examples: this.#examples,
    };
  }
}

function groupPods(pods: readonly CheckedPod[]): ReadonlyMap<string, CheckedPod[]> {
  const groups = new Map<string, CheckedPod[]>();
  for (const pod of pods) {
    const group = groups.get(pod.group);
    if (group === undefined) {
      groups.set(pod.group, [pod]);
    } else {
      group.push(pod);
    }
  }
  return groups;
}
