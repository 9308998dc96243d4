import { NetworkError } from "../errors.ts";
import { compareCidr, containsCidr, rangeOf, type Cidr } from "../net/cidr.ts";
import { formatIpv4 } from "../net/ipv4.ts";
import type { Change } from "./change.ts";
import type { Allocation, IpamState, NetworkState } from "./state.ts";

/** At most this many addresses are named in an error. */
const MAX_NAMED = 5;

/**
 * Keeps the addresses of `cidr` from being handed out. A range that is blacked out already changes nothing; one that covers others takes their place. Errors:
 *
 *     code               kind       when
 *     -----------------  ---------  -----------------------------------------------
 *     NETWORK_NOT_FOUND  not-found
 *     BLACKOUT_INVALID   invalid    the range is not within the network, or all of it
 *     BLACKOUT_IN_USE    conflict   an address in it is in use
 */
export function planBlackout(state: IpamState, networkName: string, cidr: Cidr): readonly Change[] {
  const network = networkNamed(state, networkName);
  const { name, cidr: whole } = network.network;
  if (!containsCidr(whole, cidr) || whole === cidr) {
    const reason = whole === cidr ? "it is the whole network" : `the network is ${whole}`;
    throw new NetworkError(
      "invalid",
      "BLACKOUT_INVALID",
      `cannot black out ${cidr} in network "${name}": ${reason}; name a smaller range inside the network`,
      { network: name, cidr },
    );
  }
  if (network.blackouts.some((range) => containsCidr(range.cidr, cidr))) {
    return [];
  }
  const inUse = allocationsIn(network, cidr);
  if (inUse.length > 0) {
    const addresses = inUse.map(({ address, name: holder }) => `${formatIpv4(address)} ("${holder}")`);
    const more = inUse.length > MAX_NAMED ? ` and ${inUse.length - MAX_NAMED} more` : "";
    const named = `${addresses.slice(0, MAX_NAMED).join(", ")}${more}`;
    throw new NetworkError(
      "conflict",
      "BLACKOUT_IN_USE",
      `cannot black out ${cidr} in network "${name}": in use are ${named}; release them first`,
      { network: name, cidr, addresses: inUse.slice(0, MAX_NAMED).map(({ address }) => formatIpv4(address)) },
    );
  }
  const kept = network.blackouts.map((range) => range.cidr).filter((other) => !containsCidr(cidr, other));
  return [
    { kind: "put-blackouts", blackouts: { network: name, cidrs: [...kept, cidr].toSorted(compareCidr) } },
  ];
}

/** Ends a blackout, named exactly. Throws `NETWORK_NOT_FOUND` and `BLACKOUT_NOT_FOUND` (both not-found). */
export function planBlackoutRemoval(state: IpamState, networkName: string, cidr: Cidr): readonly Change[] {
  const network = networkNamed(state, networkName);
  const { name } = network.network;
  const before = network.blackouts.map((range) => range.cidr);
  if (!before.includes(cidr)) {
    const known = before.length === 0 ? "there are none" : `there are ${before.join(", ")}`;
    throw new NetworkError(
      "not-found",
      "BLACKOUT_NOT_FOUND",
      `no blackout ${cidr} in network "${name}": ${known}; name one exactly`,
      { network: name, cidr },
    );
  }
  const cidrs = before.filter((other) => other !== cidr);
  return [{ kind: "put-blackouts", blackouts: { network: name, cidrs } }];
}

/** The network with this name. Throws `NETWORK_NOT_FOUND` (not-found). */
export function networkNamed(state: IpamState, name: string): NetworkState {
  const network = state.networksByName.get(name);
  if (network === undefined) {
    const names = state.networks.map((other) => `"${other.network.name}"`).join(", ");
    const known = names === "" ? "there are none" : `there are ${names}`;
    throw new NetworkError("not-found", "NETWORK_NOT_FOUND", `no network "${name}": ${known}`, {
      network: name,
    });
  }
  return network;
}

/** The addresses in use within a range of the network, in order. */
function allocationsIn(network: NetworkState, cidr: Cidr): readonly Allocation[] {
  const { first, size } = rangeOf(cidr);
  const end = first + size;
  const found: Allocation[] = [];
  for (const block of network.blocks.values()) {
    if (block.count > 0 && block.first < end && block.first + block.size > first) {
      for (const allocation of block.holders) {
        if (allocation !== undefined && allocation.address >= first && allocation.address < end) {
          found.push(allocation);
        }
      }
    }
  }
  return found.toSorted((a, b) => a.address - b.address);
}
