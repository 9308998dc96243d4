import { NetworkError } from "../errors.ts";
import type { Ipv4 } from "../net/ipv4.ts";
import type { HostOrigin, NodeIdentity } from "../topology/topology.ts";
import type { Change } from "./change.ts";
import {
  adoptUnplaced,
  createDraft,
  leaveLeaf,
  leavesOfHost,
  placeEverywhere,
  replaceHost,
  type PlacementDraft,
} from "./placement.ts";
import type { HostRecord } from "./records.ts";
import { releaseBlocks } from "./release.ts";
import type { HostState, IpamState } from "./state.ts";
import { bySubnetInTurns } from "./subnet-room.ts";

/** Port of a host's agent when none is given (the original's). */
export const DEFAULT_AGENT_PORT = 9604;

/** A host to be registered. */
export interface NewHost {
  readonly name: string;
  readonly ip: Ipv4;
  readonly agentPort?: number | undefined;
  readonly tags?: Readonly<Record<string, string>> | undefined;
  readonly origin: HostOrigin;
  /** The Node that it stands for; given with origin `kubernetes` alone. */
  readonly node?: NodeIdentity | undefined;
}

/** What became of one host of a batch. `conflict`: its name or its address belongs to another host, as `reason` says; nothing was changed for it. */
export interface HostOutcome {
  readonly name: string;
  readonly outcome: "added" | "updated" | "unchanged" | "conflict";
  readonly reason: string;
}

export interface HostsPlan {
  readonly outcomes: readonly HostOutcome[];
  readonly changes: readonly Change[];
}

/** Another host has the name or the address. */
interface HostConflict {
  readonly holder: HostState;
  readonly reason: string;
}

/**
 * Registers a host and places it, once per topology entry, in the least loaded group that takes it; the same group in each network of the entry. A host that fits no group
 * is registered as unplaced (decision 5). Throws `HOST_EXISTS` (conflict) when its name or its address is taken (details: name and ip that were
 * asked for, holderName and holderIp: those of the host that has them), `HOST_INVALID` (invalid) for an empty name.
 */
export function planHost(state: IpamState, host: NewHost): readonly Change[] {
  checkHostName(host);
  const { name, ip } = host;
  const conflict = conflictOf(state, host);
  const holder = conflict?.holder ?? state.hosts.get(name);
  if (holder !== undefined) {
    throw new NetworkError(
      "conflict",
      "HOST_EXISTS",
      `cannot add host ${name} (${ip}): ${conflict?.reason ?? `host ${name} exists`}; remove it first, or use another name and address`,
      { name, ip, holderName: holder.record.name, holderIp: holder.record.ip },
    );
  }
  return [{ kind: "put-host", host: newRecord(createDraft(state), host, state.sequence) }];
}

/**
 * Registers the hosts that somebody learned of. One that exists under the same name and address keeps its origin and labels of its own, and gets the
 * labels given here; so the same list a second time changes nothing. New hosts are placed after those that exist, one of each zone and subnet by turns, so that each
 * subnet binds its share of the leaves; outcomes and order of registration are as listed. Throws `HOST_INVALID`.
 *
 * A host with a `node` says all of what Kubernetes knows:
 *
 *     who has its name            who has its address              result
 *     --------------------------  -------------------------------  -----------------------------------------------------
 *     nobody                      nobody                           added
 *     nobody                      a cloud host without addresses   that one goes, the Node's is added
 *     nobody                      any other host                   conflict
 *     a kubernetes or cloud host  the same one                     its labels and its Node are those given, all of them
 *     a document or api host      the same one                     unchanged
 *     any host                    not that one                     conflict
 */
export function planHosts(state: IpamState, hosts: readonly NewHost[]): HostsPlan {
  const draft = createDraft(state);
  const changes: Change[] = [];
  const added: NewHost[] = [];
  const names = new Set<string>();
  const addresses = new Set<string>();
  const outcomes = hosts.map((host): HostOutcome => {
    const { name } = host;
    checkHostName(host);
    const known = state.hosts.get(name);
    const twice = names.has(name) || addresses.has(host.ip) ? "the list names it twice" : undefined;
    const conflict = conflictOf(state, host);
    const yields = conflict !== undefined && givesWay(conflict.holder, host);
    const reason = twice ?? (yields ? undefined : conflict?.reason);
    names.add(name);
    addresses.add(host.ip);
    if (reason !== undefined) {
      return { name, outcome: "conflict", reason };
    }
    if (yields) {
      for (const leaf of leavesOfHost(conflict.holder).values()) {
        leaveLeaf(draft, leaf);
      }
      changes.push({ kind: "delete-host", name: conflict.holder.record.name });
    }
    if (known !== undefined && host.node !== undefined) {
      return followNode(draft, known, { ...host, node: host.node }, changes);
    }
    if (known === undefined) {
      added.push(host);
      return { name, outcome: "added", reason: "" };
    }
    const tags = { ...known.record.tags, ...host.tags };
    if (sameLabels(tags, known.record.tags)) {
      return { name, outcome: "unchanged", reason: "" };
    }
    changes.push({ kind: "put-host", host: replaceHost(draft, known, tags) });
    return { name, outcome: "updated", reason: "" };
  });
  return { outcomes, changes: [...changes, ...placeAll(draft, added, state.sequence)] };
}

/**
 * Sets all labels of a host. One that no longer fits its group moves at once if it has no addresses there; otherwise it stays, misplaced, until its last address is
 * released (decision 6). No change when the labels are the same. Throws `HOST_NOT_FOUND`.
 */
export function planLabels(
  state: IpamState,
  name: string,
  tags: Readonly<Record<string, string>>,
): readonly Change[] {
  const host = hostNamed(state, name);
  if (sameLabels(tags, host.record.tags)) {
    return [];
  }
  const draft = createDraft(state);
  const change: Change = { kind: "put-host", host: replaceHost(draft, host, tags) };
  return [change, ...adoptUnplaced(draft, name)];
}

/**
 * Removes a host with its names, addresses and blocks (decision 10). Hosts that found no place may take its. `node`: only while it stands for the Node with this UID
 * ("": for none). Throws `HOST_NOT_FOUND`, and `HOST_REPLACED` (conflict) when it stands for another one.
 */
export function planHostRemoval(state: IpamState, name: string, node?: string): readonly Change[] {
  const host = hostNamed(state, name);
  const uid = host.record.node?.uid ?? "";
  if (node !== undefined && (uid !== node || host.record.origin !== "kubernetes")) {
    throw new NetworkError(
      "conflict",
      "HOST_REPLACED",
      `cannot remove host ${name} as that of Node ${node || "(unknown)"}: it stands for ${uid === "" ? "no Node" : `Node ${uid}`} now; look again`,
      { host: name, node, uid },
    );
  }
  const draft = createDraft(state);
  for (const leaf of leavesOfHost(host).values()) {
    leaveLeaf(draft, leaf);
  }
  return [...releaseBlocks(state, host), { kind: "delete-host", name }, ...adoptUnplaced(draft, name)];
}

/** True when both have the same labels. */
export function sameLabels(
  a: Readonly<Record<string, string>>,
  b: Readonly<Record<string, string>>,
): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

function hostNamed(state: IpamState, name: string): HostState {
  const host = state.hosts.get(name);
  if (host === undefined) {
    throw new NetworkError(
      "not-found",
      "HOST_NOT_FOUND",
      `host ${name} is not registered; \`romana host list\` shows those that are`,
      { host: name },
    );
  }
  return host;
}

function checkHostName({ name, ip }: NewHost): void {
  if (name === "") {
    throw new NetworkError("invalid", "HOST_INVALID", `the host at ${ip} needs a name that is not empty`, {
      ip,
    });
  }
}

/** Why the host cannot be registered: its name stands for another address, or its address for another name. */
function conflictOf(state: IpamState, { name, ip }: NewHost): HostConflict | undefined {
  const known = state.hosts.get(name);
  if (known !== undefined && known.record.ip !== ip) {
    return { holder: known, reason: `host ${name} exists with address ${known.record.ip}` };
  }
  const other = state.hostsByIp.get(ip)?.find(({ record }) => record.name !== name);
  return other !== undefined && known === undefined
    ? { holder: other, reason: `host ${other.record.name} has address ${ip}` }
    : undefined;
}

/** A host that EC2 alone showed (`--host-tag`), named after its address, is that of a Node which has the same address; unless pods have addresses there already. */
function givesWay(holder: HostState, host: NewHost): boolean {
  const isSameMachine = host.node !== undefined && holder.record.ip === host.ip;
  return isSameMachine && holder.record.origin === "cloud" && holder.blocks.size === 0;
}

/** What Kubernetes says of a host that is registered under this name and address. */
function followNode(
  draft: PlacementDraft,
  known: HostState,
  { name, tags = {}, node }: NewHost & { readonly node: NodeIdentity },
  changes: Change[],
): HostOutcome {
  const { origin, tags: before, node: former } = known.record;
  const isSame = former?.uid === node.uid && former.instanceId === node.instanceId;
  const isOurs = origin === "kubernetes" || origin === "cloud";
  if (!isOurs || (isSame && origin === "kubernetes" && sameLabels(tags, before))) {
    return { name, outcome: "unchanged", reason: "" };
  }
  changes.push({
    kind: "put-host",
    host: { ...replaceHost(draft, known, tags), origin: "kubernetes", node },
  });
  return { name, outcome: "updated", reason: "" };
}

/** Places new hosts by turns; the changes come in the order of the list. */
function placeAll(draft: PlacementDraft, hosts: readonly NewHost[], sequence: number): readonly Change[] {
  const numbered = hosts.map((host, index) => ({ host, tags: host.tags ?? {}, sequence: sequence + index }));
  return bySubnetInTurns(numbered)
    .map((item) => newRecord(draft, item.host, item.sequence))
    .toSorted((a, b) => a.sequence - b.sequence)
    .map((host) => ({ kind: "put-host", host }));
}

function newRecord(draft: PlacementDraft, host: NewHost, sequence: number): HostRecord {
  const { name, ip, agentPort = DEFAULT_AGENT_PORT, tags = {}, origin, node } = host;
  const groups = placeEverywhere(draft, tags);
  const record = { name, ip, agentPort, tags, origin, sequence, groups, misplaced: false };
  return node === undefined ? record : { ...record, node };
}
