import type { CloudInstance } from "../cloud/facts.ts";
import { labelsOf } from "../instances/host-from-instance.ts";
import { SUBNET_LABEL } from "../ipam/state.ts";
import { formatIpv4, readIpv4, type Ipv4 } from "../net/ipv4.ts";
import type { ClusterNode } from "./objects.ts";

type Labels = Readonly<Record<string, string>>;

/** Zone and region under today's and under the former name; what one says holds for the other (decision 7). */
const TOPOLOGY_LABELS = [
  ["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"],
  ["topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"],
] as const;

/** What EC2 fills in where Kubernetes does not give it. */
const CLOUD_LABELS: ReadonlySet<string> = new Set([...TOPOLOGY_LABELS.flat(), SUBNET_LABEL]);

/** The Node's first `InternalIP` that is IPv4; `undefined` while it has none. */
export function addressOf({ internalIps }: Pick<ClusterNode, "internalIps">): Ipv4 | undefined {
  return addressesOf({ internalIps })[0];
}

/** Every `InternalIP` of the Node that is IPv4, in its order. */
export function addressesOf({ internalIps }: Pick<ClusterNode, "internalIps">): readonly Ipv4[] {
  return internalIps.flatMap((text) => {
    const value = readIpv4(text);
    return value === undefined ? [] : [formatIpv4(value)];
  });
}

/**
 * What the cloud calls the Node's machine. On AWS the instance in `aws:///us-west-2a/i-0123456789abcdef0` (the zone may be empty), "" for anything else, such as a
 * Fargate pod's; elsewhere the providerID as it is.
 */
export function machineOf({ providerId }: Pick<ClusterNode, "providerId">, cloud: boolean): string {
  return cloud ? (/^aws:\/\/\/(?:[^/]*\/)?(i-[0-9a-z]+)$/.exec(providerId)?.[1] ?? "") : providerId;
}

/** The topology labels and the subnet among the labels of a host: what EC2 filled in stays when a Node does not say it. */
export function cloudLabels(tags: Labels): Labels {
  return Object.fromEntries(Object.entries(tags).filter(([key]) => CLOUD_LABELS.has(key)));
}

/** What EC2 knows of the Node's instance; the region only where it is known ("" for not). */
export function instanceLabels(instance: CloudInstance, address: Ipv4, region: string): Labels {
  const labels = labelsOf(instance, address, region);
  return Object.fromEntries(Object.entries(labels).filter(([, value]) => value !== ""));
}

/** The labels of a Node's host: the Node's, zone and region under both names, and `known` where it says nothing; of the subnet EC2's word counts. */
export function hostLabels(labels: Labels, known: Labels): Labels {
  const own: Record<string, string> = { ...labels };
  for (const [today, former] of TOPOLOGY_LABELS) {
    const value = labels[today] ?? labels[former];
    if (value !== undefined) {
      own[today] ??= value;
      own[former] ??= value;
    }
  }
  const subnet = known[SUBNET_LABEL];
  return { ...known, ...own, ...(subnet === undefined ? {} : { [SUBNET_LABEL]: subnet }) };
}
