import { NetworkError } from "../errors.ts";
import type { AllocationRequest } from "./records.ts";
import type { HostState, IpamState, NetworkState, Pool } from "./state.ts";

/** Why the tenant gets no address at all: no network admits it. */
export function noNetwork(state: IpamState, request: AllocationRequest): NetworkError {
  const reason =
    state.networks.length === 0
      ? "there are no networks; set a topology"
      : "no network admits it; add the tenant to a network, or a network for any tenant";
  return new NetworkError(
    "conflict",
    "TENANT_WITHOUT_NETWORK",
    `no address for "${request.name}" of tenant "${request.tenant}": ${reason}`,
    { name: request.name, tenant: request.tenant },
  );
}

/** Why none of the tenant's networks has an address for the host: says which group is full, network by network. */
export function noFreeAddress(
  request: AllocationRequest,
  host: HostState,
  networks: readonly NetworkState[],
): NetworkError {
  const tried = networks.flatMap((network) => {
    const pool = host.placements.get(network);
    return pool === undefined ? [] : [{ network, pool }];
  });
  const details = {
    name: request.name,
    host: request.host,
    tenant: request.tenant,
    segment: request.segment,
  };
  const names = networks.map(({ network }) => `"${network.name}"`).join(", ");
  if (tried.length === 0) {
    return new NetworkError(
      "conflict",
      "HOST_UNPLACED",
      `no address for "${request.name}": host ${request.host} is in no group of network ${names}; give the host labels that a group asks for, or add a group for it`,
      details,
    );
  }
  if (host.record.misplaced) {
    return new NetworkError(
      "conflict",
      "HOST_MISPLACED",
      `no address for "${request.name}": host ${request.host} no longer fits its group and gets no new block; correct its labels, or release its addresses so that it can move`,
      details,
    );
  }
  const full = tried.map(({ network, pool }) => `in network "${network.network.name}" ${fullness(pool)}`);
  return new NetworkError(
    "exhausted",
    "NETWORK_FULL",
    `no free address for "${request.name}" on host ${request.host}: ${full.join("; ")}; release addresses, or add a group or a network`,
    { ...details, groups: tried.map(({ pool }) => pool.group.cidr) },
  );
}

function fullness(pool: Pool): string {
  const blocks = (pool.end - pool.first) / pool.network.blockSize;
  const label = pool.group.name === "" ? pool.group.cidr : `"${pool.group.name}" (${pool.group.cidr})`;
  const inUse = blocks === 1 ? "the only block" : `all ${blocks} blocks`;
  const blackouts = pool.network.blackouts.some((range) => range.first < pool.end && range.end > pool.first)
    ? " or blacked out"
    : "";
  return `${inUse} of group ${label} are full, of other owners or hosts${blackouts}`;
}
