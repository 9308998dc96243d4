import { NetworkError } from "../core/errors.ts";
import type { Policy } from "../core/policy/policy.ts";
import { readPolicies } from "../core/policy/read-policies.ts";
import type { Logger } from "../ports/logger.ts";
import type { Store, StoreOperation } from "../ports/store.ts";
import { addressingKeys } from "./keys.ts";
import type { ObjectBatch } from "./object-batch.ts";
import { ObjectCache } from "./object-cache.ts";
import { MAX_ATTEMPTS, RecordChanges, type RecordFollower } from "./record-changes.ts";

/** Policies that one installation may have. */
const MAX_POLICIES = 20_000;

export interface PolicyServiceOptions {
  readonly store: Store;
  readonly follower: RecordFollower;
  readonly log: Logger;
  /** `/romana` */
  readonly prefix: string;
  /** How many policies there may be; 20,000. */
  readonly limit?: number;
  /** From 0 to below 1; `Math.random` unless given. */
  readonly random?: () => number;
}

/**
 * Policies, one key each: `<prefix>/policies/<id>` holds the canonical form as JSON. Every change may fail with what `Store.commit` throws. They are stored and shown
 * here; nobody enforces them yet.
 */
export class PolicyService {
  readonly #log: Logger;
  readonly #cache: ObjectCache<Policy>;
  readonly #changes: RecordChanges;
  readonly #prefix: string;
  readonly #limit: number;

  /** Adds itself to the follower, so before that starts. */
  constructor({
    store,
    follower,
    log,
    prefix: root,
    limit = MAX_POLICIES,
    random = Math.random,
  }: PolicyServiceOptions) {
    const prefix = `${root}/policies/`;
    this.#prefix = prefix;
    this.#log = log.child({ component: "policies" });
    this.#limit = limit;
    this.#cache = new ObjectCache({ prefix, read: readStored, log: this.#log });
    this.#changes = new RecordChanges({
      store,
      follower,
      cache: this.#cache,
      keys: addressingKeys(root),
      prefix,
      log: this.#log,
      random,
    });
  }

  /** Revision of the store that the answers stand at. */
  revision(): number {
    return this.#cache.revision;
  }

  /** All, sorted by their keys. */
  list(): readonly Policy[] {
    return this.#cache.list();
  }

  /** By id alone. */
  byId(id: string): Policy | undefined {
    return this.#cache.get(id)?.object;
  }

  /** By id or, when none has it, by name. Throws `POLICY_NOT_FOUND`, and `POLICY_AMBIGUOUS` (conflict) with the ids of those that share the name. */
  find(idOrName: string): Policy {
    const known = this.byId(idOrName);
    if (known !== undefined) {
      return known;
    }
    const [named, ...others] = this.list().filter(({ name }) => name === idOrName);
    if (named === undefined) {
      throw notFound(idOrName);
    }
    if (others.length > 0) {
      const ids = [named, ...others].map(({ id }) => id);
      throw new NetworkError(
        "conflict",
        "POLICY_AMBIGUOUS",
        `${ids.length} policies are called "${idOrName}": name one by its id: ${ids.join(", ")}`,
        { name: idOrName, ids },
      );
    }
    return named;
  }

  /**
   * Stores the policies of a document in whichever form (`readPolicies`), all or none; one with an id that is taken replaces the other. Throws
   * `POLICY_INVALID` and `POLICIES_FULL` (exhausted).
   */
  async save(document: unknown, signal: AbortSignal): Promise<readonly Policy[]> {
    const { policies, warnings } = readPolicies(document);
    const revision = await this.#changes.run(() => {
      const added = policies.filter(({ id }) => this.#cache.get(id) === undefined).length;
      if (added > 0 && this.#cache.size + added > this.#limit) {
        throw new NetworkError(
          "exhausted",
          "POLICIES_FULL",
          `${this.#cache.size} policies are stored and ${this.#limit} may be: remove some before you add ${added}`,
          { limit: this.#limit },
        );
      }
      const operations = policies.map((policy) => ({
        kind: "put" as const,
        key: this.#cache.keyOf(policy.id),
        value: JSON.stringify(policy),
      }));
      return { compare: [], operations };
    }, signal);
    if (revision === undefined) {
      throw contended("policies");
    }
    for (const { place, message } of warnings) {
      this.#log.warn({ place, warning: message }, "a document of policies has a warning");
    }
    this.#log.info({ revision, ids: policies.map(({ id }) => id) }, "policies were stored");
    return policies;
  }

  /** Removes one by id or name. Errors: see `find`; `POLICY_CONTENDED` (transient) when others changed it five times meanwhile. */
  async remove(idOrName: string, signal: AbortSignal): Promise<void> {
    const revision = await this.#changes.run(() => {
      const { id } = this.find(idOrName);
      const key = this.#cache.keyOf(id);
      // The compare makes sure that there is something to delete: only then does the store's revision move, which the follower waits for.
      const own = { key, modRevision: this.#cache.get(id)?.modRevision ?? 0 };
      // A name is one policy's alone only as long as no other gets it.
      const others = { prefix: this.#prefix, maxRevision: this.#cache.revision };
      return {
        compare: id === idOrName ? [own] : [own, others],
        operations: [{ kind: "delete", key }],
      };
    }, signal);
    if (revision === undefined) {
      throw contended(`policy "${idOrName}"`);
    }
    this.#log.info({ revision, policy: idOrName }, "a policy was removed");
  }

  /** What is wrong with documents to be imported, each by its index. */
  check(items: readonly unknown[]): readonly { readonly index: number; readonly message: string }[] {
    const seen = new Set<string>();
    return items.flatMap((item, index) => {
      const problem = this.#problemOf(item, seen);
      return problem === undefined ? [] : [{ index, message: problem }];
    });
  }

  #problemOf(item: unknown, seen: Set<string>): string | undefined {
    try {
      for (const { id } of readPolicies(item).policies) {
        if (seen.has(id)) {
          return `policy "${id}" is there already`;
        }
        seen.add(id);
      }
    } catch (error) {
      if (!(error instanceof NetworkError)) {
        throw error;
      }
      return error.message;
    }
    return seen.size > this.#limit
      ? `${this.#limit} policies may be stored, and this is one more`
      : undefined;
  }

  /** What makes the stored policies exactly these. */
  operations(items: readonly unknown[]): readonly StoreOperation[] {
    const wanted = new Map(
      items.flatMap((item) => readPolicies(item).policies).map((policy) => [policy.id, policy]),
    );
    const gone = this.list().filter(({ id }) => !wanted.has(id));
    return [
      ...gone.map(({ id }) => ({ kind: "delete", key: this.#cache.keyOf(id) }) as const),
      ...[...wanted].map(
        ([id, policy]) =>
          ({ kind: "put", key: this.#cache.keyOf(id), value: JSON.stringify(policy) }) as const,
      ),
    ];
  }

  /** Calls the listener after each revision that changed policies (their ids), and after a reset. It must not throw. Returns what ends that. */
  onBatch(listener: (batch: ObjectBatch) => void): () => void {
    return this.#cache.onBatch(listener);
  }
}

function readStored(name: string, value: string): Policy {
  const { policies } = readPolicies(JSON.parse(value));
  const [policy] = policies;
  if (policy === undefined || policy.id !== name) {
    throw new TypeError(`it holds policy "${policy?.id ?? ""}"`);
  }
  return policy;
}

function contended(what: string): NetworkError {
  return new NetworkError(
    "transient",
    "POLICY_CONTENDED",
    `others changed ${what} first, ${MAX_ATTEMPTS} times; try again in a moment`,
  );
}

function notFound(idOrName: string): NetworkError {
  return new NetworkError(
    "not-found",
    "POLICY_NOT_FOUND",
    `no policy has the id or the name "${idOrName}": GET /policies lists them`,
    { policy: idOrName },
  );
}
