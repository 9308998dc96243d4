import { NetworkError } from "../core/errors.ts";
import { planAllocation } from "../core/ipam/allocate.ts";
import { networkNamed, planBlackout, planBlackoutRemoval } from "../core/ipam/blackouts.ts";
import type { Change } from "../core/ipam/change.ts";
import { commit } from "../core/ipam/commit.ts";
import {
  planHost,
  planHostRemoval,
  planHosts,
  planLabels,
  type HostOutcome,
  type NewHost,
} from "../core/ipam/hosts.ts";
import type { AllocationRequest } from "../core/ipam/records.ts";
import { findHolder, planRelease } from "../core/ipam/release.ts";
import type { KnownSubnet } from "../core/ipam/state.ts";
import { planTopology } from "../core/ipam/update-topology.ts";
import {
  viewAddresses,
  viewBlocks,
  viewHosts,
  viewHostsOf,
  viewLayout,
  type AddressView,
  type BlockView,
  type HostView,
  type NetworkLayout,
} from "../core/ipam/view.ts";
import type { Cidr } from "../core/net/cidr.ts";
import { formatIpv4, type Ipv4 } from "../core/net/ipv4.ts";
import {
  readTopology,
  type Problem,
  type Topology,
  type TopologyDocument,
} from "../core/topology/read-topology.ts";
import { renderTopology } from "../core/topology/render-topology.ts";
import type { Clock } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";
import type { Store, StoreEntry, Transaction } from "../ports/store.ts";
import { transactionOf } from "./addressing-transaction.ts";
import { addressingKeys, type AddressingKeys } from "./keys.ts";
import { loadAddressing, type Addressing } from "./load-addressing.ts";
import { writeTopology } from "./stored-records.ts";
import { WorkQueue } from "./work-queue.ts";

/** Changes that may wait for their turn. */
const MAX_WAITING = 10_000;

/** How often a change is planned again after somebody else was faster. */
const MAX_ATTEMPTS = 5;

export interface AddressingOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  /** `/romana` */
  readonly prefix: string;
}

/** What changed: networks and groups, hosts and their groups, or addresses and blocks. */
export type AddressingChange = "topology" | "hosts" | "blocks";

/** What a change of the state comes to. */
interface Decision<T> {
  readonly changes: readonly Change[];
  readonly result: T;
  /** With a `replace`: the topology to come. */
  readonly topology?: Topology;
}

/**
 * Networks, hosts, blocks and addresses: reads are answered from an indexed state, changes are planned on it, written to the store and applied after the store took them, one at a
 * time (`docs/addressing.md`). Errors of the decisions stand with the `plan…` functions of `core/ipam`; every change may also fail with:
 *
 *     ADDRESSING_BUSY       transient  10,000 changes wait
 *     ADDRESSING_CONTENDED  transient  somebody else was faster five times
 *     STORE_UNAVAILABLE     transient  the store did not answer, and the change is not in it
 *     STORE_FULL            exhausted
 */
export class AddressingService {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #keys: AddressingKeys;
  readonly #queue = new WorkQueue(MAX_WAITING);
  readonly #listeners = new Set<(what: AddressingChange) => void>();
  /** Never aborted: once a transaction is sent, its outcome is awaited whoever asked for it. */
  readonly #toTheEnd = new AbortController().signal;
  #current: Addressing;
  /** The state may lack what the store has: read all before the next decision. */
  #isStale = false;
  #subnets: readonly KnownSubnet[] = [];
  #reserved: readonly { readonly cidr: Cidr; readonly what: string }[] = [];

  private constructor({ store, clock, log, prefix }: AddressingOptions, current: Addressing) {
    this.#store = store;
    this.#clock = clock;
    this.#log = log.child({ component: "addressing" });
    this.#keys = addressingKeys(prefix);
    this.#current = current;
  }

  /** Reads everything from the store. Throws `STATE_UNREADABLE` and `STATE_INCONSISTENT` (invalid), naming what is damaged. */
  static async open(options: AddressingOptions, signal: AbortSignal): Promise<AddressingService> {
    const { addressing } = await loadAddressing(options.store, addressingKeys(options.prefix), signal);
    return new AddressingService(options, addressing);
  }

  /** The document as posted, with ranges and hosts filled in; it can be posted back. */
  topology(): TopologyDocument {
    const { topology, state } = this.#current;
    return renderTopology(topology, (network, leafCidr) => viewHostsOf(state, network, leafCidr));
  }

  /** The revision counts topology updates and changes of hosts; the warnings are those of the last update. */
  topologyStatus(): { readonly revision: number; readonly warnings: readonly Problem[] } {
    return { revision: this.#current.topologyRevision, warnings: this.#current.warnings };
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

  /** Ranges that no network of a later update may overlap: CIDRs of the VPC, the service range. Stored networks are not checked. */
  setReserved(list: readonly { readonly cidr: Cidr; readonly what: string }[]): void {
    this.#reserved = list;
  }

  /**
   * The subnets that hosts may come from, with and without hosts: for each that has no host yet a leaf is kept (`bindableLeaves`). Empty off AWS. Not stored;
   * it moves nobody, and counts from the next placement on.
   */
  setSubnets(list: readonly KnownSubnet[]): void {
    this.#subnets = list.map(({ id, zone }) => ({ id, zone }));
    this.#current.state.subnets = this.#subnets;
  }

  /** All hosts in the order of their registration, with the topology's revision. */
  hosts(): { readonly revision: number; readonly hosts: readonly HostView[] } {
    return { revision: this.#current.topologyRevision, hosts: viewHosts(this.#current.state) };
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

  /** Removes a host with all its names, addresses and blocks. Throws `HOST_NOT_FOUND`. */
  async removeHost(name: string, signal: AbortSignal): Promise<void> {
    await this.#change((state) => ({ changes: planHostRemoval(state, name), result: undefined }), signal);
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
    return this.#current.state.networks.map(({ network: { name, cidr }, revision }) => ({
      id: name,
      name,
      cidr,
      revision,
    }));
  }

  /** The blocks of one network or of all; the revision counts their allocations and releases. `undefined` for an unknown network. */
  blocks(network?: string): { readonly revision: number; readonly blocks: readonly BlockView[] } | undefined {
    const { state } = this.#current;
    if (network === undefined) {
      return { revision: state.revision, blocks: viewBlocks(state.networks) };
    }
    const found = state.networksByName.get(network);
    return found === undefined ? undefined : { revision: found.revision, blocks: viewBlocks([found]) };
  }

  /** Gives an address to a name. Errors: see `planAllocation`; `ADDRESS_EXISTS` carries address, host, tenant, segment and name. */
  async allocate(request: AllocationRequest, signal: AbortSignal): Promise<Ipv4> {
    requireStorable("an address", "ADDRESS_NAME_INVALID", request.name);
    return this.#change((state) => {
      const { address, changes } = planAllocation(state, request);
      return { changes, result: formatIpv4(address) };
    }, signal);
  }

  /** Releases the address of a name or, if no name matches, an IP. Throws `ADDRESS_NOT_FOUND`. */
  async release(nameOrIp: string, signal: AbortSignal): Promise<void> {
    await this.#change(
      (state) => ({ changes: planRelease(state, nameOrIp).changes, result: undefined }),
      signal,
    );
  }

  /** The host that holds the address of a name or, if no name matches, an IP: what `release` would release. */
  holderOf(nameOrIp: string): string | undefined {
    return findHolder(this.#current.state, nameOrIp);
  }

  /** Every address in use. */
  addresses(): readonly AddressView[] {
    return viewAddresses(this.#current.state);
  }

  /** By address. Throws `NETWORK_NOT_FOUND`. */
  blackouts(network: string): readonly Cidr[] {
    return networkNamed(this.#current.state, network).blackouts.map(({ cidr }) => cidr);
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
    return viewLayout(this.#current.state);
  }

  /** Calls the listener after each change was applied; it must not throw. Returns what ends that. */
  onChange(listener: (what: AddressingChange) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  #change<T>(decide: (state: Addressing["state"]) => Decision<T>, signal: AbortSignal): Promise<T> {
    return this.#queue.run(async () => {
      for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
        if (this.#isStale) {
          await this.#reload(signal);
        }
        const decision = decide(this.#current.state);
        if (decision.changes.length === 0 || (await this.#apply(decision))) {
          return decision.result;
        }
        this.#log.warn({ attempt }, "somebody else changed addresses or hosts first; read and planned again");
      }
      throw new NetworkError(
        "transient",
        "ADDRESSING_CONTENDED",
        `others changed the same addresses or hosts first, ${MAX_ATTEMPTS} times; try again in a moment`,
      );
    }, signal);
  }

  /** Stores and applies a decision. False when it was made from a state that is no longer the store's: nothing was changed then. */
  async #apply(decision: Decision<unknown>): Promise<boolean> {
    const { changes, topology } = decision;
    const startMs = this.#clock.monotonic();
    const transaction = transactionOf(
      { ...this.#current, keys: this.#keys, topology: this.#stored(decision) },
      changes,
    );
    let revision: number;
    try {
      const result = await this.#store.commit(transaction, this.#toTheEnd);
      if (!result.ok) {
        this.#isStale = true;
        return false;
      }
      ({ revision } = result);
    } catch (error) {
      return this.#settle(transaction, error);
    }
    this.#take(transaction, revision, changes, topology);
    if (topology !== undefined) {
      this.#log.info(
        { revision, durationMs: this.#clock.monotonic() - startMs },
        "the topology was replaced",
      );
    }
    this.#emit(changes);
    return true;
  }

  /** Applies to the state what the store took. Should that fail, the next change reads all again. */
  #take(
    transaction: Transaction,
    revision: number,
    changes: readonly Change[],
    topology: Topology | undefined,
  ): void {
    const { revisions, state, topologyRevision } = this.#current;
    this.#isStale = true;
    commit(state, changes);
    for (const operation of transaction.operations) {
      if (operation.kind === "put") {
        revisions.set(operation.key, revision);
      } else {
        revisions.delete(operation.key);
      }
    }
    const counted = transaction.operations.some(({ key }) => key === this.#keys.topologyRevision);
    this.#current = {
      ...this.#current,
      topologyRevision: topologyRevision + (counted ? 1 : 0),
      ...(topology === undefined ? {} : { topology, warnings: topology.warnings }),
    };
    this.#isStale = false;
  }

  /**
   * After a commit that failed: its outcome is unknown if the store was unavailable. Reads everything, and succeeds if the store has what was to be written; else throws
   * the failure, also when nothing can be read (the next change tries that again).
   */
  async #settle(transaction: Transaction, failure: unknown): Promise<boolean> {
    if (failure instanceof NetworkError && failure.kind !== "transient") {
      throw failure;
    }
    this.#isStale = true;
    this.#log.warn(
      { err: failure },
      "the store did not answer; what it has is read before anything else is decided",
    );
    let entries: ReadonlyMap<string, StoreEntry>;
    try {
      entries = await this.#reload(this.#toTheEnd);
    } catch (error) {
      throw new NetworkError(
        "transient",
        "STORE_UNAVAILABLE",
        "the store did not answer, and whether it took the change cannot be read either; try again in a moment",
        {},
        new AggregateError([failure, error]),
      );
    }
    const taken = transaction.operations.every(
      (operation) =>
        entries.get(operation.key)?.value === (operation.kind === "put" ? operation.value : undefined),
    );
    if (taken) {
      return true;
    }
    throw failure;
  }

  async #reload(signal: AbortSignal): Promise<ReadonlyMap<string, StoreEntry>> {
    const { addressing, entries } = await loadAddressing(this.#store, this.#keys, signal);
    this.#current = addressing;
    addressing.state.subnets = this.#subnets;
    this.#isStale = false;
    for (const what of ["topology", "hosts", "blocks"] as const) {
      this.#notify(what);
    }
    return entries;
  }

  #stored({ topology, changes }: Decision<unknown>): string | undefined {
    const [change] = changes;
    return topology === undefined || change?.kind !== "replace"
      ? undefined
      : writeTopology({
          document: topology.document,
          warnings: topology.warnings,
          revisionBase: change.records.revisionBase,
        });
  }

  #emit(changes: readonly Change[]): void {
    const kinds = new Set(changes.map(({ kind }) => kind));
    const replaced = kinds.has("replace");
    if (replaced) {
      this.#notify("topology");
    }
    if (replaced || kinds.has("put-host") || kinds.has("delete-host")) {
      this.#notify("hosts");
    }
    if (replaced || kinds.has("allocate") || kinds.has("release")) {
      this.#notify("blocks");
    }
  }

  #notify(what: AddressingChange): void {
    for (const listener of this.#listeners) {
      listener(what);
    }
  }
}

/** Names become keys of the store, which holds well-formed text only. */
function requireStorable(what: string, code: string, name: string): void {
  if (/\p{Surrogate}/u.test(name)) {
    throw new NetworkError("invalid", code, `the name of ${what} must be well-formed text`, { name });
  }
}
