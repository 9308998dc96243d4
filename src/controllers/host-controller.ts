import type { CloudFacts, CloudInstance } from "../core/cloud/facts.ts";
import { discoverHosts, labelsOf, type DiscoveredHost } from "../core/instances/host-from-instance.ts";
import type { Ipv4 } from "../core/net/ipv4.ts";
import type { HostOrigin } from "../core/topology/topology.ts";
import type { Clock } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";

/** A host goes when its instance was missing from this many looks at the VPC in a row (decision 10) … */
const ABSENT_PASSES = 2;
/** … and for this long: looks follow each other within a second, and EC2 may show the same old state to several of them. */
const ABSENT_MS = 30_000;

interface RegisteredHost {
  readonly name: string;
  readonly ip: Ipv4;
  readonly tags: Readonly<Record<string, string>>;
  readonly origin: HostOrigin;
}

/** What we need of the addressing side. */
export interface HostRegistry {
  hosts(): { readonly hosts: readonly RegisteredHost[] };
  /** Registers all of them in one step; a `conflict` changes nothing for that host and does not stop the others. */
  addHosts(
    hosts: readonly {
      readonly name: string;
      readonly ip: Ipv4;
      readonly tags: Readonly<Record<string, string>>;
      readonly origin: "cloud";
    }[],
    signal: AbortSignal,
  ): Promise<readonly { readonly name: string; readonly outcome: string; readonly reason: string }[]>;
  setLabels(name: string, labels: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void>;
  removeHost(name: string, signal: AbortSignal): Promise<void>;
}

export interface HostControllerOptions {
  readonly registry: HostRegistry;
  readonly clock: Clock;
  readonly log: Logger;
  /** Register the instances that carry all of these tags; empty: register none. */
  readonly hostTags: readonly { readonly key: string; readonly value: string }[];
}

/**
 * Brings what EC2 knows of instances to the hosts: registers those with the wanted tags, fills in the labels that placement reads, and removes a host that it had
 * registered itself when the instance is terminated, or absent twice in a row and for half a minute. While an instance cannot be read,
 * nobody is taken for absent: it may be that one. Hosts from elsewhere are labelled only.
 */
export class HostController {
  readonly #options: HostControllerOptions;
  readonly #absent = new Map<string, { readonly passes: number; readonly since: number }>();
  readonly #refused = new Map<string, string>();

  constructor(options: HostControllerOptions) {
    this.#options = options;
  }

  /** Hosts that could not be registered or labelled, with the reason; tried again in each pass. */
  refused(): ReadonlyMap<string, string> {
    return this.#refused;
  }

  /** One look at the instances. A host that is refused does not stop the others. */
  async reconcile(facts: CloudFacts, signal: AbortSignal): Promise<void> {
    const { registry, hostTags, log, clock } = this.#options;
    const owners = ownersByAddress(facts);
    const discovered = hostTags.length === 0 ? [] : discoverHosts(facts, hostTags);
    const known = registry.hosts().hosts;
    const byAddress = new Map(known.map((host) => [host.ip, host]));
    const unregistered = discovered.filter(({ ip }) => !byAddress.has(ip));
    await this.#register(unregistered, signal);
    this.#forget(new Set([...known, ...unregistered].map(({ name }) => name)));
    const now = clock.monotonic();
    const allRead = (facts.unreadableInstanceIds ?? []).length === 0;
    const learned = known.filter(({ origin }) => origin === "cloud");
    // All at once is a wrong filter or a wrong VPC more often than the end of a cluster, and removal releases every address.
    const noneLeft = learned.length > 1 && learned.every(({ ip }) => !owners.has(ip));
    for (const host of known) {
      const instance = owners.get(host.ip);
      if (instance !== undefined) {
        this.#absent.delete(host.name);
        this.#refused.delete(host.name);
        const labels = merged(host, labelsOf(instance, host.ip, facts.region));
        if (labels !== undefined) {
          await this.#attempt(host.name, () => registry.setLabels(host.name, labels, signal));
        }
      } else if (host.origin === "cloud") {
        const { passes, since } = this.#absent.get(host.name) ?? { passes: 0, since: now };
        this.#absent.set(host.name, { passes: passes + 1, since });
        const absent = allRead && passes + 1 >= ABSENT_PASSES && now - since >= ABSENT_MS;
        if (noneLeft && absent) {
          this.#refuse(
            host.name,
            "no instance of any learned host is shown: nothing is removed; check --vpc, --cluster and --host-tag, or remove the host yourself",
          );
        } else if (absent || isTerminated(host.ip, facts)) {
          log.warn({ host: host.name, ip: host.ip }, "the instance of a host is gone, the host is removed");
          await this.#attempt(host.name, () => registry.removeHost(host.name, signal));
          this.#absent.delete(host.name);
        }
      }
    }
  }

  /** What is said of hosts that are neither registered nor seen any more. */
  #forget(living: ReadonlySet<string>): void {
    for (const map of [this.#absent, this.#refused]) {
      for (const name of map.keys()) {
        if (!living.has(name)) {
          map.delete(name);
        }
      }
    }
  }

  async #register(hosts: readonly DiscoveredHost[], signal: AbortSignal): Promise<void> {
    if (hosts.length === 0) {
      return;
    }
    const instances = new Map(hosts.map(({ name, instanceId }) => [name, instanceId]));
    const outcomes = await this.#options.registry.addHosts(
      hosts.map(({ name, ip, tags }) => ({ name, ip, tags, origin: "cloud" })),
      signal,
    );
    for (const { name, outcome, reason } of outcomes) {
      if (outcome === "conflict") {
        this.#refuse(name, reason);
      } else {
        this.#refused.delete(name);
        this.#options.log.info({ host: name, instanceId: instances.get(name) }, "host registered");
      }
    }
  }

  async #attempt(host: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.#refused.delete(host);
    } catch (error) {
      this.#refuse(host, error instanceof Error ? error.message : String(error));
    }
  }

  #refuse(host: string, reason: string): void {
    if (this.#refused.get(host) !== reason) {
      this.#options.log.warn({ host, reason }, "a host could not be brought up to date");
    }
    this.#refused.set(host, reason);
  }
}

/** The labels with what EC2 knows filled in, or `undefined` when nothing changes. The subnet is always EC2's word, the rest only where it is missing. */
function merged(
  host: RegisteredHost,
  labels: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> | undefined {
  const subnet = labels["romana.io/subnet-id"];
  const result = {
    ...labels,
    ...host.tags,
    ...(subnet === undefined ? {} : { "romana.io/subnet-id": subnet }),
  };
  const same = Object.entries(result).every(([key, value]) => host.tags[key] === value);
  return same ? undefined : result;
}

/** Living instances by each of their addresses. */
function ownersByAddress(facts: CloudFacts): ReadonlyMap<Ipv4, CloudInstance> {
  return new Map(
    facts.instances
      .filter(({ state }) => state !== "terminated" && state !== "shutting-down")
      .flatMap((instance) =>
        instance.interfaces.flatMap(({ addresses }) =>
          addresses.map((address) => [address, instance] as const),
        ),
      ),
  );
}

function isTerminated(address: Ipv4, facts: CloudFacts): boolean {
  return facts.instances.some(
    ({ state, interfaces }) =>
      state === "terminated" && interfaces.some(({ addresses }) => addresses.includes(address)),
  );
}
