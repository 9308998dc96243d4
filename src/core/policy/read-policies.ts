import { NetworkError } from "../errors.ts";
import {
  isAbsent,
  isObject,
  keyPlace,
  kindOf,
  readList,
  readObject,
  readText,
  refuse,
  warn,
  type Findings,
  type JsonObject,
  type Problem,
} from "../topology/document-reader.ts";
import { idOfName, policyLimits, type Direction, type Policy, type PolicyEntry } from "./policy.ts";
import {
  checkCombinations,
  readEndpoint,
  readExactly,
  readName,
  type PlacedEndpoint,
} from "./read-endpoint.ts";
import { readItems, readRule } from "./read-rule.ts";

const POLICY_KEYS = ["id", "name", "direction", "description", "applied_to", "ingress"];
const MANUAL_KEYS = [...POLICY_KEYS, "peers", "rules"];

/** An error names this many problems; the rest are counted. */
const MAX_REPORTED = 100;

/** A document that was read and checked. */
export interface PolicyDocument {
  /** In document order. */
  readonly policies: readonly Policy[];
  readonly warnings: readonly Problem[];
}

/**
 * Reads a parsed JSON document with policies (`docs/policies.md`), in one of three forms:
 *
 *     {"id", "direction", "applied_to", "ingress": [{"peers", "rules"}]}                            one policy
 *     [ … ]                                                                                         several of these
 *     {"securitypolicies": [{"name", "direction", "applied_to", "peers", "rules"}]}                 the manual's form
 *
 * All of it is read or nothing: throws one `NetworkError` `POLICY_INVALID` whose `details.problems` list every problem as
 * `place: problem`. What is odd but harmless comes back as `warnings`.
 */
export function readPolicies(document: unknown): PolicyDocument {
  const findings: Findings = { problems: [], warnings: [] };
  const placed = policiesOf(findings, document).map(({ value, place, isManual }) => ({
    place,
    policy: readPolicy(findings, value, place, isManual),
  }));
  const policies = placed.flatMap(({ policy }) => policy ?? []);
  checkIds(
    findings,
    placed.flatMap(({ place, policy }) => (policy === undefined ? [] : { place, id: policy.id })),
  );
  const characters = JSON.stringify(policies).length;
  if (characters > policyLimits.characters) {
    refuse(
      findings,
      "document",
      `${characters} characters of policies, at most ${policyLimits.characters} are taken: send fewer at once`,
    );
  }
  if (findings.problems.length > 0) {
    throw invalid(findings);
  }
  return { policies, warnings: findings.warnings };
}

interface PlacedPolicy {
  readonly value: unknown;
  readonly place: string;
  readonly isManual: boolean;
}

function policiesOf(findings: Findings, document: unknown): readonly PlacedPolicy[] {
  if (Array.isArray(document)) {
    return several(findings, document, "", false);
  }
  if (!isObject(document)) {
    refuse(findings, "document", `expected a policy or a list of policies, found ${kindOf(document)}`);
    return [];
  }
  if (!("securitypolicies" in document)) {
    return [{ value: document, place: "", isManual: false }];
  }
  const object = readObject(findings, document, "", ["securitypolicies"]);
  const place = "securitypolicies";
  return several(findings, readList(findings, object?.[place], place), place, true);
}

function several(
  findings: Findings,
  list: readonly unknown[],
  place: string,
  isManual: boolean,
): readonly PlacedPolicy[] {
  const named = place === "" ? "document" : place;
  if (list.length === 0) {
    refuse(findings, named, "holds no policy");
  } else if (list.length > policyLimits.policies) {
    refuse(findings, named, `${list.length} policies, at most ${policyLimits.policies} are taken at once`);
  }
  return list
    .slice(0, policyLimits.policies)
    .map((value, index) => ({ value, place: `${place}[${index}]`, isManual }));
}

function readPolicy(
  findings: Findings,
  value: unknown,
  place: string,
  isManual: boolean,
): Policy | undefined {
  const before = findings.problems.length;
  const object = readObject(findings, value, place, isManual ? MANUAL_KEYS : POLICY_KEYS);
  if (object === undefined) {
    return undefined;
  }
  const at = (key: string): string => keyPlace(place, key);
  const name = readName(findings, object["name"], at("name"), policyLimits.name);
  const id = readId(findings, object["id"], at("id"), name);
  const direction = readDirection(findings, object["direction"], at("direction"));
  const description = readName(findings, object["description"], at("description"), policyLimits.description);
  const targets = readEndpoints(findings, object["applied_to"], at("applied_to"));
  const { entries, peers } = isManual
    ? readManualEntries(findings, object, place)
    : readEntries(findings, object["ingress"], at("ingress"));
  if (direction === undefined || findings.problems.length > before) {
    return undefined;
  }
  checkCombinations(findings, direction, targets, peers);
  if (direction === "egress") {
    warn(
      findings,
      at("direction"),
      "an egress policy allows what it names and closes the rest; the original's denied what it names",
    );
  }
  return {
    id,
    ...(name === "" ? {} : { name }),
    direction,
    ...(description === "" ? {} : { description }),
    applied_to: targets.map(({ endpoint }) => endpoint),
    ingress: entries,
  };
}

/** The id given, or the one that follows from the name. */
function readId(findings: Findings, value: unknown, place: string, name: string): string {
  const id = readName(findings, value, place, policyLimits.name);
  if (id === "." || id === "..") {
    refuse(findings, place, `"${id}" cannot stand in a path: choose another`);
  }
  if (id !== "") {
    return id;
  }
  const generated = name === "" ? "" : idOfName(name);
  if (generated === "") {
    refuse(findings, place, 'a policy needs an "id", or a "name" from which it gets one');
  } else if (generated.length > policyLimits.name) {
    refuse(findings, place, 'the name is too long to make an id of it: shorten it, or give an "id"');
  }
  return generated;
}

function readDirection(findings: Findings, value: unknown, place: string): Direction | undefined {
  const text = readText(findings, value, place);
  if (text === "ingress" || text === "egress") {
    return text;
  }
  refuse(findings, place, `expected "ingress" or "egress", found ${kindOf(value)}`);
  return undefined;
}

interface ReadEntries {
  readonly entries: readonly PolicyEntry[];
  readonly peers: readonly PlacedEndpoint[];
}

function readEntries(findings: Findings, value: unknown, place: string): ReadEntries {
  const list = readItems(findings, value, place);
  if (list.length === 0) {
    refuse(findings, place, "is empty: a policy needs peers and rules that it allows");
  }
  const read = list.map((item, index) => {
    const at = `${place}[${index}]`;
    const object = readExactly(findings, item, at, ["peers", "rules"]) ?? {};
    return readEntry(findings, object, at);
  });
  return { entries: read.flatMap(({ entries }) => entries), peers: read.flatMap(({ peers }) => peers) };
}

/** The manual's policy is one entry: its `peers` and `rules` stand in the policy itself. */
function readManualEntries(findings: Findings, policy: JsonObject, place: string): ReadEntries {
  const isNested = !isAbsent(policy["ingress"]);
  if (!isNested) {
    return readEntry(findings, policy, place);
  }
  if (!isAbsent(policy["peers"]) || !isAbsent(policy["rules"])) {
    refuse(findings, place, 'has "ingress" and "peers" or "rules" beside it: give one of the two forms');
  }
  return readEntries(findings, policy["ingress"], keyPlace(place, "ingress"));
}

function readEntry(findings: Findings, object: JsonObject, place: string): ReadEntries {
  const peers = readEndpoints(findings, object["peers"], keyPlace(place, "peers"));
  const at = keyPlace(place, "rules");
  const list = readItems(findings, object["rules"], at);
  if (list.length === 0) {
    refuse(findings, at, 'is empty: name what is allowed, {"protocol": "any"} is everything');
  }
  const rules = list.flatMap((item, index) => readRule(findings, item, `${at}[${index}]`) ?? []);
  return { entries: [{ peers: peers.map(({ endpoint }) => endpoint), rules }], peers };
}

function readEndpoints(findings: Findings, value: unknown, place: string): readonly PlacedEndpoint[] {
  const list = readItems(findings, value, place);
  if (list.length === 0) {
    refuse(findings, place, "is empty: name at least one endpoint");
  }
  return list.flatMap((item, index) => readEndpoint(findings, item, `${place}[${index}]`) ?? []);
}

function checkIds(
  findings: Findings,
  policies: readonly { readonly place: string; readonly id: string }[],
): void {
  const first = new Map<string, string>();
  for (const { place, id } of policies) {
    const earlier = first.get(id);
    if (earlier === undefined) {
      first.set(id, place);
    } else {
      refuse(findings, place, `has the id "${id}" of ${earlier}: give each an id, or a name, of its own`);
    }
  }
}

function invalid({ problems, warnings }: Findings): NetworkError {
  const lines = linesOf(problems);
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  return new NetworkError(
    "invalid",
    "POLICY_INVALID",
    `the document of policies has ${count}, nothing was changed: ${lines.join("; ")}`,
    { problems: lines, warnings: linesOf(warnings) },
  );
}

function linesOf(problems: readonly Problem[]): readonly string[] {
  const lines = problems
    .slice(0, MAX_REPORTED)
    .map(({ place, message }) => `${place || "policy"}: ${message}`);
  const more = problems.length - MAX_REPORTED;
  return more > 0 ? [...lines, `document: ${more} more like these`] : lines;
}
