import type {
  Addressing,
  AddressState,
  HostState,
  NewAddress,
  NewHost,
} from "../../src/api/control-plane.ts";
import { NetworkError } from "../../src/core/errors.ts";
import { formatIpv4, ipv4Value, parseIpv4, type Ipv4 } from "../../src/core/net/ipv4.ts";

/**
 * One network "prod", 10.0.0.0/24, of which every host gets the blocks it needs, four addresses each. What it refuses and how is what the
 * real service does; the REST tests that are about addressing itself run on that one.
 */
export class FakeAddressing implements Addressing {
  readonly #hosts = new Map<string, HostState>();
  readonly #addresses = new Map<string, AddressState>();
  readonly #blackouts = new Set<string>();
  readonly documents: unknown[] = [];
  #revision = 0;
  #allocations = 0;

  topology(): object {
    return { networks: null, topologies: null };
  }

  topologyStatus() {
    return {
      revision: this.#revision,
      warnings: [{ place: "networks[0]", message: "holds a host's own address" }],
    };
  }

  async updateTopology(document: unknown): Promise<void> {
    this.documents.push(document);
    this.#revision += 1;
  }

  hosts() {
    return { revision: this.#revision, hosts: [...this.#hosts.values()] };
  }

  async addHost(host: NewHost): Promise<void> {
    if (this.#hosts.has(host.name)) {
      throw new NetworkError(
        "conflict",
        "HOST_EXISTS",
        `host ${host.name} is registered already; remove it first`,
        {
          name: host.name,
          ip: host.ip,
        },
      );
    }
    if (host.name === "") {
      throw new NetworkError("invalid", "HOST_NAME_MISSING", "a host needs a name");
    }
    this.#hosts.set(host.name, {
      name: host.name,
      ip: parseIpv4(host.ip),
      agentPort: host.agentPort ?? 9604,
      tags: host.tags ?? {},
      origin: host.origin,
      placed: true,
      misplaced: false,
      reason: "",
      groups: [{ network: "prod", cidr: "10.0.0.0/24" }],
    });
    this.#revision += 1;
  }

  async removeHost(name: string): Promise<void> {
    this.#knownHost(name);
    this.#hosts.delete(name);
    for (const address of this.#addresses.values()) {
      if (address.host === name) {
        this.#addresses.delete(address.name);
      }
    }
  }

  async setLabels(name: string, labels: Readonly<Record<string, string>>): Promise<void> {
    this.#hosts.set(name, { ...this.#knownHost(name), tags: labels });
  }

  networks() {
    return [{ id: "prod", name: "prod", cidr: "10.0.0.0/24", revision: this.#allocations }];
  }

  blocks(network?: string) {
    if (network !== undefined && network !== "prod") {
      return undefined;
    }
    const inUse = [...this.#addresses.values()];
    const blocks = [...new Set(inUse.map(blockOf))].map((cidr) => {
      const held = inUse.filter((address) => blockOf(address) === cidr);
      const { host = "", tenant = "", segment = "" } = held[0] ?? {};
      return {
        revision: held.length,
        cidr,
        host,
        tenant,
        segment,
        allocated_ip_count: held.length,
        network: "prod",
      };
    });
    return { revision: this.#allocations, blocks };
  }

  addresses(): readonly AddressState[] {
    return [...this.#addresses.values()];
  }

  async allocate(request: NewAddress, signal: AbortSignal): Promise<Ipv4> {
    signal.throwIfAborted();
    const { name, host, tenant, segment } = request;
    this.#knownHost(host);
    const held = this.#addresses.get(name);
    if (held !== undefined) {
      throw new NetworkError(
        "conflict",
        "ADDRESS_EXISTS",
        `"${name}" already holds address ${held.address}`,
        {
          name,
          address: held.address,
        },
      );
    }
    if (this.#addresses.size === 256) {
      throw new NetworkError("exhausted", "NETWORK_FULL", `no free address for "${name}" on host ${host}`, {
        name,
        host,
      });
    }
    const address = request.address === undefined ? this.#free(request) : parseIpv4(request.address);
    this.#addresses.set(name, { name, address, host, tenant, segment, network: "prod" });
    this.#allocations += 1;
    return address;
  }

  async release(nameOrIp: string): Promise<void> {
    const held = this.addresses().find(({ name, address }) => name === nameOrIp || address === nameOrIp);
    if (held === undefined) {
      throw new NetworkError(
        "not-found",
        "ADDRESS_NOT_FOUND",
        `cannot release "${nameOrIp}": nobody holds it`,
        {
          name: nameOrIp,
        },
      );
    }
    this.#addresses.delete(held.name);
    this.#allocations += 1;
  }

  blackouts(network: string): readonly string[] {
    this.#knownNetwork(network);
    return [...this.#blackouts];
  }

  async addBlackout(network: string, cidr: string): Promise<void> {
    this.#knownNetwork(network);
    this.#blackouts.add(cidr);
  }

  async removeBlackout(network: string, cidr: string): Promise<void> {
    this.#knownNetwork(network);
    if (!this.#blackouts.delete(cidr)) {
      throw new NetworkError(
        "not-found",
        "BLACKOUT_NOT_FOUND",
        `network "${network}" has no blackout ${cidr}`,
        {
          network,
          cidr,
        },
      );
    }
  }

  #free(request: NewAddress): Ipv4 {
    const inUse = [...this.#addresses.values()];
    const taken = new Set<string>(inUse.map(({ address }) => address));
    for (let value = ipv4Value(parseIpv4("10.0.0.0")); ; value += 1) {
      const address = formatIpv4(value);
      const owner = inUse.find((held) => blockOf(held) === blockOf({ address }));
      const ours = owner === undefined || ownerOf(owner) === ownerOf(request);
      if (ours && !taken.has(address)) {
        return address;
      }
    }
  }

  #knownHost(name: string): HostState {
    const host = this.#hosts.get(name);
    if (host === undefined) {
      throw new NetworkError(
        "not-found",
        "HOST_NOT_FOUND",
        `host ${name} is not registered; add the host first`,
        {
          host: name,
        },
      );
    }
    return host;
  }

  #knownNetwork(name: string): void {
    if (name !== "prod") {
      throw new NetworkError("not-found", "NETWORK_NOT_FOUND", `there is no network "${name}"`, {
        network: name,
      });
    }
  }
}

function ownerOf({ host, tenant, segment }: NewAddress | AddressState): string {
  return JSON.stringify([host, tenant, segment]);
}

function blockOf({ address }: { address: string }): string {
  const value = ipv4Value(parseIpv4(address));
  return `${formatIpv4(value - (value % 4))}/30`;
}
