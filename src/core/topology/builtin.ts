import { NetworkError } from "../errors.ts";
import { awsTopology } from "./aws-topology.ts";
import type { TopologyDocument } from "./topology-document.ts";

/** Zones and groups per zone of the original's documents. They stay as they are: clusters live on these ranges. */
const AWS_REGIONS: ReadonlyMap<string, { readonly letters: string; readonly groupsPerZone: number }> =
  new Map([
    ["ap-northeast-1", { letters: "ac", groupsPerZone: 8 }],
    ["ap-northeast-2", { letters: "ac", groupsPerZone: 8 }],
    ["ap-south-1", { letters: "ab", groupsPerZone: 8 }],
    ["ap-southeast-1", { letters: "ab", groupsPerZone: 8 }],
    ["ap-southeast-2", { letters: "abc", groupsPerZone: 8 }],
    ["ca-central-1", { letters: "ab", groupsPerZone: 8 }],
    ["eu-central-1", { letters: "abc", groupsPerZone: 8 }],
    ["eu-west-1", { letters: "abc", groupsPerZone: 8 }],
    ["eu-west-2", { letters: "ab", groupsPerZone: 8 }],
    ["sa-east-1", { letters: "abc", groupsPerZone: 8 }],
    ["us-east-1", { letters: "abcdef", groupsPerZone: 4 }],
    ["us-east-2", { letters: "abc", groupsPerZone: 8 }],
    ["us-west-1", { letters: "bc", groupsPerZone: 8 }],
    ["us-west-2", { letters: "abc", groupsPerZone: 8 }],
  ]);

const KUBEADM_GROUPS = 8;

/** Names of the built-in documents: `kubeadm`, and `aws-` with a region. */
export const builtinNames: readonly string[] = [
  "kubeadm",
  ...[...AWS_REGIONS.keys()].map((region) => `aws-${region}`),
];

/**
 * A document that the original ships, with the same ranges (`romana-network` in 10.112.0.0/12 or 100.96.0.0/11). For other zones or
 * regions use `awsTopology`. Throws `NetworkError` `TOPOLOGY_UNKNOWN` for any other name.
 */
export function builtinTopology(name: string): TopologyDocument {
  if (name === "kubeadm") {
    return kubeadm();
  }
  const region = name.startsWith("aws-") ? name.slice("aws-".length) : "";
  const shape = AWS_REGIONS.get(region);
  if (shape === undefined) {
    throw new NetworkError(
      "not-found",
      "TOPOLOGY_UNKNOWN",
      `there is no built-in topology "${name}": there are ${builtinNames.join(", ")}; ` +
        "for any other region generate one with `romana topology aws --region REGION`",
      { name },
    );
  }
  return awsTopology({
    region,
    zones: shape.letters.split(""),
    groupsPerZone: shape.groupsPerZone,
    label: "failure-domain.beta.kubernetes.io",
  });
}

function kubeadm(): TopologyDocument {
  const map = Array.from({ length: KUBEADM_GROUPS }, (_, index) => ({
    name: `host-group-${String(index + 1).padStart(2, "0")}`,
    groups: [],
  }));
  return {
    networks: [{ name: "romana-network", cidr: "10.112.0.0/12", block_mask: 29 }],
    topologies: [{ networks: ["romana-network"], map }],
  };
}
