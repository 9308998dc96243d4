import { NetworkError } from "../errors.ts";
import { formatCidr } from "../net/cidr.ts";
import { formatIpv4, ipv4Value } from "../net/ipv4.ts";
import { firstFree } from "./address-set.ts";
import { skipBlackouts } from "./blackout-range.ts";
import type { Change } from "./change.ts";
import { noFreeAddress, noNetwork } from "./exhaustion.ts";
import type { PodReference } from "./pod-reference.ts";
import type { AllocationRequest } from "./records.ts";
import {
  allocationAt,
  blockStart,
  networkAt,
  networksOfTenant,
  holdingOf,
  type BlockState,
  type HostState,
  type IpamState,
  type NetworkState,
  type Pool,
} from "./state.ts";

/** The address that was chosen, and what `commit` has to apply once the store took it. */
export interface AllocationPlan {
  readonly address: number;
  readonly changes: readonly Change[];
}

/** For a name that holds an address already; the details say which, and whose it is. */
export function addressExists({
  name,
  address: value,
  host,
  tenant,
  segment,
  pod,
}: {
  readonly name: string;
  readonly address: number;
  readonly host?: string;
  readonly tenant?: string;
  readonly segment?: string;
  readonly pod?: PodReference | undefined;
}): NetworkError {
  const address = formatIpv4(value);
  return new NetworkError(
    "conflict",
    "ADDRESS_EXISTS",
    `"${name}" already holds address ${address}; release it first, or use another name`,
    { name, address, host, tenant, segment, ...podDetails(pod) },
  );
}

/** The fields of a Pod as the REST API takes them; none where there is no Pod. */
export function podDetails(pod: PodReference | undefined): {
  readonly namespace?: string;
  readonly pod?: string;
  readonly podUID?: string;
} {
  return pod === undefined ? {} : { namespace: pod.namespace, pod: pod.name, podUID: pod.uid };
}

/**
 * Chooses an address. Networks that name the tenant come first, then those for any tenant; the first that has room serves. Within the host's group of a network:
 *
 *     order  block                                            address
 *     -----  -----------------------------------------------  ------------------------------------
 *     1      the owner's blocks on this host, by acquisition  lowest that is free and not blacked out
 *     2      the block of the group returned longest ago      lowest that is not blacked out
 *     3      the lowest block of the group never used         lowest that is not blacked out
 *
 * A misplaced host gets no block of 2 and 3 (decision 6). `skip`: pass over this many blocks of 2 and 3 as far as there are others, for one who lost a new block to
 * another replica and plans again. Errors:
 *
 *     code                    kind       when
 *     ----------------------  ---------  ----------------------------------------------------
 *     ADDRESS_NAME_INVALID    invalid    the name is empty
 *     ADDRESS_EXISTS          conflict   the name holds an address; details: address, host, tenant, segment, name
 *     HOST_NOT_FOUND          not-found
 *     TENANT_WITHOUT_NETWORK  conflict   no network admits the tenant
 *     HOST_UNPLACED           conflict   the host is in no group of the tenant's networks
 *     HOST_MISPLACED          conflict   only a new block would do, and the host may have none
 *     NETWORK_FULL            exhausted  every group that the host could use is full
 *     ADDRESS_OUTSIDE         invalid    the address asked for is in no network
 *     ADDRESS_NOT_ALLOWED     conflict   … is not for this tenant, or not in the group of this host
 *     ADDRESS_BLACKED_OUT     conflict   … is blacked out
 *     ADDRESS_IN_USE          conflict   … is held by another name
 *     BLOCK_OWNED             conflict   … lies in a block of another owner or host
 */
export function planAllocation(state: IpamState, request: AllocationRequest, skip = 0): AllocationPlan {
  checkName(request.name);
  const held = state.names.get(request.name);
  if (held !== undefined) {
    throw addressExists({ ...held, ...held.block.holding?.record });
  }
  const host = state.hosts.get(request.host);
  if (host === undefined) {
    throw new NetworkError(
      "not-found",
      "HOST_NOT_FOUND",
      `no address for "${request.name}": host ${request.host} is not registered; add the host first`,
      { host: request.host },
    );
  }
  const networks = networksOfTenant(state, request.tenant);
  if (networks.length === 0) {
    throw noNetwork(state, request);
  }
  if (request.address !== undefined) {
    return planExact(state, request, host, networks, ipv4Value(request.address));
  }
  for (const network of networks) {
    const plan = planOwned(request, network, host) ?? planEmpty(state, request, network, host, skip);
    if (plan !== undefined) {
      return plan;
    }
  }
  throw noFreeAddress(request, host, networks);
}

function planOwned(
  request: AllocationRequest,
  network: NetworkState,
  host: HostState,
): AllocationPlan | undefined {
  let block = holdingOf(network, host, request.tenant, request.segment)?.open.head;
  for (; block !== undefined; block = block.next) {
    const address = lowestUsable(block, network);
    if (address !== undefined) {
      return use(request, block, address);
    }
  }
  return undefined;
}

function planEmpty(
  state: IpamState,
  request: AllocationRequest,
  network: NetworkState,
  host: HostState,
  skip: number,
): AllocationPlan | undefined {
  const pool = host.placements.get(network);
  if (pool === undefined || host.record.misplaced) {
    return undefined;
  }
  let left = skip;
  let plan: AllocationPlan | undefined;
  for (let block = pool.returned.head; block !== undefined && left >= 0; block = block.next) {
    const address = lowestUsable(block, network);
    if (address !== undefined) {
      plan = take(state, request, network, block, address);
      left -= 1;
    }
  }
  for (let from = pool.unused; left >= 0 && from < pool.end;) {
    const address = lowestUnused(pool, from);
    if (address === undefined) {
      break;
    }
    plan = take(state, request, network, undefined, address);
    left -= 1;
    from = blockStart(network, address) + network.blockSize;
  }
  return plan;
}

/** The lowest address of the block that is free and not blacked out. */
function lowestUsable(block: BlockState, network: NetworkState): number | undefined {
  let offset = firstFree(block, 0);
  while (offset >= 0) {
    const address = block.first + offset;
    const usable = network.blackouts.length === 0 ? address : skipBlackouts(network.blackouts, address);
    if (usable === address) {
      return address;
    }
    offset = firstFree(block, usable - block.first);
  }
  return undefined;
}

/** The lowest address from `from` on, not blacked out, of the blocks of the pool that were never used. */
function lowestUnused({ network, end }: Pool, from: number): number | undefined {
  let address = skipBlackouts(network.blackouts, from);
  while (address < end && network.blocks.has(blockStart(network, address))) {
    address = skipBlackouts(network.blackouts, blockStart(network, address) + network.blockSize);
  }
  return address < end ? address : undefined;
}

function planExact(
  state: IpamState,
  request: AllocationRequest,
  host: HostState,
  networks: readonly NetworkState[],
  address: number,
): AllocationPlan {
  const network = networkAt(state, address);
  if (network === undefined) {
    throw refusal(
      "invalid",
      "ADDRESS_OUTSIDE",
      request,
      "it lies in no network; ask for an address of a network",
    );
  }
  const name = network.network.name;
  if (!networks.includes(network)) {
    const reason = `network "${name}" is not for tenant "${request.tenant}"`;
    throw refusal("conflict", "ADDRESS_NOT_ALLOWED", request, `${reason}; add the tenant to the network`);
  }
  const pool = host.placements.get(network);
  if (pool === undefined || address < pool.first || address >= pool.end) {
    const group = pool === undefined ? "no group" : `group ${pool.group.cidr}`;
    const reason = `host ${request.host} is in ${group} of network "${name}"`;
    throw refusal(
      "conflict",
      "ADDRESS_NOT_ALLOWED",
      request,
      `${reason}; ask for an address of the host's group`,
    );
  }
  if (skipBlackouts(network.blackouts, address) !== address) {
    throw refusal("conflict", "ADDRESS_BLACKED_OUT", request, "it is blacked out; remove the blackout first");
  }
  const holder = allocationAt(network, address);
  if (holder !== undefined) {
    throw refusal("conflict", "ADDRESS_IN_USE", request, `"${holder.name}" holds it; release that first`);
  }
  const first = blockStart(network, address);
  const block = network.blocks.get(first);
  if (block?.holding !== undefined) {
    const { tenant, segment, host: other } = block.holding.record;
    if (tenant === request.tenant && segment === request.segment && block.holding.host === host) {
      return use(request, block, address);
    }
    const of = `tenant "${tenant}", segment "${segment}" on host ${other}`;
    const reason = `its block ${formatCidr(first, network.network.blockMask)} is of ${of}`;
    throw refusal("conflict", "BLOCK_OWNED", request, `${reason}; ask for an address of another block`);
  }
  if (host.record.misplaced) {
    const reason = `host ${request.host} no longer fits its group and gets no new block`;
    throw refusal(
      "conflict",
      "HOST_MISPLACED",
      request,
      `${reason}; correct its labels, or release its addresses`,
    );
  }
  return take(state, request, network, block, address);
}

/** An address of a block that the owner has on this host. */
function use({ name, pod }: AllocationRequest, block: BlockState, address: number): AllocationPlan {
  const network = block.pool.network.network.name;
  const { first, sequence } = block;
  const revision = block.revision + 1;
  const owner = block.holding?.record;
  return {
    address,
    changes: [{ kind: "allocate", name, network, address, first, owner, revision, sequence, block, pod }],
  };
}

/** An address of an empty block (absent: never used), which becomes the owner's. */
function take(
  { sequence }: IpamState,
  { name, host, tenant, segment, pod }: AllocationRequest,
  at: NetworkState,
  block: BlockState | undefined,
  address: number,
): AllocationPlan {
  const owner = { host, tenant, segment };
  const network = at.network.name;
  const first = blockStart(at, address);
  const revision = (block?.revision ?? 0) + 1;
  return {
    address,
    changes: [{ kind: "allocate", name, network, address, first, owner, revision, sequence, block, pod }],
  };
}

function checkName(name: string): void {
  if (name.length === 0) {
    throw new NetworkError("invalid", "ADDRESS_NAME_INVALID", "an address needs a name that is not empty", {
      name,
    });
  }
}

function refusal(
  kind: "invalid" | "conflict",
  code: string,
  request: AllocationRequest,
  reason: string,
): NetworkError {
  return new NetworkError(kind, code, `no address ${request.address} for "${request.name}": ${reason}`, {
    name: request.name,
    address: request.address,
    host: request.host,
  });
}
