import { MemoryStore } from "../../src/adapters/memory/memory-store.ts";
import { parseIpv4 } from "../../src/core/net/ipv4.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { Logger } from "../../src/ports/logger.ts";
import type { CommitResult, Store, StoreBatch, Transaction } from "../../src/ports/store.ts";
import { AddressingService } from "../../src/services/addressing-service.ts";
import { StoreFollower } from "../../src/services/store-follower.ts";
import { FakeClock } from "../support/fake-clock.ts";

export const signal = new AbortController().signal;

/** A line that was logged. */
export interface LogLine {
  readonly level: string;
  readonly message: string;
}

/** A logger that keeps its lines. */
export function createLog(lines: LogLine[] = []): Logger {
  const at = (level: string) => (_: object, message: string) => {
    lines.push({ level, message });
  };
  const log: Logger = {
    child: () => log,
    error: at("error"),
    warn: at("warn"),
    info: at("info"),
    debug: at("debug"),
  };
  return log;
}

/** A memory store whose next commits can be made to fail, before or after they took effect, or to find that somebody was faster. */
export class FaultyStore extends MemoryStore {
  readonly #faults: ((run: () => Promise<CommitResult>) => Promise<CommitResult>)[] = [];
  /** Each transaction that was asked for. */
  readonly transactions: Transaction[] = [];
  listFailure: Error | undefined;
  getFailure: Error | undefined;

  constructor(clock: Clock) {
    super({ clock });
  }

  /** The next commit runs through `fault`. */
  failNext(fault: (run: () => Promise<CommitResult>) => Promise<CommitResult>): void {
    this.#faults.push(fault);
  }

  override async get(key: string, abort: AbortSignal): ReturnType<Store["get"]> {
    if (this.getFailure !== undefined) {
      throw this.getFailure;
    }
    return super.get(key, abort);
  }

  override async list(prefix: string, abort: AbortSignal): ReturnType<Store["list"]> {
    if (this.listFailure !== undefined) {
      throw this.listFailure;
    }
    return super.list(prefix, abort);
  }

  override async commit(transaction: Transaction, abort: AbortSignal): Promise<CommitResult> {
    this.transactions.push(transaction);
    const fault = this.#faults.shift();
    const run = async (): Promise<CommitResult> => super.commit(transaction, abort);
    return fault === undefined ? run() : fault(run);
  }
}

/** A service on the store, under `/romana`. */
export async function openService(store: Store, lines?: LogLine[]): Promise<AddressingService> {
  const common = { store, clock: new FakeClock(), log: createLog(lines), prefix: "/romana" };
  const follower = await StoreFollower.open(common, signal);
  const service = await AddressingService.open({ ...common, follower }, signal);
  follower.start();
  return service;
}

export function createStore(): FaultyStore {
  return new FaultyStore(new FakeClock());
}

/** One network 10.0.0.0/16 with two groups for the zones a and b. */
export const twoZones = {
  networks: [{ name: "pods", cidr: "10.0.0.0/16", block_mask: 29 }],
  topologies: [
    {
      networks: ["pods"],
      map: [
        { name: "a", assignment: { zone: "a" } },
        { name: "b", assignment: { zone: "b" } },
      ],
    },
  ],
};

/** A host `name` at 172.16.0.`last` in a zone. */
export function hostIn(zone: string, name: string, last: number) {
  return { name, ip: parseIpv4(`172.16.0.${last}`), tags: { zone }, origin: "api" } as const;
}

/** Everything that the service says. */
export function answersOf(service: AddressingService): unknown {
  return {
    topology: service.topology(),
    status: service.topologyStatus(),
    hosts: service.hosts(),
    networks: service.networks(),
    blocks: service.blocks(),
    addresses: service.addresses().toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    blackouts: service.networks().map(({ name }) => service.blackouts(name)),
    layout: service.layout().map(({ network, root, hostsOf, blocksOf }) => ({
      network,
      root,
      hosts: root.children.map(({ cidr }) => hostsOf(cidr)),
      blocks: service.hosts().hosts.map(({ name }) => blocksOf(name)),
    })),
  };
}

/** A connection to a store that others use too. Once held, what they write is seen only when this connection writes itself, as by a watch that is behind. */
export class LaggingStore implements Store {
  readonly isShared = true;
  readonly limits: Store["limits"];
  readonly #store: MemoryStore;
  #gate: PromiseWithResolvers<void> | undefined = Promise.withResolvers<void>();

  constructor(store: MemoryStore, limits: Store["limits"] = store.limits) {
    this.#store = store;
    this.limits = limits;
  }

  hold(): void {
    this.#gate ??= Promise.withResolvers<void>();
  }

  get(key: string, abort: AbortSignal): ReturnType<Store["get"]> {
    return this.#store.get(key, abort);
  }

  list(prefix: string, abort: AbortSignal): ReturnType<Store["list"]> {
    return this.#store.list(prefix, abort);
  }

  async commit(transaction: Transaction, abort: AbortSignal): Promise<CommitResult> {
    const result = await this.#store.commit(transaction, abort);
    this.#gate?.resolve();
    this.#gate = undefined;
    return result;
  }

  async *watch(prefix: string, afterRevision: number, abort: AbortSignal): AsyncIterable<StoreBatch> {
    for await (const batch of this.#store.watch(prefix, afterRevision, abort)) {
      await this.#gate?.promise;
      yield batch;
    }
  }

  grantLease(ttlMs: number, abort: AbortSignal): Promise<string> {
    return this.#store.grantLease(ttlMs, abort);
  }

  keepAlive(lease: string, abort: AbortSignal): Promise<void> {
    return this.#store.keepAlive(lease, abort);
  }

  revokeLease(lease: string, abort: AbortSignal): Promise<void> {
    return this.#store.revokeLease(lease, abort);
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}
