import { builtinTopology } from "../core/topology/builtin.ts";
import {
  chooseTopology,
  overrideCidrs,
  regionTopology,
  type NetworkCidr,
  type TopologyChoice,
} from "../core/topology/initial-topology.ts";
import type { Logger } from "../ports/logger.ts";

/** What the choice is made from. */
export interface InitialTopologyParts {
  /** The document of `--topology`, parsed JSON; `undefined` when none is named. */
  readonly given: unknown;
  readonly config: {
    readonly cloud: "aws" | "none";
    readonly kubernetes: { readonly cidrOverrides: readonly NetworkCidr[] };
  };
  /** Whether a cluster is followed. */
  readonly inCluster: boolean;
  /** Address of the Service `default/kubernetes`, `undefined` when it is not known. Asked only where it decides. */
  readonly serviceIp: () => Promise<string | undefined>;
  /** The region with its availability zones. Asked only where they decide. */
  readonly zones: () => Promise<{ readonly region: string; readonly zones: readonly string[] }>;
  readonly log: Logger;
}

/**
 * The topology document for a store that has no networks; `undefined`: it stays empty. Call it only for such a store: what is stored counts, whatever the options
 * say now. Throws `TOPOLOGY_UNDECIDED` (invalid), and what its sources throw: half a region is no ground to carve on.
 */
export async function chooseInitialTopology(parts: InitialTopologyParts): Promise<unknown> {
  const { given, config, inCluster, log } = parts;
  const wish = { given: given !== undefined, inCluster, cloud: config.cloud };
  const decidesByAddress = !wish.given && inCluster && config.cloud !== "aws";
  const choice = chooseTopology({
    ...wish,
    serviceIp: decidesByAddress ? await parts.serviceIp() : undefined,
  });
  if (choice.kind === "none") {
    return undefined;
  }
  const { document, unknown } = overrideCidrs(
    await documentOf(choice, parts),
    config.kubernetes.cidrOverrides,
  );
  if (unknown.length > 0) {
    log.warn(
      { networks: unknown },
      "--network-cidr-overrides names networks that the topology does not have: no effect",
    );
  }
  return document;
}

async function documentOf(choice: Exclude<TopologyChoice, { kind: "none" }>, parts: InitialTopologyParts) {
  switch (choice.kind) {
    case "aws": {
      const { region, zones } = await parts.zones();
      parts.log.info({ because: choice.because, region, zones }, "starting with a topology for the region");
      return regionTopology(region, zones);
    }
    case "kubeadm":
      parts.log.info({ because: choice.because }, "starting with the built-in topology kubeadm");
      return builtinTopology("kubeadm");
    case "given":
      return parts.given;
  }
}
