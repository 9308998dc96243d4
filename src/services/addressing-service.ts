import { NetworkError } from "../core/errors.ts";
import { networkNamed, planBlackout, planBlackoutRemoval } from "../core/ipam/blackouts.ts";
import {
  planHost,
  planHostRemoval,
  planHosts,
  planLabels,
  type HostOutcome,
  type NewHost,
} from "../core/ipam/hosts.ts";
import { exportState, type ImportedState as ExportedState } from "../core/ipam/imported-state.ts";
import type { AllocationRequest } from "../core/ipam/records.ts";
import { planRelease, type ReleaseTerms } from "../core/ipam/release.ts";
import type { IpamState, KnownSubnet } from "../core/ipam/state.ts";
import { planTopology } from "../core/ipam/update-topology.ts";
import {
  countHosts,
  viewAddress,
  viewAddressAt,
  viewAddresses,
  viewAllocation,
  viewBlockAt,
  viewBlocks,
  viewHostAt,
  viewHostNamed,
  viewHosts,
  viewHostsOf,
  viewLayout,
  type AddressView,
  type BlockView,
  type HostCounts,
  type HostView,
  type NetworkLayout,
} from "../core/ipam/view.ts";
import type { Cidr } from "../core/net/cidr.ts";
import type { Ipv4 } from "../core/net/ipv4.ts";
import { readTopology, type Problem, type TopologyDocument } from "../core/topology/read-topology.ts";
import { renderTopology } from "../core/topology/render-topology.ts";
import type { Clock } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";
import type { KeyCompare, Store, StoreOperation } from "../ports/store.ts";
import type { Applied } from "./addressing/apply-events.ts";
import { AddressingCache, type AddressingBatch } from "./addressing/cache.ts";
import { Committer } from "./addressing/committer.ts";
import { DecisionRunner, type Decision } from "./addressing/decisions.ts";
import { GroupCommit, type AddressingCounters } from "./addressing/group-commit.ts";
import { importOperations, planImport, type ImportedState } from "./addressing/import-state.ts";
import { StagedKeeper } from "./addressing/staged-keeper.ts";
import type { WaitingRelease } from "./addressing/waiting.ts";
import { addressingKeys, type AddressingKeys } from "./keys.ts";
import type { StoreFollower } from "./store-follower.ts";

export type { AddressingBatch } from "./addressing/cache.ts";
export type { AddressingCounters } from "./addressing/group-commit.ts";
export type { ImportedState } from "./addressing/import-state.ts";

export interface AddressingOptions {
  readonly store: Store;
  /** Of the same store and prefix; not started yet. */
  readonly follower: StoreFollower;
  readonly clock: Clock;
  readonly log: Logger;
  /** `/romana` */
  readonly prefix: string;
  /** From 0 to below 1: names transactions, and parts replicas that want the same block. `Math.random` unless given. */
  readonly random?: () => number;
}

/** What changed: networks and groups, hosts and their groups, or addresses and blocks. */
export type AddressingChange = "topology" | "hosts" | "blocks";

/**
 * Networks, hosts, blocks and addresses, shared by all replicas on one store: reads are answered from an indexed cache that the follower keeps in step, changes are planned on it and committed with a compare
 * of everything that they were made from (`docs/addressing.md`). Errors of the decisions stand with the `plan…` functions of `core/ipam`; every change may also fail with:
 *
 *     ADDRESSING_BUSY       transient  10,000 changes wait
 *     ADDRESSING_CONTENDED  transient  somebody else was faster 20 times
 *     STORE_UNAVAILABLE     transient  the store did not answer; the message says when it is unknown whether it has the change
 *     STORE_FULL            exhausted
 */
export class AddressingService {
  readonly #log: Logger;
  readonly #keys: AddressingKeys;
  readonly #follower: StoreFollower;
  readonly #cache: AddressingCache;
  readonly #keeper: StagedKeeper;
  readonly #decisions: DecisionRunner;
  readonly #line: GroupCommit;
  readonly #listeners = new Set<(what: AddressingChange) => void>();
  readonly #batchListeners = new Set<(batch: AddressingBatch) => void>();
  #reserved: readonly { readonly cidr: Cidr; readonly what: string }[] = [];

  private constructor({ store, follower, clock, log, prefix, random = Math.random }: AddressingOptions) {
    this.#log = log.child({ component: "addressing" });
    this.#keys = addressingKeys(prefix);
    this.#follower = follower;
    const nextId = idsFrom(random);
    const shared = { store, clock, log: this.#log, keys: this.#keys };
    this.#cache = new AddressingCache({
      ...shared,
      onBatch: (batch, applied) => this.#emit(batch, applied),
      onStaged: () => this.#keeper.look(),
    });
    this.#keeper = new StagedKeeper({ ...shared, cache: this.#cache });
    const committer = new Committer({ store, clock, follower, cache: this.#cache });
    const common = { ...shared, cache: this.#cache, committer, nextId };
    this.#decisions = new DecisionRunner({ ...common, onRetry: () => this.#line.countRetry() });
    this.#line = new GroupCommit({
      ...common,
      limits: store.limits,
      random,
      release: (waiting) => this.#releaseAlone(waiting),
    });
  }

  /** Takes what the follower has read, and every change from then on. Throws `STATE_UNREADABLE` and `STATE_INCONSISTENT` (invalid), naming what is damaged. */
  static async open(options: AddressingOptions, signal: AbortSignal): Promise<AddressingService> {
    signal.throwIfAborted();
    const service = new AddressingService(options);
    options.follower.add(service.#cache);
    service.#cache.requireLoaded();
    return service;
  }

  /** Ends what goes on by itself. Changes that wait are not answered any more once the follower stops. */
  stop(): void {
    this.#keeper.stop();
  }

  /** Store revision that reads are answered from. */
  revision(): number {
    return this.#cache.revision;
  }

  /** Milliseconds since the store last answered anything. */
  staleMs(): number {
    return this.#follower.silentMs();
  }

  counters(): AddressingCounters {
    return this.#line.counters;
  }

  /** The document as posted, with ranges and hosts filled in; it can be posted back. */
  topology(): TopologyDocument {
    const { topology, state } = this.#cache.current;
    return renderTopology(topology, (network, leafCidr) => viewHostsOf(state, network, leafCidr));
  }

  /** The document as it was read, in its canonical form: without ranges, and without hosts that were learned. */
  topologyDocument(): TopologyDocument {
    return this.#cache.current.topology.document;
  }

  /** The revision counts topology updates and changes of hosts; the warnings are those of the last update. */
  topologyStatus(): { readonly revision: number; readonly warnings: readonly Problem[] } {
    return { revision: this.#cache.current.topologyRevision, warnings: this.#cache.current.warnings };
  }

  /** Replaces the topology, whole or not at all. Throws `TOPOLOGY_INVALID` (invalid) and `TOPOLOGY_IN_USE` (conflict). */
  async updateTopology(document: unknown, signal: AbortSignal): Promise<void> {
    const topology = readTopology(document, { reserved: this.#reserved });
    await this.#change(
      (state) => ({ changes: planTopology(state, topology).changes, result: undefined, topology }),
      signal,
    );
    for (const { place, message } of topology.warnings) {
      this.#log.warn({ place, warning: message }, "the topology document has a warning");
    }
  }

  /** Everything about networks, hosts, blocks and addresses, as one value. */
  exportState(): ExportedState {
    const { state, topology, topologyRevision } = this.#cache.current;
    return exportState(state, topology, topologyRevision);
  }

  /**
   * Puts a whole state in place of the present one, all or nothing. Throws `STATE_IN_USE` (conflict) while addresses are in use, `TOPOLOGY_INVALID` and `STATE_INCONSISTENT` (invalid) for a state
   * whose parts do not fit together.
   */
  async replaceState(
    imported: ImportedState,
    others: readonly StoreOperation[],
    signal: AbortSignal,
  ): Promise<void> {
    await this.#change((state) => {
      const plan = planImport(state, imported, this.#reserved);
      const counters = {
        imported: imported.topologyRevision,
        present: this.#cache.current.topologyRevision,
      };
      return {
        changes: [{ kind: "replace", records: plan.records }],
        topology: plan.topology,
        operations: [...importOperations(this.#keys, plan, counters), ...others],
        result: undefined,
      };
    }, signal);
  }

  /** Ranges that no network of a later update may overlap: CIDRs of the VPC, the service range. Stored networks are not checked. */
  setReserved(list: readonly { readonly cidr: Cidr; readonly what: string }[]): void {
    this.#reserved = list;
  }

  /**
   * The subnets that hosts may come from, with and without hosts: for each that has no host yet a leaf is kept (`bindableLeaves`). Empty off AWS. Not stored;
   * it moves nobody, and counts from the next placement on.
   */
  setSubnets(list: readonly KnownSubnet[]): void {
    this.#cache.subnets = list.map(({ id, zone }) => ({ id, zone }));
  }

  /** All hosts in the order of their registration, with the topology's revision. */
  hosts(): { readonly revision: number; readonly hosts: readonly HostView[] } {
    return { revision: this.#cache.current.topologyRevision, hosts: viewHosts(this.#cache.current.state) };
  }

  hostCounts(): HostCounts {
    return countHosts(this.#cache.current.state);
  }

  /** Throws `HOST_EXISTS` (conflict) and `HOST_INVALID`. A host that no group takes is kept, unplaced. */
  async addHost(host: NewHost, signal: AbortSignal): Promise<void> {
    requireStorable("a host", "HOST_INVALID", host.name);
    await this.#change((state) => ({ changes: planHost(state, host), result: undefined }), signal);
  }

  /** Registers hosts that somebody learned of, in one transaction; says what became of each. Repeating it changes nothing. */
  async addHosts(hosts: readonly NewHost[], signal: AbortSignal): Promise<readonly HostOutcome[]> {
    return this.#change((state) => {
      const { outcomes, changes } = planHosts(state, hosts);
      return { changes, result: outcomes };
    }, signal);
  }

  /** Removes a host with all its names, addresses and blocks; with `node`, only that of the Node with this UID. Throws `HOST_NOT_FOUND` and `HOST_REPLACED` (conflict). */
  async removeHost(
    name: string,
    signal: AbortSignal,
    { node }: { readonly node?: string | undefined } = {},
  ): Promise<void> {
    await this.#change(
      (state) => ({ changes: planHostRemoval(state, name, node), result: undefined }),
      signal,
    );
  }

  /** Sets all labels of a host. Throws `HOST_NOT_FOUND`. */
  async setLabels(
    name: string,
    labels: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#change((state) => ({ changes: planLabels(state, name, labels), result: undefined }), signal);
  }

  /** In the order of the document; the revision counts allocations and releases in the network. */
  networks(): readonly {
    readonly id: string;
    readonly name: string;
    readonly cidr: Cidr;
    readonly revision: number;
  }[] {
    return this.#cache.current.state.networks.map(({ network: { name, cidr }, revision }) => ({
      id: name,
      name,
      cidr,
      revision,
    }));
  }

  /** The blocks of one network or of all; the revision counts their allocations and releases. `undefined` for an unknown network. */
  blocks(network?: string): { readonly revision: number; readonly blocks: readonly BlockView[] } | undefined {
    const { state } = this.#cache.current;
    if (network === undefined) {
      return { revision: state.revision, blocks: viewBlocks(state.networks) };
    }
    const found = state.networksByName.get(network);
    return found === undefined ? undefined : { revision: found.revision, blocks: viewBlocks([found]) };
  }

  /** Gives an address to a name. Errors: see `planAllocation`; `ADDRESS_EXISTS` carries address, host, tenant, segment and name. */
  async allocate(request: AllocationRequest, signal: AbortSignal): Promise<Ipv4> {
    requireStorable("an address", "ADDRESS_NAME_INVALID", request.name);
    return new Promise((resolve, reject) => {
      this.#line.push({ kind: "allocate", request, signal, resolve, reject, attempts: 0, spread: false });
    });
  }

  /**
   * Releases the address of a name or, if no name matches, an IP. What `only` says of it is part of the decision, and of what its commit compares. With the guard of a leader's term it has a
   * transaction of its own, which fails once another leads. Throws `ADDRESS_NOT_FOUND`, `ADDRESS_ELSEWHERE`, `ADDRESS_REUSED`, and `LEADERSHIP_LOST` (transient).
   */
  async release(
    nameOrIp: string,
    signal: AbortSignal,
    { guard, ...only }: ReleaseTerms & { readonly guard?: KeyCompare | undefined } = {},
  ): Promise<void> {
    if (guard !== undefined) {
      return this.#change(
        (state) => ({ changes: planRelease(state, nameOrIp, only).changes, result: undefined, guard }),
        signal,
      );
    }
    await new Promise<void>((resolve, reject) => {
      this.#line.push({ kind: "release", nameOrIp, only, signal, resolve, reject, attempts: 0 });
    });
  }

  /** Every address in use. */
  addresses(): readonly AddressView[] {
    return viewAddresses(this.#cache.current.state);
  }

  host(name: string): HostView | undefined {
    return viewHostNamed(this.#cache.current.state, name);
  }

  /** The host that has this address. */
  hostAt(ip: Ipv4): HostView | undefined {
    return viewHostAt(this.#cache.current.state, ip);
  }

  /** By its CIDR. */
  block(cidr: string): BlockView | undefined {
    return viewBlockAt(this.#cache.current.state, cidr);
  }

  /** Every address in use, one after the other, each as it is when it is its turn: for whoever looks at all of them and lets others work in between. */
  *eachAddress(): Generator<AddressView, void, undefined> {
    for (const allocation of this.#cache.current.state.names.values()) {
      yield viewAllocation(allocation);
    }
  }

  /** By its value, unsigned. */
  addressAt(value: number): AddressView | undefined {
    return viewAddressAt(this.#cache.current.state, value);
  }

  /** By name. */
  address(name: string): AddressView | undefined {
    return viewAddress(this.#cache.current.state, name);
  }

  /** By address. Throws `NETWORK_NOT_FOUND`. */
  blackouts(network: string): readonly Cidr[] {
    return networkNamed(this.#cache.current.state, network).blackouts.map(({ cidr }) => cidr);
  }

  /** Errors: see `planBlackout`. */
  async addBlackout(network: string, cidr: Cidr, signal: AbortSignal): Promise<void> {
    await this.#change(
      (state) => ({ changes: planBlackout(state, network, cidr), result: undefined }),
      signal,
    );
  }

  /** Throws `NETWORK_NOT_FOUND` and `BLACKOUT_NOT_FOUND`. */
  async removeBlackout(network: string, cidr: Cidr, signal: AbortSignal): Promise<void> {
    await this.#change(
      (state) => ({ changes: planBlackoutRemoval(state, network, cidr), result: undefined }),
      signal,
    );
  }

  /** What routes depend on: a view of the current state, for use at once and not across an `await`. */
  layout(): readonly NetworkLayout[] {
    return viewLayout(this.#cache.current.state);
  }

  /** Calls the listener after each change was applied; it must not throw. Returns what ends that. */
  onChange(listener: (what: AddressingChange) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** Calls the listener with each revision that changed something here, own or another replica's; it must not throw. Returns what ends that. */
  onBatch(listener: (batch: AddressingBatch) => void): () => void {
    this.#batchListeners.add(listener);
    return () => {
      this.#batchListeners.delete(listener);
    };
  }

  #change<T>(decide: (state: IpamState) => Decision<T>, signal: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      const run = (): Promise<void> =>
        this.#decisions.run(({ state }) => decide(state), signal).then(resolve, reject);
      this.#line.push({ kind: "decision", run, reject, signal, attempts: 0 });
    });
  }

  /** A release that moves its host. */
  #releaseAlone({ nameOrIp, only, signal, resolve, reject }: WaitingRelease): Promise<void> {
    return this.#decisions
      .run(
        ({ state }) => ({ changes: planRelease(state, nameOrIp, only).changes, result: undefined }),
        signal,
      )
      .then(resolve, reject);
  }

  #emit(batch: AddressingBatch, applied: Applied | undefined): void {
    if (batch.reset) {
      this.#notify("topology");
    }
    if (batch.reset || batch.hosts.length > 0) {
      this.#notify("hosts");
    }
    if (batch.reset || batch.blocks.length > 0) {
      this.#notify("blocks");
    }
    if (
      batch.reset ||
      applied?.others === true ||
      [batch.hosts, batch.blocks, batch.addresses].some((names) => names.length > 0)
    ) {
      for (const listener of this.#batchListeners) {
        listener(batch);
      }
    }
  }

  #notify(what: AddressingChange): void {
    for (const listener of this.#listeners) {
      listener(what);
    }
  }
}

/** Names for transactions, different in every process and for every transaction of it. */
function idsFrom(random: () => number): () => string {
  const own = [random(), random()].map((part) => Math.floor(part * 2 ** 40).toString(36)).join("");
  let last = 0;
  return () => {
    last += 1;
    return `${own}-${last.toString(36)}`;
  };
}

/** Names become keys of the store, which holds well-formed text only. */
function requireStorable(what: string, code: string, name: string): void {
  if (/\p{Surrogate}/u.test(name)) {
    throw new NetworkError("invalid", code, `the name of ${what} must be well-formed text`, { name });
  }
}
