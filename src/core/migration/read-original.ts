import { buildState } from "../ipam/commit.ts";
import type { ImportedState } from "../ipam/imported-state.ts";
import { importedRecords } from "../ipam/imported-state.ts";
import type { BlackoutRecord, BlockRecord } from "../ipam/records.ts";
import { compareCidr, containsCidr, type Cidr } from "../net/cidr.ts";
import { networkFrom } from "../topology/read-networks.ts";
import { readTopology } from "../topology/read-topology.ts";
import { FindingList, type Finding } from "./finding.ts";
import { lowerBound, readAddresses } from "./original-addresses.ts";
import { readBlob, type OriginalBlob } from "./original-blob.ts";
import { readBlocks } from "./original-blocks.ts";
import { readHosts } from "./original-hosts.ts";
import { readNetworks, type TakenNetwork } from "./original-topology.ts";

/** What was read, and what is odd about it. `state` is what a repairing import takes: all of it when no finding is unsound. */
export interface StateReading {
  readonly state: ImportedState;
  readonly findings: readonly Finding[];
}

/**
 * Reads the original's state (key `/romana/ipam/data`): networks, groups, hosts, blocks, owners and addresses come out as they are, each with its
 * revision; what its known errors left in it is found, named and left out.
 *
 *     networks, groups ─► hosts ─► blocks with owners ─► names with addresses
 *     what does not fit is left out at its step, and whatever stands on it at the next
 *
 * Throws `IMPORT_MALFORMED` for what has not its form at all.
 */
export function readOriginalBlob(value: unknown): StateReading {
  const blob = readBlob(value);
  const findings = new FindingList();
  const networks = readNetworks(blob, findings);
  const topology = readTopology(
    networks.length === 0
      ? null
      : {
          networks: networks.map(({ document }) => document),
          topologies: networks.map(({ source, map }) => ({ networks: [source.name], map })),
        },
    { reserved: [] },
  );
  for (const { place, message } of topology.warnings) {
    findings.note("warning", place, message, "it is taken as it is");
  }
  const hosts = readHosts(networks, findings);
  const taken = readBlocks(networks, hosts, findings);
  const addresses = readAddresses(blob, networks, taken, findings);
  const inUse = addresses.map(({ address }) => address);
  const blocks = taken.map(({ network, first, last, owner, revision }, index): BlockRecord => ({
    network,
    first,
    owner: lowerBound(inUse, last + 1) > lowerBound(inUse, first) ? owner : undefined,
    revision,
    sequence: hosts.length + 1 + index,
  }));
  const state: ImportedState = {
    document: networks.length === 0 ? null : topology.document,
    revisionBase: revisionBase(blob, networks, blocks, findings),
    topologyRevision: blob.topologyRevision,
    hosts,
    blocks,
    addresses,
    blackouts: networks.flatMap((network) => blackoutsOf(network, findings)),
  };
  buildState(importedRecords(state).records);
  return { state, findings: findings.all };
}

/** What the original's counters have beyond the sum of its blocks'; revisions never go back. */
function revisionBase(
  { allocationRevision }: OriginalBlob,
  networks: readonly TakenNetwork[],
  blocks: readonly BlockRecord[],
  findings: FindingList,
): ImportedState["revisionBase"] {
  const beyond = (counter: number, own: readonly BlockRecord[], place: string): number => {
    const sum = own.reduce((total, { revision }) => total + revision, 0);
    if (sum > counter) {
      findings.note(
        "revision-behind",
        place,
        `the revision is ${counter}, and the blocks have ${sum} between them: the original counts a block that was tried in vain`,
        `the revision is ${sum}`,
      );
    }
    return Math.max(0, counter - sum);
  };
  return {
    total: beyond(allocationRevision, blocks, "AllocationRevision"),
    networks: Object.fromEntries(
      networks.map(({ source: { name, revision, place } }) => [
        name,
        beyond(
          revision,
          blocks.filter(({ network }) => network === name),
          `${place}.revision`,
        ),
      ]),
    ),
  };
}

function blackoutsOf({ source, carved }: TakenNetwork, findings: FindingList): readonly BlackoutRecord[] {
  const { name, cidr: whole } = carved.network;
  const cidrs = source.blackouts
    .flatMap((text, index): readonly Cidr[] => {
      const cidr = networkFrom(text);
      if (cidr !== undefined && cidr !== whole && containsCidr(whole, cidr)) {
        return [cidr];
      }
      findings.unsound(
        "blackout-invalid",
        `${source.place}.blacked_out[${index}]`,
        `blackout "${text}" is no part of network "${name}" (${whole})`,
        "the blackout is left out",
      );
      return [];
    })
    .toSorted(compareCidr);
  const outer = cidrs.filter(
    (cidr, index) => !cidrs.slice(0, index).some((other) => containsCidr(other, cidr)),
  );
  return outer.length === 0 ? [] : [{ network: name, cidrs: outer }];
}
