import { containsAddress, type Cidr } from "../core/net/cidr.ts";
import type { Ipv4 } from "../core/net/ipv4.ts";
import { explainIp } from "../core/views/explain-ip.ts";
import { explainRoute } from "../core/views/explain-route.ts";
import type { IpExplanation, RouteExplanation } from "../core/views/explain-views.ts";
import type { RouteFacts } from "../core/views/route-facts.ts";
import type { Clock } from "../ports/clock.ts";
import type { AddressingService } from "../services/addressing-service.ts";
import type { EndpointIndex } from "../services/cluster/endpoint-index.ts";
import type { RouteJournal } from "../services/route-journal.ts";
import type { HealthSource } from "./health-source.ts";
import type { RouteState } from "./route-state.ts";

/** What is known about routes; absent without a cloud. */
export interface ExplainerRoutes {
  readonly state: RouteState;
  readonly health: HealthSource;
  readonly journal: Pick<RouteJournal, "owned">;
  readonly clock: Clock;
}

export interface ExplainerOptions {
  readonly addressing: Pick<AddressingService, "layout" | "hosts" | "blocks" | "addresses" | "blackouts">;
  readonly routes?: ExplainerRoutes | undefined;
  /** Absent where no cluster is followed. */
  readonly endpoints?: Pick<EndpointIndex, "get"> | undefined;
}

/** Answers why a packet goes where it goes, from memory: nothing is asked of the cloud. */
export class Explainer {
  readonly #options: ExplainerOptions;

  constructor(options: ExplainerOptions) {
    this.#options = options;
  }

  explainIp(address: Ipv4): IpExplanation {
    const { addressing, endpoints } = this.#options;
    const pod = endpoints?.get(address)?.pod;
    const layout = addressing.layout();
    const network = layout.find((each) => containsAddress(each.network.cidr, address))?.network.name;
    return explainIp({
      address,
      layout,
      hosts: addressing.hosts().hosts,
      blocks: network === undefined ? [] : (addressing.blocks(network)?.blocks ?? []),
      holder:
        network === undefined ? undefined : addressing.addresses().find((each) => each.address === address),
      ...(pod === undefined ? {} : { pod }),
      blackouts: network === undefined ? [] : addressing.blackouts(network),
      routes: this.#facts(),
    });
  }

  explainRoute(cidr: Cidr): RouteExplanation {
    return explainRoute({ cidr, layout: this.#options.addressing.layout(), routes: this.#facts() });
  }

  #facts(): RouteFacts | undefined {
    const { routes } = this.#options;
    const snapshot = routes?.state.snapshot();
    if (routes === undefined || snapshot === undefined) {
      return undefined;
    }
    const { state, health, journal, clock } = routes;
    const now = clock.monotonic();
    const records = new Map(
      journal
        .owned()
        .map(({ routeTableId, destination, target }) => [`${routeTableId} ${destination}`, target]),
    );
    return {
      facts: snapshot.facts,
      plan: snapshot.plan,
      desired: snapshot.desired,
      health: health.snapshot(),
      readAt: new Date(snapshot.readAt).toISOString(),
      quotaOf: (routeTableId) => state.quotaOf(routeTableId),
      recordOf: (routeTableId, destination) => records.get(`${routeTableId} ${destination}`),
      failureOf: (routeTableId, destination) => {
        const setback =
          state.setbacks.get(`${routeTableId} ${destination}`) ?? state.setbacks.get(routeTableId);
        return setback === undefined
          ? undefined
          : {
              message: setback.error.message,
              attempts: setback.attempts,
              retrySeconds: Math.max(0, Math.ceil((setback.retryAt - now) / 1000)),
            };
      },
    };
  }
}
