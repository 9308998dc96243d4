import { isIPv6 } from "node:net";

import { NetworkError } from "../core/errors.ts";
import { containsAddress, parseCidr } from "../core/net/cidr.ts";
import { readIpv4 } from "../core/net/ipv4.ts";
import { formatDuration, parseDuration } from "./durations.ts";

const LOOPBACK = parseCidr("127.0.0.0/8");

/** Where state is kept: in one file, or in memory until the program ends. */
export type StoreLocation = { readonly kind: "sqlite"; readonly file: string } | { readonly kind: "memory" };

/** Where the REST API is served. Port 0 asks for any free one. */
export type ListenAddress =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number; readonly tls: boolean }
  | { readonly kind: "unix"; readonly path: string };

/** Where the topology comes from at the start. */
export type TopologySource =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "builtin"; readonly name: string };

/** An EC2 tag. */
export interface Tag {
  readonly key: string;
  readonly value: string;
}

/** Which route tables are ours to write: those of subnets with cluster nodes, all of the VPC, those with a tag, or these. */
export type RouteTableChoice =
  | { readonly kind: "cluster" }
  | { readonly kind: "vpc" }
  | { readonly kind: "tag"; readonly tag: Tag }
  | { readonly kind: "ids"; readonly ids: readonly string[] };

/** `sqlite:FILE` or `memory`. */
export function parseStoreLocation(text: string): StoreLocation {
  if (text === "memory") {
    return { kind: "memory" };
  }
  const file = afterPrefix(text, "sqlite:");
  if (file === undefined || file === "") {
    throw invalid(text, "sqlite:FILE or memory");
  }
  return { kind: "sqlite", file };
}

/**
 * `unix:PATH`, `ADDRESS:PORT` or `https://ADDRESS:PORT`. An address of this machine alone is served in plain HTTP unless it says https; any other is served with
 * TLS, whatever it says. Names are not taken but for `localhost`: they may mean several addresses, or another one tomorrow.
 */
export function parseListenAddress(text: string): ListenAddress {
  const path = afterPrefix(text, "unix:");
  if (path !== undefined && path !== "") {
    return { kind: "unix", path };
  }
  const match = /^(https?:\/\/)?(.*):(\d{1,5})$/.exec(text);
  const [, scheme, written = "", digits] = match ?? [];
  const port = Number(digits);
  const host = written === "localhost" ? "127.0.0.1" : written.replace(/^\[(.*:.*)\]$/, "$1");
  if (
    match === null ||
    port > 65_535 ||
    (readIpv4(host) === undefined && !(host !== written && isIPv6(host)))
  ) {
    throw invalid(text, "ADDRESS:PORT or https://ADDRESS:PORT, such as 127.0.0.1:9600, or unix:PATH");
  }
  const isOpen = !isLoopback(host);
  if (isOpen && scheme === "http://") {
    throw new NetworkError(
      "invalid",
      "VALUE_INVALID",
      `"${text}" would open the API to the network without TLS, which is not done: write https://${written}:${port} (with --tls-cert and --tls-key), or listen on loopback`,
      { text },
    );
  }
  return { kind: "tcp", host, port, tls: isOpen || scheme === "https://" };
}

/** Whether an address without brackets can be reached from this machine alone. */
function isLoopback(host: string): boolean {
  const value = readIpv4(host);
  return value === undefined ? host === "::1" : containsAddress(LOOPBACK, value);
}

/** A file, or `builtin:NAME`. */
export function parseTopologySource(text: string): TopologySource {
  const name = afterPrefix(text, "builtin:");
  if (text === "" || name === "") {
    throw invalid(text, "a file or builtin:NAME");
  }
  return name === undefined ? { kind: "file", path: text } : { kind: "builtin", name };
}

/** `KEY=VALUE` within the limits of EC2 (keys of 1 to 128 characters, values of up to 256: EC2 API reference, Tag). */
export function parseTag(text: string): Tag {
  const at = text.indexOf("=");
  const [key, value] = [text.slice(0, at), text.slice(at + 1)];
  if (at < 1 || key.length > 128 || value.length > 256) {
    throw invalid(text, "KEY=VALUE, a tag of EC2");
  }
  return { key, value };
}

/** `cluster`, `vpc`, `tag:KEY=VALUE` or ids separated by commas. */
export function parseRouteTables(text: string): RouteTableChoice {
  if (text === "cluster" || text === "vpc") {
    return { kind: text };
  }
  const tag = afterPrefix(text, "tag:");
  if (tag !== undefined) {
    return { kind: "tag", tag: parseTag(tag) };
  }
  const ids = text.split(",").map((id) => id.trim());
  if (!ids.every((id) => /^rtb-[0-9a-f]+$/.test(id))) {
    throw invalid(text, "cluster, vpc, tag:KEY=VALUE or the ids of route tables (rtb-…,rtb-…)");
  }
  return { kind: "ids", ids: [...new Set(ids)] };
}

/** A parser for text that matches `pattern`. */
export function matching(pattern: RegExp, wanted: string): (text: string) => string {
  return (text) => {
    if (!pattern.test(text)) {
      throw invalid(text, wanted);
    }
    return text;
  };
}

/** A parser for one of a few words. */
export function oneOf<const Word extends string>(...words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const word = words.find((each) => each === text);
    if (word === undefined) {
      throw invalid(text, words.join(", "), "one of ");
    }
    return word;
  };
}

/** A parser for whole numbers in a range, both ends included. */
export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= least && value <= most)) {
      throw invalid(text, `a whole number from ${least} to ${most}`);
    }
    return value;
  };
}

/** A parser for decimal numbers in a range, both ends included. */
export function decimalNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= least && value <= most)) {
      throw invalid(text, `a number from ${least} to ${most}`);
    }
    return value;
  };
}

/** A parser for durations in a range of milliseconds, both ends included; with `orNever`, `0s` too. */
export function duration(leastMs: number, mostMs: number, orNever = false): (text: string) => number {
  return (text) => {
    const value = parseDuration(text);
    if (!((value >= leastMs && value <= mostMs) || (orNever && value === 0))) {
      const never = orNever ? ", or 0s for never" : "";
      throw invalid(text, `a duration from ${formatDuration(leastMs)} to ${formatDuration(mostMs)}${never}`);
    }
    return value;
  };
}

function afterPrefix(text: string, prefix: string): string | undefined {
  return text.startsWith(prefix) ? text.slice(prefix.length) : undefined;
}

function invalid(text: string, wanted: string, article = ""): NetworkError {
  return new NetworkError("invalid", "VALUE_INVALID", `expected ${article}${wanted}, not "${text}"`, {
    text,
  });
}
