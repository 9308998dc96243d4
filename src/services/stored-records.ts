import { NetworkError } from "../core/errors.ts";
import type { PodReference } from "../core/ipam/pod-reference.ts";
import type {
  BlackoutRecord,
  BlockRecord,
  HostGroup,
  HostRecord,
  RevisionBase,
} from "../core/ipam/records.ts";
import { formatCidr, parseCidr, rangeOf } from "../core/net/cidr.ts";
import { formatIpv4, ipv4Value, parseIpv4, readIpv4 } from "../core/net/ipv4.ts";
import type { HostOrigin, NodeIdentity } from "../core/topology/topology.ts";
import type { StoreOperation } from "../ports/store.ts";

/**
 * The JSON of each stored object, written and read. Readers check every field and throw `STATE_UNREADABLE` (invalid) with the key and the field, so that a damaged
 * record is found when the state is loaded and not when it is used.
 */

/** The topology with what an update leaves behind. */
export interface StoredTopology {
  readonly document: unknown;
  readonly warnings: readonly { readonly place: string; readonly message: string }[];
  readonly revisionBase: RevisionBase;
}

/** An address in use; owner and host repeat those of its block, for the reader's sake and as a check. */
export interface StoredAddress {
  readonly name: string;
  /** Unsigned. */
  readonly address: number;
  readonly host: string;
  readonly tenant: string;
  readonly segment: string;
  readonly pod?: PodReference | undefined;
  /** Which transaction wrote it, "" when that is not known: so that one whose answer was lost knows its own work. */
  readonly transaction: string;
}

/** Which large change is valid. */
export interface Generation {
  readonly generation: number;
  /** The change whose chunks count before what stands under the keys that they name; `undefined` when there is none. */
  readonly staged: string | undefined;
  readonly chunks: number;
  /** The latest change, staged or done. */
  readonly last: string;
}

/** Before the first large change. */
export const NO_GENERATION: Generation = { generation: 0, staged: undefined, chunks: 0, last: "" };

const ORIGINS: readonly HostOrigin[] = ["document", "api", "cloud", "kubernetes"];

export function writeTopology(topology: StoredTopology): string {
  return JSON.stringify(topology);
}

export function readStoredTopology(key: string, value: string): StoredTopology {
  const record = open(key, value);
  const base = record.child("revisionBase");
  return {
    document: record.any("document"),
    warnings: record.list("warnings", (item) => ({
      place: item.text("place"),
      message: item.text("message"),
    })),
    revisionBase: { total: base.count("total"), networks: base.map("networks", asCount) },
  };
}

export function writeRevision(revision: number): string {
  return JSON.stringify({ revision });
}

export function readRevision(key: string, value: string): number {
  return open(key, value).count("revision");
}

export function writeHost(host: HostRecord): string {
  const { name, ip, agentPort, tags, origin, sequence, groups, misplaced, node } = host;
  return JSON.stringify({
    name,
    ip,
    agentPort,
    tags,
    origin,
    sequence,
    groups,
    misplaced,
    ...(node === undefined ? {} : { node: { uid: node.uid, instanceId: node.instanceId } }),
  });
}

export function readHost(key: string, value: string): HostRecord {
  const record = open(key, value);
  return {
    name: record.text("name"),
    ip: record.parsed("ip", parseIpv4),
    agentPort: record.count("agentPort"),
    tags: record.map("tags", asText),
    origin: record.parsed("origin", asOrigin),
    sequence: record.count("sequence"),
    groups: record.list("groups", (item): HostGroup => ({
      network: item.text("network"),
      cidr: item.parsed("cidr", parseCidr),
      subnet: item.text("subnet"),
    })),
    misplaced: record.flag("misplaced"),
    ...(record.any("node") === undefined ? {} : { node: readNode(record.child("node")) }),
  };
}

function readNode(record: Reader): NodeIdentity {
  return { uid: record.text("uid"), instanceId: record.text("instanceId") };
}

/** `length`: prefix length of the network's blocks. */
export function writeBlock(
  { network, first, owner, revision, sequence }: BlockRecord,
  length: number,
): string {
  return JSON.stringify({
    network,
    cidr: formatCidr(first, length),
    owner: owner ?? null,
    revision,
    sequence,
  });
}

/** The block with its size, in addresses. */
export function readBlock(key: string, value: string): BlockRecord & { readonly size: number } {
  return quickBlock(value) ?? carefulBlock(key, value);
}

/** There are many of them too: see `quickAddress`. */
function quickBlock(value: string): (BlockRecord & { readonly size: number }) | undefined {
  const { network, cidr, owner, revision, sequence } = quickObject(value);
  if (
    typeof network !== "string" ||
    typeof cidr !== "string" ||
    !isCount(revision) ||
    !isCount(sequence) ||
    !(owner === null || isObject(owner))
  ) {
    return undefined;
  }
  const slash = cidr.indexOf("/");
  const first = readIpv4(cidr.slice(0, slash));
  const length = Number(cidr.slice(slash + 1));
  if (first === undefined || !(length >= 0 && length <= 32) || formatCidr(first, length) !== cidr) {
    return undefined;
  }
  const size = 2 ** (32 - length);
  if (owner === null) {
    return { network, first, size, owner: undefined, revision, sequence };
  }
  const { host, tenant, segment } = owner;
  return typeof host === "string" && typeof tenant === "string" && typeof segment === "string"
    ? { network, first, size, owner: { host, tenant, segment }, revision, sequence }
    : undefined;
}

function carefulBlock(key: string, value: string): BlockRecord & { readonly size: number } {
  const record = open(key, value);
  const { first, size } = rangeOf(record.parsed("cidr", parseCidr));
  const owner = record.any("owner") === null ? undefined : record.child("owner");
  return {
    network: record.text("network"),
    first,
    size,
    owner:
      owner === undefined
        ? undefined
        : { host: owner.text("host"), tenant: owner.text("tenant"), segment: owner.text("segment") },
    revision: record.count("revision"),
    sequence: record.count("sequence"),
  };
}

export function writeAddress(record: StoredAddress): string {
  const { name, address, host, tenant, segment, pod, transaction } = record;
  const fields = { name, address: formatIpv4(address), host, tenant, segment, txn: transaction };
  return JSON.stringify(pod === undefined ? fields : { ...fields, pod: podFields(pod) });
}

export function readAddress(key: string, value: string): StoredAddress {
  return quickAddress(value) ?? carefulAddress(key, value);
}

/** There are many of them: one that is as it should be is read without a reader for each field. */
function quickAddress(value: string): StoredAddress | undefined {
  const { name, address, host, tenant, segment, txn = "", pod } = quickObject(value);
  const parsed = typeof address === "string" ? readIpv4(address) : undefined;
  return parsed !== undefined &&
    typeof name === "string" &&
    typeof host === "string" &&
    typeof tenant === "string" &&
    typeof segment === "string" &&
    typeof txn === "string"
    ? withPod({ name, address: parsed, host, tenant, segment, transaction: txn }, pod)
    : undefined;
}

/** A namespace is most often the tenant: then both are one text in memory. */
function withPod(record: StoredAddress, pod: unknown): StoredAddress | undefined {
  if (pod === undefined) {
    return record;
  }
  if (!isObject(pod)) {
    return undefined;
  }
  const { namespace, name, uid } = pod;
  if (typeof namespace !== "string" || typeof name !== "string" || typeof uid !== "string") {
    return undefined;
  }
  const shared = namespace === record.tenant ? record.tenant : namespace;
  return { ...record, pod: { namespace: shared, name, uid } };
}

/** In this order. */
function podFields({ namespace, name, uid }: PodReference): PodReference {
  return { namespace, name, uid };
}

const EMPTY: Readonly<Record<string, unknown>> = {};

/** An object without fields for what is none. */
function quickObject(value: string): Readonly<Record<string, unknown>> {
  try {
    const found: unknown = JSON.parse(value);
    return isObject(found) ? found : EMPTY;
  } catch {
    // Whoever reads it with care says what is wrong.
    return EMPTY;
  }
}

function carefulAddress(key: string, value: string): StoredAddress {
  const record = open(key, value);
  const pod = record.any("pod") === undefined ? undefined : record.child("pod");
  return {
    name: record.text("name"),
    address: ipv4Value(record.parsed("address", parseIpv4)),
    host: record.text("host"),
    tenant: record.text("tenant"),
    segment: record.text("segment"),
    transaction: record.any("txn") === undefined ? "" : record.text("txn"),
    ...(pod === undefined
      ? {}
      : { pod: { namespace: pod.text("namespace"), name: pod.text("name"), uid: pod.text("uid") } }),
  };
}

export function writeBlackouts({ network, cidrs }: BlackoutRecord): string {
  return JSON.stringify({ network, cidrs });
}

export function readBlackouts(key: string, value: string): BlackoutRecord {
  const record = open(key, value);
  return { network: record.text("network"), cidrs: record.texts("cidrs", parseCidr) };
}

export function writeGeneration({ generation, staged, chunks, last }: Generation): string {
  return JSON.stringify({ generation, staged: staged ?? null, chunks, last });
}

export function readGeneration(key: string, value: string): Generation {
  const record = open(key, value);
  return {
    generation: record.count("generation"),
    staged: record.any("staged") === null ? undefined : record.text("staged"),
    chunks: record.count("chunks"),
    last: record.text("last"),
  };
}

/** Some operations of a staged change. */
export function writeChunk(operations: readonly StoreOperation[]): string {
  return JSON.stringify({
    operations: operations.map((operation) =>
      operation.kind === "put" ? { key: operation.key, value: operation.value } : { key: operation.key },
    ),
  });
}

export function readChunk(key: string, value: string): readonly StoreOperation[] {
  return open(key, value).list("operations", (item): StoreOperation =>
    item.any("value") === undefined
      ? { kind: "delete", key: item.text("key") }
      : { kind: "put", key: item.text("key"), value: item.text("value") },
  );
}

export function writeSchema(version: number): string {
  return JSON.stringify({ version });
}

export function readSchema(key: string, value: string): number {
  return open(key, value).count("version");
}

/** One JSON object whose fields are read by type. */
interface Reader {
  any(field: string): unknown;
  text(field: string): string;
  flag(field: string): boolean;
  /** A whole number, 0 or more. */
  count(field: string): number;
  /** Text that `parse` takes. */
  parsed<T>(field: string, parse: (text: string) => T): T;
  child(field: string): Reader;
  list<T>(field: string, read: (item: Reader) => T): readonly T[];
  texts<T>(field: string, parse: (text: string) => T): readonly T[];
  map<T>(field: string, read: (value: unknown) => T): Readonly<Record<string, T>>;
}

function open(key: string, value: string): Reader {
  try {
    return readerOf(JSON.parse(value), key, "");
  } catch (error) {
    throw error instanceof NetworkError ? error : unreadable(key, "it is not JSON", error);
  }
}

function readerOf(value: unknown, key: string, place: string): Reader {
  if (!isObject(value)) {
    throw unreadable(key, `${place === "" ? "it" : place} is not an object`);
  }
  const at = (field: string): string => (place === "" ? field : `${place}.${field}`);
  const attempt = <T>(field: string, read: (found: unknown) => T): T => {
    try {
      return read(Object.hasOwn(value, field) ? value[field] : undefined);
    } catch (error) {
      throw error instanceof NetworkError && error.code === "STATE_UNREADABLE"
        ? error
        : unreadable(key, `${at(field)}: ${error instanceof Error ? error.message : String(error)}`, error);
    }
  };
  return {
    any: (field) => attempt(field, (found) => found),
    text: (field) => attempt(field, asText),
    flag: (field) => attempt(field, asFlag),
    count: (field) => attempt(field, asCount),
    parsed: (field, parse) => attempt(field, (found) => parse(asText(found))),
    child: (field) => attempt(field, (found) => readerOf(found, key, at(field))),
    list: (field, read) =>
      attempt(field, (found) =>
        asList(found).map((item, index) => read(readerOf(item, key, `${at(field)}[${index}]`))),
      ),
    texts: (field, parse) => attempt(field, (found) => asList(found).map((item) => parse(asText(item)))),
    map: (field, read) =>
      attempt(field, (found) =>
        Object.fromEntries(Object.entries(asObject(found)).map(([name, item]) => [name, read(item)])),
      ),
  };
}

function asText(value: unknown): string {
  return typeof value === "string" ? value : wrong("text", value);
}

function asFlag(value: unknown): boolean {
  return typeof value === "boolean" ? value : wrong("true or false", value);
}

function asCount(value: unknown): number {
  return isCount(value) ? value : wrong("a whole number", value);
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : wrong("a list", value);
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  return isObject(value) ? value : wrong("an object", value);
}

function asOrigin(text: string): HostOrigin {
  return ORIGINS.find((origin) => origin === text) ?? wrong(ORIGINS.join(", "), text);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function wrong(expected: string, value: unknown): never {
  throw new TypeError(`expected ${expected}, found ${JSON.stringify(value) ?? "nothing"}`);
}

function unreadable(key: string, reason: string, cause?: unknown): NetworkError {
  return new NetworkError(
    "invalid",
    "STATE_UNREADABLE",
    `the stored record ${key} cannot be read: ${reason}; restore it from a backup, or remove it`,
    { key },
    cause,
  );
}
