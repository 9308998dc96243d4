import { readIpv4, type Ipv4 } from "../net/ipv4.ts";
import { isObject, kindOf } from "../topology/document-reader.ts";
import type { ClusterService } from "./objects.ts";

/** What the annotations `romanaip` and `romanavip` of a Service come to; both mean the same. */
export type VipAnnotation =
  | { readonly kind: "none" }
  | { readonly kind: "vip"; readonly ip: Ipv4 }
  /** `place` is the annotation, or the field in it; `message` says what to write instead. */
  | { readonly kind: "invalid"; readonly place: string; readonly message: string };

const KEYS = ["romanaip", "romanavip"] as const;

/** What to write. */
const EXAMPLE = '{"ip":"192.0.2.10"}';

/**
 * Reads the virtual IP that a Service asks for, `{"auto":false,"ip":"a.b.c.d"}`:
 *
 *     both annotations absent     none
 *     one, or both with one IP    that one
 *     both, with different IPs    invalid
 *     auto: true                  invalid: none is chosen here
 *     no JSON, no IPv4 address    invalid
 */
export function readVipAnnotation({ vipAnnotations }: Pick<ClusterService, "vipAnnotations">): VipAnnotation {
  const read = KEYS.flatMap((key) => {
    const text = vipAnnotations[key];
    return text === undefined ? [] : [readAnnotation(key, text)];
  });
  const invalid = read.find(({ kind }) => kind === "invalid");
  if (invalid !== undefined) {
    return invalid;
  }
  const [first, second] = read;
  if (first?.kind === "vip" && second?.kind === "vip" && first.ip !== second.ip) {
    return {
      kind: "invalid",
      place: "romanaip",
      message: `it says ${first.ip}, and romanavip says ${second.ip}: leave one of the two annotations out`,
    };
  }
  return first ?? { kind: "none" };
}

function readAnnotation(key: string, text: string): VipAnnotation {
  const invalid = (place: string, message: string): VipAnnotation => ({
    kind: "invalid",
    place,
    message: `${message}; write ${EXAMPLE}, with an address of a network for VIPs`,
  });
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    return invalid(key, `it is not JSON (${error instanceof Error ? error.message : String(error)})`);
  }
  if (!isObject(document)) {
    return invalid(key, `expected an object, found ${kindOf(document)}`);
  }
  const auto = document["auto"] ?? false;
  if (typeof auto !== "boolean") {
    return invalid(`${key}.auto`, `expected true or false, found ${kindOf(auto)}`);
  }
  if (auto) {
    return invalid(`${key}.auto`, "a virtual IP is not chosen by itself: name the one to use");
  }
  const ip = document["ip"];
  if (typeof ip !== "string" || readIpv4(ip) === undefined) {
    return invalid(`${key}.ip`, `expected an IPv4 address a.b.c.d, found ${kindOf(ip)}`);
  }
  return { kind: "vip", ip: ip as Ipv4 };
}
