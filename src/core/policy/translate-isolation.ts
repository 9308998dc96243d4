import type { ClusterNamespace } from "../cluster/objects.ts";
import { isObject, kindOf } from "../topology/document-reader.ts";
import { canonicalModel } from "./canonical-model.ts";
import { isolationId, type PolicyModel, type PolicyProblem } from "./model.ts";

/** The annotation of a Namespace that isolates it. */
export const ISOLATION_ANNOTATION = "net.beta.kubernetes.io/networkpolicy";

/** What to write in it. */
const DEFAULT_DENY = '{"ingress":{"isolation":"DefaultDeny"}}';

/** What a namespace's annotation comes to. */
export type IsolationTranslation =
  | { readonly verdict: "isolated"; readonly model: PolicyModel; readonly problems: readonly PolicyProblem[] }
  | { readonly verdict: "open"; readonly problems: readonly PolicyProblem[] }
  /** It cannot be read: what held for this namespace before goes on. */
  | { readonly verdict: "unreadable"; readonly problems: readonly PolicyProblem[] };

/**
 * Reads the annotation as the original did:
 *
 *     annotation                                    verdict
 *     absent                                        open
 *     {"ingress":{"isolation":"DefaultDeny"}}       isolated: closed in ingress, allowing nothing
 *     {}, {"ingress":{}}, null in a place of these  open
 *     {"ingress":{"isolation":"defaultdeny"}}       open, with a problem: no such isolation
 *     other keys beside these                       as without them, with a problem
 *     no JSON, or another type in one place         unreadable, with a problem
 */
export function translateIsolation(namespace: ClusterNamespace): IsolationTranslation {
  const { isolation: text } = namespace;
  if (text === undefined) {
    return { verdict: "open", problems: [] };
  }
  const problems: PolicyProblem[] = [];
  const isolation = readAnnotation(text, problems);
  if (isolation === undefined) {
    return { verdict: "unreadable", problems };
  }
  if (isolation === "DefaultDeny") {
    return { verdict: "isolated", model: isolationModel(namespace), problems };
  }
  if (isolation !== "") {
    problems.push({
      place: "ingress.isolation",
      message: `${JSON.stringify(isolation)} is no isolation, so the namespace is open: write ${DEFAULT_DENY} to isolate it`,
    });
  }
  return { verdict: "open", problems };
}

/** Targets the tenant and not its Pods, so that an address is closed from the moment at which it is given out. */
function isolationModel({ name, uid }: ClusterNamespace): PolicyModel {
  return canonicalModel({
    id: isolationId({ name, uid }),
    source: { kind: "isolation", namespace: name, uid },
    targets: [{ kind: "tenant", tenant: name }],
    isolates: ["ingress"],
    ingress: [],
    egress: [],
  });
}

/** The isolation of ingress, "" when it is not said; `undefined`, with a problem, for what cannot be read. */
function readAnnotation(text: string, problems: PolicyProblem[]): string | undefined {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    unreadable(problems, "", `it is not JSON (${reason})`);
    return undefined;
  }
  if (document === null) {
    return "";
  }
  if (!isObject(document)) {
    unreadable(problems, "", `it is ${kindOf(document)} and not an object`);
    return undefined;
  }
  reportOthers(document, "ingress", "", problems);
  const ingress = document["ingress"] ?? {};
  if (!isObject(ingress)) {
    unreadable(problems, "ingress", `it is ${kindOf(ingress)} and not an object`);
    return undefined;
  }
  reportOthers(ingress, "isolation", "ingress.", problems);
  const isolation = ingress["isolation"] ?? "";
  if (typeof isolation !== "string") {
    unreadable(problems, "ingress.isolation", `it is ${kindOf(isolation)} and not a text`);
    return undefined;
  }
  return isolation;
}

function unreadable(problems: PolicyProblem[], place: string, reason: string): void {
  problems.push({
    place,
    message: `${reason}: what held before goes on; write ${DEFAULT_DENY} to isolate the namespace, or remove the annotation to open it`,
  });
}

function reportOthers(object: object, known: string, place: string, problems: PolicyProblem[]): void {
  for (const key of Object.keys(object)) {
    if (key !== known) {
      problems.push({
        place: `${place}${key}`,
        message: `"${key}" has no meaning here and has no effect: use a NetworkPolicy for more than ${DEFAULT_DENY}`,
      });
    }
  }
}
