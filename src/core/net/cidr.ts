import { NetworkError } from "../errors.ts";
import { formatIpv4, readIpv4, type Ipv4 } from "./ipv4.ts";

declare const cidrBrand: unique symbol;

/** An IPv4 network in canonical text form: no leading zeros, host bits zero. Compare with `===`. */
export type Cidr = string & { readonly [cidrBrand]: true };

/** The numbers of a network: first address (unsigned), prefix length (0 to 32), number of addresses (1 to 2^32). */
export interface CidrRange {
  readonly first: number;
  readonly length: number;
  readonly size: number;
}

/** The network that starts at the address `first` (0 to 2^32 - 1, host bits are cleared) and is `length` bits long. */
export function formatCidr(first: number, length: number): Cidr {
  return `${formatIpv4(first - (first % 2 ** (32 - length)))}/${length}` as Cidr;
}

/** Parses `text`, which must already be canonical. Throws `NetworkError` `CIDR_INVALID`. */
export function parseCidr(text: string): Cidr {
  const canonical = networkOf(text);
  if (canonical !== text) {
    throw invalid(text, `write it as ${canonical}`);
  }
  return canonical;
}

/** Parses `text` and clears its host bits: `10.0.0.5/24` is `10.0.0.0/24`. Throws `NetworkError` `CIDR_INVALID`. */
export function networkOf(text: string): Cidr {
  const slash = text.indexOf("/");
  const first = slash < 0 ? undefined : readIpv4(text.slice(0, slash));
  const digits = slash < 0 ? "" : text.slice(slash + 1);
  if (first === undefined || !/^(\d|[12]\d|3[0-2])$/.test(digits)) {
    throw invalid(text, "expected a.b.c.d/length");
  }
  return formatCidr(first, Number(digits));
}

/** The numbers of a network that was parsed before. */
export function rangeOf(cidr: Cidr): CidrRange {
  const slash = cidr.indexOf("/");
  const length = Number(cidr.slice(slash + 1));
  return { first: readIpv4(cidr.slice(0, slash)) ?? 0, length, size: 2 ** (32 - length) };
}

/** True when every address of `inner` is in `outer`; a network contains itself. */
export function containsCidr(outer: Cidr, inner: Cidr): boolean {
  const a = rangeOf(outer);
  const b = rangeOf(inner);
  return a.length <= b.length && b.first >= a.first && b.first < a.first + a.size;
}

/** True when the address (text or unsigned value) is in the network. */
export function containsAddress(cidr: Cidr, address: Ipv4 | number): boolean {
  const { first, size } = rangeOf(cidr);
  const value = typeof address === "number" ? address : (readIpv4(address) ?? -1);
  return value >= first && value < first + size;
}

/** True when two networks share an address (then one contains the other). */
export function overlaps(a: Cidr, b: Cidr): boolean {
  return containsCidr(a, b) || containsCidr(b, a);
}

/** Order by first address, then the wider network first. For `toSorted`. */
export function compareCidr(a: Cidr, b: Cidr): number {
  const x = rangeOf(a);
  const y = rangeOf(b);
  return x.first - y.first || x.length - y.length;
}

function invalid(text: string, hint: string): NetworkError {
  return new NetworkError("invalid", "CIDR_INVALID", `not an IPv4 network: "${text}" (${hint})`, { text });
}
