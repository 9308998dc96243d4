import type { RouteTarget } from "../../core/cloud/facts.ts";
import { containsCidr, type Cidr } from "../../core/net/cidr.ts";
import type { RouteChange } from "./region-state.ts";
import type { SimulatedCluster } from "./simulated-cluster.ts";

/** Changes that follow each other within this time are told together. */
const TOGETHER_MS = 1_000;

/** One destination's way from one target to another, in so many tables; "" is no route. */
export interface LoggedChange {
  readonly destination: string;
  readonly from: string;
  readonly to: string;
  readonly tables: number;
}

/** Collects the changes of our routes, whoever makes them, and tells them in the words of people. */
export class RouteLog {
  readonly #cluster: SimulatedCluster;
  #changes: RouteChange[] = [];
  #count = 0;

  constructor(cluster: SimulatedCluster, networks: readonly Cidr[]) {
    this.#cluster = cluster;
    cluster.region.watchRoutes((change) => {
      if (networks.some((network) => containsCidr(network, change.destination))) {
        this.#changes.push(change);
        this.#count += 1;
      }
    });
  }

  /** Changes so far. */
  count(): number {
    return this.#count;
  }

  /** What was collected since the last time: bursts in their order, each with the time of its last change. */
  take(): readonly { readonly atMs: number; readonly changes: readonly LoggedChange[] }[] {
    const bursts: RouteChange[][] = [];
    for (const change of this.#changes) {
      const burst = bursts.at(-1);
      const before = burst?.at(-1);
      if (burst !== undefined && before !== undefined && change.at - before.at < TOGETHER_MS) {
        burst.push(change);
      } else {
        bursts.push([change]);
      }
    }
    this.#changes = [];
    return bursts.map((burst) => ({ atMs: burst.at(-1)?.at ?? 0, changes: this.#summarize(burst) }));
  }

  #summarize(burst: readonly RouteChange[]): readonly LoggedChange[] {
    const names = new Map<string, string>();
    for (const { id, instanceId } of this.#cluster.region.interfaces.values()) {
      names.set(id, this.#cluster.region.instances.get(instanceId)?.tags["Name"] ?? id);
    }
    for (const { name, card } of this.#cluster.nodes.values()) {
      names.set(card.id, name);
    }
    const nameOf = (target: RouteTarget | undefined) =>
      target === undefined || target.kind === "local"
        ? (target?.kind ?? "")
        : (names.get(target.id) ?? target.id);
    const changes = new Map<string, LoggedChange>();
    for (const change of burst) {
      const { destination } = change;
      const [from, to] = [nameOf(change.from), nameOf(change.to)];
      const key = `${destination} ${from} ${to}`;
      const tables = (changes.get(key)?.tables ?? 0) + 1;
      changes.set(key, { destination, from, to, tables });
    }
    return [...changes.values()];
  }
}
