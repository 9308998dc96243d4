import { NetworkError } from "../errors.ts";
import type { ImportedAddress, ImportedState } from "../ipam/imported-state.ts";
import type { PodReference } from "../ipam/pod-reference.ts";
import type { BlackoutRecord, BlockRecord, HostRecord, RevisionBase } from "../ipam/records.ts";
import { compareCidr, formatCidr, rangeOf, type Cidr } from "../net/cidr.ts";
import { formatIpv4, ipv4Value, readIpv4, type Ipv4 } from "../net/ipv4.ts";
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
import { networkFrom } from "../topology/read-networks.ts";
import { readTopology, type Topology } from "../topology/read-topology.ts";
import type { HostOrigin } from "../topology/topology.ts";
import { checkState } from "./check-state.ts";
import { malformed, readCount, readTexts } from "./original-blob.ts";
import { STATE_KIND, STATE_VERSION } from "./state-document.ts";

const ORIGINS: readonly HostOrigin[] = ["document", "api", "cloud", "kubernetes"];

/** What a document of ours holds. Tenants and policies are checked by those who keep them. */
export interface StateContent {
  readonly state: ImportedState;
  readonly tenants: readonly unknown[];
  readonly policies: readonly unknown[];
}

/** True for a document that says it is ours. */
export function looksOwn(value: unknown): boolean {
  return isObject(value) && value["kind"] === STATE_KIND;
}

/**
 * Reads a document that `writeStateDocument` wrote. Every field is checked, and what it says of others: hosts stand in groups that there are, blocks belong to hosts of
 * their group, addresses lie in blocks of their owner. Throws `IMPORT_MALFORMED` with every problem at its place, `IMPORT_VERSION_UNKNOWN` for a version
 * that this program does not know (both invalid). The journal of routes is passed over: routes that stand are adopted.
 */
export function readStateDocument(value: unknown): StateContent {
  const findings: Findings = { problems: [], warnings: [] };
  const object = readObject(findings, value, "", [
    "kind",
    "version",
    "exportedAt",
    "topologyRevision",
    "revisionBase",
    "topology",
    "hosts",
    "blocks",
    "addresses",
    "blackouts",
    "tenants",
    "policies",
    "routes",
  ]);
  checkVersion(object?.["version"]);
  const items = <T>(key: string, read: (findings: Findings, item: JsonObject, place: string) => T): T[] =>
    readList(findings, object?.[key], key).flatMap((item, index) => {
      const place = `${key}[${index}]`;
      if (!isObject(item)) {
        refuse(findings, place, `expected an object, found ${kindOf(item)}`);
        return [];
      }
      return [read(findings, item, place)];
    });
  const state: ImportedState = {
    document: object?.["topology"] ?? null,
    revisionBase: readBase(findings, object?.["revisionBase"]),
    topologyRevision: readCount(findings, object?.["topologyRevision"], "topologyRevision"),
    hosts: items("hosts", readHost),
    blocks: items("blocks", readBlock),
    addresses: items("addresses", readAddress),
    blackouts: items("blackouts", readBlackouts),
  };
  const masks = readList(findings, object?.["blocks"], "blocks").map((item) => maskOf(item));
  const topology = topologyOf(findings, state.document);
  if (findings.problems.length === 0 && topology !== undefined) {
    checkState(findings, state, topology, masks);
  }
  if (findings.problems.length > 0 || topology === undefined) {
    throw malformed(findings);
  }
  return {
    state: { ...state, document: topology.networks.length === 0 ? null : topology.document },
    tenants: items("tenants", (_, item) => item),
    policies: items("policies", (_, item) => item),
  };
}

function checkVersion(version: unknown): void {
  if (version !== STATE_VERSION) {
    throw new NetworkError(
      "invalid",
      "IMPORT_VERSION_UNKNOWN",
      `the state document has version ${JSON.stringify(version) ?? "none"}, and this program reads version ${STATE_VERSION}: import it with the release that exported it, or a newer one`,
      { version: STATE_VERSION },
    );
  }
}

function topologyOf(findings: Findings, document: unknown): Topology | undefined {
  try {
    return readTopology(document, { reserved: [] });
  } catch (error) {
    if (!(error instanceof NetworkError)) {
      throw error;
    }
    const problems = error.details["problems"];
    const lines = Array.isArray(problems) ? (problems as readonly string[]) : [error.message];
    lines.forEach((line) => refuse(findings, "topology", line));
    return undefined;
  }
}

function readBase(findings: Findings, value: unknown): RevisionBase {
  const object = readObject(findings, value ?? {}, "revisionBase", ["total", "networks"]);
  const networks = object?.["networks"] ?? {};
  if (!isObject(networks)) {
    refuse(findings, "revisionBase.networks", `expected an object, found ${kindOf(networks)}`);
    return { total: 0, networks: {} };
  }
  return {
    total: readCount(findings, object?.["total"], "revisionBase.total"),
    networks: Object.fromEntries(
      Object.entries(networks).map(([name, count]) => [
        name,
        readCount(findings, count, keyPlace("revisionBase.networks", name)),
      ]),
    ),
  };
}

function readHost(findings: Findings, item: JsonObject, place: string): HostRecord {
  const origin = readText(findings, item["origin"], `${place}.origin`);
  const known = ORIGINS.find((each) => each === origin);
  if (known === undefined) {
    refuse(findings, `${place}.origin`, `expected one of ${ORIGINS.join(", ")}, found "${origin}"`);
  }
  return {
    name: readName(findings, item["name"], `${place}.name`),
    ip: readAddressText(findings, item["ip"], `${place}.ip`),
    agentPort: readCount(findings, item["agentPort"], `${place}.agentPort`),
    tags: readLabels(findings, item["tags"], `${place}.tags`),
    origin: known ?? "api",
    sequence: readCount(findings, item["sequence"], `${place}.sequence`),
    groups: readList(findings, item["groups"], `${place}.groups`).map((group, index) => {
      const at = `${place}.groups[${index}]`;
      const object = readObject(findings, group, at, ["network", "cidr", "subnet"]);
      return {
        network: readText(findings, object?.["network"], `${at}.network`),
        cidr: readCidr(findings, object?.["cidr"], `${at}.cidr`),
        subnet: readText(findings, object?.["subnet"], `${at}.subnet`),
      };
    }),
    misplaced: readFlag(findings, item["misplaced"], `${place}.misplaced`),
    ...readNode(findings, item["node"] ?? undefined, `${place}.node`),
  };
}

function readNode(findings: Findings, value: unknown, place: string): Pick<HostRecord, "node"> {
  if (value === undefined) {
    return {};
  }
  const object = readObject(findings, value, place, ["uid", "instanceId"]);
  return {
    node: {
      uid: readText(findings, object?.["uid"], `${place}.uid`),
      instanceId: readText(findings, object?.["instanceId"], `${place}.instanceId`),
    },
  };
}

function readBlock(findings: Findings, item: JsonObject, place: string): BlockRecord {
  const owner = item["owner"] ?? undefined;
  const object =
    owner === undefined
      ? undefined
      : readObject(findings, owner, `${place}.owner`, ["host", "tenant", "segment"]);
  const cidr = readCidr(findings, item["cidr"], `${place}.cidr`);
  return {
    network: readText(findings, item["network"], `${place}.network`),
    first: rangeOf(cidr).first,
    owner:
      object === undefined
        ? undefined
        : {
            host: readText(findings, object["host"], `${place}.owner.host`),
            tenant: readText(findings, object["tenant"], `${place}.owner.tenant`),
            segment: readText(findings, object["segment"], `${place}.owner.segment`),
          },
    revision: readCount(findings, item["revision"], `${place}.revision`),
    sequence: readCount(findings, item["sequence"], `${place}.sequence`),
  };
}

/** The prefix length of a block that was read without a problem, -1 for any other. */
function maskOf(item: unknown): number {
  const cidr = isObject(item) ? item["cidr"] : undefined;
  return typeof cidr === "string" ? Number(cidr.slice(cidr.indexOf("/") + 1)) : -1;
}

function readAddress(findings: Findings, item: JsonObject, place: string): ImportedAddress {
  return {
    name: readName(findings, item["name"], `${place}.name`),
    address: ipv4Value(readAddressText(findings, item["address"], `${place}.address`)),
    host: readText(findings, item["host"], `${place}.host`),
    tenant: readText(findings, item["tenant"], `${place}.tenant`),
    segment: readText(findings, item["segment"], `${place}.segment`),
    ...(item["pod"] === undefined ? {} : { pod: readPod(findings, item["pod"], `${place}.pod`) }),
  };
}

function readPod(findings: Findings, value: unknown, place: string): PodReference {
  const object = readObject(findings, value, place, ["namespace", "name", "uid"]);
  return {
    namespace: readName(findings, object?.["namespace"], `${place}.namespace`),
    name: readName(findings, object?.["name"], `${place}.name`),
    uid: readName(findings, object?.["uid"], `${place}.uid`),
  };
}

function readBlackouts(findings: Findings, item: JsonObject, place: string): BlackoutRecord {
  const at = `${place}.cidrs`;
  return {
    network: readText(findings, item["network"], `${place}.network`),
    cidrs: readTexts(findings, item["cidrs"], at)
      .map((text, index) => readCidr(findings, text, `${at}[${index}]`))
      .toSorted(compareCidr),
  };
}

function readName(findings: Findings, value: unknown, place: string): string {
  const name = readText(findings, value, place);
  if (name === "") {
    refuse(findings, place, "a name is missing");
  }
  return name;
}

function readAddressText(findings: Findings, value: unknown, place: string): Ipv4 {
  const text = readText(findings, value, place);
  const address = readIpv4(text);
  if (address === undefined) {
    refuse(findings, place, `"${text}" is not an IPv4 address: write it as a.b.c.d`);
  }
  return formatIpv4(address ?? 0);
}

function readCidr(findings: Findings, value: unknown, place: string): Cidr {
  const text = readText(findings, value, place);
  const cidr = networkFrom(text);
  if (cidr === undefined || cidr !== text) {
    refuse(findings, place, `"${text}" is not an IPv4 network without host bits: write it as a.b.c.d/length`);
  }
  return cidr ?? formatCidr(0, 0);
}
