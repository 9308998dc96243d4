import type { HostView } from "../ipam/view.ts";

/** What is said on a Node about the place of its host. */
export interface PlacementEvent {
  readonly type: "Normal" | "Warning";
  readonly reason: "HostMisplaced" | "HostPlaced" | "HostUnplaced";
  readonly note: string;
}

/** The place of a host in a sentence, with network, group and range. Equal places give equal events. */
export function placementEvent(
  host: Pick<HostView, "name" | "ip" | "groups" | "placed" | "misplaced" | "reason">,
): PlacementEvent {
  const place = host.groups.map(({ network, cidr }) => `group ${cidr} of network "${network}"`).join(", ");
  if (!host.placed) {
    return {
      type: "Warning",
      reason: "HostUnplaced",
      note: `No group takes the host, so no pod gets an address here: ${host.reason}.`,
    };
  }
  return host.misplaced
    ? { type: "Warning", reason: "HostMisplaced", note: `The host is in ${place}: ${host.reason}.` }
    : { type: "Normal", reason: "HostPlaced", note: `The host ${host.name} (${host.ip}) is in ${place}.` };
}
