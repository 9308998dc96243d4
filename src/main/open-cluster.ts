import { createKubernetes, isInCluster, type Kubernetes } from "../adapters/kubernetes/create-kubernetes.ts";
import { FileFollower } from "../adapters/system/file-follower.ts";
import { hashToken } from "../api/authentication.ts";
import { readVersion } from "../cli/version.ts";
import type { ControllerConfig } from "../config/load.ts";
import { stripComments } from "../config/strip-comments.ts";
import { NetworkError } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";
import { TokenReviewAuthenticator } from "../services/token-review.ts";
import type { ClusterParts } from "./create-cluster.ts";

/** Of a topology document, as of one that is posted. */
const MAX_TOPOLOGY_BYTES = 16 * 1024 * 1024;

/** The cluster that the configuration names; `undefined` for none. Throws `CLUSTER_UNCONFIGURED`. */
export function openCluster(
  { kubernetes }: ControllerConfig,
  clock: Clock,
  log: Logger,
): Kubernetes | undefined {
  const { source, lease } = kubernetes;
  const found =
    source.kind !== "auto" ? source : isInCluster(process.env) ? { kind: "in-cluster" as const } : undefined;
  if (found === undefined || found.kind === "off") {
    if (kubernetes.election === "lease") {
      throw new NetworkError(
        "invalid",
        "CLUSTER_UNCONFIGURED",
        "--election=lease wants a cluster, and none is followed: say which with --kubernetes, or leave --election out",
      );
    }
    return undefined;
  }
  return createKubernetes({
    source: found,
    version: readVersion(),
    clock,
    log: log.child({ component: "kubernetes" }),
    lease,
  });
}

/** The file that `--topology` names, to be followed. */
export function topologyFile({ topology }: ControllerConfig, clock: Clock): ClusterParts["topologyFile"] {
  return topology?.kind !== "file"
    ? undefined
    : {
        path: topology.path,
        parse: (text) => JSON.parse(stripComments(text)),
        follow: (tell) =>
          new FileFollower({ ...tell, path: topology.path, maxBytes: MAX_TOPOLOGY_BYTES, clock }),
      };
}

/** Knows the tokens of service accounts. */
export function reviewTokens(
  { reviewer }: Kubernetes,
  { kubernetes }: ControllerConfig,
  clock: Clock,
  log: Logger,
): TokenReviewAuthenticator {
  const { tokenAudience: audience, agentServiceAccount } = kubernetes;
  return new TokenReviewAuthenticator({
    reviewer,
    audience,
    agentServiceAccount,
    hash: hashToken,
    clock,
    log: log.child({ component: "api" }),
  });
}
