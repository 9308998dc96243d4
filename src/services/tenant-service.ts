import { NetworkError } from "../core/errors.ts";
import type { Logger } from "../ports/logger.ts";
import type { Store, StoreOperation } from "../ports/store.ts";
import { addressingKeys } from "./keys.ts";
import { ObjectCache } from "./object-cache.ts";
import { MAX_ATTEMPTS, RecordChanges, type RecordDecision, type RecordFollower } from "./record-changes.ts";

/** Longest name of a tenant or a segment, in characters. */
const MAX_NAME = 253;
/** Tenants that may be declared, and segments of each. */
const MAX_TENANTS = 20_000;
const MAX_SEGMENTS = 1000;

/** What is stored of a tenant. */
interface TenantRecord {
  readonly name: string;
  /** Sorted, each once. */
  readonly segments: readonly string[];
}

/** A tenant as it is shown. */
export interface TenantView {
  readonly name: string;
  /** False for one that is known only as an owner of addresses, or as a namespace of the cluster. */
  readonly declared: boolean;
  /** Declared ones, those that own blocks, and those of the cluster's Pods, sorted. */
  readonly segments: readonly string[];
  /** Networks whose addresses it gets: those that name it, else those for any tenant; in the order of the topology. */
  readonly networks: readonly string[];
  /** Addresses in use. */
  readonly addresses: number;
  /** Blocks that it owns. */
  readonly blocks: number;
}

/** A segment as it is shown. */
export interface SegmentView {
  readonly name: string;
  readonly declared: boolean;
  readonly addresses: number;
  readonly blocks: number;
}

/** What is asked of addressing: who owns which block, and whom the networks are for. */
export interface TenantUsage {
  blocks():
    | {
        readonly blocks: readonly {
          readonly tenant: string;
          readonly segment: string;
          readonly host: string;
          readonly allocated_ip_count: number;
        }[];
      }
    | undefined;
  /** `tenants` empty: any. */
  layout(): readonly {
    readonly network: { readonly name: string; readonly tenants: readonly string[] };
  }[];
}

/** A tenant, or a segment of it, that is there without being declared or holding an address. */
export interface ObservedOwner {
  readonly tenant: string;
  readonly segment: string | undefined;
}

export interface TenantServiceOptions {
  readonly store: Store;
  readonly follower: RecordFollower;
  readonly usage: TenantUsage;
  /** Who is seen elsewhere, such as the namespaces of a cluster; of all tenants or of one. */
  readonly observed?: ((tenant: string | undefined) => Iterable<ObservedOwner>) | undefined;
  readonly log: Logger;
  /** `/romana` */
  readonly prefix: string;
  /** From 0 to below 1; `Math.random` unless given. */
  readonly random?: () => number;
}

/** Blocks and addresses of one owner. */
interface Count {
  addresses: number;
  blocks: number;
}

/**
 * Tenants and their segments, one key each: `<prefix>/tenants/<name>` holds `{"name", "segments"}`. A declaration is a statement of what there shall be, not a permission: owners of
 * addresses are free text, and those that nobody declared are listed too. Therefore a removal is refused for every address that was given out before it was asked for, by whichever
 * replica, but one that is given out while it is worked on may not stop it: the tenant is then one that nobody declared.
 */
export class TenantService {
  readonly #usage: TenantUsage;
  readonly #observed: NonNullable<TenantServiceOptions["observed"]>;
  readonly #log: Logger;
  readonly #cache: ObjectCache<TenantRecord>;
  readonly #changes: RecordChanges;

  /** Adds itself to the follower, so before that starts. */
  constructor(options: TenantServiceOptions) {
    const { store, follower, usage, log, prefix: root, observed = () => [], random = Math.random } = options;
    this.#observed = observed;
    const prefix = `${root}/tenants/`;
    this.#usage = usage;
    this.#log = log.child({ component: "tenants" });
    this.#cache = new ObjectCache({ prefix, read: readTenant, log: this.#log });
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

  /** All, sorted by name. */
  tenants(): readonly TenantView[] {
    const usage = this.#count();
    const names = new Set([...this.#cache.list().map(({ name }) => name), ...usage.keys()]);
    const networks = this.#networks();
    return [...names].toSorted(byText).map((name) => this.#view(name, usage.get(name), networks));
  }

  /** Throws `TENANT_NOT_FOUND`. */
  tenant(name: string): TenantView {
    const usage = this.#count(name).get(name);
    if (usage === undefined && this.#cache.get(name) === undefined) {
      throw tenantNotFound(name);
    }
    return this.#view(name, usage, this.#networks());
  }

  /** Sorted by name. Throws `TENANT_NOT_FOUND`. */
  segments(tenant: string): readonly SegmentView[] {
    const usage = this.#count(tenant).get(tenant);
    const record = this.#cache.get(tenant)?.object;
    if (usage === undefined && record === undefined) {
      throw tenantNotFound(tenant);
    }
    return segmentNames(record, usage).map((name) => ({
      name,
      declared: record?.segments.includes(name) ?? false,
      ...(usage?.get(name) ?? { addresses: 0, blocks: 0 }),
    }));
  }

  /** Throws `TENANT_NOT_FOUND` and `SEGMENT_NOT_FOUND`. */
  segment(tenant: string, name: string): SegmentView {
    const found = this.segments(tenant).find((segment) => segment.name === name);
    if (found === undefined) {
      throw segmentNotFound(tenant, name);
    }
    return found;
  }

  /** Declares a tenant. Throws `TENANT_EXISTS` (conflict), `TENANT_INVALID`, `TENANTS_FULL` (exhausted). */
  async createTenant(name: string, signal: AbortSignal): Promise<void> {
    requireName("TENANT_INVALID", "a tenant", name);
    await this.#change(name, signal, (record) => {
      if (record !== undefined) {
        throw new NetworkError("conflict", "TENANT_EXISTS", `tenant "${name}" is declared already`, { name });
      }
      if (this.#cache.size >= MAX_TENANTS) {
        throw new NetworkError(
          "exhausted",
          "TENANTS_FULL",
          `${MAX_TENANTS} tenants are declared, which is the limit: delete one before you declare "${name}"`,
        );
      }
      return { name, segments: [] };
    });
  }

  /** Takes back the declaration of a tenant and of its segments. Throws `TENANT_NOT_FOUND`, and `TENANT_IN_USE` (conflict) while it holds addresses. */
  async deleteTenant(name: string, signal: AbortSignal): Promise<void> {
    await this.#remove(name, signal, (record) => {
      const { addresses } = this.tenant(name);
      if (addresses > 0) {
        throw new NetworkError(
          "conflict",
          "TENANT_IN_USE",
          `tenant "${name}" holds ${addressCount(addresses)}: release them first`,
          { name, addresses },
        );
      }
      if (record === undefined) {
        throw tenantNotFound(name);
      }
      return undefined;
    });
  }

  /** Declares a segment, and its tenant when that was not. Throws `SEGMENT_EXISTS` (conflict), `SEGMENT_INVALID`, `TENANT_NOT_FOUND`, `SEGMENTS_FULL` (exhausted). */
  async createSegment(tenant: string, name: string, signal: AbortSignal): Promise<void> {
    requireName("SEGMENT_INVALID", "a segment", name);
    await this.#change(tenant, signal, (record) => {
      if (record === undefined) {
        // Throws unless it owns blocks, which makes it a tenant too.
        this.tenant(tenant);
      }
      const segments = record?.segments ?? [];
      if (segments.includes(name)) {
        throw new NetworkError(
          "conflict",
          "SEGMENT_EXISTS",
          `segment "${name}" of tenant "${tenant}" is declared already`,
          { name, tenant },
        );
      }
      if (segments.length >= MAX_SEGMENTS) {
        throw new NetworkError(
          "exhausted",
          "SEGMENTS_FULL",
          `tenant "${tenant}" has ${MAX_SEGMENTS} segments, which is the limit: delete one before you declare "${name}"`,
        );
      }
      return { name: tenant, segments: [...segments, name].toSorted(byText) };
    });
  }

  /** Takes back the declaration of a segment. Throws `TENANT_NOT_FOUND`, `SEGMENT_NOT_FOUND`, and `SEGMENT_IN_USE` (conflict) while it holds addresses. */
  async deleteSegment(tenant: string, name: string, signal: AbortSignal): Promise<void> {
    await this.#remove(tenant, signal, (record) => {
      const { addresses, declared } = this.segment(tenant, name);
      if (addresses > 0) {
        throw new NetworkError(
          "conflict",
          "SEGMENT_IN_USE",
          `segment "${name}" of tenant "${tenant}" holds ${addressCount(addresses)}: release them first`,
          { name, tenant, addresses },
        );
      }
      if (record === undefined || !declared) {
        throw segmentNotFound(tenant, name);
      }
      return { name: tenant, segments: record.segments.filter((segment) => segment !== name) };
    });
  }

  /** What was declared, as it is exported. */
  list(): readonly TenantRecord[] {
    return this.#cache.list();
  }

  /** What is wrong with declarations to be imported, each by its index. */
  check(items: readonly unknown[]): readonly { readonly index: number; readonly message: string }[] {
    const first = new Map<string, number>();
    for (const [index, item] of items.entries()) {
      if (isTenantRecord(item) && !first.has(item.name)) {
        first.set(item.name, index);
      }
    }
    return items.flatMap((item, index) => {
      if (!isTenantRecord(item)) {
        return [{ index, message: 'expected {"name", "segments"}, the names not empty and not too long' }];
      }
      if (first.get(item.name) !== index) {
        return [{ index, message: `tenant "${item.name}" is there already` }];
      }
      return index < MAX_TENANTS
        ? []
        : [{ index, message: `${MAX_TENANTS} tenants may be declared, and this is one more` }];
    });
  }

  /** What makes the declarations exactly these; what `check` refuses is left out. */
  operations(items: readonly unknown[]): readonly StoreOperation[] {
    const wanted = new Map(items.filter(isTenantRecord).map((record) => [record.name, record]));
    const gone = this.list().filter(({ name }) => !wanted.has(name));
    return [
      ...gone.map(({ name }) => ({ kind: "delete", key: this.#cache.keyOf(name) }) as const),
      ...[...wanted.values()].map(({ name, segments }) => {
        const value = JSON.stringify({ name, segments: [...new Set(segments)].toSorted() });
        return { kind: "put", key: this.#cache.keyOf(name), value } as const;
      }),
    ];
  }

  /** Stores what `decide` makes of a tenant's record (`undefined`: none), again when somebody else was faster; it throws to change nothing. */
  async #change(
    name: string,
    signal: AbortSignal,
    decide: (record: TenantRecord | undefined) => TenantRecord | undefined,
    options: { readonly knowing?: "everything" } = {},
  ): Promise<void> {
    const attempt = (): RecordDecision => {
      const cached = this.#cache.get(name);
      const next = decide(cached?.object);
      const key = this.#cache.keyOf(name);
      const operation: StoreOperation =
        next === undefined ? { kind: "delete", key } : { kind: "put", key, value: JSON.stringify(next) };
      return { compare: [{ key, modRevision: cached?.modRevision ?? 0 }], operations: [operation] };
    };
    const revision = await this.#changes.run(attempt, signal, options);
    if (revision === undefined) {
      throw new NetworkError(
        "transient",
        "TENANT_CONTENDED",
        `others changed tenant "${name}" first, ${MAX_ATTEMPTS} times; try again in a moment`,
      );
    }
    this.#log.info({ revision, tenant: name }, "a tenant was changed");
  }

  /** Like `#change`, with all addresses that were given out before, by whichever replica. */
  #remove(
    name: string,
    signal: AbortSignal,
    decide: (record: TenantRecord | undefined) => TenantRecord | undefined,
  ): Promise<void> {
    return this.#change(name, signal, decide, { knowing: "everything" });
  }

  #view(
    name: string,
    usage: ReadonlyMap<string, Count> | undefined,
    networks: (tenant: string) => readonly string[],
  ): TenantView {
    const record = this.#cache.get(name)?.object;
    let addresses = 0;
    let blocks = 0;
    for (const count of usage?.values() ?? []) {
      addresses += count.addresses;
      blocks += count.blocks;
    }
    return {
      name,
      declared: record !== undefined,
      segments: segmentNames(record, usage),
      networks: networks(name),
      addresses,
      blocks,
    };
  }

  #networks(): (tenant: string) => readonly string[] {
    const networks = this.#usage.layout().map(({ network }) => network);
    const forAny = networks.filter(({ tenants }) => tenants.length === 0).map(({ name }) => name);
    return (tenant) => {
      const own = networks.filter(({ tenants }) => tenants.includes(tenant)).map(({ name }) => name);
      return own.length > 0 ? own : forAny;
    };
  }

  /** Counts by tenant and segment, of all tenants or of one, with nothing for those that are only seen. Empty blocks have no owner, and an owner without a name is no tenant. */
  #count(only?: string): ReadonlyMap<string, ReadonlyMap<string, Count>> {
    const counts = new Map<string, Map<string, Count>>();
    for (const { tenant, segment, host, allocated_ip_count: used } of this.#usage.blocks()?.blocks ?? []) {
      if (host === "" || tenant === "" || (only !== undefined && tenant !== only)) {
        continue;
      }
      const segments = counts.get(tenant) ?? new Map<string, Count>();
      counts.set(tenant, segments);
      const count = segments.get(segment) ?? { addresses: 0, blocks: 0 };
      segments.set(segment, count);
      count.addresses += used;
      count.blocks += 1;
    }
    for (const { tenant, segment } of this.#observed(only)) {
      const segments = counts.get(tenant) ?? new Map<string, Count>();
      counts.set(tenant, segments);
      if (segment !== undefined && !segments.has(segment)) {
        segments.set(segment, { addresses: 0, blocks: 0 });
      }
    }
    return counts;
  }
}

function segmentNames(
  record: TenantRecord | undefined,
  usage: ReadonlyMap<string, Count> | undefined,
): readonly string[] {
  return [...new Set([...(record?.segments ?? []), ...(usage?.keys() ?? [])])]
    .filter((name) => name !== "")
    .toSorted(byText);
}

function readTenant(key: string, value: string): TenantRecord {
  const record = JSON.parse(value) as { readonly name?: unknown; readonly segments?: unknown } | null;
  const { name, segments } = record ?? {};
  if (name !== key || !Array.isArray(segments) || !segments.every((item) => typeof item === "string")) {
    throw new TypeError('expected {"name", "segments"} with the name of its key');
  }
  return { name: key, segments };
}

function requireName(code: "TENANT_INVALID" | "SEGMENT_INVALID", what: string, name: string): void {
  const problem =
    (name === "" && "it is empty") ||
    (name.length > MAX_NAME && `it has ${name.length} characters, at most ${MAX_NAME} are taken`) ||
    ((name === "." || name === "..") && "it cannot stand in a path") ||
    (/\p{Surrogate}/u.test(name) && "it holds half a surrogate pair, which no store can hold");
  if (problem !== false) {
    throw new NetworkError(
      "invalid",
      code,
      `${what} cannot be called "${name.slice(0, 40)}": ${problem}; choose another name`,
    );
  }
}

function byText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function addressCount(addresses: number): string {
  return addresses === 1 ? "1 address" : `${addresses} addresses`;
}

function tenantNotFound(name: string): NetworkError {
  return new NetworkError(
    "not-found",
    "TENANT_NOT_FOUND",
    `no tenant is called "${name}", neither declared nor as an owner of addresses: GET /tenants lists them`,
    { tenant: name },
  );
}

function segmentNotFound(tenant: string, name: string): NetworkError {
  return new NetworkError(
    "not-found",
    "SEGMENT_NOT_FOUND",
    `tenant "${tenant}" has no segment "${name}": GET /tenants/${encodeURIComponent(tenant)}/segments lists them`,
    { tenant, segment: name },
  );
}

function isTenantRecord(item: unknown): item is TenantRecord {
  if (typeof item !== "object" || item === null || !("name" in item) || !("segments" in item)) {
    return false;
  }
  const { name, segments } = item;
  const isName = (text: unknown): boolean =>
    typeof text === "string" && text !== "" && text.length <= MAX_NAME && !/\p{Surrogate}/u.test(text);
  return isName(name) && Array.isArray(segments) && segments.length <= MAX_SEGMENTS && segments.every(isName);
}
