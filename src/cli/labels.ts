import { NetworkError } from "../core/errors.ts";

/** Changes to a set of labels. */
export interface LabelChanges {
  readonly set: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
}

/** Reads `key=value` (set) and `key-` (remove), as `kubectl label` does. Throws `LABEL_MALFORMED`. */
export function parseLabelChanges(texts: readonly string[]): LabelChanges {
  const set = new Map<string, string>();
  const remove: string[] = [];
  for (const text of texts) {
    const equals = text.indexOf("=");
    if (equals > 0) {
      set.set(text.slice(0, equals), text.slice(equals + 1));
    } else if (equals < 0 && text.length > 1 && text.endsWith("-")) {
      remove.push(text.slice(0, -1));
    } else {
      throw new NetworkError(
        "invalid",
        "LABEL_MALFORMED",
        `not a label: "${text}"; write KEY=VALUE to set one, KEY- to remove one`,
        { text },
      );
    }
  }
  return { set: Object.fromEntries(set), remove };
}

/** Labels as text: `a=1,b=2` in order of their keys, `-` for none. */
export function formatLabels(labels: Readonly<Record<string, string>> | null): string {
  const pairs = Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`);
  return pairs.length === 0 ? "-" : pairs.toSorted().join(",");
}
