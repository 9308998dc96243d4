import type { ClusterPod } from "../core/cluster/objects.ts";
import { isTerminal } from "../core/cluster/pod-phase.ts";
import {
  claimOf,
  stageOf,
  suspect,
  type LeakStage,
  type PodFacts,
  type Suspicion,
} from "../core/ipam/plan-leaks.ts";
import type { AddressView } from "../core/ipam/view.ts";
import type { Ipv4 } from "../core/net/ipv4.ts";
import type { AgentReports } from "../services/cluster/agent-reports.ts";
import type { ObjectReader } from "../services/cluster/object-view.ts";
import { Several } from "../services/cluster/several.ts";

/** An address that no Pod holds. */
export interface Suspect {
  readonly address: AddressView;
  readonly suspicion: Suspicion;
}

/** What Pods did between two looks, for what was seen in between counts as held. */
interface SeenPods {
  readonly uids: Set<string>;
  readonly keys: Set<string>;
  readonly ips: Set<string>;
}

/**
 * Addresses that no Pod holds, and since when: kept from look to look, begun anew with whatever speaks for the address in between, be it a Pod that came and went, a report with its interface,
 * reports that stayed away, or a name that was given anew. Everything is forgotten while it is not known which Pods there are.
 */
export class LeakSuspects {
  readonly #pods: ObjectReader<ClusterPod>;
  readonly #agents: AgentReports;
  readonly #byName = new Map<string, Suspect>();
  readonly #onHost = new Several<string, string>();
  #seen = noPods();
  #leave: readonly (() => void)[] = [];

  constructor(pods: ObjectReader<ClusterPod>, agents: AgentReports) {
    this.#pods = pods;
    this.#agents = agents;
  }

  get size(): number {
    return this.#byName.size;
  }

  /** `now`: of the monotonic clock. */
  start(now: () => number): void {
    this.#leave = [
      this.#pods.onChange((change) => {
        this.#note(change.object);
        if (change.kind === "put" && change.before !== undefined) {
          this.#note(change.before);
        }
      }),
      this.#agents.onReport((host) => this.#onHost.of(host).forEach((name) => this.#followUp(name, now()))),
    ];
  }

  stop(): void {
    this.#leave.forEach((leave) => leave());
    this.#leave = [];
    this.clear();
  }

  clear(): void {
    this.#byName.clear();
    this.#onHost.clear();
    this.#seen = noPods();
  }

  values(): Iterable<Suspect> {
    return this.#byName.values();
  }

  of(name: string): Suspect | undefined {
    return this.#byName.get(name);
  }

  /** The name has its address no more, or another one. */
  drop(name: string): void {
    const known = this.#byName.get(name);
    if (known !== undefined) {
      this.#byName.delete(name);
      this.#onHost.delete(known.address.host, name);
    }
  }

  /** Begins a look: what Pods did until now is taken into account in it, what they do from now on in the next. */
  look(): Look {
    const seen = this.#seen;
    this.#seen = noPods();
    const facts = podFacts(this.#pods);
    const names = new Set<string>();
    return {
      take: (address, now) => {
        const claim = claimOf(address, facts);
        const known = this.#byName.get(address.name);
        if (claim !== "podless") {
          if (known !== undefined) {
            this.drop(address.name);
          }
          return claim;
        }
        names.add(address.name);
        const before =
          known !== undefined && isSame(known.address, address) && !speaksFor(seen, address)
            ? known
            : undefined;
        if (known !== undefined && before === undefined) {
          this.drop(address.name);
        }
        this.#set(address, before?.suspicion, now);
        return claim;
      },
      end: () => {
        for (const name of this.#byName.keys()) {
          if (!names.has(name)) {
            this.drop(name);
          }
        }
      },
    };
  }

  /** How far a suspicion has come, by everything that is known at this moment. */
  stage({ address, suspicion }: Suspect, now: number, graceMs: number): LeakStage {
    const stage = stageOf(suspicion, address, this.#agents.of(address.host), { now, graceMs });
    return speaksFor(this.#seen, address) ? "settling" : stage;
  }

  #followUp(name: string, now: number): void {
    const known = this.#byName.get(name);
    if (known !== undefined) {
      this.#set(known.address, known.suspicion, now);
    }
  }

  #set(address: AddressView, before: Suspicion | undefined, now: number): void {
    const suspicion = suspect(before, address, this.#agents.of(address.host), now);
    this.#byName.set(address.name, { address, suspicion });
    this.#onHost.add(address.host, address.name);
  }

  #note(pod: ClusterPod): void {
    if (!isTerminal(pod)) {
      this.#seen.uids.add(pod.uid);
      this.#seen.keys.add(`${pod.name}.${pod.namespace}`);
      pod.ips.forEach((ip) => this.#seen.ips.add(ip));
    }
  }
}

/** One look at all addresses, one after the other, each at its own time. */
export interface Look {
  take(address: AddressView, now: number): "held" | "podless" | "unclaimed";
  /** All were seen: what was not is no suspect any more. */
  end(): void;
}

/** Whether two records are of one allocation, as far as records tell. */
export function isSame(a: AddressView, b: AddressView): boolean {
  return a.address === b.address && a.host === b.host && a.pod?.uid === b.pod?.uid;
}

/** Pods as they are now; those of later moments have to be noted beside. */
function podFacts(pods: ObjectReader<ClusterPod>): PodFacts {
  const ips = new Set<string>();
  for (const pod of pods.values()) {
    if (!pod.hostNetwork && !isTerminal(pod)) {
      pod.ips.forEach((ip) => ips.add(ip));
    }
  }
  return {
    byUid: (uid) => pods.byUid(uid),
    named: (key) => pods.get(key),
    hasAddress: (address: Ipv4) => ips.has(address),
  };
}

function speaksFor({ uids, keys, ips }: SeenPods, { address, name, pod }: AddressView): boolean {
  if (uids.size === 0) {
    return false;
  }
  return (
    ips.has(address) || (pod === undefined ? keys.has(name.replace(/\.[0-9a-f]{8}$/, "")) : uids.has(pod.uid))
  );
}

function noPods(): SeenPods {
  return { uids: new Set(), keys: new Set(), ips: new Set() };
}
