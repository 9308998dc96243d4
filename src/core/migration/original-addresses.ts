import type { ImportedAddress } from "../ipam/imported-state.ts";
import { compareText } from "../ipam/imported-state.ts";
import { rangeOf } from "../net/cidr.ts";
import { formatIpv4, readIpv4 } from "../net/ipv4.ts";
import type { FindingList } from "./finding.ts";
import type { OriginalBlob } from "./original-blob.ts";
import { without, type Run, type TakenBlock } from "./original-blocks.ts";
import type { TakenNetwork } from "./original-topology.ts";

/** A finding names at most this many runs of addresses. */
const MAX_NAMED = 5;
const LEFT_OUT = "the name is left out";

interface Claim {
  readonly name: string;
  readonly address: number;
  readonly block: TakenBlock;
  readonly place: string;
}

/**
 * The addresses in use: those that a name and the block both count so. A name whose address its block has free is what a removed host left behind; an address that the
 * block counts as used and that nobody has was lost when its neighbours were released.
 */
export function readAddresses(
  blob: OriginalBlob,
  networks: readonly TakenNetwork[],
  blocks: readonly TakenBlock[],
  findings: FindingList,
): readonly ImportedAddress[] {
  const byFirst = new Map(blocks.map((block) => [`${block.network} ${block.first}`, block]));
  const claims = blob.names.flatMap((entry) => claimOf(entry, networks, byFirst, findings) ?? []);
  const held = new Map<number, Claim[]>();
  for (const claim of claims) {
    const others = held.get(claim.address);
    if (others === undefined) {
      held.set(claim.address, [claim]);
    } else {
      others.push(claim);
    }
  }
  const taken = [...held.values()].flatMap((rivals) => chosen(rivals, findings) ?? []);
  reportLost(blob, networks, blocks, taken, findings);
  return taken
    .toSorted((a, b) => a.address - b.address)
    .flatMap(({ name, address, block: { owner } }) =>
      owner === undefined
        ? []
        : [{ name, address, host: owner.host, tenant: owner.tenant, segment: owner.segment }],
    );
}

/** The block that has the name's address in use, or a finding. */
function claimOf(
  [name, text]: readonly [string, string],
  networks: readonly TakenNetwork[],
  blocks: ReadonlyMap<string, TakenBlock>,
  findings: FindingList,
): Claim | undefined {
  const place = `address_name_to_ip["${name}"]`;
  const address = readIpv4(text);
  if (address === undefined || name === "" || /\p{Surrogate}/u.test(name)) {
    findings.unsound(
      "address-invalid",
      place,
      `"${name}" with "${text}" is no name with an address`,
      LEFT_OUT,
    );
    return undefined;
  }
  const network = networks
    .map(({ carved }) => carved.network)
    .find(({ cidr }) => {
      const { first, size } = rangeOf(cidr);
      return address >= first && address < first + size;
    });
  if (network === undefined) {
    findings.unsound(
      "address-outside",
      place,
      `${text} of "${name}" lies in no network that is taken`,
      LEFT_OUT,
    );
    return undefined;
  }
  const block = blocks.get(`${network.name} ${address - (address % 2 ** (32 - network.blockMask))}`);
  if (block === undefined) {
    findings.unsound(
      "address-without-block",
      place,
      `${text} of "${name}" lies in no block that is taken`,
      LEFT_OUT,
    );
    return undefined;
  }
  if (block.owner === undefined) {
    findings.unsound(
      "address-without-owner",
      place,
      `${text} of "${name}" lies in ${block.cidr}, which nobody owns`,
      LEFT_OUT,
    );
    return undefined;
  }
  if (!block.used.some(({ first, last }) => address >= first && address <= last)) {
    findings.unsound(
      "address-free",
      place,
      `${text} of "${name}" is free in block ${block.cidr}, as removing a host leaves it`,
      LEFT_OUT,
    );
    return undefined;
  }
  return { name, address, block, place };
}

/** One name for an address: the one whose namespace is the block's tenant, else the first by name. The address stays in use either way. */
function chosen(rivals: readonly Claim[], findings: FindingList): Claim | undefined {
  const sorted = rivals.toSorted((a, b) => compareText(a.name, b.name));
  const kept = sorted.find(({ name, block }) => namespaceOf(name) === block.owner?.tenant) ?? sorted[0];
  for (const { name, address, place } of sorted) {
    if (kept !== undefined && name !== kept.name) {
      findings.unsound(
        "address-twice",
        place,
        `${formatIpv4(address)} is recorded for "${name}" and for "${kept.name}"`,
        `"${name}" is left out, and "${kept.name}" has the address; restart both if both run`,
      );
    }
  }
  return kept;
}

/** The namespace in the name of a pod's address, `<pod>.<namespace>.<8 hexadecimal digits>`. */
function namespaceOf(name: string): string | undefined {
  return /\.([^.]+)\.[0-9a-f]{8}$/.exec(name)?.[1];
}

function reportLost(
  blob: OriginalBlob,
  networks: readonly TakenNetwork[],
  blocks: readonly TakenBlock[],
  taken: readonly Claim[],
  findings: FindingList,
): void {
  // An address that is named anywhere is spoken of there, and one that is blacked out is in use by nobody's leave.
  const named = blob.names.flatMap(([, text]) => readIpv4(text) ?? []).toSorted((a, b) => a - b);
  const inUse = Map.groupBy(taken, ({ block }) => block);
  const blackouts = networks.flatMap(({ source }) => source.blackouts.flatMap((text) => runOf(text)));
  for (const block of blocks) {
    const from = lowerBound(named, block.first);
    const to = lowerBound(named, block.last + 1);
    const known = named.slice(from, to).map((address): Run => ({ first: address, last: address }));
    const lost = without(
      block.used,
      [...known, ...blackouts.filter((run) => run.last >= block.first && run.first <= block.last)].toSorted(
        (a, b) => a.first - b.first,
      ),
    );
    if (lost.length > 0) {
      findings.unsound(
        "lost-free-range",
        block.place,
        `block ${block.cidr} counts ${listed(lost)} as in use, and no name has them: they were lost when their neighbours were released`,
        "they are free",
      );
    }
    if (block.owner !== undefined && !inUse.has(block)) {
      findings.note(
        "block-owned-empty",
        block.place,
        `block ${block.cidr} is of "${block.owner.tenant}:${block.owner.segment}" and has no address in use`,
        "the block is free for any owner of its group",
      );
    }
  }
}

function runOf(text: string): readonly Run[] {
  const [start = "", length = ""] = text.split("/");
  const first = readIpv4(start);
  return first === undefined ? [] : [{ first, last: first + 2 ** (32 - Number(length)) - 1 }];
}

/** How many of the sorted numbers are below the bound. */
export function lowerBound(sorted: readonly number[], bound: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? 0) < bound) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

function listed(runs: readonly Run[]): string {
  const shown = runs
    .slice(0, MAX_NAMED)
    .map(({ first, last }) =>
      first === last ? formatIpv4(first) : `${formatIpv4(first)} to ${formatIpv4(last)}`,
    );
  return runs.length > MAX_NAMED ? `${shown.join(", ")} and more` : shown.join(", ");
}
