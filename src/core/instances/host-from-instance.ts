import type { CloudFacts, CloudInstance } from "../cloud/facts.ts";
import type { Ipv4 } from "../net/ipv4.ts";

/** A host that EC2 shows us, where no Kubernetes names it. */
export interface DiscoveredHost {
  readonly name: string;
  readonly ip: Ipv4;
  readonly tags: Readonly<Record<string, string>>;
  readonly instanceId: string;
}

/**
 * Labels that EC2 knows of an instance and that placement reads (decision 7): zone and region under today's and under the former names, and the subnet
 * of the interface that owns `address`.
 */
export function labelsOf(
  instance: CloudInstance,
  address: Ipv4,
  region: string,
): Readonly<Record<string, string>> {
  const owner = instance.interfaces.find(({ addresses }) => addresses.includes(address));
  return {
    "topology.kubernetes.io/region": region,
    "failure-domain.beta.kubernetes.io/region": region,
    "topology.kubernetes.io/zone": instance.zone,
    "failure-domain.beta.kubernetes.io/zone": instance.zone,
    ...(owner === undefined ? {} : { "romana.io/subnet-id": owner.subnetId }),
  };
}

/**
 * Instances that run and carry every one of `tags`, as hosts: named after the primary address as EC2 names them (`ip-10-0-1-7`), so that an instance which
 * takes over an address takes over the host. Sorted by name.
 */
export function discoverHosts(
  facts: CloudFacts,
  tags: readonly { readonly key: string; readonly value: string }[],
): readonly DiscoveredHost[] {
  return facts.instances
    .filter(
      (instance) =>
        instance.state === "running" && tags.every(({ key, value }) => instance.tags[key] === value),
    )
    .flatMap((instance): DiscoveredHost[] => {
      const ip = instance.interfaces[0]?.addresses[0];
      return ip === undefined
        ? []
        : [
            {
              name: `ip-${ip.replaceAll(".", "-")}`,
              ip,
              tags: labelsOf(instance, ip, facts.region),
              instanceId: instance.id,
            },
          ];
    })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
