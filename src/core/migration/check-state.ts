import { NetworkError } from "../errors.ts";
import { buildState } from "../ipam/commit.ts";
import { importedRecords, type ImportedState } from "../ipam/imported-state.ts";
import { createState, poolAt, type IpamState, type LeafState } from "../ipam/state.ts";
import { containsCidr, formatCidr, overlaps } from "../net/cidr.ts";
import { formatIpv4 } from "../net/ipv4.ts";
import { refuse, type Findings } from "../topology/document-reader.ts";
import type { Topology } from "../topology/read-topology.ts";

/**
 * Checks what the records of a state say of each other, so that every contradiction is named with its place. `masks`: the prefix length of each block as it was written.
 */
export function checkState(
  findings: Findings,
  state: ImportedState,
  topology: Topology,
  masks: readonly number[],
): void {
  const outline = createState(topology);
  checkHosts(findings, state, outline);
  checkBlocks(findings, state, outline, masks);
  checkAddresses(findings, state, outline);
  checkBlackouts(findings, state, outline);
  if (findings.problems.length === 0) {
    try {
      buildState(importedRecords(state).records);
    } catch (error) {
      if (!(error instanceof NetworkError)) {
        throw error;
      }
      refuse(findings, "document", error.message);
    }
  }
}

function checkHosts(findings: Findings, { hosts }: ImportedState, outline: IpamState): void {
  const once = counter(findings);
  for (const [index, { name, sequence, groups }] of hosts.entries()) {
    const place = `hosts[${index}]`;
    once(`host ${name}`, place);
    once(`sequence ${sequence} of hosts`, place);
    const leaves = new Map<number, LeafState | undefined>();
    for (const [position, { network, cidr }] of groups.entries()) {
      const at = `${place}.groups[${position}]`;
      const pool = outline.networksByName
        .get(network)
        ?.pools.find((candidate) => candidate.group.cidr === cidr);
      once(`host ${name} in network "${network}"`, at);
      if (pool !== undefined && leaves.has(pool.leaf.entry) && leaves.get(pool.leaf.entry) !== pool.leaf) {
        refuse(findings, at, `host ${name} stands in another group of the same topology`);
      }
      leaves.set(pool?.leaf.entry ?? -1, pool?.leaf);
      if (pool?.group.kind !== "group") {
        refuse(findings, at, `${cidr} is no group of network "${network}" that takes hosts`);
      }
    }
  }
}

function checkBlocks(
  findings: Findings,
  { blocks, hosts }: ImportedState,
  outline: IpamState,
  masks: readonly number[],
): void {
  const once = counter(findings);
  const groups = new Map(
    hosts.flatMap((host) =>
      host.groups.map(({ network, cidr }) => [JSON.stringify([host.name, network]), cidr] as const),
    ),
  );
  for (const [index, { network: name, first, owner, sequence }] of blocks.entries()) {
    const place = `blocks[${index}]`;
    const network = outline.networksByName.get(name);
    const cidr = formatCidr(first, masks[index] ?? 32);
    const pool = network === undefined ? undefined : poolAt(network, first);
    once(`block ${cidr}`, place);
    once(`sequence ${sequence} of blocks`, place);
    if (sequence === 0) {
      refuse(findings, `${place}.sequence`, "sequences begin at 1");
    }
    if (network === undefined || pool === undefined || network.network.blockMask !== masks[index]) {
      const mask = network === undefined ? "" : `, whose blocks are /${network.network.blockMask}`;
      refuse(findings, place, `${cidr} is no block of network "${name}"${mask}`);
    } else if (owner !== undefined && groups.get(JSON.stringify([owner.host, name])) !== pool.group.cidr) {
      refuse(
        findings,
        `${place}.owner`,
        `host ${owner.host} is not in group ${pool.group.cidr} of network "${name}"`,
      );
    }
  }
}

function checkAddresses(findings: Findings, { blocks, addresses }: ImportedState, outline: IpamState): void {
  const once = counter(findings);
  const byFirst = new Map(blocks.map((block) => [`${block.network} ${block.first}`, block]));
  const used = new Set<object>();
  for (const [index, { name, address, host, tenant, segment }] of addresses.entries()) {
    const place = `addresses[${index}]`;
    const network = outline.networks.find(({ first, end }) => address >= first && address < end);
    const block =
      network === undefined
        ? undefined
        : byFirst.get(`${network.network.name} ${address - (address % network.blockSize)}`);
    once(`address name "${name}"`, place);
    once(`address ${formatIpv4(address)}`, place);
    const owner = block?.owner;
    if (block === undefined || owner === undefined) {
      refuse(findings, place, `${formatIpv4(address)} of "${name}" lies in no block that somebody owns`);
    } else if (owner.host !== host || owner.tenant !== tenant || owner.segment !== segment) {
      refuse(
        findings,
        place,
        `"${name}" is of host ${host}, tenant "${tenant}", segment "${segment}", and its block is not`,
      );
    } else {
      used.add(block);
    }
  }
  for (const [index, block] of blocks.entries()) {
    if (block.owner !== undefined && !used.has(block)) {
      refuse(findings, `blocks[${index}].owner`, "the block has an owner and no address in use");
    }
  }
}

function checkBlackouts(findings: Findings, { blackouts }: ImportedState, outline: IpamState): void {
  const once = counter(findings);
  for (const [index, { network: name, cidrs }] of blackouts.entries()) {
    const place = `blackouts[${index}]`;
    const network = outline.networksByName.get(name)?.network;
    once(`blackouts of network "${name}"`, place);
    for (const [position, cidr] of cidrs.entries()) {
      const at = `${place}.cidrs[${position}]`;
      if (network === undefined || cidr === network.cidr || !containsCidr(network.cidr, cidr)) {
        refuse(findings, at, `${cidr} is no part of network "${name}"`);
      }
      if (cidrs.slice(0, position).some((other) => overlaps(other, cidr))) {
        refuse(findings, at, `${cidr} overlaps another blackout`);
      }
    }
  }
}

/** Refuses what is said a second time. */
function counter(findings: Findings): (what: string, place: string) => void {
  const seen = new Map<string, string>();
  return (what, place) => {
    const earlier = seen.get(what);
    if (earlier === undefined) {
      seen.set(what, place);
    } else {
      refuse(findings, place, `${what} stands already at ${earlier}`);
    }
  };
}
