import { compareCidr, containsCidr, formatCidr, type Cidr } from "../../core/net/cidr.ts";
import { ipv4Value, type Ipv4 } from "../../core/net/ipv4.ts";
import type { HostRoute, HostTables } from "./forwarding-walk.ts";

/** What agents learn from the control plane. */
export interface HostView {
  readonly hosts: readonly ViewHost[];
  readonly blocks: readonly { readonly cidr: Cidr; readonly host: string }[];
  readonly pods: readonly ViewPod[];
  /** The VPC routes that the controller wants, one per destination. */
  readonly routes: readonly { readonly destination: Cidr; readonly gateway: string }[];
}

export interface ViewHost {
  readonly name: string;
  readonly address: Ipv4;
  readonly subnetId: string;
}

export interface ViewPod {
  readonly name: string;
  readonly address: Ipv4;
  readonly host: string;
}

/**
 * The routes that each host's agent keeps (by host name):
 *
 *     table 10  blocks of each neighbour in the same subnet    via the neighbour's address
 *     main      own pods, /32                                  to the pod
 *     main      own blocks                                     unreachable
 *     main      on a gateway: its prefixes                     unreachable
 *     main      on a gateway: parts of them routed elsewhere   the default route
 *     main      everything else                                the default route
 *
 * `neighbours` is one list for all hosts of a subnet; a host passes over the entries that lead to itself. So a packet for an address that nobody holds dies at the first host that knows, and does not go in a circle.
 */
export function planHostTables(view: HostView): ReadonlyMap<string, HostTables> {
  const blocks = groupBy(view.blocks, ({ host }) => host);
  const pods = groupBy(view.pods, ({ host }) => host);
  const neighbours = new Map(
    [...groupBy(view.hosts, ({ subnetId }) => subnetId)].map(([subnetId, hosts]) => [
      subnetId,
      hosts.flatMap((host) => blocksVia(host, blocks.get(host.name) ?? [])),
    ]),
  );
  const gatewayed = groupBy(view.routes, ({ gateway }) => gateway);
  const routes = view.routes.toSorted((a, b) => compareCidr(a.destination, b.destination));
  return new Map(
    view.hosts.map(({ name, subnetId }) => [
      name,
      {
        neighbours: neighbours.get(subnetId) ?? [],
        // Of two routes to one network the later one holds: own blocks and pods are never shadowed by a gateway's routes.
        main: [
          ...gatewayRoutes(gatewayed.get(name) ?? [], name, routes),
          ...(blocks.get(name) ?? []).map(({ cidr }): HostRoute => ({
            destination: cidr,
            action: { kind: "unreachable", why: `no pod of its own block ${cidr} has the address` },
          })),
          ...(pods.get(name) ?? []).map((pod): HostRoute => ({
            destination: formatCidr(ipv4Value(pod.address), 32),
            action: { kind: "deliver", pod: pod.name },
          })),
        ],
      },
    ]),
  );
}

function blocksVia(neighbour: ViewHost, blocks: HostView["blocks"]): HostRoute[] {
  const address = ipv4Value(neighbour.address);
  return blocks.map(({ cidr }) => ({ destination: cidr, action: { kind: "via", address } }));
}

function gatewayRoutes(own: HostView["routes"], name: string, all: HostView["routes"]): HostRoute[] {
  return own.flatMap(({ destination }) => [
    {
      destination,
      action: { kind: "unreachable", why: `no block of the group ${destination} has the address` },
    } satisfies HostRoute,
    ...all
      .filter(
        (route) =>
          route.gateway !== name &&
          route.destination !== destination &&
          containsCidr(destination, route.destination),
      )
      .map((route): HostRoute => ({ destination: route.destination, action: { kind: "default" } })),
  ]);
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) {
      groups.set(keyOf(item), [item]);
    } else {
      group.push(item);
    }
  }
  return groups;
}
