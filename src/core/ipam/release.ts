import { NetworkError } from "../errors.ts";
import { formatIpv4, readIpv4, type Ipv4 } from "../net/ipv4.ts";
import type { AddressChange, Change } from "./change.ts";
import { adoptUnplaced, createDraft, replaceHost } from "./placement.ts";
import { allocationAt, networkAt, type Allocation, type HostState, type IpamState } from "./state.ts";

/** The allocation that was found, and what `commit` has to apply once the store took it. */
export interface ReleasePlan {
  readonly allocation: Allocation;
  readonly changes: readonly Change[];
}

/** What must be true of an address for it to be released; what is absent may be anything. */
export interface ReleaseTerms {
  /** Its host. */
  readonly host?: string | undefined;
  /** The UID of the Pod that it was given to; "" for an address that names none. */
  readonly podUid?: string | undefined;
  /** The address itself, so that a name is not released with another one. */
  readonly address?: Ipv4 | undefined;
}

/**
 * Releases the address of a name, or, where no such name is known, an address in dotted form. A block that becomes empty loses its owner and goes to the end of its group's
 * returned blocks. A misplaced host that thereby has no address left in its group moves (decision 6). Throws
 *
 *     ADDRESS_NOT_FOUND  not-found
 *     ADDRESS_ELSEWHERE  conflict   it is of another host than `only` says
 *     ADDRESS_REUSED     conflict   it is of another Pod, or the name holds another address
 */
export function planRelease(state: IpamState, nameOrIp: string, only: ReleaseTerms = {}): ReleasePlan {
  const allocation = state.names.get(nameOrIp) ?? findByIp(state, nameOrIp);
  if (allocation === undefined) {
    throw new NetworkError(
      "not-found",
      "ADDRESS_NOT_FOUND",
      `cannot release "${nameOrIp}": no address has this name or this IP; \`romana address list\` shows those in use`,
      { name: nameOrIp },
    );
  }
  const { block } = allocation;
  const host = block.holding?.host;
  requireTerms(nameOrIp, allocation, host?.record.name ?? "", only);
  const isLast = block.count === 1;
  const change = releaseOf(allocation, 1, isLast, state.sequence);
  const moves = isLast && host?.record.misplaced === true ? movesOf(state, host, allocation) : [];
  return { allocation, changes: [change, ...moves] };
}

function requireTerms(
  asked: string,
  { name, address, pod }: Allocation,
  host: string,
  only: ReleaseTerms,
): void {
  if (only.host !== undefined && host !== only.host) {
    throw new NetworkError(
      "conflict",
      "ADDRESS_ELSEWHERE",
      `cannot release "${asked}" for host "${only.host}": its address is of host "${host}"; ask there, or use the credentials of an admin`,
      { name, host },
    );
  }
  const ip = formatIpv4(address);
  const uid = pod?.uid ?? "";
  if (
    (only.podUid !== undefined && uid !== only.podUid) ||
    (only.address !== undefined && ip !== only.address)
  ) {
    const wanted = `${only.address ?? "the address"} of ${podText(only.podUid ?? uid)}`;
    throw new NetworkError(
      "conflict",
      "ADDRESS_REUSED",
      `cannot release "${asked}" as ${wanted}: "${name}" holds ${ip} of ${podText(uid)} now; what was meant is gone`,
      { name, address: ip, podUID: uid },
    );
  }
}

function podText(uid: string): string {
  return uid === "" ? "no Pod" : `the Pod with UID ${uid}`;
}

/** Releases every address of a host, block by block in the order of acquisition. */
export function releaseBlocks(state: IpamState, host: HostState): readonly AddressChange[] {
  const blocks = [...host.blocks].toSorted((a, b) => a.sequence - b.sequence);
  return blocks.flatMap(({ holders, count }, index) =>
    holders
      .filter((allocation) => allocation !== undefined)
      .map((allocation, position) =>
        releaseOf(allocation, position + 1, position + 1 === count, state.sequence + index),
      ),
  );
}

/** `nth`: which release of the block in this plan it is. `returned`: the number that the block gets when this was its last address. */
function releaseOf(
  { name, address, block, pod }: Allocation,
  nth: number,
  isLast: boolean,
  returned: number,
): AddressChange {
  const network = block.pool.network.network.name;
  const { first } = block;
  const revision = block.revision + nth;
  const owner = isLast ? undefined : block.holding?.record;
  const sequence = isLast ? returned : block.sequence;
  return { kind: "release", name, network, address, first, owner, revision, sequence, block, pod };
}

function movesOf(state: IpamState, host: HostState, { block }: Allocation): readonly Change[] {
  const draft = createDraft(state);
  const record = replaceHost(draft, host, host.record.tags, block);
  return [{ kind: "put-host", host: record }, ...adoptUnplaced(draft, record.name)];
}

function findByIp(state: IpamState, text: string): Allocation | undefined {
  const address = readIpv4(text);
  const network = address === undefined ? undefined : networkAt(state, address);
  return address === undefined || network === undefined ? undefined : allocationAt(network, address);
}
