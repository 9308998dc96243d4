import { NetworkError } from "../errors.ts";
import type { Cidr } from "../net/cidr.ts";
import { awsTopology } from "./aws-topology.ts";
import type { TopologyDocument } from "./topology-document.ts";

/** What a controller knows before it has a topology. */
export interface TopologyWish {
  /** `--topology` names one. */
  readonly given: boolean;
  /** It follows a cluster. */
  readonly inCluster: boolean;
  readonly cloud: "aws" | "none";
  /** Address of the Service `default/kubernetes`; `undefined` while it is not known. */
  readonly serviceIp: string | undefined;
}

/** Which topology a store without networks begins with. `none`: it stays empty until somebody posts one. */
export type TopologyChoice =
  | { readonly kind: "given" }
  | { readonly kind: "none" }
  /** `because` is for the log: what led to it. */
  | { readonly kind: "aws" | "kubeadm"; readonly because: string };

/** Service addresses by which the original's start script knows an installer. */
const KOPS_ADDRESS = "100.64.0.1";
const KUBEADM_ADDRESS = "10.96.0.1";

/**
 * Chooses as the original's start script does, the first that applies:
 *
 *     --topology                                          that one
 *     no cluster is followed                              none
 *     --cloud=aws                                         aws
 *     address of default/kubernetes is 100.64.0.1 (kops)  aws, which needs --cloud=aws: TOPOLOGY_UNDECIDED
 *     … is 10.96.0.1                                      kubeadm
 *     anything else                                       TOPOLOGY_UNDECIDED (invalid)
 */
export function chooseTopology({ given, inCluster, cloud, serviceIp }: TopologyWish): TopologyChoice {
  if (given) {
    return { kind: "given" };
  }
  if (!inCluster) {
    return { kind: "none" };
  }
  if (cloud === "aws") {
    return { kind: "aws", because: "--cloud=aws" };
  }
  switch (serviceIp) {
    case KUBEADM_ADDRESS:
      return { kind: "kubeadm", because: `the address ${KUBEADM_ADDRESS} of default/kubernetes` };
    case KOPS_ADDRESS:
      throw undecided(
        `the address ${KOPS_ADDRESS} of default/kubernetes is that of kops on AWS, where the topology follows from the zones of the region: ` +
          "give --cloud=aws, or a topology with --topology",
        serviceIp,
      );
    case undefined:
      throw undecided("the address of default/kubernetes is not known: give --topology, or --cloud=aws");
    default:
      throw undecided(
        `the address ${serviceIp} of default/kubernetes is neither that of kops (${KOPS_ADDRESS}) nor that of kubeadm (${KUBEADM_ADDRESS}): ` +
          "give --topology, or --cloud=aws",
        serviceIp,
      );
  }
}

/**
 * The topology for a region as it is found: every zone, eight leaf groups each, 100.96.0.0/11, and room for one zone more at least. Throws `TOPOLOGY_INVALID` for
 * what cannot be a region or a zone.
 */
export function regionTopology(region: string, zones: readonly string[]): TopologyDocument {
  return awsTopology({ region, zones: zones.toSorted(), roomForZone: true });
}

/** Another CIDR for a network. */
export interface NetworkCidr {
  readonly network: string;
  readonly cidr: Cidr;
}

/**
 * The document with the CIDRs of some of its networks replaced, the last one where a name is given twice; and the names that it does not have. What is no
 * topology document passes as it is: whoever reads it says what is wrong.
 */
export function overrideCidrs(
  document: unknown,
  overrides: readonly NetworkCidr[],
): { readonly document: unknown; readonly unknown: readonly string[] } {
  const cidrs = new Map(overrides.map(({ network, cidr }) => [network, cidr]));
  const networks = isObject(document) ? document["networks"] : undefined;
  const list: readonly unknown[] = Array.isArray(networks) ? networks : [];
  const names = new Set(list.map(nameOf));
  const missing = [...cidrs.keys()].filter((name) => !names.has(name));
  if (!isObject(document) || missing.length === cidrs.size) {
    return { document, unknown: missing };
  }
  const replaced = list.map((network) => {
    const cidr = cidrs.get(nameOf(network) ?? "");
    return cidr === undefined || !isObject(network) ? network : { ...network, cidr };
  });
  return { document: { ...document, networks: replaced }, unknown: missing };
}

function nameOf(network: unknown): string | undefined {
  const name = isObject(network) ? network["name"] : undefined;
  return typeof name === "string" ? name : undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function undecided(reason: string, serviceIp = ""): NetworkError {
  return new NetworkError(
    "invalid",
    "TOPOLOGY_UNDECIDED",
    `the store has no networks, and no topology to start with can be chosen: ${reason}`,
    { serviceIp },
  );
}
