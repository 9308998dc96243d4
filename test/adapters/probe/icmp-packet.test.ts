import { expect, it } from "vitest";

import { concernsUs, type Requests } from "../../../src/adapters/probe/icmp-packet.ts";
import { ipv4Value, parseIpv4 } from "../../../src/core/net/ipv4.ts";

const requests: Requests = {
  id: 4_711,
  targetOf: (sequence) => (sequence === 7 ? "10.0.0.7" : undefined),
  isOwn: (address) => address === "10.0.0.1",
};

/** An IPv4 packet of `protocol` from 10.0.0.1 to `destination`. `words`: 32-bit words of header options. */
function ip(payload: Buffer, destination: string, protocol = 1, words = 0): Buffer {
  const header = Buffer.alloc(20 + 4 * words);
  header.writeUInt8(0x45 + words, 0);
  header.writeUInt8(protocol, 9);
  header.writeUInt32BE(ipv4Value(parseIpv4("10.0.0.1")), 12);
  header.writeUInt32BE(ipv4Value(parseIpv4(destination)), 16);
  return Buffer.concat([header, payload]);
}

function echo(type: number, id = 4_711, sequence = 7): Buffer {
  const message = Buffer.alloc(16);
  message.writeUInt8(type, 0);
  message.writeUInt16BE(id, 4);
  message.writeUInt16BE(sequence, 6);
  return message;
}

function icmpError(type: number, quoted: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type, 1, 0, 0, 0, 0, 0, 0]), quoted]);
}

const request = ip(echo(8), "10.0.0.7");

it.for<[what: string, concerns: boolean, packet: Buffer, source: string]>([
  ["an echo reply of the target", true, ip(echo(0), "10.0.0.1"), "10.0.0.7"],
  ["an echo reply behind header options", true, ip(echo(0), "10.0.0.1", 1, 2), "10.0.0.7"],
  ["an echo reply of somebody else", false, ip(echo(0), "10.0.0.1"), "10.0.0.8"],
  ["an echo reply under another identifier", false, ip(echo(0, 4_712), "10.0.0.1"), "10.0.0.7"],
  ["an echo reply to no open request", false, ip(echo(0, 4_711, 8), "10.0.0.1"), "10.0.0.7"],
  ["an echo request", false, ip(echo(8), "10.0.0.1"), "10.0.0.7"],
  ["a router's unreachable", true, ip(icmpError(3, request), "10.0.0.1"), "10.0.9.9"],
  ["a router's time exceeded", true, ip(icmpError(11, request), "10.0.0.1"), "10.0.9.9"],
  ["the target's own unreachable", true, ip(icmpError(3, request), "10.0.0.1"), "10.0.0.7"],
  ["an unreachable of our own kernel", false, ip(icmpError(3, request), "10.0.0.1"), "10.0.0.1"],
  ["a redirect", false, ip(icmpError(5, request), "10.0.0.1"), "10.0.9.9"],
  ["a source quench", false, ip(icmpError(4, request), "10.0.0.1"), "10.0.9.9"],
  [
    "an unreachable for another's request to that target",
    false,
    ip(icmpError(3, ip(echo(8, 9), "10.0.0.7")), "10.0.0.1"),
    "10.0.9.9",
  ],
  [
    "an unreachable for our number, sent to another",
    false,
    ip(icmpError(3, ip(echo(8), "10.0.0.8")), "10.0.0.1"),
    "10.0.9.9",
  ],
  [
    "an unreachable for a UDP packet",
    false,
    ip(icmpError(3, ip(echo(8), "10.0.0.7", 17)), "10.0.0.1"),
    "10.0.9.9",
  ],
  [
    "an unreachable for an echo reply",
    false,
    ip(icmpError(3, ip(echo(0), "10.0.0.7")), "10.0.0.1"),
    "10.0.9.9",
  ],
  [
    "an unreachable that quotes too little",
    false,
    ip(icmpError(3, request.subarray(0, 24)), "10.0.0.1"),
    "10.0.9.9",
  ],
  ["a timestamp reply", false, ip(echo(14), "10.0.0.1"), "10.0.0.7"],
  ["a packet cut off in its header", false, request.subarray(0, 12), "10.0.0.7"],
  ["a packet cut off in its payload", false, request.subarray(0, 24), "10.0.0.7"],
  ["something that is not IPv4", false, Buffer.alloc(40, 0x60), "10.0.0.7"],
])("%s concerns us: %s", ([, concerns, packet, source]) => {
  expect(concernsUs(packet, source, requests)).toBe(concerns);
});
