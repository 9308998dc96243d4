import { MemoryStore } from "../../src/adapters/memory/memory-store.ts";
import { SeededRandom } from "../../src/adapters/simulation/seeded-random.ts";
import { VirtualClock } from "../../src/adapters/simulation/virtual-clock.ts";
import { NetworkError } from "../../src/core/errors.ts";
import type { LeaseLock, LeaseState } from "../../src/ports/cluster.ts";
import type { Election, Leadership } from "../../src/ports/election.ts";
import type { Logger } from "../../src/ports/logger.ts";
import type { Store } from "../../src/ports/store.ts";
import { LeaseElection } from "../../src/services/lease-election.ts";
import { StoreElection } from "../../src/services/store-election.ts";
import { StoreFollower, type StoreCache } from "../../src/services/store-follower.ts";
import { MemoryLease } from "./memory-lease.ts";
import { silentLog } from "./silent-log.ts";

const never = new AbortController().signal;
export const TTL_MS = 5000;

/** The way from a replica to a server, and what happens on it. */
export class Line {
  /** Calls wait until they are given up. */
  cut = false;
  /** Calls are refused with it. */
  refuse: NetworkError | undefined;
  /** So many changes more are made, and their answers lost. */
  loseAnswers = 0;
  /** Changes are made at once, and answered so much later. */
  answersAfter: ((signal: AbortSignal) => Promise<void>) | undefined;
  /** Changes fail, reads do not. */
  failChanges = false;

  async through<T>(signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    if (this.cut) {
      return new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
      });
    }
    if (this.refuse !== undefined) {
      throw this.refuse;
    }
    return call();
  }

  async change<T>(signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    if (this.failChanges) {
      throw new NetworkError("transient", "STORE_UNAVAILABLE", "the connection was refused");
    }
    const answer = await this.through(signal, call);
    await this.answersAfter?.(signal);
    if (this.loseAnswers > 0) {
      this.loseAnswers -= 1;
      throw new NetworkError("transient", "STORE_UNAVAILABLE", "the connection broke before the answer");
    }
    return answer;
  }
}

/** A store that can be cut off from one replica. */
class CutStore implements Store {
  readonly limits;
  readonly isShared = true;
  readonly #line: Line;
  readonly #store: Store;

  constructor(store: Store, line: Line) {
    this.#store = store;
    this.#line = line;
    this.limits = store.limits;
  }

  get: Store["get"] = (key, signal) => this.#line.through(signal, () => this.#store.get(key, signal));
  list: Store["list"] = (prefix, signal) =>
    this.#line.through(signal, () => this.#store.list(prefix, signal));
  commit: Store["commit"] = (transaction, signal) =>
    this.#line.change(signal, () => this.#store.commit(transaction, signal));
  grantLease: Store["grantLease"] = (ttlMs, signal) =>
    this.#line.through(signal, () => this.#store.grantLease(ttlMs, signal));
  keepAlive: Store["keepAlive"] = (lease, signal) =>
    this.#line.through(signal, () => this.#store.keepAlive(lease, signal));
  revokeLease: Store["revokeLease"] = (lease, signal) =>
    this.#line.through(signal, () => this.#store.revokeLease(lease, signal));
  close: Store["close"] = () => Promise.resolve();

  async *watch(prefix: string, after: number, signal: AbortSignal): ReturnType<Store["watch"]> {
    for await (const batch of this.#store.watch(prefix, after, signal)) {
      await this.#line.through(signal, () => Promise.resolve());
      yield batch;
    }
  }
}

/** A Lease that can be cut off from one replica. */
class CutLease implements LeaseLock {
  readonly #lease: LeaseLock;
  readonly #line: Line;

  constructor(lease: LeaseLock, line: Line) {
    this.#lease = lease;
    this.#line = line;
  }

  read = (signal: AbortSignal): Promise<LeaseState | undefined> =>
    this.#line.through(signal, () => this.#lease.read(signal));
  create = (state: Omit<LeaseState, "resourceVersion">, signal: AbortSignal): Promise<LeaseState> =>
    this.#line.change(signal, () => this.#lease.create(state, signal));
  update = (state: LeaseState, signal: AbortSignal): Promise<LeaseState> =>
    this.#line.change(signal, () => this.#lease.update(state, signal));
}

export interface LabReplica {
  readonly id: string;
  readonly election: Election;
  readonly terms: Leadership[];
  readonly stop: AbortController;
  /** Its way to the store, and to the API server. */
  readonly toStore: Line;
  readonly toCluster: Line;
  /** Stands until elected, once. */
  stands(): void;
}

/** Several replicas that share a store, and where it is asked for a Lease. Time is virtual. */
export class ElectionLab {
  readonly clock: VirtualClock;
  readonly store: Store;
  readonly lease = new MemoryLease();
  readonly replicas: LabReplica[] = [];
  readonly #kind: "store" | "lease";
  readonly #random = new SeededRandom(11);

  constructor(kind: "store" | "lease", clock = new VirtualClock()) {
    this.#kind = kind;
    this.clock = clock;
    this.store = new MemoryStore({ clock });
  }

  static async of(kind: "store" | "lease", count: number): Promise<ElectionLab> {
    const lab = new ElectionLab(kind);
    for (let index = 0; index < count; index += 1) {
      await lab.add(`replica-${index}`);
    }
    return lab;
  }

  /** A process of that name, which is started now. */
  async add(
    id: string,
    {
      kind = this.#kind,
      uptimeMs,
      log = silentLog,
    }: {
      readonly kind?: "store" | "lease";
      readonly uptimeMs?: () => number;
      readonly log?: Logger | undefined;
    } = {},
  ): Promise<LabReplica> {
    const { clock, store: shared } = this;
    const toStore = new Line();
    const toCluster = new Line();
    const store = new CutStore(shared, toStore);
    const options = {
      store,
      clock,
      log,
      prefix: "/romana",
      id,
      url: `https://${id}:9600`,
      ttlMs: TTL_MS,
      random: () => this.#random.next(),
      ...(uptimeMs === undefined ? {} : { uptimeMs }),
    };
    const election: Election & StoreCache =
      kind === "store"
        ? new StoreElection(options)
        : new LeaseElection({ ...options, lock: new CutLease(this.lease, toCluster) });
    const follower = await StoreFollower.open({ store, clock, log: silentLog, prefix: "/romana" }, never);
    follower.add(election);
    follower.start();
    const stop = new AbortController();
    const terms: Leadership[] = [];
    const replica = {
      id,
      election,
      terms,
      stop,
      toStore,
      toCluster,
      stands: () => {
        election.campaign(stop.signal).then(
          (term) => terms.push(term),
          () => undefined,
        );
      },
    };
    this.replicas.push(replica);
    return replica;
  }

  standAll(): void {
    this.replicas.forEach((replica) => replica.stands());
  }

  /** Terms that may still act. */
  leading(): readonly Leadership[] {
    return this.replicas.flatMap(({ terms }) => terms).filter((term) => term.remainingMs() > 0);
  }

  /** The replica that leads; throws when there is none. */
  leader(): LabReplica {
    const found = this.replicas.find(({ terms }) => terms.some((term) => term.remainingMs() > 0));
    if (found === undefined) {
      throw new Error("nobody leads");
    }
    return found;
  }

  /** A transaction as only a leader may make it; whether it went through. */
  async write(term: Leadership): Promise<boolean> {
    const { ok } = await this.store.commit(
      { compare: [term.guard], operations: [{ kind: "put", key: "/romana/journal/x", value: "1" }] },
      never,
    );
    return ok;
  }
}

/** Cuts a replica off from everything. */
export function cutOff({ toStore, toCluster }: LabReplica): void {
  toStore.cut = true;
  toCluster.cut = true;
}
