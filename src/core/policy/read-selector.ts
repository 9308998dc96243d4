import type { LabelSelector } from "../cluster/objects.ts";
import { canonicalSelector } from "./canonical-model.ts";
import type { PolicyProblem, Requirement, Selector } from "./model.ts";

/** A selector that was read. */
export interface ReadSelector {
  /** All requirements that could be read. */
  readonly selector: Selector;
  /** False when something could not: `selector` may then select more than was meant. */
  readonly complete: boolean;
}

/** Reads a selector of Kubernetes; what cannot be read becomes a problem that ends in `consequence`. */
export function readSelector(
  { matchLabels, matchExpressions }: LabelSelector,
  place: string,
  consequence: string,
  problems: PolicyProblem[],
): ReadSelector {
  const requirements: Requirement[] = Object.entries(matchLabels).map(([key, value]) => ({
    key,
    operator: "in",
    values: [value],
  }));
  let complete = true;
  for (const [index, expression] of matchExpressions.entries()) {
    const read = readRequirement(expression);
    if (typeof read === "string") {
      complete = false;
      problems.push({
        place: `${place}.matchExpressions[${index}]`,
        message: `${read}; until then ${consequence}`,
      });
    } else {
      requirements.push(read);
    }
  }
  return { selector: canonicalSelector(requirements), complete };
}

/** The requirement, or what is wrong with it. */
function readRequirement({
  key,
  operator,
  values,
}: LabelSelector["matchExpressions"][number]): Requirement | string {
  switch (operator) {
    case "In":
    case "NotIn":
      return values.length === 0
        ? `${operator} without values says nothing: name at least one value`
        : { key, operator: operator === "In" ? "in" : "not-in", values };
    case "Exists":
    case "DoesNotExist":
      return values.length > 0
        ? `${operator} has no values: leave them out, or write In or NotIn`
        : { key, operator: operator === "Exists" ? "exists" : "not-exists" };
    default:
      return `operator ${JSON.stringify(operator)} is not known: write In, NotIn, Exists or DoesNotExist`;
  }
}
