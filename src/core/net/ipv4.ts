import { NetworkError } from "../errors.ts";

declare const ipv4Brand: unique symbol;

/** An IPv4 address in canonical dotted form (no leading zeros). Compare with `===`. */
export type Ipv4 = string & { readonly [ipv4Brand]: true };

const PATTERN = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/;

/**
 * The value of a dotted quad as an unsigned number (0 to 2^32 - 1), or `undefined` for any other text: leading zeros, blanks,
 * signs, octets above 255, fewer or more than four octets.
 */
export function readIpv4(text: string): number | undefined {
  const match = PATTERN.exec(text);
  if (match === null) {
    return undefined;
  }
  let value = 0;
  for (let index = 1; index <= 4; index += 1) {
    const digits = match[index] ?? "";
    const octet = Number(digits);
    if (octet > 255 || (digits.length > 1 && digits.startsWith("0"))) {
      return undefined;
    }
    value = value * 256 + octet;
  }
  return value;
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
