import { DEFAULT_AGENT_PORT } from "../ipam/hosts.ts";
import { compareText } from "../ipam/imported-state.ts";
import type { HostGroup, HostRecord } from "../ipam/records.ts";
import { SUBNET_LABEL } from "../ipam/state.ts";
import { formatIpv4, readIpv4 } from "../net/ipv4.ts";
import { matchesAssignment } from "../topology/place-host.ts";
import type { FindingList } from "./finding.ts";
import type { BlobHost } from "./original-blob.ts";
import type { LeafPair, TakenNetwork } from "./original-topology.ts";

interface HostDraft extends Omit<HostRecord, "groups" | "misplaced"> {
  readonly groups: HostGroup[];
  misplaced: boolean;
}

/**
 * The hosts of all networks, each once, with its group in each: a host stands in the original's state once per network. Those of the topology document (the original gives
 * them port 0) stay the document's; the others are Kubernetes nodes where their record says so, else hosts of the API.
 */
export function readHosts(networks: readonly TakenNetwork[], findings: FindingList): readonly HostRecord[] {
  const hosts = new Map<string, HostDraft>();
  for (const network of networks) {
    const here = new Set<string>();
    for (const pair of network.leaves) {
      for (const host of pair.group.hosts) {
        takeHost(hosts, here, network, pair, host, findings);
      }
    }
  }
  return [...hosts.values()];
}

function takeHost(
  hosts: Map<string, HostDraft>,
  here: Set<string>,
  network: TakenNetwork,
  { leaf, chain }: LeafPair,
  host: BlobHost,
  findings: FindingList,
): void {
  const { name, place } = host;
  const left = "it is left out there, with its blocks and addresses";
  const value = readIpv4(host.ip);
  if (value === undefined || name === "" || /\p{Surrogate}/u.test(name) || leaf.kind !== "group") {
    findings.unsound(
      "host-invalid",
      place,
      `host "${name}" (${host.ip || "no address"}) cannot be had: its name or address is unusable, or nothing stands where it is`,
      left,
    );
    return;
  }
  const ip = formatIpv4(value);
  const known = hosts.get(name);
  if (here.has(name)) {
    findings.unsound(
      "host-twice",
      place,
      `host ${name} stands a second time in network "${network.source.name}"`,
      left,
    );
    return;
  }
  if (known !== undefined && known.ip !== ip) {
    findings.unsound(
      "host-differs",
      place,
      `host ${name} has address ${ip} here and ${known.ip} elsewhere`,
      left,
    );
    return;
  }
  here.add(name);
  const tags = Object.fromEntries(Object.entries(host.tags).toSorted(([a], [b]) => compareText(a, b)));
  const draft: HostDraft = known ?? {
    name,
    ip,
    agentPort: host.agentPort === 0 ? DEFAULT_AGENT_PORT : host.agentPort,
    tags,
    origin: host.agentPort === 0 ? "document" : host.isNode ? "kubernetes" : "api",
    sequence: hosts.size + 1,
    groups: [],
    misplaced: false,
  };
  hosts.set(name, draft);
  draft.groups.push({
    network: network.carved.network.name,
    cidr: leaf.cidr,
    subnet: draft.tags[SUBNET_LABEL] ?? "",
  });
  if (
    draft.origin !== "document" &&
    !chain.every(({ assignment }) => matchesAssignment(draft.tags, assignment))
  ) {
    draft.misplaced = true;
    findings.note(
      "host-misplaced",
      place,
      `the labels of host ${name} do not fit its group ${leaf.cidr}`,
      "it stays, misplaced: it keeps its addresses, gets no new block, and moves when its last address is released",
    );
  }
}
