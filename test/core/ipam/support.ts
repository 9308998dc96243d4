import { planAllocation } from "../../../src/core/ipam/allocate.ts";
import { planBlackout, planBlackoutRemoval } from "../../../src/core/ipam/blackouts.ts";
import type { Change } from "../../../src/core/ipam/change.ts";
import { buildState, commit } from "../../../src/core/ipam/commit.ts";
import {
  planHost,
  planHostRemoval,
  planHosts,
  planLabels,
  type HostOutcome,
  type NewHost,
} from "../../../src/core/ipam/hosts.ts";
import type { AllocationRequest, IpamRecords } from "../../../src/core/ipam/records.ts";
import { planRelease } from "../../../src/core/ipam/release.ts";
import { createState, type IpamState } from "../../../src/core/ipam/state.ts";
import { planTopology } from "../../../src/core/ipam/update-topology.ts";
import { viewBlocks, viewHosts } from "../../../src/core/ipam/view.ts";
import { parseCidr } from "../../../src/core/net/cidr.ts";
import { formatIpv4, parseIpv4 } from "../../../src/core/net/ipv4.ts";
import { readTopology } from "../../../src/core/topology/read-topology.ts";

/** A state that is driven by decisions, each of which is checked to alter nothing before it is committed. */
export class Cluster {
  readonly state: IpamState = createState({ networks: [], entries: [] });

  constructor(document?: unknown) {
    if (document !== undefined) {
      this.update(document);
    }
  }

  update(document: unknown): void {
    this.decide(() => planTopology(this.state, readTopology(document, { reserved: [] })).changes);
  }

  addHost(name: string, tags: Record<string, string> = {}, origin: NewHost["origin"] = "api"): void {
    const last = Number(/\d+$/.exec(name)?.[0] ?? 0);
    const ip = parseIpv4(`172.16.${Math.floor(last / 256)}.${last % 256}`);
    this.decide(() => planHost(this.state, { name, ip, tags, origin }));
  }

  addHosts(hosts: readonly NewHost[]): readonly HostOutcome[] {
    let outcomes: readonly HostOutcome[] = [];
    this.decide(() => {
      const plan = planHosts(this.state, hosts);
      ({ outcomes } = plan);
      return plan.changes;
    });
    return outcomes;
  }

  removeHost(name: string): void {
    this.decide(() => planHostRemoval(this.state, name));
  }

  setLabels(name: string, tags: Record<string, string>): void {
    this.decide(() => planLabels(this.state, name, tags));
  }

  /** The address for `name`; tenant and segment may be written `tenant:segment`. */
  allocate(name: string, host: string, owner = "t:s", address?: string): string {
    const [tenant = "", segment = ""] = owner.split(":");
    return this.request({
      name,
      host,
      tenant,
      segment,
      ...(address === undefined ? {} : { address: parseIpv4(address) }),
    });
  }

  request(request: AllocationRequest): string {
    let address = 0;
    this.decide(() => {
      const plan = planAllocation(this.state, request);
      ({ address } = plan);
      return plan.changes;
    });
    return formatIpv4(address);
  }

  release(nameOrIp: string): void {
    this.decide(() => planRelease(this.state, nameOrIp).changes);
  }

  blackout(network: string, cidr: string): void {
    this.decide(() => planBlackout(this.state, network, parseCidr(cidr)));
  }

  endBlackout(network: string, cidr: string): void {
    this.decide(() => planBlackoutRemoval(this.state, network, parseCidr(cidr)));
  }

  /** Each block as `cidr host/tenant:segment count`. */
  blocks(): readonly string[] {
    return viewBlocks(this.state.networks).map(({ cidr, host, tenant, segment, allocated_ip_count: count }) =>
      host === "" ? `${cidr} free` : `${cidr} ${host}/${tenant}:${segment} ${count}`,
    );
  }

  /** Each host as `name cidr cidr`, with `misplaced` where it is. */
  hosts(): readonly string[] {
    return viewHosts(this.state).map(({ name, groups, misplaced }) =>
      [name, ...groups.map(({ cidr }) => cidr), ...(misplaced ? ["misplaced"] : [])].join(" "),
    );
  }

  /** The groups of one host, by network. */
  groupsOf(name: string): readonly string[] {
    return (this.state.hosts.get(name)?.record.groups ?? []).map(({ cidr }) => cidr);
  }

  private decide(plan: () => readonly Change[]): void {
    const before = imprintOf(this.state);
    try {
      const changes = plan();
      unchanged(before, this.state);
      commit(this.state, changes);
    } catch (error) {
      unchanged(before, this.state);
      throw error;
    }
  }
}

/** What the state is made of, as a store would hold it. */
export function recordsOf(state: IpamState): IpamRecords {
  const networks = state.networks.map(({ network, revision, blocks }): [string, number] => [
    network.name,
    revision - [...blocks.values()].reduce((sum, block) => sum + block.revision, 0),
  ]);
  const blocks = state.networks.flatMap((network) =>
    [...network.blocks.values()].map(({ first, holding, revision, sequence }) => ({
      network: network.network.name,
      first,
      owner: holding?.record,
      revision,
      sequence,
    })),
  );
  return {
    topology: state.topology,
    revisionBase: {
      total: state.revision - blocks.reduce((sum, { revision }) => sum + revision, 0),
      networks: Object.fromEntries(networks),
    },
    hosts: [...state.hosts.values()].map(({ record }) => record),
    blocks,
    addresses: [...state.names.values()].map(({ name, address, block, pod }) => ({
      name,
      address,
      pod,
      network: block.pool.network.network.name,
    })),
    blackouts: state.networks
      .filter(({ blackouts }) => blackouts.length > 0)
      .map(({ network, blackouts }) => ({ network: network.name, cidrs: blackouts.map(({ cidr }) => cidr) })),
  };
}

/** The state as plain data, but for what no decision depends on: the order of names, and the next sequence number (only the order of numbers counts). */
export function outlineOf(state: IpamState): unknown {
  const listOf = (
    head: IpamState["networks"][number]["pools"][number]["returned"]["head"],
  ): readonly number[] => {
    const found: number[] = [];
    for (let block = head; block !== undefined; block = block.next) {
      found.push(block.first);
    }
    return found;
  };
  return {
    hosts: viewHosts(state),
    revision: state.revision,
    names: [...state.names].map(([name, { address, pod }]) => `${name} ${address} ${pod?.uid}`).toSorted(),
    networks: state.networks.map(({ network, blackouts, revision, pools, owners }) => ({
      name: network.name,
      blackouts,
      revision,
      blocks: viewBlocks(state.networks),
      pools: pools.map(({ group, unused, returned, leaf }) => ({
        cidr: group.cidr,
        unused,
        returned: listOf(returned.head),
        subnet: leaf.subnet,
        hosts: [...leaf.hosts].map(({ id }) => id).toSorted((a, b) => a - b),
      })),
      open: [...owners.values()]
        .flatMap((segments) => [...segments.values()])
        .flatMap(({ holdings }) =>
          [...holdings.values()].map(({ record, open }) => [record, listOf(open.head)] as const),
        )
        .map(([record, open]) => JSON.stringify([record, open]))
        .toSorted(),
    })),
  };
}

/** A state built from what the other is made of. */
export function rebuilt(state: IpamState): IpamState {
  return buildState(recordsOf(state));
}

function unchanged(before: readonly unknown[], state: IpamState): void {
  const after = imprintOf(state);
  const differs = after.findIndex((part, index) => !Object.is(part, before[index]));
  if (differs >= 0 || after.length !== before.length) {
    throw new Error(
      `a decision altered the state: ${String(before[differs])} became ${String(after[differs])}`,
    );
  }
}

/** Everything that can be reached from `root`, in order, each object once: two imprints are equal if and only if the graphs are. */
function imprintOf(root: object): readonly unknown[] {
  const parts: unknown[] = [];
  const seen = new Map<object, number>();
  const pending: unknown[] = [root];
  while (pending.length > 0) {
    const value = pending.pop();
    if (typeof value !== "object" || value === null) {
      parts.push(value);
    } else if (seen.has(value)) {
      parts.push("#", seen.get(value));
    } else {
      seen.set(value, seen.size);
      const inner = contentsOf(value);
      parts.push(value.constructor.name, inner.length);
      for (const item of inner) {
        pending.push(item);
      }
    }
  }
  return parts;
}

function contentsOf(value: object): readonly unknown[] {
  if (value instanceof Map) {
    return [...(value as Map<unknown, unknown>)].flat();
  }
  if (value instanceof Set || value instanceof Uint32Array) {
    return [...(value as Iterable<unknown>)];
  }
  return Object.entries(value).flat();
}
