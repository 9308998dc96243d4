import { NetworkError } from "../errors.ts";
import {
  isObject,
  keyPlace,
  kindOf,
  readFlag,
  readLabels,
  readList,
  readObject,
  readText,
  refuse,
  type Findings,
  type JsonObject,
} from "../topology/document-reader.ts";

/** Deepest nesting of groups that is read; the original shows no more. */
const MAX_DEPTH = 20;
/** An error names this many problems; the rest are counted. */
const MAX_REPORTED = 100;

/** A host of the original's state. */
export interface BlobHost {
  readonly name: string;
  readonly ip: string;
  /** 0 for one that stood in the topology document. */
  readonly agentPort: number;
  readonly tags: Readonly<Record<string, string>>;
  /** The original stored what Kubernetes says of it. */
  readonly isNode: boolean;
  readonly place: string;
}

/** A block with its free ranges, both ends included. */
export interface BlobBlock {
  readonly cidr: string;
  readonly free: readonly { readonly first: number; readonly last: number }[];
  readonly revision: number;
  readonly place: string;
}

/** A group; its blocks are named by their index in `blocks`. */
export interface BlobGroup {
  readonly name: string;
  /** "" for the root above several groups. */
  readonly cidr: string;
  readonly assignment: Readonly<Record<string, string>>;
  readonly routing: string;
  readonly dummy: boolean;
  readonly hosts: readonly BlobHost[];
  readonly groups: readonly BlobGroup[];
  readonly blocks: readonly BlobBlock[];
  readonly ownerOf: ReadonlyMap<number, string>;
  readonly hostOf: ReadonlyMap<number, string>;
  /** Indices in the order of acquisition. */
  readonly ownedBy: ReadonlyMap<string, readonly number[]>;
  /** Indices in the order of return. */
  readonly reusable: readonly number[];
  readonly place: string;
}

export interface BlobNetwork {
  readonly name: string;
  readonly cidr: string;
  readonly blockMask: number;
  readonly blackouts: readonly string[];
  readonly root: BlobGroup | undefined;
  readonly revision: number;
  readonly place: string;
}

/** The original's state (key `/romana/ipam/data`) as it was stored, with the form of every field checked and the meaning of none. */
export interface OriginalBlob {
  readonly networks: readonly BlobNetwork[];
  readonly allocationRevision: number;
  readonly topologyRevision: number;
  /** Name and address, in the order of the document. */
  readonly names: readonly (readonly [string, string])[];
  /** Names of networks by tenant; `*` is any. */
  readonly tenants: ReadonlyMap<string, readonly string[]>;
}

/** True for what looks like the original's state: an object with its two tables. */
export function looksOriginal(value: unknown): boolean {
  return isObject(value) && "address_name_to_ip" in value && "tenant_to_network" in value;
}

/** Reads the form of the original's state. Throws `IMPORT_MALFORMED` (invalid) with every field that is not of its form. */
export function readBlob(value: unknown): OriginalBlob {
  const findings: Findings = { problems: [], warnings: [] };
  const object = readObject(findings, value, "", [
    "networks",
    "AllocationRevision",
    "TopologyRevision",
    "address_name_to_ip",
    "tenant_to_network",
  ]);
  const blob: OriginalBlob = {
    networks: tableOf(findings, object?.["networks"], "networks").map(([name, item, place]) =>
      readNetwork(findings, item, place, name),
    ),
    allocationRevision: readCount(findings, object?.["AllocationRevision"], "AllocationRevision"),
    topologyRevision: readCount(findings, object?.["TopologyRevision"], "TopologyRevision"),
    names: tableOf(findings, object?.["address_name_to_ip"], "address_name_to_ip").map(
      ([name, item, place]) => [name, readText(findings, item, place)] as const,
    ),
    tenants: new Map(
      tableOf(findings, object?.["tenant_to_network"], "tenant_to_network").map(([tenant, item, place]) => [
        tenant,
        readTexts(findings, item, place),
      ]),
    ),
  };
  if (findings.problems.length > 0) {
    throw malformed(findings);
  }
  return blob;
}

/** The error for a document whose form is wrong, with every problem at its place. */
export function malformed({ problems }: Pick<Findings, "problems">): NetworkError {
  const shown = problems.slice(0, MAX_REPORTED).map(({ place, message }) => `${place}: ${message}`);
  const more = problems.length - shown.length;
  const lines = more > 0 ? [...shown, `document: ${more} more like these`] : shown;
  return new NetworkError(
    "invalid",
    "IMPORT_MALFORMED",
    `the state cannot be read, nothing was imported: ${lines.join("; ")}; give a file that "romana export" or the original wrote, as it was`,
    { problems: lines },
  );
}

/** A whole number from 0 on; absent and `null` are 0. */
export function readCount(findings: Findings, value: unknown, place: string): number {
  if (value === undefined || value === null) {
    return 0;
  }
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    refuse(findings, place, `expected a whole number, 0 or more, found ${kindOf(value)}`);
    return 0;
  }
  return value;
}

/** A list of texts. */
export function readTexts(findings: Findings, value: unknown, place: string): readonly string[] {
  return readList(findings, value, place).map((item, index) =>
    readText(findings, item, `${place}[${index}]`),
  );
}

/** The entries of an object with their places; absent and `null` are none. */
function tableOf(
  findings: Findings,
  value: unknown,
  place: string,
): readonly (readonly [string, unknown, string])[] {
  if (value === undefined || value === null) {
    return [];
  }
  if (!isObject(value)) {
    refuse(findings, place, `expected an object, found ${kindOf(value)}`);
    return [];
  }
  return Object.entries(value).map(([key, item]) => [key, item, keyPlace(place, key)] as const);
}

function readNetwork(findings: Findings, value: unknown, place: string, key: string): BlobNetwork {
  const object = readObject(findings, value, place, [
    "name",
    "cidr",
    "block_mask",
    "blacked_out",
    "host_groups",
    "revision",
  ]);
  const root = object?.["host_groups"];
  const name = readText(findings, object?.["name"], keyPlace(place, "name"));
  if (name !== "" && name !== key) {
    refuse(findings, keyPlace(place, "name"), `the network is filed under "${key}" and is called "${name}"`);
  }
  return {
    name: key,
    cidr: readText(findings, object?.["cidr"], keyPlace(place, "cidr")),
    blockMask: readCount(findings, object?.["block_mask"], keyPlace(place, "block_mask")),
    blackouts: readList(findings, object?.["blacked_out"], keyPlace(place, "blacked_out")).map(
      (item, index) => {
        const at = `${keyPlace(place, "blacked_out")}[${index}]`;
        return readText(findings, isObject(item) ? item["cidr"] : item, at);
      },
    ),
    root:
      root === undefined || root === null
        ? undefined
        : readGroup(findings, root, keyPlace(place, "host_groups"), 1),
    revision: readCount(findings, object?.["revision"], keyPlace(place, "revision")),
    place,
  };
}

function readGroup(findings: Findings, value: unknown, place: string, depth: number): BlobGroup {
  const object = readObject(findings, value, place, [
    "name",
    "hosts",
    "groups",
    "cidr",
    "block_to_owner",
    "owner_to_block",
    "block_to_host",
    "blocks",
    "reusable_blocks",
    "assignment",
    "routing",
    "dummy",
  ]);
  const at = (key: string): string => keyPlace(place, key);
  const children = readList(findings, object?.["groups"], at("groups"));
  if (depth > MAX_DEPTH && children.length > 0) {
    refuse(findings, at("groups"), `groups may be nested ${MAX_DEPTH} levels deep, this is one more`);
  }
  return {
    name: readText(findings, object?.["name"], at("name")),
    cidr: readText(findings, object?.["cidr"], at("cidr")),
    assignment: readLabels(findings, object?.["assignment"], at("assignment")),
    routing: readText(findings, object?.["routing"], at("routing")),
    dummy: readFlag(findings, object?.["dummy"], at("dummy")),
    hosts: readList(findings, object?.["hosts"], at("hosts")).map((item, index) =>
      readHost(findings, item, `${at("hosts")}[${index}]`),
    ),
    groups:
      depth > MAX_DEPTH
        ? []
        : children.map((item, index) => readGroup(findings, item, `${at("groups")}[${index}]`, depth + 1)),
    blocks: readList(findings, object?.["blocks"], at("blocks")).map((item, index) =>
      readBlock(findings, item, `${at("blocks")}[${index}]`),
    ),
    ownerOf: indexed(findings, object, "block_to_owner", place),
    hostOf: indexed(findings, object, "block_to_host", place),
    ownedBy: new Map(
      tableOf(findings, object?.["owner_to_block"], at("owner_to_block")).map(([owner, item, where]) => [
        owner,
        readIndices(findings, item, where),
      ]),
    ),
    reusable: readIndices(findings, object?.["reusable_blocks"], at("reusable_blocks")),
    place,
  };
}

function readHost(findings: Findings, value: unknown, place: string): BlobHost {
  const object = readObject(findings, value, place, ["name", "ip", "agent_port", "tags", "k8s_info"]);
  const info = object?.["k8s_info"];
  return {
    name: readText(findings, object?.["name"], keyPlace(place, "name")),
    ip: readText(findings, object?.["ip"], keyPlace(place, "ip")),
    agentPort: readCount(findings, object?.["agent_port"], keyPlace(place, "agent_port")),
    tags: readLabels(findings, object?.["tags"], keyPlace(place, "tags")),
    isNode: isObject(info) && Object.keys(info).length > 0,
    place,
  };
}

function readBlock(findings: Findings, value: unknown, place: string): BlobBlock {
  const object = readObject(findings, value, place, ["cidr", "pool", "revision"]);
  const pool = readObject(findings, object?.["pool"], keyPlace(place, "pool"), [
    "Ranges",
    "OrigMin",
    "OrigMax",
  ]);
  const ranges = `${keyPlace(place, "pool")}.Ranges`;
  return {
    cidr: readText(findings, object?.["cidr"], keyPlace(place, "cidr")),
    free: readList(findings, pool?.["Ranges"], ranges).map((item, index) => {
      const at = `${ranges}[${index}]`;
      const range = readObject(findings, item, at, ["Min", "Max"]);
      return {
        first: readCount(findings, range?.["Min"], `${at}.Min`),
        last: readCount(findings, range?.["Max"], `${at}.Max`),
      };
    }),
    revision: readCount(findings, object?.["revision"], keyPlace(place, "revision")),
    place,
  };
}

/** A table whose keys are the indices of blocks. */
function indexed(
  findings: Findings,
  object: JsonObject | undefined,
  key: string,
  place: string,
): ReadonlyMap<number, string> {
  return new Map(
    tableOf(findings, object?.[key], keyPlace(place, key)).map(([index, item, at]) => {
      if (!/^\d{1,9}$/.test(index)) {
        refuse(findings, at, `expected the index of a block, found "${index}"`);
      }
      return [Number(index), readText(findings, item, at)] as const;
    }),
  );
}

function readIndices(findings: Findings, value: unknown, place: string): readonly number[] {
  return readList(findings, value, place).map((item, index) =>
    readCount(findings, item, `${place}[${index}]`),
  );
}
