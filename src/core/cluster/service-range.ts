import { compareCidr, networkOf, type Cidr } from "../net/cidr.ts";
import { readIpv4 } from "../net/ipv4.ts";
import { keyOf, type ClusterServiceCidr } from "./objects.ts";

/** What is known of the range of service addresses. `undefined` in either of the first two: the API server has not said yet. */
export interface ServiceFacts {
  /** All ServiceCIDR objects; empty where the API server has none. */
  readonly serviceCidrs: readonly Pick<ClusterServiceCidr, "name" | "cidrs">[] | undefined;
  /** Addresses of the Service `default/kubernetes`; empty where it has none. */
  readonly apiServiceIps: readonly string[] | undefined;
  /** `--service-range`. */
  readonly flag: Cidr | undefined;
}

/** A range of service addresses, and where it was learned, as words that follow "the service range". */
export interface ServiceRange {
  readonly cidr: Cidr;
  readonly learned: string;
}

export interface ServiceRangeFinding {
  /** By address; empty while nothing is known. */
  readonly ranges: readonly ServiceRange[];
  /** What somebody should look at: the flag contradicts the cluster, a range cannot be read, or the range is unknown. One sentence each. */
  readonly warnings: readonly string[];
}

/** Key of the Service that stands for the API server, as `keyOf` makes it. */
export const API_SERVICE = keyOf({ namespace: "default", name: "kubernetes" });

/** What installers give the API server's own Service, and the range that they set up with it (behaviour of the original's agent script). */
const INSTALLERS: ReadonlyMap<string, { readonly name: string; readonly cidr: Cidr }> = new Map([
  ["100.64.0.1", { name: "kops", cidr: networkOf("100.64.0.0/13") }],
  ["10.96.0.1", { name: "kubeadm", cidr: networkOf("10.96.0.0/12") }],
]);

/**
 * The ranges of service addresses, by the first of these that says something:
 *
 *     ServiceCIDR objects (networking.k8s.io)   every IPv4 CIDR of every object, those that are being deleted too
 *     --service-range
 *     address of default/kubernetes             100.64.0.1: kops, 100.64.0.0/13; 10.96.0.1: kubeadm, 10.96.0.0/12
 *
 * A flag that no object confirms is a warning, and has no effect. IPv6 is passed over.
 */
export function findServiceRanges({ serviceCidrs, apiServiceIps, flag }: ServiceFacts): ServiceRangeFinding {
  const { ranges, warnings } = rangesOf(serviceCidrs ?? []);
  if (ranges.length > 0) {
    return { ranges, warnings: [...warnings, ...contradictions(ranges, flag)] };
  }
  if (flag !== undefined) {
    return { ranges: [{ cidr: flag, learned: "of --service-range" }], warnings };
  }
  const address = apiServiceIps?.find((ip) => readIpv4(ip) !== undefined);
  const installer = address === undefined ? undefined : INSTALLERS.get(address);
  if (address !== undefined && installer !== undefined) {
    const { name, cidr } = installer;
    return {
      ranges: [{ cidr, learned: `of ${name}, by the address ${address} of ${API_SERVICE},` }],
      warnings,
    };
  }
  const isSettled = serviceCidrs !== undefined && apiServiceIps !== undefined;
  return { ranges: [], warnings: isSettled ? [...warnings, unknown(address)] : warnings };
}

function rangesOf(objects: NonNullable<ServiceFacts["serviceCidrs"]>): ServiceRangeFinding {
  const warnings: string[] = [];
  const owners = new Map<Cidr, string[]>();
  for (const { name, cidrs } of objects.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    for (const text of cidrs.filter((each) => !each.includes(":"))) {
      const cidr = read(text);
      if (cidr === undefined) {
        warnings.push(`ServiceCIDR "${name}" holds "${text}", which is no network: it is passed over`);
      } else {
        owners.set(cidr, [...(owners.get(cidr) ?? []), `"${name}"`]);
      }
    }
  }
  const ranges = [...owners]
    .map(([cidr, names]) => ({ cidr, learned: `of ServiceCIDR ${names.join(", ")}` }))
    .toSorted((a, b) => compareCidr(a.cidr, b.cidr));
  return { ranges, warnings };
}

function contradictions(ranges: readonly ServiceRange[], flag: Cidr | undefined): readonly string[] {
  if (flag === undefined || ranges.some(({ cidr }) => cidr === flag)) {
    return [];
  }
  const said = ranges.map(({ cidr, learned }) => `${cidr} (${learned})`).join(", ");
  return [
    `--service-range is ${flag}, and the cluster's own objects say ${said}: these count; correct the flag or leave it out`,
  ];
}

function unknown(address: string | undefined): string {
  const found =
    address === undefined
      ? `${API_SERVICE} has no IPv4 address`
      : `the address ${address} of ${API_SERVICE} is neither that of kops (100.64.0.1) nor that of kubeadm (10.96.0.1)`;
  return `the service range is not known, so no network is held against it: the API server has no ServiceCIDR objects, and ${found}; give --service-range`;
}

function read(text: string): Cidr | undefined {
  const slash = text.indexOf("/");
  const isNetwork =
    readIpv4(text.slice(0, slash)) !== undefined && /^\/(\d|[12]\d|3[0-2])$/.test(text.slice(slash));
  return isNetwork ? networkOf(text) : undefined;
}
