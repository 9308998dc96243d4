import type { ClusterNamespace, ClusterNetworkPolicy } from "../core/cluster/objects.ts";
import { isolationId, networkPolicyId, type PolicyModel } from "../core/policy/model.ts";
import type { Clock } from "../ports/clock.ts";
import type { EventRecorder } from "../ports/cluster.ts";
import type { Leadership } from "../ports/election.ts";
import type { Logger } from "../ports/logger.ts";
import type { ClusterPolicyStore } from "../services/cluster-policy-store.ts";
import type { ObjectChange, ObjectReader } from "../services/cluster/object-view.ts";
import { nextTurn } from "../services/next-turn.ts";
import { Complaints } from "./complaints.ts";
import { DesiredPolicies, type PolicySubject } from "./desired-policies.ts";

export interface PolicyTranslatorOptions {
  readonly networkPolicies: ObjectReader<ClusterNetworkPolicy>;
  readonly namespaces: ObjectReader<ClusterNamespace>;
  readonly store: ClusterPolicyStore;
  /** Of the term in which this runs. */
  readonly term: Pick<Leadership, "guard">;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly log: Logger;
}

/** How far it is, for metrics. */
export interface TranslatorStatus {
  /** Policies of the cluster that are stored. */
  readonly stored: number;
  /** Objects of which something cannot be expressed or read. */
  readonly withProblems: number;
  /** Objects that were not looked at since they changed. */
  readonly pending: number;
  /** Attempts in a row that failed. */
  readonly failures: number;
}

/** Objects that are translated before others get their turn. */
const CHUNK = 100;
const FIRST_RETRY_MS = 50;
const LONGEST_RETRY_MS = 2000;

/**
 * Keeps the stored models equal to the NetworkPolicies and isolated namespaces that exist (decisions 16, 17). Runs in the leader; made anew each term.
 *
 *     views ──change──► ids to look at ──► translate, compare with the store ──► one commit ──► watch streams
 *                           ▲                                                      │
 *                           └───────────── all of them again, after a failure ◄────┘
 *
 * A change is only a reason to look: what is written is what the views hold when its turn comes. What comes while a commit is under way goes into the next one. Everything is looked at
 * once both views are there, after every list, and when it is heard that the store holds what this has not written: by an earlier leader, by hand, or by a commit whose answer was lost.
 */
export class PolicyTranslator {
  readonly #options: PolicyTranslatorOptions;
  readonly #log: Logger;
  readonly #complaints: Complaints;
  readonly #desired: DesiredPolicies;
  readonly #ending = new AbortController();
  /** What to look at, by the id of its model. */
  readonly #changed = new Map<string, PolicySubject>();
  #everything = false;
  /** What the pass that runs looks at. */
  #underWay: ReadonlyMap<string, PolicySubject | undefined> = new Map();
  #failures = 0;
  #work: Promise<void> | undefined;
  #ends: readonly (() => void)[] = [];

  constructor(options: PolicyTranslatorOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#complaints = new Complaints(options);
    this.#desired = new DesiredPolicies({ ...options, complaints: this.#complaints });
  }

  start(): void {
    const { networkPolicies, namespaces, store } = this.#options;
    this.#ends = [
      networkPolicies.onChange(({ object }) =>
        this.#look(networkPolicyId(object), { kind: "network-policy", uid: object.uid }),
      ),
      namespaces.onChange((change) => this.#namespaceChanged(change)),
      networkPolicies.onSynced(() => this.#lookAtAll()),
      namespaces.onSynced(() => this.#lookAtAll()),
      store.onBatch(({ reset, keys }) => {
        if (reset || keys.some((id) => !this.#underWay.has(id))) {
          this.#lookAtAll();
        }
      }),
    ];
  }

  /** Ends; what is under way is broken off and awaited. */
  async stop(): Promise<void> {
    this.#ends.forEach((end) => end());
    this.#ending.abort(new Error("policies of the cluster are translated no longer"));
    await this.#work;
    this.#complaints.stop();
  }

  status(): TranslatorStatus {
    const { networkPolicies, namespaces, store } = this.#options;
    const all = this.#everything ? networkPolicies.size + namespaces.size : 0;
    return {
      stored: store.size,
      withProblems: this.#complaints.size,
      pending: Math.max(all, new Set([...this.#changed.keys(), ...this.#underWay.keys()]).size),
      failures: this.#failures,
    };
  }

  get #isReady(): boolean {
    return this.#options.networkPolicies.synced && this.#options.namespaces.synced;
  }

  #namespaceChanged(change: ObjectChange<ClusterNamespace>): void {
    const { object } = change;
    // Namespaces change often for other reasons.
    if (change.kind === "delete" || change.before?.isolation !== object.isolation) {
      this.#look(isolationId(object), { kind: "isolation", uid: object.uid });
    }
  }

  #look(id: string, subject: PolicySubject): void {
    this.#changed.set(id, subject);
    this.#begin();
  }

  #lookAtAll(): void {
    this.#everything = true;
    this.#begin();
  }

  #begin(): void {
    if (this.#isReady && !this.#ending.signal.aborted) {
      this.#work ??= this.#run();
    }
  }

  /** Works until nothing is left to look at. Never rejects. */
  async #run(): Promise<void> {
    const { signal } = this.#ending;
    // A list tells of all its changes at once.
    await Promise.resolve();
    while (!signal.aborted && (this.#everything || this.#changed.size > 0)) {
      try {
        await this.#pass(signal);
        this.#failures = 0;
      } catch (error) {
        if (signal.aborted) {
          return;
        }
        this.#failures += 1;
        this.#log.warn(
          { err: error, failures: this.#failures },
          "policies of the cluster could not be stored, what is stored stays",
        );
        await this.#pause();
      }
    }
    this.#work = undefined;
  }

  async #pass(signal: AbortSignal): Promise<void> {
    const isWhole = this.#everything;
    const subjects = isWhole ? this.#desired.all() : new Map(this.#changed);
    this.#everything = false;
    this.#changed.clear();
    this.#underWay = subjects;
    try {
      await this.#reconcile(subjects, signal);
    } catch (error) {
      this.#everything ||= isWhole;
      for (const [id, subject] of subjects) {
        if (!isWhole && subject !== undefined && !this.#changed.has(id)) {
          this.#changed.set(id, subject);
        }
      }
      throw error;
    } finally {
      this.#underWay = new Map();
    }
  }

  async #reconcile(
    subjects: ReadonlyMap<string, PolicySubject | undefined>,
    signal: AbortSignal,
  ): Promise<void> {
    const { store, term, clock } = this.#options;
    const startMs = clock.monotonic();
    const entries = [...subjects];
    const gone: [string, PolicySubject | undefined][] = [];
    let stored = 0;
    for (let start = 0; start < entries.length; start += CHUNK) {
      const put: PolicyModel[] = [];
      for (const [id, subject] of entries.slice(start, start + CHUNK)) {
        const desired = this.#desired.of(id, subject);
        if (desired === undefined) {
          gone.push([id, subject]);
        } else if (desired !== "kept" && JSON.stringify(store.byId(id)) !== JSON.stringify(desired)) {
          put.push(desired);
        }
      }
      if (put.length > 0) {
        await store.write({ put, remove: [] }, term.guard, signal);
        stored += put.length;
      } else if (start + CHUNK < entries.length) {
        await nextTurn();
      }
      signal.throwIfAborted();
    }
    // After all that replaces it: an object that was made anew is never without its policy. One that came back meanwhile is put by the next pass.
    const remove = gone.flatMap(([id, subject]) =>
      store.has(id) && this.#desired.of(id, subject) === undefined ? [id] : [],
    );
    if (remove.length > 0) {
      await store.write({ put: [], remove }, term.guard, signal);
    }
    if (stored + remove.length > 0) {
      this.#log.info(
        {
          stored,
          removed: remove.length,
          revision: store.revision(),
          durationMs: clock.monotonic() - startMs,
        },
        "policies of the cluster were stored",
      );
    }
  }

  /** Waits before the next attempt; ends early, without an error, with the whole. */
  async #pause(): Promise<void> {
    const { signal } = this.#ending;
    const delayMs = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(this.#failures - 1, 10));
    try {
      await this.#options.clock.sleep(delayMs, signal);
    } catch (error) {
      if (!signal.aborted) {
        throw error;
      }
    }
  }
}
