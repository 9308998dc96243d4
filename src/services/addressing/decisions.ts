import { NetworkError } from "../../core/errors.ts";
import type { Change } from "../../core/ipam/change.ts";
import type { Problem, Topology } from "../../core/topology/read-topology.ts";
import type { Logger } from "../../ports/logger.ts";
import type {
  CommitResult,
  Compare,
  KeyCompare,
  Store,
  StoreOperation,
  Transaction,
} from "../../ports/store.ts";
import type { AddressingKeys } from "../keys.ts";
import type { Addressing } from "../load-addressing.ts";
import { writeTopology, type Generation } from "../stored-records.ts";
import type { AddressingCache } from "./cache.ts";
import { contended, isUnknown, MAX_ATTEMPTS, notTaken, outcomeUnknown, type Committer } from "./committer.ts";
import { isDoubtful } from "./plan-group.ts";
import { commitStaged, fits, rollForward, storedGeneration } from "./staging.ts";
import { transactionOf } from "./transaction.ts";

/** What a change of the state comes to. */
export interface Decision<T> {
  readonly changes: readonly Change[];
  readonly result: T;
  /** With a `replace`: the topology to come. */
  readonly topology?: Topology;
  /** What else is written; instead of what the changes write under the same key. */
  readonly operations?: readonly StoreOperation[];
  /** Of the term in which a leader decided it: compared too, and not made again when it is lost. */
  readonly guard?: KeyCompare | undefined;
}

/** A decision with the transaction that it comes to. */
interface Planned<T> {
  readonly decision: Decision<T>;
  readonly id: string;
  readonly transaction: Transaction;
  /** That it was made under. */
  readonly generation: Generation;
}

/** What `DecisionRunner` needs. */
export interface DecisionOptions {
  readonly store: Store;
  readonly log: Logger;
  readonly keys: AddressingKeys;
  readonly cache: AddressingCache;
  readonly committer: Committer;
  readonly nextId: () => string;
  readonly onRetry: () => void;
}

/** For staging a large change and bringing it to its keys. */
const STAGED_MS = 120_000;

/** Runs decisions that have a transaction of their own (hosts, labels, topology, blackouts, import): one that fits it directly, others staged. */
export class DecisionRunner {
  readonly #options: DecisionOptions;

  constructor(options: DecisionOptions) {
    this.#options = options;
  }

  /** Decides, commits and, after a lost compare, decides again. Throws what `decide` and the store throw, `ADDRESSING_CONTENDED`, and `LEADERSHIP_LOST` for a guard that is lost. */
  async run<T>(decide: (addressing: Addressing) => Decision<T>, signal: AbortSignal): Promise<T> {
    const { cache, committer, log, onRetry } = this.#options;
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
      // A change that came while this woke up may have made it wait again.
      do {
        await committer.ready();
      } while (!cache.isReady);
      signal.throwIfAborted();
      const planned = await this.#plan(decide);
      const { decision, transaction } = planned;
      if (decision.changes.length === 0) {
        return decision.result;
      }
      const result = await this.#commit(planned);
      if (result.ok) {
        await committer.ready().catch((error: unknown) => {
          log.warn({ err: error }, "a change is durable, but its reader may not see it yet");
        });
        return decision.result;
      }
      if (isLost(decision.guard, result.failed)) {
        throw new NetworkError(
          "transient",
          "LEADERSHIP_LOST",
          "another replica leads: this one may make no changes of a leader any more",
        );
      }
      onRetry();
      log.warn({ attempt }, "another replica changed addresses or hosts first; planned again");
      await committer.caughtUp(transaction, result.failed);
    }
    throw contended();
  }

  /** What the cache says no to is decided again once it has all that the store had. */
  async #plan<T>(decide: (addressing: Addressing) => Decision<T>): Promise<Planned<T>> {
    const { committer } = this.#options;
    try {
      return this.#planNow(decide);
    } catch (error) {
      if (!isDoubtful(error)) {
        throw error;
      }
      await committer.sync();
      await committer.ready();
      return this.#planNow(decide);
    }
  }

  /**
   * Decides and writes the transaction down in one go: its compares are those of what the decision was made from. After an `await` the cache may be newer, and compares taken from it
   * would let the decision through over what it never saw.
   */
  #planNow<T>(decide: (addressing: Addressing) => Decision<T>): Planned<T> {
    const { cache, keys, store, nextId } = this.#options;
    const addressing = cache.current;
    const decision = decide(addressing);
    const id = nextId();
    const context = { keys, addressing, revision: cache.revision, id, topology: storedTopology(decision) };
    const planned = transactionOf(context, decision.changes, store.limits);
    const transaction = {
      compare: decision.guard === undefined ? planned.compare : [...planned.compare, decision.guard],
      operations: merged(planned.operations, decision.operations ?? []),
    };
    return { decision, id, transaction, generation: addressing.generation };
  }

  async #commit({ id, transaction, generation }: Planned<unknown>): Promise<CommitResult> {
    const { store, committer } = this.#options;
    if (!fits(store, transaction)) {
      return this.#commitStaged(id, transaction, generation);
    }
    try {
      return await committer.commit(transaction);
    } catch (failure) {
      return this.#findOut(transaction, failure);
    }
  }

  /** Whether a transaction whose answer was lost was taken: its keys have just what it writes. */
  async #findOut({ operations }: Transaction, failure: unknown): Promise<CommitResult> {
    const { committer } = this.#options;
    if (!isUnknown(failure)) {
      throw failure;
    }
    let revision = 0;
    let isTaken = true;
    try {
      for (const operation of operations) {
        const entry = await committer.get(operation.key);
        isTaken &&= entry?.value === (operation.kind === "put" ? operation.value : undefined);
        revision = Math.max(revision, entry?.modRevision ?? 0);
      }
      if (isTaken) {
        await committer.reached(revision);
      }
    } catch (error) {
      throw outcomeUnknown("the change", [failure, error]);
    }
    if (!isTaken) {
      throw notTaken("the change", failure);
    }
    return { ok: true, revision };
  }

  async #commitStaged(id: string, transaction: Transaction, generation: Generation): Promise<CommitResult> {
    const { store, keys, committer, log } = this.#options;
    const change = { id, transaction, before: generation };
    let result: CommitResult;
    try {
      result = await committer.within(STAGED_MS, (signal) => commitStaged(store, keys, change, signal));
    } catch (failure) {
      if (!isUnknown(failure)) {
        throw failure;
      }
      result = await this.#findOutStaged(id, failure);
    }
    if (!result.ok) {
      const met = result.failed.map((item) => ("key" in item ? item.modRevision : item.maxRevision));
      await committer.reached(Math.max(0, ...met));
      return result;
    }
    try {
      await committer.within(STAGED_MS, (signal) => rollForward(store, keys, signal));
      await committer.reached(result.revision);
    } catch (error) {
      log.warn({ err: error, staged: id }, "a large change is valid, and goes on to its keys in a moment");
    }
    return result;
  }

  async #findOutStaged(id: string, failure: unknown): Promise<CommitResult> {
    const { store, keys, committer } = this.#options;
    try {
      const { generation, modRevision } = await committer.within(STAGED_MS, (signal) =>
        storedGeneration(store, keys, signal),
      );
      if (generation.last === id) {
        return { ok: true, revision: modRevision };
      }
    } catch (error) {
      throw outcomeUnknown("the change", [failure, error]);
    }
    throw notTaken("the change", failure);
  }
}

function isLost(guard: KeyCompare | undefined, failed: readonly Compare[]): boolean {
  return guard !== undefined && failed.some((item) => "key" in item && item.key === guard.key);
}

function storedTopology({ topology, changes }: Decision<unknown>): string | undefined {
  const [change] = changes;
  if (topology === undefined || change?.kind !== "replace") {
    return undefined;
  }
  const warnings: readonly Problem[] = topology.warnings;
  return writeTopology({
    document: topology.document,
    warnings,
    revisionBase: change.records.revisionBase,
  });
}

function merged(
  operations: readonly StoreOperation[],
  others: readonly StoreOperation[],
): readonly StoreOperation[] {
  const instead = new Set(others.map(({ key }) => key));
  return others.length === 0 ? operations : [...operations.filter(({ key }) => !instead.has(key)), ...others];
}
