import type { ClusterNode } from "../core/cluster/objects.ts";
import { placementEvent } from "../core/cluster/placement-event.ts";
import { isSameMachine, type HostRemoval, type NodeEvent } from "../core/cluster/plan-nodes.ts";
import type { HostView } from "../core/ipam/view.ts";
import type { Clock, Timer } from "../ports/clock.ts";
import type { EventRecorder } from "../ports/cluster.ts";
import type { Logger } from "../ports/logger.ts";

export interface NodeNoticesOptions {
  readonly events: EventRecorder;
  readonly log: Logger;
  /** Whether machines are EC2's. */
  readonly cloud: boolean;
  readonly clock: Clock;
  /** Whether there is any network at all. */
  readonly hasNetworks: () => boolean;
  /** These names are to be looked at again: what was not said of them yet has its time. */
  readonly again: (names: ReadonlySet<string>) => void;
}

/** A term begins with the search for a topology where there is none: for so long no Node is told that it has no place for want of one. */
const PATIENCE_MS = 15_000;

/** Says on Nodes what became of them, each thing once until it changes. */
export class NodeNotices {
  readonly #options: NodeNoticesOptions;
  /** What was said on each Node and still holds. */
  readonly #told = new Map<string, ReadonlySet<string>>();
  /** What was said of each host's place. */
  readonly #places = new Map<string, string>();
  /** Of whom it was not said yet that there is no network. */
  #unsaid: Set<string> = new Set();
  #patientUntil = -Infinity;
  #timer: Timer | undefined;

  constructor(options: NodeNoticesOptions) {
    this.#options = options;
  }

  /** Hosts from before: their places are known, and only what is wrong with one is said again. */
  begin(hosts: readonly HostView[]): void {
    this.#patientUntil = this.#options.clock.monotonic() + PATIENCE_MS;
    for (const host of hosts) {
      if (host.placed && !host.misplaced) {
        this.#places.set(host.name, placeOf(host));
      }
    }
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /** What stands in the way of the Node of this name now, all of it. */
  tell(name: string, events: readonly NodeEvent[]): void {
    const before = this.#told.get(name);
    const now = new Set<string>();
    for (const { uid, reason, note } of events) {
      const key = `${uid} ${reason} ${note}`;
      now.add(key);
      if (before?.has(key) !== true) {
        this.#options.log.info({ host: name, reason, note }, "a Node cannot be followed as it is");
        this.#record(name, uid, "Warning", reason, note);
      }
    }
    if (now.size === 0) {
      this.#told.delete(name);
    } else {
      this.#told.set(name, now);
    }
  }

  /** Where the host of this name is now. */
  tellPlace(name: string, host: HostView | undefined, node: ClusterNode | undefined): void {
    if (host === undefined) {
      this.#places.delete(name);
      return;
    }
    const place = placeOf(host);
    const isOurs = node !== undefined && isSameMachine(host, node, this.#options.cloud);
    if (isOurs && this.#places.get(name) !== place && !this.#isTooEarly(host)) {
      this.#places.set(name, place);
      const { type, reason, note } = placementEvent(host);
      this.#record(name, node.uid, type, reason, note);
    }
  }

  /** Whether a topology may be on its way; then the name is looked at again. */
  #isTooEarly({ name, placed }: HostView): boolean {
    const { clock, hasNetworks, again } = this.#options;
    const leftMs = this.#patientUntil - clock.monotonic();
    if (placed || hasNetworks() || leftMs <= 0) {
      return false;
    }
    this.#unsaid.add(name);
    this.#timer ??= clock.setTimer(leftMs, () => {
      const names = this.#unsaid;
      this.#unsaid = new Set();
      again(names);
    });
    return true;
  }

  removed({ name, ip, uid, why }: HostRemoval): void {
    this.#places.delete(name);
    const note = `The host ${name} (${ip}) is removed with its addresses: ${why}.`;
    this.#record(name, uid === "" ? name : uid, "Normal", "HostRemoved", note);
  }

  #record(name: string, uid: string, type: "Normal" | "Warning", reason: string, note: string): void {
    const subject = { apiVersion: "v1", kind: "Node", namespace: "", name, uid };
    this.#options.events.record({ subject, type, reason, action: "FollowNode", note });
  }
}

/** Where a host is, as text that is equal for equal places. */
function placeOf(host: HostView): string {
  const { reason, note } = placementEvent(host);
  return `${host.node?.uid ?? ""} ${reason} ${note}`;
}
