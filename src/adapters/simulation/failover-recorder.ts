import { containsCidr, type Cidr } from "../../core/net/cidr.ts";
import type { Clock } from "../../ports/clock.ts";
import type { RouteChange } from "./region-state.ts";
import type { SimulatedCluster, SimulatedNode } from "./simulated-cluster.ts";

/** A node that held routes and died. Milliseconds since its death; `null` when it did not happen (no stand-in, or it came back first). */
export interface FailoverMeasurement {
  readonly node: string;
  readonly routes: number;
  readonly detectedMs: number | null;
  readonly routesMovedMs: number | null;
}

interface Death {
  readonly node: string;
  readonly diedAt: number;
  readonly routes: number;
  /** "table destination" of routes that lead to no living node yet. */
  readonly left: Set<string>;
  detectedAt: number | undefined;
  movedAt: number | undefined;
  healed: boolean;
}

/** How finely the controller's verdict is looked for. */
const LOOK_EVERY_MS = 5;
/** A death whose verdict has not come by then stays undetected. */
const GIVE_UP_MS = 60_000;

/**
 * Measures failovers from outside: the verdict by looking at what the controller says of the node, the end by the region itself, when each
 * of its routes leads to a living node.
 */
export class FailoverRecorder {
  readonly #clock: Clock;
  readonly #cluster: SimulatedCluster;
  readonly #networks: readonly Cidr[];
  readonly #isDown: (node: string) => boolean;
  readonly #onDetected: (node: string, afterMs: number) => void;
  readonly #deaths: Death[] = [];
  #moves = 0;

  constructor(options: {
    readonly clock: Clock;
    readonly cluster: SimulatedCluster;
    readonly networks: readonly Cidr[];
    /** Whether the controller holds the node for dead. */
    readonly isDown: (node: string) => boolean;
    readonly onDetected: (node: string, afterMs: number) => void;
  }) {
    this.#clock = options.clock;
    this.#cluster = options.cluster;
    this.#networks = options.networks;
    this.#isDown = options.isDown;
    this.#onDetected = options.onDetected;
    this.#cluster.region.watchRoutes((change) => this.#onChange(change));
  }

  /** Changes of routes of ours that stood before and lead elsewhere now, or nowhere, since the start. */
  moves(): number {
    return this.#moves;
  }

  /** To be called before or at the moment when nodes fall silent; `routes` as they stand then. */
  onDeath(nodes: readonly SimulatedNode[]): void {
    const held = this.#heldByInterface();
    for (const { name, card } of nodes) {
      const routes = held.get(card.id) ?? [];
      if (routes.length > 0) {
        const death: Death = {
          node: name,
          diedAt: this.#clock.monotonic(),
          routes: routes.length,
          left: new Set(routes),
          detectedAt: undefined,
          movedAt: undefined,
          healed: false,
        };
        this.#deaths.push(death);
        this.#look(death);
      }
    }
  }

  onHeal(nodes: readonly SimulatedNode[]): void {
    for (const { name } of nodes) {
      for (const death of this.#deaths) {
        if (death.node === name) {
          death.healed = true;
        }
      }
    }
  }

  /** Deaths that the controller noticed, and those of nodes that stayed dead. A short silence that it rightly ignored is none. */
  failovers(): readonly FailoverMeasurement[] {
    return this.#deaths
      .filter((death) => !death.healed || death.detectedAt !== undefined)
      .map(({ node, routes, diedAt, detectedAt, movedAt }) => ({
        node,
        routes,
        detectedMs: detectedAt === undefined ? null : Math.round(detectedAt - diedAt),
        routesMovedMs: movedAt === undefined ? null : Math.round(movedAt - diedAt),
      }));
  }

  #look(death: Death): void {
    const waited = this.#clock.monotonic() - death.diedAt;
    if (death.healed || waited > GIVE_UP_MS) {
      return;
    }
    if (this.#isDown(death.node)) {
      death.detectedAt = this.#clock.monotonic();
      this.#onDetected(death.node, waited);
      return;
    }
    this.#clock.setTimer(LOOK_EVERY_MS, () => this.#look(death));
  }

  #onChange(change: RouteChange): void {
    const { from, to } = change;
    if (
      from?.kind !== "interface" ||
      !this.#networks.some((network) => containsCidr(network, change.destination))
    ) {
      return;
    }
    if (to?.kind === "interface" && to.id === from.id) {
      return;
    }
    this.#moves += 1;
    if (to?.kind !== "interface" || !this.#leadsToLife(to.id)) {
      return;
    }
    for (const death of this.#deaths) {
      const was = death.left.delete(`${change.routeTableId} ${change.destination}`);
      if (was && death.left.size === 0 && !death.healed) {
        death.movedAt = change.at;
      }
    }
  }

  #leadsToLife(interfaceId: string): boolean {
    const { region } = this.#cluster;
    return region.isAlive(region.interfaces.get(interfaceId)?.instanceId ?? "");
  }

  #heldByInterface(): ReadonlyMap<string, readonly string[]> {
    const { region, tables } = this.#cluster;
    const held = new Map<string, string[]>();
    for (const table of tables.values()) {
      for (const { destination, target } of region.routesAt(table, region.time())) {
        if (
          target.kind === "interface" &&
          this.#networks.some((network) => containsCidr(network, destination))
        ) {
          held.set(target.id, [...(held.get(target.id) ?? []), `${table.id} ${destination}`]);
        }
      }
    }
    return held;
  }
}
