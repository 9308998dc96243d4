import type { CloudInstance } from "../cloud/facts.ts";
import { sameLabels } from "../ipam/hosts.ts";
import type { Ipv4 } from "../net/ipv4.ts";
import type { HostOrigin, NodeIdentity } from "../topology/topology.ts";
import type { Fate } from "./instance-fate.ts";
import { addressesOf, addressOf, cloudLabels, hostLabels, instanceLabels, machineOf } from "./node-facts.ts";
import type { ClusterNode } from "./objects.ts";

/** A host as it is registered. */
export interface KnownHost {
  readonly name: string;
  readonly ip: Ipv4;
  readonly tags: Readonly<Record<string, string>>;
  readonly origin: HostOrigin;
  readonly node?: NodeIdentity | undefined;
}

/** All that the decision is made from. Its functions answer from what is known at this moment. */
export interface NodeWorld {
  /** Whether EC2 says what became of machines, and where they are. */
  readonly cloud: boolean;
  /** EC2's region, "" while it is not known. */
  readonly region: string;
  /** Without a cloud: how long a Node must be gone before its host goes. */
  readonly hostGraceMs: number;
  readonly node: (name: string) => ClusterNode | undefined;
  readonly host: (name: string) => KnownHost | undefined;
  readonly hostAt: (ip: Ipv4) => KnownHost | undefined;
  /** What EC2 says of an instance: `null` when it knows none of that id, `undefined` when nobody asked yet. */
  readonly instance: (instanceId: string) => CloudInstance | null | undefined;
  /** What EC2 says of the machine of a host. */
  readonly fate: (host: KnownHost) => Fate;
  /** Without a cloud: for how long this controller has known that the host's Node is gone; `undefined` until it has noted that. */
  readonly goneMs: (host: KnownHost) => number | undefined;
  /** Why no host may be removed now, "" when some may; asked only when one would be. */
  readonly hold: () => string;
}

/** A host as a Node wants it. */
export interface NodeHost {
  /** `add`: it is new. `adopt`: it takes over the Node's UID or instance. `relabel`: its labels change. */
  readonly change: "add" | "adopt" | "relabel";
  readonly name: string;
  readonly ip: Ipv4;
  readonly tags: Readonly<Record<string, string>>;
  readonly origin: "kubernetes";
  readonly node: NodeIdentity;
}

export interface HostRemoval {
  readonly name: string;
  readonly ip: Ipv4;
  /** UID of the Node that is gone, "" for a host that never knew it. */
  readonly uid: string;
  readonly why: string;
}

/**
 * What stands still, and for what it waits.
 *
 * - `instance`: the Node `name` waits until EC2 tells of `instanceId`.
 * - `confirm`: the host `name` waits until EC2 was asked about `instanceId` alone.
 * - `gone`: the Node of the host `name` is gone. `dueMs`: its time is over in so many milliseconds; `undefined` when that depends on EC2, or was not noted yet.
 * - `place`: the Node `name` waits for a name or an address that another host has, or for its own next update.
 */
export type NodeWait =
  | { readonly kind: "instance" | "confirm"; readonly name: string; readonly instanceId: string }
  | {
      readonly kind: "gone";
      readonly name: string;
      readonly host: KnownHost;
      readonly dueMs: number | undefined;
    }
  | { readonly kind: "place"; readonly name: string };

/** What has to be said on a Node. */
export interface NodeEvent {
  readonly name: string;
  readonly uid: string;
  readonly reason:
    | "HostAddressChanged"
    | "HostAddressTaken"
    | "HostNameHeld"
    | "InstanceUnknown"
    | "NodeIncomplete";
  readonly note: string;
}

/** What to do, removals first. */
export interface NodePlan {
  readonly removals: readonly HostRemoval[];
  readonly register: readonly NodeHost[];
  readonly waits: readonly NodeWait[];
  readonly events: readonly NodeEvent[];
}

interface Draft {
  readonly world: NodeWorld;
  readonly removals: HostRemoval[];
  readonly register: NodeHost[];
  readonly waits: NodeWait[];
  readonly events: NodeEvent[];
  /** Addresses that Nodes of this plan get, with the name of each. */
  readonly claimed: Map<Ipv4, string>;
}

/**
 * Decides about the Nodes and the hosts with these names. Hosts of the document and of the API are never touched; a host that was learned from Kubernetes:
 *
 *     Node of its name                          its machine            result
 *     ----------------------------------------  ---------------------  -------------------------------------------------
 *     its own (same UID)                        any                    stays; labels follow the Node's
 *     another UID, same machine and address     any                    stays with its addresses, takes over the UID
 *     another UID, another machine              gone                   removed, the Node becomes a new host
 *     another UID, another machine              alive, or not known    stays; the Node waits: HostNameHeld
 *     none                                      gone                   removed
 *     none                                      alive, or not known    stays
 *
 * A machine is gone when EC2 says so (`instance-fate.ts`); without a cloud, when the Node has been gone for the grace time. A Node without a host becomes one:
 *
 *     no IPv4 InternalIP; with a cloud, no instance in its providerID   NodeIncomplete, until its next update
 *     another host has its address, or another Node of this plan        HostAddressTaken
 *     another host has its name                                         HostNameHeld; none of both when it is this very machine's
 *     EC2 was not asked about its instance                              waits for that
 *     EC2 knows none, or it ends, or has not that address               InstanceUnknown
 *     anything else                                                     added, with what EC2 knows of zone, region and subnet
 */
export function planNodes(names: Iterable<string>, world: NodeWorld): NodePlan {
  const draft: Draft = { world, removals: [], register: [], waits: [], events: [], claimed: new Map() };
  const sorted = [...new Set(names)].toSorted();
  const fresh = sorted.filter((name) => !settleHost(draft, name));
  for (const name of fresh) {
    placeNode(draft, name);
  }
  const { removals, register, waits, events } = draft;
  return { removals, register, waits, events };
}

/**
 * Why hosts may not be removed now, "" when they may: no Node at all, or none of any host that was learned, is an API server that answers for the wrong cluster, or lost its
 * data, more often than the end of a cluster, and removal releases every address.
 */
export function holdOf(
  nodes: { readonly size: number },
  hosts: readonly KnownHost[],
  world: Pick<NodeWorld, "cloud" | "node">,
): string {
  const learned = hosts.filter(({ origin }) => origin === "kubernetes");
  if (nodes.size === 0) {
    return "the cluster shows no Node at all";
  }
  const hasNode = (host: KnownHost): boolean => {
    const node = world.node(host.name);
    return node !== undefined && isSameMachine(host, node, world.cloud);
  };
  return learned.length > 1 && !learned.some(hasNode)
    ? "the cluster shows none of the Nodes that were learned"
    : "";
}

/** Whether a Node speaks for the host: it is the host's own, or the same machine registered again. */
export function isSameMachine(host: KnownHost, node: ClusterNode, cloud: boolean): boolean {
  if (host.node?.uid === node.uid) {
    return true;
  }
  const machine = machineOf(node, cloud);
  const before = host.node?.instanceId ?? "";
  // On AWS every Node gets its providerID sooner or later; elsewhere many never do, and name and address are all that there is.
  const mayBe = before === "" || before === machine || (machine === "" && !cloud);
  return mayBe && addressesOf(node).includes(host.ip);
}

/** The host with this name, if there is one that was learned. False when the Node of this name has to find a place. */
function settleHost(draft: Draft, name: string): boolean {
  const { world } = draft;
  const host = world.host(name);
  const node = world.node(name);
  if (host?.origin !== "kubernetes") {
    return node === undefined;
  }
  if (node !== undefined && isSameMachine(host, node, world.cloud)) {
    followNode(draft, host, node);
    return true;
  }
  const waiting = removeHost(draft, host);
  if (waiting !== "" && node !== undefined) {
    draft.waits.push({ kind: "place", name });
    say(draft, node, "HostNameHeld", heldNote(host, waiting));
  }
  return node === undefined || waiting !== "";
}

function followNode({ world, register, events }: Draft, host: KnownHost, node: ClusterNode): void {
  const former = host.node?.instanceId ?? "";
  const identity = { uid: node.uid, instanceId: former === "" ? machineOf(node, world.cloud) : former };
  const tags = hostLabels(node.labels, world.cloud ? cloudLabels(host.tags) : {});
  const isSame = host.node?.uid === identity.uid && host.node.instanceId === identity.instanceId;
  const { name, ip } = host;
  if (!isSame || !sameLabels(tags, host.tags)) {
    const change = isSame ? "relabel" : "adopt";
    register.push({ change, name, ip, tags, origin: "kubernetes", node: identity });
  }
  const addresses = addressesOf(node);
  if (addresses.length > 0 && !addresses.includes(ip)) {
    events.push({
      name,
      uid: node.uid,
      reason: "HostAddressChanged",
      note: `The Node's InternalIP is ${addresses.join(", ")} now; its host stays at ${ip} with its addresses. Drain and delete the Node so that it is registered anew.`,
    });
  }
}

/** Removes the host of a Node that is gone, if that may be; else answers for what it waits. */
function removeHost({ world, removals, waits }: Draft, host: KnownHost): string {
  const { name, ip } = host;
  const uid = host.node?.uid ?? "";
  const instanceId = host.node?.instanceId ?? "";
  const wait = (why: string, dueMs?: number): string => {
    waits.push({ kind: "gone", name, host, dueMs });
    return why;
  };
  const remove = (why: string): string => {
    const hold = world.hold();
    if (hold !== "") {
      return wait(`${hold}, so nothing is removed`);
    }
    removals.push({ name, ip, uid, why });
    return "";
  };
  if (!world.cloud) {
    const goneMs = world.goneMs(host) ?? 0;
    return goneMs >= world.hostGraceMs
      ? remove(`its Node has been gone for ${Math.round(goneMs / 1000)} s`)
      : wait(
          `its Node has been gone for less than ${world.hostGraceMs / 1000} s`,
          world.goneMs(host) === undefined ? undefined : world.hostGraceMs - goneMs,
        );
  }
  switch (world.fate(host)) {
    case "gone":
      return remove(
        instanceId === ""
          ? `no instance has its address ${ip} any more`
          : `EC2 has terminated its instance ${instanceId}`,
      );
    case "absent":
      waits.push({ kind: "confirm", name, instanceId });
      return wait(`EC2 is asked about its former instance ${instanceId}`);
    case "alive":
      return wait(`its former instance ${instanceId} is not terminated`);
    case "unknown":
      return wait(`it is not known yet what became of its former instance ${instanceId}`);
  }
}

/** A Node that has no host yet. */
function placeNode(draft: Draft, name: string): void {
  const { world, waits, register, claimed } = draft;
  const node = world.node(name);
  if (node === undefined || node.deleting) {
    return;
  }
  const ip = addressOf(node);
  const instanceId = machineOf(node, world.cloud);
  const named = world.host(name);
  if (
    named !== undefined &&
    (named.origin === "document" || named.origin === "api") &&
    addressesOf(node).includes(named.ip)
  ) {
    return;
  }
  const later = (reason: NodeEvent["reason"], note: string): void => {
    waits.push({ kind: "place", name });
    say(draft, node, reason, note);
  };
  if (ip === undefined) {
    later("NodeIncomplete", "The Node has no InternalIP of IPv4: it becomes a host as soon as it has one.");
    return;
  }
  if (world.cloud && instanceId === "") {
    const found = node.providerId === "" ? "is empty" : `"${node.providerId}" names no EC2 instance`;
    later(
      "NodeIncomplete",
      `The Node's providerID ${found}: it becomes a host as soon as it names one, as aws:///us-west-2a/i-0123456789abcdef0 does.`,
    );
    return;
  }
  const isRemoved = (host: KnownHost): boolean =>
    draft.removals.some((removal) => removal.name === host.name);
  if (named !== undefined && named.ip !== ip && !isRemoved(named)) {
    later(
      "HostNameHeld",
      `A host of this name stands at ${named.ip} (origin ${named.origin}): remove it, or give the Node another name.`,
    );
    return;
  }
  const holder = world.hostAt(ip);
  const taken =
    claimed.get(ip) ??
    (holder !== undefined && holder.name !== name && holder.origin !== "cloud" && !isRemoved(holder)
      ? holder.name
      : undefined);
  if (taken !== undefined) {
    later(
      "HostAddressTaken",
      `Host ${taken} has the address ${ip}: the Node waits until that one is gone (\`romana host remove ${taken}\` once its pods are).`,
    );
    return;
  }
  let known: Readonly<Record<string, string>> = {};
  if (world.cloud) {
    const instance = world.instance(instanceId);
    if (instance === undefined || instance === null || !serves(instance, ip)) {
      waits.push({ kind: "instance", name, instanceId });
      if (instance !== undefined) {
        say(draft, node, "InstanceUnknown", unknownNote(instance, instanceId, ip));
      }
      return;
    }
    known = instanceLabels(instance, ip, world.region);
  }
  claimed.set(ip, name);
  register.push({
    change: "add",
    name,
    ip,
    tags: hostLabels(node.labels, known),
    origin: "kubernetes",
    node: { uid: node.uid, instanceId },
  });
}

function serves({ state, interfaces }: CloudInstance, ip: Ipv4): boolean {
  const ends = state === "terminated" || state === "shutting-down";
  return !ends && interfaces.some(({ addresses }) => addresses.includes(ip));
}

function unknownNote(instance: CloudInstance | null, instanceId: string, ip: Ipv4): string {
  if (instance === null) {
    return `EC2 knows no instance ${instanceId} in this region and account: it is asked again.`;
  }
  return instance.state === "terminated" || instance.state === "shutting-down"
    ? `EC2 says that instance ${instanceId} is ${instance.state}.`
    : `No interface of instance ${instanceId} in this VPC has the Node's InternalIP ${ip}: EC2 is asked again.`;
}

function heldNote(host: KnownHost, waiting: string): string {
  return `The host of a former Node of this name still has its name and addresses at ${host.ip}: ${waiting}. The Node becomes a host as soon as that one is gone (\`romana host remove ${host.name}\` if it is known to be).`;
}

function say({ events }: Draft, { name, uid }: ClusterNode, reason: NodeEvent["reason"], note: string): void {
  events.push({ name, uid, reason, note });
}
