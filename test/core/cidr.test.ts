import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { NetworkError } from "../../src/core/errors.ts";
import {
  compareCidr,
  containsAddress,
  containsCidr,
  formatCidr,
  networkOf,
  overlaps,
  parseCidr,
  rangeOf,
} from "../../src/core/net/cidr.ts";
import { formatIpv4, ipv4Value, parseIpv4 } from "../../src/core/net/ipv4.ts";

const value = fc.nat(2 ** 32 - 1);
const network = fc
  .tuple(value, fc.integer({ min: 0, max: 32 }))
  .map(([first, length]) => formatCidr(first, length));

describe("parseIpv4", () => {
  it.for([
    "",
    "10.0.0",
    "10.0.0.0.1",
    "10.0.0.256",
    "10.0.0.01",
    " 10.0.0.1",
    "10.0.0.1 ",
    "+1.0.0.0",
    "1e1.0.0.0",
    "::1",
  ])("refuses %j", (text) => {
    expect(() => parseIpv4(text)).toThrow(NetworkError);
  });

  it("reads what formatIpv4 writes, over the whole address space", () => {
    fc.assert(fc.property(value, (number) => ipv4Value(parseIpv4(formatIpv4(number))) === number));
  });
});

describe("parseCidr", () => {
  it.for(["0.0.0.0/0", "10.0.0.0/8", "10.1.2.0/24", "255.255.255.255/32"])("accepts %s", (text) => {
    expect(parseCidr(text)).toBe(text);
  });

  it.for([
    "",
    "10.0.0.0",
    "10.0.0.0/33",
    "10.0.0.0/08",
    "10.0.0.999/8",
    "10.0/16",
    "010.0.0.0/8",
    " 10.0.0.0/8",
    "10.0.0.0/",
    "10.0.0.1/8",
  ])("refuses %j", (text) => {
    expect(() => parseCidr(text)).toThrow(NetworkError);
  });

  it("says how to write a network whose host bits are set", () => {
    expect(() => parseCidr("10.0.0.1/8")).toThrow(
      'not an IPv4 network: "10.0.0.1/8" (write it as 10.0.0.0/8)',
    );
  });
});

describe("networks as sets of addresses", () => {
  it("clears host bits", () => {
    expect(networkOf("10.0.0.5/24")).toBe("10.0.0.0/24");
    expect(formatCidr(2 ** 32 - 1, 0)).toBe("0.0.0.0/0");
  });

  it("contains exactly its range", () => {
    fc.assert(
      fc.property(network, value, (cidr, address) => {
        const { first, size } = rangeOf(cidr);
        expect(containsAddress(cidr, address)).toBe(address >= first && address - first < size);
        expect(containsAddress(cidr, formatIpv4(address))).toBe(containsAddress(cidr, address));
      }),
    );
  });

  it("overlaps only where one contains the other", () => {
    fc.assert(
      fc.property(network, network, (a, b) => {
        const x = rangeOf(a);
        const y = rangeOf(b);
        const shared = Math.min(x.first + x.size, y.first + y.size) > Math.max(x.first, y.first);
        expect(overlaps(a, b)).toBe(shared);
        expect(containsCidr(a, b) || containsCidr(b, a)).toBe(shared);
      }),
    );
  });

  it("sorts by first address, the wider network first", () => {
    const sorted = ["10.0.0.0/8", "10.0.0.0/16", "10.1.0.0/16", "9.0.0.0/8"]
      .map(parseCidr)
      .toSorted(compareCidr);

    expect(sorted).toEqual(["9.0.0.0/8", "10.0.0.0/8", "10.0.0.0/16", "10.1.0.0/16"]);
  });
});
