import type { CloudFacts, CloudInstance, CloudInterface, InstanceState } from "../cloud/facts.ts";
import type { Ipv4 } from "../net/ipv4.ts";

/**
 * How much we want to give a node routes, apart from what probes say.
 *
 * - `ready`: nothing speaks against it.
 * - `not-ready`: Kubernetes says NotReady; ranks last, keeps what it holds while it answers probes.
 * - `leaving`: cordoned, draining or shutting down; ranks last and hands its routes over (decision 22).
 * - `gone`: EC2 says that the instance does not run; holds nothing that another can hold.
 */
export type Standing = "ready" | "not-ready" | "leaving" | "gone";

/** Which of two instances that claim an address owns it. */
const VITALITY: Readonly<Record<InstanceState, number>> = {
  running: 5,
  pending: 4,
  stopping: 3,
  stopped: 2,
  "shutting-down": 1,
  terminated: 0,
};

/** A host as the VPC sees it: the interface that owns its address is the only possible target of a route to it. */
export interface Gateway {
  readonly host: string;
  readonly interfaceId: string;
  readonly instanceId: string;
  readonly subnetId: string;
  readonly zone: string;
  readonly standing: Standing;
  readonly sourceDestCheck: boolean;
  /** The instance is terminated or about to be: nothing about it can be changed any more. */
  readonly terminated: boolean;
}

/** A host as the planner needs it; `standing` is what Kubernetes and the operator say, EC2's state is added here. */
export interface PlannedHost {
  readonly name: string;
  readonly ip: Ipv4;
  readonly standing: "ready" | "not-ready" | "leaving";
}

/**
 * Joins hosts to the interfaces that own their addresses. A host whose address no interface holds is missing from the result.
 * A terminated instance stays visible for an hour beside the one that took its address: the living one wins, then the lower id.
 */
export function joinGateways(hosts: readonly PlannedHost[], facts: CloudFacts): ReadonlyMap<string, Gateway> {
  const owners = new Map<Ipv4, { instance: CloudInstance; networkInterface: CloudInterface }>();
  for (const instance of facts.instances) {
    for (const networkInterface of instance.interfaces) {
      for (const address of networkInterface.addresses) {
        const known = owners.get(address);
        if (known === undefined || VITALITY[instance.state] > VITALITY[known.instance.state]) {
          owners.set(address, { instance, networkInterface });
        }
      }
    }
  }
  const gateways = new Map<string, Gateway>();
  for (const host of hosts) {
    const owner = owners.get(host.ip);
    if (owner !== undefined) {
      const { instance, networkInterface } = owner;
      gateways.set(host.name, {
        host: host.name,
        interfaceId: networkInterface.id,
        instanceId: instance.id,
        subnetId: networkInterface.subnetId,
        zone: instance.zone,
        standing: standingOf(host, instance),
        sourceDestCheck: networkInterface.sourceDestCheck,
        terminated: instance.state === "terminated" || instance.state === "shutting-down",
      });
    }
  }
  return gateways;
}

/** Gateways by the interface that a route to them leads to; hosts that are addresses of one interface share it, sorted by name. */
export function groupByInterface(gateways: Iterable<Gateway>): ReadonlyMap<string, readonly Gateway[]> {
  const groups = Map.groupBy(gateways, ({ interfaceId }) => interfaceId);
  for (const group of groups.values()) {
    group.sort((a, b) => (a.host < b.host ? -1 : 1));
  }
  return groups;
}

function standingOf(host: PlannedHost, instance: CloudInstance): Standing {
  switch (instance.state) {
    case "running":
      return host.standing;
    case "pending":
      return host.standing === "leaving" ? "leaving" : "not-ready";
    case "shutting-down":
    case "stopping":
    case "stopped":
    case "terminated":
      return "gone";
  }
}
