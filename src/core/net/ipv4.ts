import { NetworkError } from "../errors.ts";

declare const ipv4Brand: unique symbol;

/** An IPv4 address in canonical dotted form (no leading zeros). Compare with `===`. */
export type Ipv4 = string & { readonly [ipv4Brand]: true };

const DOT = 46;
const ZERO = 48;

/**
 * The value of a dotted quad as an unsigned number (0 to 2^32 - 1), or `undefined` for any other text: leading zeros, blanks,
 * signs, octets above 255, fewer or more than four octets.
 */
export function readIpv4(text: string): number | undefined {
  let value = 0;
  let octet = 0;
  let digits = 0;
  let dots = 0;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === DOT) {
      if (digits === 0 || dots === 3) {
        return undefined;
      }
      dots += 1;
      value = value * 256 + octet;
      octet = 0;
      digits = 0;
      continue;
    }
    const digit = code - ZERO;
    const hasLeadingZero = digits > 0 && octet === 0;
    if (digit < 0 || digit > 9 || hasLeadingZero) {
      return undefined;
    }
    octet = octet * 10 + digit;
    digits += 1;
    if (octet > 255) {
      return undefined;
    }
  }
  return dots === 3 && digits > 0 ? value * 256 + octet : undefined;
}

/** Parses a canonical IPv4 address. Throws `NetworkError` `ADDRESS_INVALID`. */
export function parseIpv4(text: string): Ipv4 {
  if (readIpv4(text) === undefined) {
    throw new NetworkError(
      "invalid",
      "ADDRESS_INVALID",
      `not an IPv4 address: "${text}" (expected a.b.c.d)`,
      { text },
    );
  }
  return text as Ipv4;
}

/** The address whose unsigned value is `value` (0 to 2^32 - 1). */
export function formatIpv4(value: number): Ipv4 {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}` as Ipv4;
}

/** The unsigned value (0 to 2^32 - 1) of an address that was parsed before. */
export function ipv4Value(address: Ipv4): number {
  return readIpv4(address) ?? 0;
}
