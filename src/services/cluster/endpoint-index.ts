import type { ClusterPod, NamedPort } from "../../core/cluster/objects.ts";
import { isTerminal } from "../../core/cluster/pod-phase.ts";
import type { PodReference } from "../../core/ipam/pod-reference.ts";
import type { AddressView } from "../../core/ipam/view.ts";
import { formatIpv4, ipv4Value, readIpv4, type Ipv4 } from "../../core/net/ipv4.ts";
import type { ReleasedAddress } from "../addressing/apply-events.ts";
import type { ObjectChange, ObjectReader } from "./object-view.ts";
import { Several } from "./several.ts";

/** What is known of the Pod behind an address. */
export interface EndpointPod extends PodReference {
  readonly labels: Readonly<Record<string, string>>;
  readonly namedPorts: readonly NamedPort[];
  /** See `ClusterPod.phase`. */
  readonly phase: string;
}

/** An address in use, with its Pod. */
export interface Endpoint {
  readonly address: Ipv4;
  readonly name: string;
  readonly host: string;
  readonly tenant: string;
  readonly segment: string;
  /** The Pod that it was asked for, known or not; absent where none was named. */
  readonly reference?: PodReference;
  /** Absent while the Pod is not known, and for what is none. */
  readonly pod?: EndpointPod;
  /** Whether `pod` is there. */
  readonly joined: boolean;
}

/** One step. Whoever applies all of them, and reads everything again after a `reset`, has what `values` gives. */
export type EndpointChange =
  | { readonly kind: "put"; readonly endpoint: Endpoint }
  | { readonly kind: "delete"; readonly address: Ipv4 }
  | { readonly kind: "reset" };

/** What the index asks of addressing: reads from memory, and every change after it is visible. */
export interface EndpointAddresses {
  eachAddress(): Iterable<AddressView>;
  addressAt(value: number): AddressView | undefined;
  address(name: string): AddressView | undefined;
  onBatch(
    listener: (batch: {
      readonly reset: boolean;
      readonly addresses: readonly string[];
      readonly released: readonly ReleasedAddress[];
    }) => void,
  ): () => void;
}

/**
 * Joins addresses in use with Pods:
 *
 *     the address names a Pod    the Pod with that UID, whatever its status says
 *     it names none              the live Pod (neither Succeeded nor Failed) of the pod network whose status has the address; of several, one that is not being
 *                                deleted before one that is, then the lowest UID
 *
 * The order in which addresses and Pods come does not matter. Nothing is stored of an address but, where it names a Pod, that UID with the address's value; what is asked for is put together
 * then. A change costs what it touches.
 */
export class EndpointIndex {
  readonly #addresses: EndpointAddresses;
  readonly #pods: ObjectReader<ClusterPod>;
  /** Values of the addresses that name a Pod, by its UID. */
  readonly #byUid = new Several<string, number>();
  /** Live Pods of the pod network by the addresses in their status. */
  readonly #byIp = new Several<string, ClusterPod>();
  readonly #listeners = new Set<(change: EndpointChange) => void>();
  #leave: readonly (() => void)[] = [];

  constructor({
    addresses,
    pods,
  }: {
    readonly addresses: EndpointAddresses;
    readonly pods: ObjectReader<ClusterPod>;
  }) {
    this.#addresses = addresses;
    this.#pods = pods;
  }

  /** Takes what there is, and every change from then on. */
  start(): void {
    this.#readAddresses();
    for (const pod of this.#pods.values()) {
      ipsOf(pod).forEach((ip) => this.#byIp.add(ip, pod));
    }
    this.#leave = [
      this.#addresses.onBatch((batch) => this.#takeBatch(batch)),
      this.#pods.onChange((change) => this.#takePod(change)),
    ];
    this.#tell({ kind: "reset" });
  }

  stop(): void {
    this.#leave.forEach((leave) => leave());
    this.#leave = [];
    this.#byUid.clear();
    this.#byIp.clear();
  }

  get(address: Ipv4): Endpoint | undefined {
    return this.#at(ipv4Value(address));
  }

  /** The addresses of a Pod; one, unless something leaked. */
  byPod(uid: string): readonly Endpoint[] {
    const values = new Set(this.#byUid.of(uid));
    const pod = this.#pods.byUid(uid);
    (pod === undefined ? [] : ipsOf(pod)).forEach((ip) => values.add(ipv4Value(ip as Ipv4)));
    return [...values].flatMap((value) => {
      const endpoint = this.#at(value);
      return endpoint !== undefined && (endpoint.reference ?? endpoint.pod)?.uid === uid ? [endpoint] : [];
    });
  }

  /** All of them, each as it is when it is its turn. */
  *values(): Generator<Endpoint, void, undefined> {
    for (const address of this.#addresses.eachAddress()) {
      yield this.#join(address);
    }
  }

  /** Calls the listener with each change, after it is visible here; it must not throw. Returns what ends that. */
  onChange(listener: (change: EndpointChange) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #at(value: number): Endpoint | undefined {
    const address = this.#addresses.addressAt(value);
    return address === undefined ? undefined : this.#join(address);
  }

  #join({ address, name, host, tenant, segment, pod: reference }: AddressView): Endpoint {
    const found = reference === undefined ? chosen(this.#byIp.of(address)) : this.#pods.byUid(reference.uid);
    return {
      address,
      name,
      host,
      tenant,
      segment,
      ...(reference === undefined ? {} : { reference }),
      ...(found === undefined ? {} : { pod: factsOf(found) }),
      joined: found !== undefined,
    };
  }

  #readAddresses(): void {
    this.#byUid.clear();
    for (const { address, pod } of this.#addresses.eachAddress()) {
      if (pod !== undefined) {
        this.#byUid.add(pod.uid, ipv4Value(address));
      }
    }
  }

  #takeBatch({
    reset,
    addresses,
    released,
  }: Parameters<Parameters<EndpointAddresses["onBatch"]>[0]>[0]): void {
    if (reset) {
      this.#readAddresses();
      this.#tell({ kind: "reset" });
      return;
    }
    for (const { address, pod } of released) {
      if (pod !== undefined) {
        this.#byUid.delete(pod.uid, address);
      }
      this.#tell({ kind: "delete", address: formatIpv4(address) });
    }
    for (const name of addresses) {
      const view = this.#addresses.address(name);
      if (view === undefined) {
        continue;
      }
      if (view.pod !== undefined) {
        this.#byUid.add(view.pod.uid, ipv4Value(view.address));
      }
      this.#tell({ kind: "put", endpoint: this.#join(view) });
    }
  }

  #takePod(change: ObjectChange<ClusterPod>): void {
    const before = change.kind === "put" ? change.before : change.object;
    const after = change.kind === "put" ? change.object : undefined;
    const ips = new Set([...ipsOf(before), ...ipsOf(after)]);
    const had = new Map([...ips].map((ip) => [ip, chosen(this.#byIp.of(ip))]));
    ipsOf(before).forEach((ip) => before !== undefined && this.#byIp.delete(ip, before));
    ipsOf(after).forEach((ip) => after !== undefined && this.#byIp.add(ip, after));
    if (!saysTheSame(before, after)) {
      this.#byUid.of(change.object.uid).forEach((value) => this.#tellAt(value));
    }
    for (const [ip, known] of had) {
      if (!saysTheSame(known, chosen(this.#byIp.of(ip)))) {
        const value = ipv4Value(ip as Ipv4);
        if (this.#addresses.addressAt(value)?.pod === undefined) {
          this.#tellAt(value);
        }
      }
    }
  }

  #tellAt(value: number): void {
    const endpoint = this.#listeners.size === 0 ? undefined : this.#at(value);
    if (endpoint !== undefined) {
      this.#tell({ kind: "put", endpoint });
    }
  }

  #tell(change: EndpointChange): void {
    this.#listeners.forEach((listener) => listener(change));
  }
}

/** The IPv4 addresses that a Pod has by itself now. */
function ipsOf(pod: ClusterPod | undefined): readonly string[] {
  return pod === undefined || pod.hostNetwork || isTerminal(pod)
    ? []
    : pod.ips.filter((ip) => readIpv4(ip) !== undefined);
}

function chosen(pods: readonly ClusterPod[]): ClusterPod | undefined {
  return pods.reduce<ClusterPod | undefined>((best, pod) => {
    if (best === undefined || best.deleting !== pod.deleting) {
      return best === undefined || best.deleting ? pod : best;
    }
    return pod.uid < best.uid ? pod : best;
  }, undefined);
}

function factsOf({ namespace, name, uid, labels, namedPorts, phase }: ClusterPod): EndpointPod {
  return { namespace, name, uid, labels, namedPorts, phase };
}

/** Whether an endpoint looks the same with the one as with the other. */
function saysTheSame(a: ClusterPod | undefined, b: ClusterPod | undefined): boolean {
  if (a === undefined || b === undefined) {
    return a === b;
  }
  return (
    a === b ||
    (a.uid === b.uid &&
      a.phase === b.phase &&
      sameLabels(a.labels, b.labels) &&
      a.namedPorts.length === b.namedPorts.length &&
      a.namedPorts.every(({ name, port, protocol }, index) => {
        const other = b.namedPorts[index];
        return name === other?.name && port === other.port && protocol === other.protocol;
      }))
  );
}

function sameLabels(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
