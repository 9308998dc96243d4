import type { Requirement, Selector } from "./model.ts";

export type Labels = Readonly<Record<string, string>>;

/** Whether labels fulfil every requirement, as Kubernetes reads them: `not-in` and `not-exists` also hold where the key is absent, and a selector without requirements selects everything. */
export function matchesLabels(selector: Selector, labels: Labels): boolean {
  return selector.every((requirement) => fulfils(requirement, labels));
}

function fulfils(requirement: Requirement, labels: Labels): boolean {
  const { key } = requirement;
  // A label may well be called "constructor".
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
  switch (requirement.operator) {
    case "in":
      return value !== undefined && requirement.values.includes(value);
    case "not-in":
      return value === undefined || !requirement.values.includes(value);
    case "exists":
      return value !== undefined;
    case "not-exists":
      return value === undefined;
  }
}
