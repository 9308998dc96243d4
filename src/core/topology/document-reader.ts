/** Something that is wrong or odd about a document, and where: `topologies[0].map[2].assignment`. */
export interface Problem {
  readonly place: string;
  readonly message: string;
}

/** What is collected while a document is read: problems refuse it, warnings do not. */
export interface Findings {
  readonly problems: Problem[];
  readonly warnings: Problem[];
}

export type JsonObject = Readonly<Record<string, unknown>>;

/** Adds a problem. */
export function refuse(findings: Findings, place: string, message: string): void {
  findings.problems.push({ place, message });
}

/** Adds a warning. */
export function warn(findings: Findings, place: string, message: string): void {
  findings.warnings.push({ place, message });
}

/** The place of a key inside an object: `networks[0].cidr`, `assignment["a b"]`, and just `networks` at the top (empty `place`). */
export function keyPlace(place: string, key: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(key)) {
    return `${place}[${JSON.stringify(key)}]`;
  }
  return place === "" ? key : `${place}.${key}`;
}

/** The object at a place, or `undefined` with a problem for anything else. Unknown keys become warnings. */
export function readObject(
  findings: Findings,
  value: unknown,
  place: string,
  knownKeys: readonly string[],
): JsonObject | undefined {
  if (!isObject(value)) {
    refuse(findings, place === "" ? "document" : place, `expected an object, found ${kindOf(value)}`);
    return undefined;
  }
  for (const key of Object.keys(value)) {
    if (!knownKeys.includes(key)) {
      warn(findings, keyPlace(place, key), `unknown key "${key}" is ignored${suggestion(key, knownKeys)}`);
    }
  }
  return value;
}

/** A list; absent and `null` are the empty list, and so is anything else, with a problem. */
export function readList(findings: Findings, value: unknown, place: string): readonly unknown[] {
  if (value === undefined || value === null) {
    return [];
  }
  if (!Array.isArray(value)) {
    refuse(findings, place, `expected a list, found ${kindOf(value)}`);
    return [];
  }
  return value;
}

/** Longest name of a network or a host, in characters: the longest that a path of the REST API takes. */
const MAX_NAME = 1024;

/** A name that paths of the REST API lead to: a text which is neither `.` nor `..`, as clients take these out of a path, nor too long. */
export function readPathName(findings: Findings, value: unknown, place: string): string {
  const name = readText(findings, value, place);
  if (name === "." || name === "..") {
    refuse(findings, place, `"${name}" cannot stand in a path of the REST API: choose another name`);
  }
  if (name.length > MAX_NAME) {
    refuse(
      findings,
      place,
      `a name of ${name.length} characters cannot stand in a path of the REST API: it may have ${MAX_NAME}`,
    );
  }
  return name;
}

/** A text; absent and `null` are the empty text, and so is anything else, with a problem: half a surrogate pair too, which no store can hold. */
export function readText(findings: Findings, value: unknown, place: string): string {
  if (value === undefined || value === null) {
    return "";
  }
  if (typeof value !== "string") {
    refuse(findings, place, `expected a text, found ${kindOf(value)}`);
    return "";
  }
  if (/\p{Surrogate}/u.test(value)) {
    refuse(
      findings,
      place,
      "the text is not well-formed: it holds half a surrogate pair (\\ud800 to \\udfff)",
    );
    return "";
  }
  return value;
}

/** A flag; absent and `null` are false, and so is anything else, with a problem. */
export function readFlag(findings: Findings, value: unknown, place: string): boolean {
  if (value === undefined || value === null) {
    return false;
  }
  if (typeof value !== "boolean") {
    refuse(findings, place, `expected true or false, found ${kindOf(value)}`);
    return false;
  }
  return value;
}

/** Labels; absent and `null` are none. An entry whose value is no text is left out, with a problem. */
export function readLabels(
  findings: Findings,
  value: unknown,
  place: string,
): Readonly<Record<string, string>> {
  if (value === undefined || value === null) {
    return {};
  }
  if (!isObject(value)) {
    refuse(findings, place, `expected an object of texts, found ${kindOf(value)}`);
    return {};
  }
  const entries: [string, string][] = [];
  for (const [key, label] of Object.entries(value)) {
    if (typeof label === "string") {
      entries.push([key, label]);
    } else {
      refuse(findings, keyPlace(place, key), `expected a text, found ${kindOf(label)}`);
    }
  }
  return Object.fromEntries(entries);
}

/** True for an object of JSON: no list, no `null`. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** True for what the clients of the original send for "not given": `null`, `""`, `0`, `false`, `[]`, `{}`. */
export function isAbsent(value: unknown): boolean {
  if (Array.isArray(value)) {
    return value.length === 0;
  }
  return isObject(value) ? Object.keys(value).length === 0 : !value;
}

/** How a value is called in a message: `a text`, `a list`, `the number 1.5`. */
export function kindOf(value: unknown): string {
  if (value === undefined) {
    return "nothing";
  }
  if (typeof value === "string") {
    return `the text "${value.length > 40 ? `${value.slice(0, 40)}…` : value}"`;
  }
  if (typeof value === "number") {
    return `the number ${value}`;
  }
  if (Array.isArray(value)) {
    return "a list";
  }
  if (typeof value === "boolean" || value === null) {
    return `${value}`;
  }
  return isObject(value) ? "an object" : `a ${typeof value}`;
}

/** `; did you mean "cidr"?` for a key that is close to one of `knownKeys`, else "". */
export function suggestion(key: string, knownKeys: readonly string[]): string {
  const close = knownKeys.find(
    (known) => bare(known) === bare(key) || isOneEditAway(known, key.toLowerCase()),
  );
  return close === undefined ? "" : `; did you mean "${close}"?`;
}

function bare(key: string): string {
  return key.toLowerCase().replaceAll(/[^a-z]/g, "");
}

/** True when one letter more, less or other makes `a` into `b`. */
function isOneEditAway(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1) {
    return false;
  }
  let same = 0;
  while (same < a.length && a[same] === b[same]) {
    same += 1;
  }
  return (
    a.slice(same + 1) === b.slice(same + 1) ||
    a.slice(same) === b.slice(same + 1) ||
    a.slice(same + 1) === b.slice(same)
  );
}
