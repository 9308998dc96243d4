import { hostname } from "node:os";

import type { Clock } from "../../ports/clock.ts";
import type { ClusterSource, ClusterWriter, LeaseLock, TokenReviewer } from "../../ports/cluster.ts";
import type { Logger } from "../../ports/logger.ts";
import { CredentialKeeper, inClusterCredentials } from "./credentials.ts";
import { kubeconfigCredentials } from "./kubeconfig.ts";
import { KubernetesCluster } from "./kubernetes-cluster.ts";
import { KubernetesLease } from "./lease.ts";
import type { FollowTimes } from "./reflector.ts";
import { KubernetesTokenReviewer } from "./token-review.ts";
import { Transport, type TransportOptions } from "./transport.ts";
import { KubernetesWriter } from "./writer.ts";

export { isInCluster } from "./credentials.ts";

/** How the API server is found. */
export type ClusterAccess =
  | { readonly kind: "in-cluster" }
  | { readonly kind: "kubeconfig"; readonly path: string };

export interface KubernetesOptions {
  readonly source: ClusterAccess;
  /** Of the program. */
  readonly version: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** The Lease of the election. */
  readonly lease: { readonly namespace: string; readonly name: string };
  /** How it follows; tests take less. */
  readonly times?: Partial<FollowTimes>;
}

export interface Kubernetes {
  readonly source: ClusterSource;
  readonly writer: ClusterWriter;
  readonly lease: LeaseLock;
  readonly reviewer: TokenReviewer;
  /** Closes every connection; to be called when nobody follows any more. */
  close(): void;
}

/**
 * All that we have to do with one cluster, over one set of connections. Nothing is asked of it yet. Throws `CLUSTER_UNCONFIGURED` when there is no service account, or no
 * kubeconfig file that can be used.
 */
export function createKubernetes({
  source,
  version,
  clock,
  log,
  lease,
  times,
}: KubernetesOptions): Kubernetes {
  const transport = connect(source, { version, clock, log });
  return {
    source: new KubernetesCluster({ transport, clock, log, ...(times === undefined ? {} : { times }) }),
    writer: new KubernetesWriter({ transport, clock, instance: hostname() }),
    lease: new KubernetesLease({ transport, ...lease }),
    reviewer: new KubernetesTokenReviewer(transport),
    close: () => transport.close(),
  };
}

/** Connections to the API server; see `createKubernetes`. Whoever takes them closes them. */
export function connect(
  source: ClusterAccess,
  { log, ...options }: { readonly log: Logger } & Pick<TransportOptions, "clock" | "version" | "component">,
): Transport {
  const load = source.kind === "in-cluster" ? inClusterCredentials() : kubeconfigCredentials(source.path);
  return new Transport({
    credentials: new CredentialKeeper({ load, clock: options.clock, log }),
    ...options,
  });
}
