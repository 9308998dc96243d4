import type { Gateway } from "../routing/gateway.ts";

/** One interface whose Source/Dest check has to be turned off. */
export interface SourceDestCheckOperation {
  readonly host: string;
  readonly interfaceId: string;
  readonly instanceId: string;
}

/**
 * Every node whose interface still checks source and destination: pods send with addresses that are not the interface's own, so EC2 would drop their
 * packets. One flag per interface, the one that owns the node's address (EC2 API, ModifyNetworkInterfaceAttribute); an interface that several nodes' addresses
 * share is named once, for the first of them. Sorted by host.
 *
 *     check   instance              result
 *     -----   -------------------   ---------------------------------------
 *     on      running or pending    turn it off
 *     on      stopping or stopped   turn it off: it stays off when it starts
 *     on      terminated            nothing; it is not in `gateways` for long
 *     off     any                   nothing
 */
export function planSourceDestCheck(gateways: Iterable<Gateway>): readonly SourceDestCheckOperation[] {
  const seen = new Set<string>();
  return [...gateways]
    .filter(({ sourceDestCheck, terminated }) => sourceDestCheck && !terminated)
    .map(({ host, interfaceId, instanceId }) => ({ host, interfaceId, instanceId }))
    .toSorted((a, b) => (a.host < b.host ? -1 : 1))
    .filter(({ interfaceId }) => !seen.has(interfaceId) && seen.add(interfaceId));
}
