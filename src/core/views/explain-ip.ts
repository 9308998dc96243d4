import type { AddressView, BlockView, HostView, NetworkLayout } from "../ipam/view.ts";
import { containsAddress, formatCidr, type Cidr } from "../net/cidr.ts";
import { ipv4Value, type Ipv4 } from "../net/ipv4.ts";
import type { Group } from "../topology/topology.ts";
import type { AddressKind, AddressRoute, IpExplanation } from "./explain-views.ts";
import {
  gatewayView,
  longestPrefix,
  plannedTables,
  standInsFor,
  syncOf,
  type GatewayView,
  type RouteFacts,
} from "./route-facts.ts";

/** What an address is explained from. */
export interface IpInput {
  readonly address: Ipv4;
  readonly layout: readonly NetworkLayout[];
  readonly hosts: readonly HostView[];
  /** The blocks of the network that contains the address, at least. */
  readonly blocks: readonly BlockView[];
  readonly holder: AddressView | undefined;
  /** What is known of the Pod behind it; absent without a cluster, and while it is not known. */
  readonly pod?: Omit<NonNullable<IpExplanation["pod"]>, "labels" | "phase"> & {
    readonly labels: Readonly<Record<string, string>>;
    readonly phase: string;
  };
  /** Of that network. */
  readonly blackouts: readonly Cidr[];
  /** Absent without a cloud, and before its first look. */
  readonly routes: RouteFacts | undefined;
}

/** Says what an address is, who holds it, and how each route table leads there. */
export function explainIp(input: IpInput): IpExplanation {
  const { address, hosts, holder, routes } = input;
  const value = ipv4Value(address);
  const layout = input.layout.find(({ network }) => containsAddress(network.cidr, value));
  const groups = layout === undefined ? [] : chainOf(layout.root, value);
  const block = layout === undefined ? null : blockOf(layout, value, input.blocks);
  const node = hosts.find(({ ip }) => ip === address);
  const owner = node ?? hosts.find(({ name }) => name === (holder?.host ?? block?.host));
  const kind = kindOf(input, value, node, layout);
  const steps = routes === undefined ? [] : routesTo(routes, value);
  const blackout = input.blackouts.find((cidr) => containsAddress(cidr, value)) ?? null;
  const explained = {
    address,
    kind,
    network:
      layout === undefined
        ? null
        : { name: layout.network.name, cidr: layout.network.cidr, tenants: layout.network.tenants },
    groups: groups.map(({ name, cidr, kind: groupKind }) => ({ name, cidr, kind: groupKind })),
    block:
      block === null
        ? null
        : {
            cidr: block.cidr,
            state: block.state,
            revision: block.revision,
            inUse: block.inUse,
            size: block.size,
          },
    blackout,
    holder: holder?.name ?? null,
    pod: podOf(input),
    tenant: holder?.tenant ?? block?.tenant ?? null,
    segment: holder?.segment ?? block?.segment ?? null,
    host: owner === undefined ? null : hostOf(owner, routes),
    readAt: routes?.readAt ?? null,
    routes: steps,
  };
  return {
    ...explained,
    summary: summaryOf(explained, block?.host ?? ""),
    notes: notesOf(explained, layout !== undefined, node !== undefined, routes),
  };
}

/** The Pod itself where it is known, else what the address says of it. */
function podOf({ pod, holder }: IpInput): IpExplanation["pod"] {
  if (pod !== undefined) {
    const { namespace, name, uid, labels, phase } = pod;
    return { namespace, name, uid, labels, phase };
  }
  return holder?.pod === undefined ? null : { ...holder.pod, labels: null, phase: null };
}

interface FoundBlock {
  readonly cidr: Cidr;
  readonly state: "owned" | "returned" | "unused";
  readonly revision: number;
  readonly inUse: number;
  readonly size: number;
  readonly host: string | undefined;
  readonly tenant: string | undefined;
  readonly segment: string | undefined;
}

function chainOf(root: Group, address: number): readonly Group[] {
  const chain = [root];
  for (let group: Group | undefined = root; group !== undefined;) {
    group = group.children.find(({ cidr }) => containsAddress(cidr, address));
    if (group !== undefined) {
      chain.push(group);
    }
  }
  return chain;
}

function blockOf({ network }: NetworkLayout, address: number, blocks: readonly BlockView[]): FoundBlock {
  const cidr = formatCidr(address, network.blockMask);
  const found = blocks.find((block) => block.cidr === cidr);
  const owned = found !== undefined && found.host !== "";
  return {
    cidr,
    state: owned ? "owned" : found === undefined ? "unused" : "returned",
    revision: found?.revision ?? 0,
    inUse: found?.allocated_ip_count ?? 0,
    size: 2 ** (32 - network.blockMask),
    host: owned ? found.host : undefined,
    tenant: owned ? found.tenant : undefined,
    segment: owned ? found.segment : undefined,
  };
}

function kindOf(
  { holder, routes }: IpInput,
  address: number,
  node: HostView | undefined,
  layout: NetworkLayout | undefined,
): AddressKind {
  if (holder !== undefined) {
    return "in-use";
  }
  if (node !== undefined) {
    return "node";
  }
  if (layout !== undefined) {
    return "free";
  }
  return routes?.facts.vpcCidrs.some((cidr) => containsAddress(cidr, address)) === true ? "vpc" : "outside";
}

function hostOf(host: HostView, routes: RouteFacts | undefined): IpExplanation["host"] {
  const gateway = routes?.plan.gateways.get(host.name);
  return {
    name: host.name,
    ip: host.ip,
    state: host.misplaced ? "misplaced" : host.placed ? "placed" : "unplaced",
    reason: host.reason,
    labels: host.tags,
    gateway: routes === undefined || gateway === undefined ? null : gatewayView(routes, gateway.interfaceId),
  };
}

/** How each table leads to the address. Who would take over is worked out once per gateway. */
function routesTo(routes: RouteFacts, address: number): readonly AddressRoute[] {
  const known = new Map<string, ReadonlyMap<Cidr, string>>();
  const standIns = (host: string): ReadonlyMap<Cidr, string> => {
    const found = known.get(host) ?? standInsFor(routes, host);
    known.set(host, found);
    return found;
  };
  return plannedTables(routes).map((table) => routeIn(routes, table, address, standIns));
}

type StandIns = (host: string) => ReadonlyMap<Cidr, string>;

function routeIn(
  routes: RouteFacts,
  table: RouteFacts["facts"]["routeTables"][number],
  address: number,
  standIns: StandIns,
): AddressRoute {
  const actual = longestPrefix(table, address);
  const wanted = routes.desired
    .filter(({ destination }) => containsAddress(destination, address))
    .toSorted((a, b) => lengthOf(b.destination) - lengthOf(a.destination))[0];
  const own = wanted !== undefined && actual?.destination === wanted.destination ? wanted : undefined;
  const record = actual === undefined ? undefined : routes.recordOf(table.id, actual.destination);
  const target = actual?.target;
  const gateway = target?.kind === "interface" ? gatewayView(routes, target.id) : null;
  const local = target?.kind === "local";
  return {
    routeTableId: table.id,
    subnetIds: table.subnetIds,
    main: table.main,
    destination: actual?.destination ?? "",
    ownership: actual === undefined ? "missing" : local ? "local" : record === undefined ? "foreign" : "ours",
    state: actual?.state ?? "missing",
    sync: syncOf(routes, table.id, wanted, own === undefined ? undefined : actual),
    target: target === undefined ? "" : target.kind === "local" ? "local" : target.id,
    gateway,
    failure: wanted === undefined ? "" : (routes.failureOf(table.id, wanted.destination)?.message ?? ""),
    standIn: record === undefined ? "" : standInOf(own, gateway, standIns),
  };
}

/** Who takes the route over when the node dies that it leads to now. */
function standInOf(
  wanted: RouteFacts["desired"][number] | undefined,
  gateway: GatewayView | null,
  standIns: StandIns,
): string {
  if (wanted === undefined || gateway === null) {
    return "";
  }
  // A route that is being moved goes where it is going anyway.
  return gateway.host === wanted.host ? (standIns(gateway.host).get(wanted.destination) ?? "") : wanted.host;
}

type Explained = Omit<IpExplanation, "summary" | "notes">;

function summaryOf(
  { address, kind, network, groups, block, holder, host, tenant, segment }: Explained,
  owner: string,
): string {
  const leaf = groups.at(-1);
  switch (kind) {
    case "in-use":
      return `${address} is held by "${holder}" (tenant "${tenant}", segment "${segment}") on host ${host?.name}`;
    case "node":
      return `${address} is the own address of host ${host?.name}, no pod's`;
    case "vpc":
      return `${address} is an address of the VPC, and no host of ours has it`;
    case "outside":
      return `${address} lies in no network, and is no host's`;
    case "free": {
      const place = `${address} is free: nobody holds it. It lies in block ${block?.cidr} of network "${network?.name}"`;
      if (leaf?.kind !== "group") {
        return `${place}, in ${leaf?.cidr}, which is ${leaf?.kind === "dummy" ? "a dummy group" : "reserve"} and takes no host`;
      }
      return block?.state === "owned"
        ? `${place}, which host ${owner} has`
        : `${place}, which ${block?.state === "returned" ? "is empty, for any owner of its group" : "was never used"}`;
    }
  }
}

function notesOf(
  { kind, blackout, block, host, routes: steps, groups, address }: Explained,
  inNetwork: boolean,
  isNode: boolean,
  routes: RouteFacts | undefined,
): readonly string[] {
  const notes: string[] = [];
  if (blackout !== null) {
    notes.push(`It lies in blackout ${blackout}: it is never handed out`);
  }
  if (isNode && inNetwork) {
    notes.push("A network of ours contains the address of a host: choose another range for the network");
  }
  if (kind === "free") {
    const last = steps.map(({ gateway }) => gateway?.host ?? "").find((name) => name !== "");
    if (block?.state === "owned") {
      notes.push(
        `A packet for it reaches host ${host?.name} and dies there: a host refuses what none of its pods has in its own blocks`,
      );
    } else if (last !== undefined) {
      notes.push(
        `A packet for it dies at the gateway (${last}): a gateway refuses what nobody has in its group's prefix`,
      );
    }
  }
  if (kind === "vpc" && routes !== undefined) {
    const owner = routes.facts.instances.find(({ interfaces }) =>
      interfaces.some(({ addresses }) => addresses.includes(address)),
    );
    if (owner !== undefined) {
      notes.push(`Instance ${owner.id} (${owner.state}, ${owner.zone}) has it`);
    }
  }
  const wanted = inNetwork && groups.at(-1)?.kind === "group";
  if (routes !== undefined && wanted) {
    const without = steps.filter(({ ownership }) => ownership === "missing").map((each) => each.routeTableId);
    if (without.length > 0) {
      notes.push(`No route leads there from ${without.join(", ")}: the VPC drops its packets`);
    }
    for (const { destination, reason, message } of routes.plan.skipped) {
      if (containsAddress(destination, address) && reason !== "foreign") {
        notes.push(`No route is written for ${destination} (${reason}): ${message}`);
      }
    }
    if (routes.health.blind) {
      notes.push(
        "Nobody answers our probes: no route moves until somebody does, so no gateway has a stand-in now",
      );
    }
    if (host !== null && steps.some(({ gateway }) => gateway?.host === host.name)) {
      notes.push(
        `Host ${host.name} is a gateway itself: if it dies, the address dies with it, whoever takes the route`,
      );
    }
  }
  return notes;
}

function lengthOf(cidr: Cidr): number {
  return Number(cidr.slice(cidr.indexOf("/") + 1));
}
