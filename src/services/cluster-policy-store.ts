import { NetworkError } from "../core/errors.ts";
import type { PolicyModel } from "../core/policy/model.ts";
import { readModel } from "../core/policy/read-model.ts";
import type { Logger } from "../ports/logger.ts";
import type { Compare, KeyCompare, Store, StoreOperation } from "../ports/store.ts";
import type { ObjectBatch } from "./object-batch.ts";
import { ObjectCache } from "./object-cache.ts";
import type { StoreFollower } from "./store-follower.ts";

export interface ClusterPolicyStoreOptions {
  readonly store: Store;
  readonly follower: Pick<StoreFollower, "add" | "commit">;
  readonly log: Logger;
  /** `/romana` */
  readonly prefix: string;
}

/** What is to be changed. No id is in both. */
export interface PolicyChange {
  readonly put: readonly PolicyModel[];
  /** Ids. One that is not stored is none. */
  readonly remove: readonly string[];
}

/** Room in a transaction for what the store adds to its operations. */
const USABLE = 0.8;

/**
 * The models of what the cluster itself says of policies (NetworkPolicies, isolated namespaces): one key each, `<prefix>/cluster-policies/<id>`, its id percent-encoded. The leader
 * writes them, every replica shows them, also while the API server is away. They are no part of an exported state: the cluster brings them.
 */
export class ClusterPolicyStore {
  readonly #store: Store;
  readonly #follower: ClusterPolicyStoreOptions["follower"];
  readonly #prefix: string;
  readonly #cache: ObjectCache<PolicyModel>;

  /** Adds itself to the follower, so before that starts. */
  constructor({ store, follower, log, prefix: root }: ClusterPolicyStoreOptions) {
    this.#store = store;
    this.#follower = follower;
    this.#prefix = `${root}/cluster-policies/`;
    this.#cache = new ObjectCache({
      prefix: this.#prefix,
      read: readStored,
      log: log.child({ component: "cluster-policies" }),
    });
    follower.add(this.#cache);
  }

  /** Revision of the store that the answers stand at. */
  revision(): number {
    return this.#cache.revision;
  }

  get size(): number {
    return this.#cache.size;
  }

  /** All, sorted by their keys. */
  list(): readonly PolicyModel[] {
    return this.#cache.list();
  }

  byId(id: string): PolicyModel | undefined {
    return this.#cache.get(id)?.object;
  }

  /** Whether anything stands under the id, be it that it cannot be read. */
  has(id: string): boolean {
    return this.byId(id) !== undefined || this.#cache.unreadable().has(this.#cache.keyOf(id));
  }

  /** Of everything that stands under the prefix, what cannot be read included. */
  ids(): readonly string[] {
    const unreadable = [...this.#cache.unreadable().keys()].flatMap((key) => this.#idOf(key) ?? []);
    return [...this.list().map(({ id }) => id), ...unreadable];
  }

  /** Calls the listener after each revision that changed some of them (their ids), and after a reset. It must not throw. Returns what ends that. */
  onBatch(listener: (batch: ObjectBatch) => void): () => void {
    return this.#cache.onBatch(listener);
  }

  /** True for a model that a transaction of the store has room for. */
  fits(model: PolicyModel): boolean {
    return bytesOf(this.#put(model)) <= this.#room;
  }

  /**
   * Makes the change in as many transactions as it takes, each under `guard`, puts before removals so that nothing is open in between. Resolves when the answers have it. What was done before
   * a failure stays done. Throws, besides what `Store.commit` throws:
   *
   *     LEADERSHIP_LOST              transient  the guard does not hold: somebody else leads
   *     CLUSTER_POLICIES_CONTENDED   transient  somebody else removed one meanwhile
   */
  async write({ put, remove }: PolicyChange, guard: KeyCompare, signal: AbortSignal): Promise<void> {
    const puts = put.map((model): Step => ({ operation: this.#put(model), compare: [] }));
    const removals = await this.#removals(remove, signal);
    for (const steps of this.#transactions([...puts, ...removals])) {
      const result = await this.#follower.commit(
        {
          compare: [guard, ...steps.flatMap(({ compare }) => compare)],
          operations: steps.map(({ operation }) => operation),
        },
        signal,
      );
      if (!result.ok) {
        throw result.failed.some((item) => "key" in item && item.key === guard.key)
          ? new NetworkError(
              "transient",
              "LEADERSHIP_LOST",
              "another replica leads: this one may write no policies of the cluster any more",
            )
          : new NetworkError(
              "transient",
              "CLUSTER_POLICIES_CONTENDED",
              "somebody else removed a policy of the cluster from the store meanwhile; it is looked at again",
            );
      }
    }
  }

  get #room(): number {
    return this.#store.limits.bytes * USABLE;
  }

  #put(model: PolicyModel): StoreOperation {
    return { kind: "put", key: this.#cache.keyOf(model.id), value: JSON.stringify(model) };
  }

  /** Each compares that there is something to delete: only then does the store's revision move, which the follower waits for. */
  async #removals(ids: readonly string[], signal: AbortSignal): Promise<readonly Step[]> {
    const steps: Step[] = [];
    for (const id of ids) {
      const key = this.#cache.keyOf(id);
      const known = this.#cache.revisionOf(key);
      // A record that cannot be read has no revision in the cache.
      const modRevision = known > 0 ? known : ((await this.#store.get(key, signal))?.modRevision ?? 0);
      if (modRevision > 0) {
        steps.push({ operation: { kind: "delete", key }, compare: [{ key, modRevision }] });
      }
    }
    return steps;
  }

  *#transactions(steps: readonly Step[]): Iterable<readonly Step[]> {
    let batch: Step[] = [];
    let bytes = 0;
    for (const step of steps) {
      const size = bytesOf(step.operation);
      // One compare is the guard's.
      if (
        batch.length > 0 &&
        (batch.length + 1 >= this.#store.limits.operations || bytes + size > this.#room)
      ) {
        yield batch;
        batch = [];
        bytes = 0;
      }
      batch.push(step);
      bytes += size;
    }
    if (batch.length > 0) {
      yield batch;
    }
  }

  #idOf(key: string): string | undefined {
    try {
      const id = decodeURIComponent(key.slice(this.#prefix.length));
      return this.#cache.keyOf(id) === key ? id : undefined;
    } catch (error) {
      if (error instanceof URIError) {
        return undefined;
      }
      throw error;
    }
  }
}

interface Step {
  readonly operation: StoreOperation;
  readonly compare: readonly Compare[];
}

const encoder = new TextEncoder();

function bytesOf(operation: StoreOperation): number {
  return encoder.encode(operation.key + (operation.kind === "put" ? operation.value : "")).length;
}

function readStored(id: string, value: string): PolicyModel {
  const model = readModel(JSON.parse(value));
  if (model.id !== id) {
    throw new TypeError(`it holds policy "${model.id}"`);
  }
  return model;
}
