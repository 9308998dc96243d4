import { NetworkError } from "../core/errors.ts";

/** What the original lists as its types; an error about types repeats the list. */
export const supportedTypes: readonly string[] = [
  "text/plain",
  "application/vnd.romana.v1+json",
  "application/vnd.romana+json",
  "application/json",
  "application/x-www-form-urlencoded",
];

/** What an answer may be called, our preference first. A body is JSON text under any of these names. */
const offered = [
  "application/json",
  "application/vnd.romana.v1+json",
  "application/vnd.romana+json",
  "text/plain",
] as const;

const jsonTypes = new Set<string>([
  "application/json",
  "application/vnd.romana.v1+json",
  "application/vnd.romana+json",
]);

/** How a request's body is to be read; `unsupported` becomes status 415. */
export type BodyFormat = "json" | "form" | "unsupported";

/**
 * Reads a Content-Type header. No header means JSON, as the original does. Parameters other than `charset` are ignored; a charset
 * other than UTF-8 is unsupported.
 */
export function bodyFormat(contentType: string | undefined): BodyFormat {
  if (contentType === undefined || contentType === "application/json" || contentType.trim() === "") {
    return "json";
  }
  const [essence = "", ...parameters] = contentType.split(";").map((part) => part.trim().toLowerCase());
  const charset = parameters.find((parameter) => parameter.startsWith("charset="))?.slice("charset=".length);
  if (charset !== undefined && !["utf-8", "utf8", "us-ascii"].includes(charset.replaceAll('"', ""))) {
    return "unsupported";
  }
  if (essence === "application/x-www-form-urlencoded") {
    return "form";
  }
  return jsonTypes.has(essence) ? "json" : "unsupported";
}

/** Pairs of a form as an object of strings. Throws `REQUEST_MALFORMED` when a key occurs twice. */
export function readForm(text: string): Record<string, string> {
  const pairs = new Map<string, string>();
  for (const [key, value] of new URLSearchParams(text)) {
    if (pairs.has(key)) {
      throw new NetworkError("invalid", "REQUEST_MALFORMED", `the form gives "${key}" twice; give it once`, {
        key,
      });
    }
    pairs.set(key, value);
  }
  return Object.fromEntries(pairs);
}

/**
 * The type to answer with, by RFC 9110 section 12.5.1: the most specific range that matches a type gives its weight, the highest weight
 * wins, our order decides a tie. `undefined` when the client accepts none of ours.
 */
export function answerType(accept: string | undefined): string | undefined {
  if (accept === undefined || accept.trim() === "") {
    return offered[0];
  }
  const ranges = accept.split(",").map((part) => {
    const [range = "", ...parameters] = part.split(";").map((text) => text.trim().toLowerCase());
    const weight = parameters.find((parameter) => parameter.startsWith("q="));
    const value = weight === undefined ? 1 : Number(weight.slice(2));
    return { range, weight: Number.isFinite(value) ? value : 0 };
  });
  let best: { type: string; weight: number } | undefined;
  for (const type of offered) {
    const weight = weightOf(type, ranges);
    if (weight > (best?.weight ?? 0)) {
      best = { type, weight };
    }
  }
  return best?.type;
}

function weightOf(type: string, ranges: readonly { range: string; weight: number }[]): number {
  for (const candidate of [type, `${type.slice(0, type.indexOf("/"))}/*`, "*/*"]) {
    const match = ranges.find(({ range }) => range === candidate);
    if (match !== undefined) {
      return match.weight;
    }
  }
  return 0;
}
