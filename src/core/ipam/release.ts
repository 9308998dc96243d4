import { NetworkError } from "../errors.ts";
import { readIpv4 } from "../net/ipv4.ts";
import type { Change } from "./change.ts";
import { allocationAt, networkAt, type Allocation, type IpamState } from "./state.ts";

/** The allocation that was found, and what `commit` has to apply once the store took it. */
export interface ReleasePlan {
  readonly allocation: Allocation;
  readonly changes: readonly Change[];
}

/**
 * Releases the address of a name, or, where no such name is known, an address in dotted form. A block that becomes empty loses its owner and goes to the end of its group's
 * returned blocks. Throws `ADDRESS_NOT_FOUND` (not-found).
 */
export function planRelease(state: IpamState, nameOrIp: string): ReleasePlan {
  const allocation = state.names.get(nameOrIp) ?? findByIp(state, nameOrIp);
  if (allocation === undefined) {
    throw new NetworkError(
      "not-found",
      "ADDRESS_NOT_FOUND",
      `cannot release "${nameOrIp}": no address has this name or this IP; \`romana address list\` shows those in use`,
      { name: nameOrIp },
    );
  }
  return { allocation, changes: [releaseOf(state, allocation)] };
}

function releaseOf(state: IpamState, { name, address, block }: Allocation): Change {
  const network = block.pool.network.network.name;
  const { first } = block;
  const revision = block.revision + 1;
  const empty = block.count === 1;
  const owner = empty ? undefined : block.holding?.record;
  const sequence = empty ? state.sequence : block.sequence;
  return { kind: "release", name, network, address, first, owner, revision, sequence, block };
}

function findByIp(state: IpamState, text: string): Allocation | undefined {
  const address = readIpv4(text);
  const network = address === undefined ? undefined : networkAt(state, address);
  return address === undefined || network === undefined ? undefined : allocationAt(network, address);
}
