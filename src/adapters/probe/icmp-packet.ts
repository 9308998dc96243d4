import { formatIpv4 } from "../../core/net/ipv4.ts";

/** Our requests, as a received packet is compared with them. */
export interface Requests {
  /** The identifier of all our echo requests. */
  readonly id: number;
  /** Whom the unanswered request with this sequence number went to. */
  targetOf(sequence: number): string | undefined;
  /** Whether an address is this machine's. */
  isOwn(address: string): boolean;
}

const ECHO_REPLY = 0;
const DESTINATION_UNREACHABLE = 3;
const ECHO_REQUEST = 8;
const TIME_EXCEEDED = 11;
const ICMP_PROTOCOL = 1;
const ICMP_HEADER = 8;

/**
 * Whether a packet off the raw ICMP socket (IP header included) says something of a probe of ours.
 *
 *     type                      concerns us when
 *     ------------------------  -----------------------------------------------------------------------------------------
 *     0 echo reply              identifier and sequence are those of an open request, and it comes from that request's target
 *     3 unreachable,            the packet that it quotes is an open request of ours to that target, and the error does not come
 *     11 time exceeded          from an address of our own, unless that is the target
 *     4 source quench,          never: the request went on its way and may still be answered
 *     5 redirect
 *     any other                 never
 *
 * An unreachable from our own address is our kernel's, when a neighbour does not answer ARP for 3 s: a dead node on this link, or a broken link of
 * ours, it cannot tell which. Dropped, the probe stays unanswered like any other, and the burst finds out which of the two it is.
 */
export function concernsUs(packet: Buffer, source: string, requests: Requests): boolean {
  const icmp = payloadOf(packet, 0);
  if (icmp === undefined) {
    return false;
  }
  switch (packet.readUInt8(icmp)) {
    case ECHO_REPLY:
      return targetOf(packet, icmp, requests) === source;
    case DESTINATION_UNREACHABLE:
    case TIME_EXCEEDED: {
      const quoted = icmp + ICMP_HEADER;
      const request = payloadOf(packet, quoted);
      if (
        request === undefined ||
        packet.readUInt8(quoted + 9) !== ICMP_PROTOCOL ||
        packet.readUInt8(request) !== ECHO_REQUEST
      ) {
        return false;
      }
      const target = targetOf(packet, request, requests);
      return (
        target !== undefined &&
        target === formatIpv4(packet.readUInt32BE(quoted + 16)) &&
        (source === target || !requests.isOwn(source))
      );
    }
    default:
      return false;
  }
}

/** Where the payload of the IPv4 packet at `at` begins; `undefined` when that is none, or when 8 bytes of payload are not there. */
function payloadOf(packet: Buffer, at: number): number | undefined {
  if (packet.length < at + 20 || packet.readUInt8(at) >> 4 !== 4) {
    return undefined;
  }
  const payload = at + (packet.readUInt8(at) & 15) * 4;
  return packet.length < payload + ICMP_HEADER ? undefined : payload;
}

function targetOf(packet: Buffer, echo: number, requests: Requests): string | undefined {
  return packet.readUInt16BE(echo + 4) === requests.id
    ? requests.targetOf(packet.readUInt16BE(echo + 6))
    : undefined;
}
