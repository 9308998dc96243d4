import { readFileSync } from "node:fs";

import { NetworkError } from "../core/errors.ts";
import { parseCidr, type Cidr } from "../core/net/cidr.ts";
import { parseIpv4, type Ipv4 } from "../core/net/ipv4.ts";
import type { RouteSpec } from "../core/routing/route-spec.ts";
import { JsonTokens, TextPlaces, type JsonToken } from "./json-tokens.ts";
import { stripComments } from "./strip-comments.ts";

/** Longest route spec that is read, in bytes. A route table of 1,000 routes with ten addresses each takes a fifth of it. */
export const MAX_ROUTE_SPEC_BYTES = 1024 * 1024;
/** Problems that a message lists; a file of another kind has thousands. */
const MAX_PROBLEMS = 50;
/** Problems after which no more are looked for: a text of 1 MiB may have 200,000, and probes wait meanwhile. */
const ENOUGH_PROBLEMS = 1000;
const UNLESS = "; if that is meant, start with --allow-empty";

export interface RouteSpecOptions {
  /** What the text is called in messages: its file, or `body`. */
  readonly source: string;
  /** Takes `{}`, an empty text and empty lists of addresses, which else are refused: they would take routes away. */
  readonly allowEmpty: boolean;
}

/**
 * Reads a route spec: `{"10.1.0.0/16": ["172.20.32.5", "172.20.64.9"]}`, with comments from `#` or `//` to the end of a line. Destinations are written
 * without host bits. Throws `NetworkError` `ROUTE_SPEC_INVALID`, kind `invalid`, with every problem at its line and column, also as a list in
 * `details.problems`.
 */
export function readRouteSpec(text: string, options: RouteSpecOptions): RouteSpec {
  const bare = stripComments(text.replace(/^\uFEFF/, ""));
  if (bare.trim() === "") {
    if (!options.allowEmpty) {
      throw refusal(options, [`it is empty, which would take every route away${UNLESS}`]);
    }
    return { routes: new Map(), document: {} };
  }
  const document = parseJson(bare, options);
  const reader = new SpecReader(bare, options);
  const routes = reader.read();
  if (reader.problems.length > 0 || typeof document !== "object" || document === null) {
    throw refusal(options, reader.problems);
  }
  return { routes, document };
}

/** Reads the route spec in a file, once. Throws `ROUTE_SPEC_INVALID`, also when the file cannot be read. */
export function loadRouteSpec(path: string, allowEmpty: boolean): RouteSpec {
  const options = { source: path, allowEmpty };
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw refusal(options, [`it cannot be read (${code ?? message})`], error);
  }
  if (text.length > MAX_ROUTE_SPEC_BYTES) {
    throw refusal(options, [`it has more than ${MAX_ROUTE_SPEC_BYTES} bytes`]);
  }
  return readRouteSpec(text, options);
}

/** Reads the text, which is JSON, once more: by its tokens, which stand somewhere, and of which keys that come twice are two. */
class SpecReader {
  readonly problems: string[] = [];
  readonly #places: TextPlaces;
  readonly #tokens: JsonTokens;
  readonly #options: RouteSpecOptions;

  constructor(text: string, options: RouteSpecOptions) {
    this.#options = options;
    this.#places = new TextPlaces(text);
    this.#tokens = new JsonTokens(text);
  }

  read(): ReadonlyMap<Cidr, readonly Ipv4[]> {
    const routes = new Map<Cidr, readonly Ipv4[]>();
    const root = this.#tokens.next();
    if (root.text !== "{") {
      this.#refuse(root, 'expected an object of networks, such as {"10.1.0.0/16": ["172.20.32.5"]}');
      return routes;
    }
    const places = new Map<Cidr, string>();
    let key = this.#tokens.next();
    if (key.text === "}" && !this.#options.allowEmpty) {
      this.#refuse(root, `it lists no route, which would take every route away${UNLESS}`);
    }
    for (; key.text !== "}" && !this.#hasEnough; key = this.#tokens.next()) {
      const destination = this.#try(key, parseCidr);
      const addresses = this.#addresses();
      const before = destination && places.get(destination);
      if (before !== undefined) {
        this.#refuse(
          key,
          `${destination} is listed before, in ${before}: put all its addresses into one list`,
        );
      } else if (destination !== undefined) {
        places.set(destination, this.#places.placeOf(key.at));
        if (addresses.length > 0) {
          routes.set(destination, addresses);
        }
      }
    }
    return routes;
  }

  #addresses(): readonly Ipv4[] {
    const list = this.#tokens.next();
    if (list.text !== "[") {
      this.#refuse(list, "expected a list of addresses");
      this.#tokens.skip(list);
      return [];
    }
    const addresses = new Set<Ipv4>();
    let item = this.#tokens.next();
    if (item.text === "]" && !this.#options.allowEmpty) {
      this.#refuse(list, `an empty list of addresses, which would take the route away${UNLESS}`);
    }
    for (; item.text !== "]" && !this.#hasEnough; item = this.#tokens.next()) {
      if (item.text.startsWith('"')) {
        const address = this.#try(item, parseIpv4);
        if (address !== undefined) {
          addresses.add(address);
        }
      } else {
        this.#refuse(item, 'expected an address in quotes, such as "172.20.32.5"');
        this.#tokens.skip(item);
      }
    }
    return [...addresses];
  }

  #try<T>(token: JsonToken, parse: (text: string) => T): T | undefined {
    try {
      return parse(String(JSON.parse(token.text)));
    } catch (error) {
      if (!(error instanceof NetworkError)) {
        throw error;
      }
      this.#refuse(token, error.message);
      return undefined;
    }
  }

  get #hasEnough(): boolean {
    return this.problems.length >= ENOUGH_PROBLEMS;
  }

  #refuse({ at }: JsonToken, problem: string): void {
    this.problems.push(`${this.#places.placeOf(at)}: ${problem}`);
  }
}

function parseJson(text: string, options: RouteSpecOptions): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw refusal(
      options,
      [`it is no JSON: ${error instanceof Error ? error.message : String(error)}`],
      error,
    );
  }
}

function refusal({ source }: RouteSpecOptions, problems: readonly string[], cause?: unknown): NetworkError {
  const [first = ""] = problems;
  const shown = problems.slice(0, MAX_PROBLEMS).map((problem) => `  - ${problem}`);
  const more = problems.length > MAX_PROBLEMS ? [`  - and ${problems.length - MAX_PROBLEMS} more`] : [];
  const text =
    problems.length === 1
      ? `the route spec ${source} is refused: ${first}`
      : `the route spec ${source} is refused, it has ${problems.length >= ENOUGH_PROBLEMS ? "at least " : ""}${problems.length} problems:\n${[...shown, ...more].join("\n")}`;
  return new NetworkError(
    "invalid",
    "ROUTE_SPEC_INVALID",
    text,
    { problems: problems.slice(0, MAX_PROBLEMS) },
    cause,
  );
}
