import type { DocumentHost } from "../topology/read-topology.ts";
import {
  createDraft,
  fitsLeaf,
  joinLeaf,
  leavesOfHost,
  placeInEntry,
  type PlacementDraft,
} from "./placement.ts";
import type { HostGroup, HostRecord } from "./records.ts";
import { networkAt, poolAt, SUBNET_LABEL, type HostState, type IpamState, type LeafState } from "./state.ts";
import { bySubnetInTurns } from "./subnet-room.ts";

/** A host of the document: what its first entry says, and every entry, at most one per element of `topologies`. */
export interface ListedHost {
  readonly host: DocumentHost;
  readonly places: readonly DocumentHost[];
}

/** A host on its way into the new topology. */
interface CarriedHost {
  readonly record: Omit<HostRecord, "groups" | "misplaced">;
  readonly before: HostState | undefined;
  /** By entry. */
  readonly listed: ReadonlyMap<number, LeafState>;
  readonly needed: ReadonlyMap<number, LeafState>;
  /** By entry; filled in as the host is placed. */
  readonly groups: Map<number, readonly HostGroup[]>;
  misplaced: boolean;
}

/**
 * The hosts under the topology of `fresh`, in the order of their registration. `needed`: the leaves that hold a host's addresses. First those that have no choice are
 * placed (addresses in use, then the document's word, then the leaf in which they are), then the others as new hosts of one batch are. What forbids it goes to `problems`.
 */
export function carryHosts(
  state: IpamState,
  fresh: IpamState,
  listed: ReadonlyMap<string, ListedHost>,
  needed: ReadonlyMap<HostState, ReadonlyMap<number, LeafState>>,
  problems: string[],
): readonly HostRecord[] {
  const draft = createDraft(fresh);
  const hosts = [
    ...keptHosts(state, fresh, listed, needed, problems),
    ...newHosts(state, fresh, listed, problems),
  ];
  const inTurns = bySubnetInTurns(hosts.map((host) => ({ host, tags: host.record.tags }))).map(
    ({ host }) => host,
  );
  const steps = [
    ...[stayWithAddresses, followDocument, stayInLeaf].map((step) => ({ step, order: hosts })),
    { step: placeAnew, order: inTurns },
  ];
  for (const { step, order } of steps) {
    for (const host of order) {
      for (const entry of fresh.topology.entries.keys()) {
        const groups = host.groups.has(entry) ? undefined : step(draft, host, entry, problems);
        if (groups !== undefined) {
          host.groups.set(entry, groups);
        }
      }
    }
  }
  return hosts.map(({ record, groups, misplaced }) => ({
    ...record,
    groups: [...fresh.topology.entries.keys()].flatMap((entry) => groups.get(entry) ?? []),
    misplaced,
  }));
}

/** The hosts of the state, but for those that go with the old document. */
function keptHosts(
  state: IpamState,
  fresh: IpamState,
  listed: ReadonlyMap<string, ListedHost>,
  needed: ReadonlyMap<HostState, ReadonlyMap<number, LeafState>>,
  problems: string[],
): readonly CarriedHost[] {
  return [...state.hosts.values()].flatMap((before): readonly CarriedHost[] => {
    const { host: place, places = [] } = listed.get(before.record.name) ?? {};
    const { name, ip, agentPort, tags, origin, sequence, node } = before.record;
    const isDocuments = origin === "document";
    if (place === undefined && isDocuments) {
      if (before.blocks.size > 0) {
        problems.push(
          `host ${name} (${ip}) is not in the new document and has addresses in use; release them, or keep the host`,
        );
      }
      return [];
    }
    if (place !== undefined && place.ip !== ip && !isDocuments) {
      problems.push(
        `${place.place}: host ${name} exists with address ${ip}, learned from ${origin}, not ${place.ip}; correct the document, or remove the host`,
      );
    }
    return [
      {
        record: {
          name,
          ip: isDocuments ? (place?.ip ?? ip) : ip,
          agentPort,
          tags: isDocuments ? (place?.tags ?? tags) : { ...tags, ...place?.tags },
          origin,
          sequence,
          ...(node === undefined ? {} : { node }),
        },
        before,
        listed: listedLeaves(fresh, places),
        needed: needed.get(before) ?? new Map(),
        groups: new Map(),
        misplaced: false,
      },
    ];
  });
}

/** The hosts of the document that the state does not know. */
function newHosts(
  state: IpamState,
  fresh: IpamState,
  listed: ReadonlyMap<string, ListedHost>,
  problems: string[],
): readonly CarriedHost[] {
  const added = [...listed].filter(([name]) => !state.hosts.has(name));
  return added.map(([name, { host, places }], index): CarriedHost => {
    const { ip, tags, agentPort, place } = host;
    const other = state.hostsByIp.get(ip)?.find(({ record }) => record.origin !== "document");
    if (other !== undefined) {
      problems.push(
        `${place}: host ${name} has address ${ip}, which is that of host ${other.record.name}, learned from ${other.record.origin}; correct the document, or remove that host`,
      );
    }
    const sequence = state.sequence + index;
    return {
      record: { name, ip, agentPort, tags, origin: "document", sequence },
      before: undefined,
      listed: listedLeaves(fresh, places),
      needed: new Map(),
      groups: new Map(),
      misplaced: false,
    };
  });
}

type Step = (
  draft: PlacementDraft,
  host: CarriedHost,
  entry: number,
  problems: string[],
) => readonly HostGroup[] | undefined;

/** A host with addresses stays where they are; it must not fit worse there than before. */
const stayWithAddresses: Step = (draft, host, entry, problems) => {
  const leaf = host.needed.get(entry);
  if (leaf === undefined || host.before === undefined) {
    return undefined;
  }
  const { name, tags } = host.record;
  const listed = host.listed.get(entry);
  const group = `group ${leaf.pools[0]?.group.cidr} of network "${leaf.pools[0]?.network.network.name}"`;
  if (listed !== undefined && listed !== leaf) {
    problems.push(
      `host ${name} has addresses in ${group}, and the new document lists it in ${listed.pools[0]?.group.cidr}; release them, or list it where it is`,
    );
  } else if ((listed === undefined || isStillMisplaced(host)) && !fitsLeaf(draft, leaf, tags)) {
    if (!host.before.record.misplaced) {
      problems.push(
        `host ${name} has addresses in ${group}, which would not take a host with its labels; release them, or let the group keep its assignment`,
      );
    }
    host.misplaced = true;
  }
  return joinLeaf(draft, leaf, subnetBefore(host, leaf));
};

/** `GET /topology` lists learned hosts where they are: that does not make the place of a misplaced one the document's wish. */
function isStillMisplaced({ before, record }: CarriedHost): boolean {
  return record.origin !== "document" && before?.record.misplaced === true;
}

const followDocument: Step = (draft, host, entry) => {
  const leaf = host.listed.get(entry);
  return leaf === undefined ? undefined : joinLeaf(draft, leaf, host.record.tags[SUBNET_LABEL] ?? "");
};

/** A learned host keeps its leaf if the new document has the same range for it. */
const stayInLeaf: Step = (draft, host, entry) => {
  const ranges =
    host.before === undefined ? [] : [...leavesOfHost(host.before).values()].flatMap(({ pools }) => pools);
  for (const { first, group } of ranges) {
    const target = networkAt(draft.state, first);
    const pool = target === undefined ? undefined : poolAt(target, first);
    const isSame = pool?.leaf.entry === entry && pool.group.cidr === group.cidr;
    if (host.record.origin !== "document" && isSame && fitsLeaf(draft, pool.leaf, host.record.tags)) {
      return joinLeaf(draft, pool.leaf, host.record.tags[SUBNET_LABEL] ?? "");
    }
  }
  return undefined;
};

const placeAnew: Step = (draft, host, entry) =>
  host.record.origin === "document" ? undefined : placeInEntry(draft, entry, host.record.tags);

/** The subnet that the host stands for where its addresses are: that of its labels or, while it is misplaced, the one by which it came there. */
function subnetBefore({ before, record }: CarriedHost, leaf: LeafState): string {
  if (before?.record.misplaced !== true) {
    return record.tags[SUBNET_LABEL] ?? "";
  }
  const block = [...before.blocks].find(({ first }) =>
    leaf.pools.some((pool) => first >= pool.first && first < pool.end),
  );
  return block?.pool.leaf.subnet ?? "";
}

function listedLeaves(fresh: IpamState, places: readonly DocumentHost[]): ReadonlyMap<number, LeafState> {
  const leaves = new Map<number, LeafState>();
  for (const { entry, path } of places) {
    const key = path.join(".");
    const leaf = fresh.leaves[entry]?.find((other) => other.path.join(".") === key);
    if (leaf !== undefined) {
      leaves.set(entry, leaf);
    }
  }
  return leaves;
}
