import type { ClusterNamespace, ClusterNetworkPolicy } from "../core/cluster/objects.ts";
import { isolationId, networkPolicyId, type PolicyModel, type PolicyProblem } from "../core/policy/model.ts";
import { ISOLATION_ANNOTATION, translateIsolation } from "../core/policy/translate-isolation.ts";
import { closedInstead, translateNetworkPolicy } from "../core/policy/translate-network-policy.ts";
import type { ClusterPolicyStore } from "../services/cluster-policy-store.ts";
import type { ObjectReader } from "../services/cluster/object-view.ts";
import type { Complaints } from "./complaints.ts";

/** What a model comes from. */
export interface PolicySubject {
  readonly kind: "network-policy" | "isolation";
  readonly uid: string;
}

export interface DesiredPoliciesOptions {
  readonly networkPolicies: ObjectReader<ClusterNetworkPolicy>;
  readonly namespaces: ObjectReader<ClusterNamespace>;
  readonly store: Pick<ClusterPolicyStore, "ids" | "fits">;
  readonly complaints: Complaints;
}

/** An event's note has room for 1,024 bytes. */
const MAX_NOTE = 850;

/** Which models the cluster asks for; what of it cannot be expressed or read becomes a complaint on its object. */
export class DesiredPolicies {
  readonly #options: DesiredPoliciesOptions;

  constructor(options: DesiredPoliciesOptions) {
    this.#options = options;
  }

  /** Everything that exists, by the id of its model, then what is stored without it (`undefined`). */
  all(): ReadonlyMap<string, PolicySubject | undefined> {
    const { networkPolicies, namespaces, store } = this.#options;
    const all = new Map<string, PolicySubject | undefined>();
    for (const policy of networkPolicies.values()) {
      all.set(networkPolicyId(policy), { kind: "network-policy", uid: policy.uid });
    }
    for (const namespace of namespaces.values()) {
      all.set(isolationId(namespace), { kind: "isolation", uid: namespace.uid });
    }
    for (const id of store.ids()) {
      if (!all.has(id)) {
        all.set(id, undefined);
      }
    }
    return all;
  }

  /** What is to be stored under an id; `undefined`: nothing; `kept`: whatever is stored. */
  of(id: string, subject: PolicySubject | undefined): PolicyModel | "kept" | undefined {
    const { networkPolicies, namespaces, complaints } = this.#options;
    if (subject?.kind === "network-policy") {
      const policy = networkPolicies.byUid(subject.uid);
      if (policy !== undefined) {
        return this.#ofPolicy(id, policy);
      }
    } else if (subject?.kind === "isolation") {
      const namespace = namespaces.byUid(subject.uid);
      if (namespace !== undefined) {
        return this.#ofNamespace(id, namespace);
      }
    }
    complaints.set(id, "", undefined);
    return undefined;
  }

  #ofPolicy(id: string, policy: ClusterNetworkPolicy): PolicyModel {
    const { namespace, name, uid, resourceVersion } = policy;
    const { model, problems } = translateNetworkPolicy(policy);
    const fits = this.#options.store.fits(model);
    const all = fits ? problems : [TOO_LARGE, ...problems];
    this.#options.complaints.set(
      id,
      resourceVersion,
      all.length === 0
        ? undefined
        : {
            subject: { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", namespace, name, uid },
            type: "Warning",
            reason: "PolicyNotExpressible",
            action: "TranslatePolicy",
            note: noteOf(all),
          },
    );
    return fits ? model : closedInstead(model, namespace);
  }

  #ofNamespace(id: string, namespace: ClusterNamespace): PolicyModel | "kept" | undefined {
    const { name, uid, isolation = "" } = namespace;
    const translation = translateIsolation(namespace);
    this.#options.complaints.set(
      id,
      isolation,
      translation.problems.length === 0
        ? undefined
        : {
            subject: { apiVersion: "v1", kind: "Namespace", namespace: "", name, uid },
            type: "Warning",
            reason: "IsolationUnreadable",
            action: "ReadAnnotation",
            note: `annotation ${ISOLATION_ANNOTATION}: ${noteOf(translation.problems)}`,
          },
    );
    if (translation.verdict === "unreadable") {
      return "kept";
    }
    return translation.verdict === "isolated" ? translation.model : undefined;
  }
}

const TOO_LARGE: PolicyProblem = {
  place: "spec",
  message:
    "it is too large to be kept: split it into several policies; until then all Pods of its namespace are closed in the directions that it names, and it allows nothing",
};

/** As many problems as an event has room for. */
function noteOf(problems: readonly PolicyProblem[]): string {
  let note = "";
  for (const [index, { place, message }] of problems.entries()) {
    const line = place === "" ? message : `${place}: ${message}`;
    if (note !== "" && note.length + line.length > MAX_NOTE) {
      return `${note}; and ${problems.length - index} more`;
    }
    note = note === "" ? line : `${note}; ${line}`;
  }
  return note;
}
