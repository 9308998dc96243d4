import type { ClusterNode } from "../../core/cluster/objects.ts";
import { isSameMachine, type KnownHost } from "../../core/cluster/plan-nodes.ts";
import { standingOf, type NodeStanding } from "../../core/cluster/standing.ts";
import type { ObjectReader } from "./object-view.ts";

export interface NodeStandingsOptions {
  readonly nodes: ObjectReader<ClusterNode>;
  /** Whether machines are EC2's. */
  readonly cloud: boolean;
}

/** What Kubernetes says of hosts as gateways. */
export class NodeStandings {
  readonly #options: NodeStandingsOptions;

  constructor(options: NodeStandingsOptions) {
    this.#options = options;
  }

  /**
   * The standing of a host: that of its Node. Until all Nodes were listed every host is ready, for absence means nothing then. A host that was learned from a Node which is gone
   * leaves; one of the document or of the API without a Node is ready.
   */
  standing(host: KnownHost): NodeStanding {
    const { nodes, cloud } = this.#options;
    if (!nodes.synced) {
      return "ready";
    }
    const node = nodes.get(host.name);
    if (host.origin === "kubernetes") {
      return node !== undefined && isSameMachine(host, node, cloud) ? standingOf(node) : "leaving";
    }
    return node === undefined ? "ready" : standingOf(node);
  }

  /** Calls the listener after the standing of a host of that name may have changed; it must not throw. Returns what ends that. */
  onChange(listener: (name: string) => void): () => void {
    const { nodes } = this.#options;
    return nodes.onChange((change) => {
      const before =
        change.kind === "put" && change.before !== undefined ? standingOf(change.before) : undefined;
      if (change.kind === "delete" || before !== standingOf(change.object)) {
        listener(change.object.name);
      }
    });
  }
}
