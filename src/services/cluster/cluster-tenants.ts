import type { ClusterNamespace, ClusterPod } from "../../core/cluster/objects.ts";
import type { ObservedOwner } from "../tenant-service.ts";
import type { ObjectReader } from "./object-view.ts";

/** The segment of a Pod that names none. */
const DEFAULT_SEGMENT = "default";

export interface ClusterTenantsOptions {
  readonly namespaces: ObjectReader<ClusterNamespace>;
  readonly pods: ObjectReader<ClusterPod>;
  /** The key of the label that names the segment of a Pod. */
  readonly label: string;
}

/** The tenants and segments of a cluster: its namespaces, and what the Pods of the pod network say they belong to, whether they have an address or not. */
export class ClusterTenants {
  readonly #options: ClusterTenantsOptions;

  constructor(options: ClusterTenantsOptions) {
    this.#options = options;
  }

  /** Of every namespace or of one; a segment may come several times. Linear in the Pods. */
  *owners(only?: string): Generator<ObservedOwner, void, undefined> {
    const { namespaces, pods, label } = this.#options;
    for (const { name } of namespaces.values()) {
      if (only === undefined || name === only) {
        yield { tenant: name, segment: undefined };
      }
    }
    for (const { namespace, labels, hostNetwork } of pods.values()) {
      if (!hostNetwork && (only === undefined || namespace === only)) {
        const segment = Object.hasOwn(labels, label) ? labels[label] : undefined;
        yield { tenant: namespace, segment: segment || DEFAULT_SEGMENT };
      }
    }
  }
}
