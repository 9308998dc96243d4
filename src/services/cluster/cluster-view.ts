import type { ClusterKind, ClusterObjects } from "../../core/cluster/objects.ts";
import type { ClusterSource } from "../../ports/cluster.ts";
import { ObjectView, type ObjectReader } from "./object-view.ts";

/** The cluster as this replica knows it, kind by kind. */
export type ClusterReader = { readonly [K in ClusterKind]: ObjectReader<ClusterObjects[K]> };

/** Follows every kind of a cluster, on each replica; who leads decides from it. */
export class ClusterView implements ClusterReader {
  readonly nodes = new ObjectView<ClusterObjects["nodes"]>();
  readonly pods = new ObjectView<ClusterObjects["pods"]>();
  readonly namespaces = new ObjectView<ClusterObjects["namespaces"]>();
  readonly networkpolicies = new ObjectView<ClusterObjects["networkpolicies"]>();
  readonly services = new ObjectView<ClusterObjects["services"]>();
  readonly endpointslices = new ObjectView<ClusterObjects["endpointslices"]>();
  readonly servicecidrs = new ObjectView<ClusterObjects["servicecidrs"]>();
  readonly #source: ClusterSource;
  readonly #stop = new AbortController();
  #work: Promise<unknown> = Promise.resolve();

  constructor(source: ClusterSource) {
    this.#source = source;
  }

  start(): void {
    const { signal } = this.#stop;
    const follow = <K extends ClusterKind>(kind: K, view: ObjectView<ClusterObjects[K]>): Promise<void> =>
      this.#source.follow(kind, view, signal);
    this.#work = Promise.all([
      follow("nodes", this.nodes),
      follow("namespaces", this.namespaces),
      follow("networkpolicies", this.networkpolicies),
      follow("pods", this.pods),
      follow("services", this.services),
      follow("endpointslices", this.endpointslices),
      follow("servicecidrs", this.servicecidrs),
    ]);
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error("the controller stops"));
    await this.#work;
  }
}
