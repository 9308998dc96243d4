import type { ClusterPod } from "../../core/cluster/objects.ts";
import type { PodReference } from "../../core/ipam/pod-reference.ts";
import type { ObjectReader } from "./object-view.ts";

/** What Pods say of themselves when an address is asked for. */
export class PodSegments {
  readonly #pods: Pick<ObjectReader<ClusterPod>, "byUid">;
  readonly #label: string;

  /** `label`: the key of the label that names the segment of a Pod. */
  constructor(pods: Pick<ObjectReader<ClusterPod>, "byUid">, label: string) {
    this.#pods = pods;
    this.#label = label;
  }

  /** The segment that the labels of this very Pod (by UID) name; `undefined` while the Pod is not known, and where they name none. */
  segmentOf({ uid }: PodReference): string | undefined {
    return this.#pods.byUid(uid)?.labels[this.#label] || undefined;
  }

  /** The node of this very Pod (by UID); `undefined` while the Pod is not known, or on none. */
  nodeOf({ uid }: PodReference): string | undefined {
    return this.#pods.byUid(uid)?.node || undefined;
  }
}
