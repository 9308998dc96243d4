import { readFileSync } from "node:fs";

import { isMap, isScalar, isSeq, LineCounter, parseDocument, type Node, type Pair } from "yaml";

import { NetworkError } from "../core/errors.ts";
import { parseCidr, type Cidr } from "../core/net/cidr.ts";
import { parseIpv4, type Ipv4 } from "../core/net/ipv4.ts";
import type { RouteSpec } from "../core/routing/route-spec.ts";
import { stripComments } from "./strip-comments.ts";

/** Longest route spec that is read, in bytes. A route table of 1,000 routes with ten addresses each takes a fifth of it. */
export const MAX_ROUTE_SPEC_BYTES = 1024 * 1024;
/** Problems that a message lists; a file of another kind has thousands. */
const MAX_PROBLEMS = 50;
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

/** Reads the text, which is JSON, once more as YAML, of which JSON is a part: that parser knows where everything stands, and sees keys that come twice. */
class SpecReader {
  readonly problems: string[] = [];
  readonly #lines = new LineCounter();
  readonly #options: RouteSpecOptions;
  readonly #root: unknown;

  constructor(text: string, options: RouteSpecOptions) {
    this.#options = options;
    // Keys are compared here, where the message says what to do.
    this.#root = parseDocument(text, { lineCounter: this.#lines, uniqueKeys: false }).contents;
  }

  read(): ReadonlyMap<Cidr, readonly Ipv4[]> {
    const routes = new Map<Cidr, readonly Ipv4[]>();
    if (!isMap(this.#root)) {
      this.#refuse(this.#root, 'expected an object of networks, such as {"10.1.0.0/16": ["172.20.32.5"]}');
      return routes;
    }
    if (this.#root.items.length === 0 && !this.#options.allowEmpty) {
      this.#refuse(this.#root, `it lists no route, which would take every route away${UNLESS}`);
    }
    const places = new Map<Cidr, string>();
    for (const pair of this.#root.items) {
      const destination = this.#destination(pair);
      const addresses = this.#addresses(pair);
      const before = destination && places.get(destination);
      if (before !== undefined) {
        this.#refuse(
          pair.key,
          `${destination} is listed before, in ${before}: put all its addresses into one list`,
        );
      } else if (destination !== undefined) {
        places.set(destination, this.#place(pair.key));
        if (addresses.length > 0) {
          routes.set(destination, addresses);
        }
      }
    }
    return routes;
  }

  #destination({ key }: Pair): Cidr | undefined {
    const text = isScalar(key) ? String(key.value) : "";
    return this.#try(key, () => parseCidr(text));
  }

  #addresses({ key, value }: Pair): readonly Ipv4[] {
    if (!isSeq(value)) {
      this.#refuse(value ?? key, "expected a list of addresses");
      return [];
    }
    if (value.items.length === 0 && !this.#options.allowEmpty) {
      this.#refuse(value, `an empty list of addresses, which would take the route away${UNLESS}`);
    }
    const addresses = value.items.flatMap((item) => {
      if (!isScalar(item) || typeof item.value !== "string") {
        this.#refuse(item, 'expected an address in quotes, such as "172.20.32.5"');
        return [];
      }
      const text = item.value;
      return this.#try(item, () => parseIpv4(text)) ?? [];
    });
    return [...new Set(addresses)];
  }

  #try<T>(at: unknown, parse: () => T): T | undefined {
    try {
      return parse();
    } catch (error) {
      if (!(error instanceof NetworkError)) {
        throw error;
      }
      this.#refuse(at, error.message);
      return undefined;
    }
  }

  #refuse(at: unknown, problem: string): void {
    this.problems.push(`${this.#place(at)}: ${problem}`);
  }

  #place(at: unknown): string {
    const start = (at as Node | null | undefined)?.range?.[0] ?? 0;
    const { line, col } = this.#lines.linePos(start);
    return `line ${line}, column ${col}`;
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
      : `the route spec ${source} is refused, it has ${problems.length} problems:\n${[...shown, ...more].join("\n")}`;
  return new NetworkError(
    "invalid",
    "ROUTE_SPEC_INVALID",
    text,
    { problems: problems.slice(0, MAX_PROBLEMS) },
    cause,
  );
}
