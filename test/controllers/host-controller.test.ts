import { beforeEach, describe, expect, it } from "vitest";

import { VirtualClock } from "../../src/adapters/simulation/virtual-clock.ts";
import { HostController, type HostRegistry } from "../../src/controllers/host-controller.ts";
import type { CloudFacts, CloudInstance, InstanceState } from "../../src/core/cloud/facts.ts";
import { parseIpv4, type Ipv4 } from "../../src/core/net/ipv4.ts";
import type { HostOrigin } from "../../src/core/topology/topology.ts";
import { silentLog } from "../support/silent-log.ts";

const never = new AbortController().signal;

interface Known {
  readonly name: string;
  readonly ip: Ipv4;
  tags: Readonly<Record<string, string>>;
  readonly origin: HostOrigin;
}

class ListOfHosts implements HostRegistry {
  readonly list: Known[] = [];
  refuse = "";

  hosts(): { readonly hosts: readonly Known[] } {
    return { hosts: [...this.list] };
  }

  async addHosts(hosts: readonly Known[]) {
    return hosts.map((host) => {
      if (host.name === this.refuse) {
        return { name: host.name, outcome: "conflict", reason: `${host.name} exists` };
      }
      this.list.push({ ...host });
      return { name: host.name, outcome: "added", reason: "" };
    });
  }

  async setLabels(name: string, labels: Readonly<Record<string, string>>): Promise<void> {
    const host = this.list.find((each) => each.name === name);
    if (host !== undefined) {
      host.tags = labels;
    }
  }

  async removeHost(name: string): Promise<void> {
    this.list.splice(
      this.list.findIndex((each) => each.name === name),
      1,
    );
  }
}

function instance(
  number: number,
  overrides: Partial<CloudInstance> & { state?: InstanceState } = {},
): CloudInstance {
  return {
    id: `i-${number}`,
    state: "running",
    zone: "us-west-2a",
    tags: { role: "node" },
    interfaces: [
      {
        id: `eni-${number}`,
        subnetId: "subnet-a",
        addresses: [parseIpv4(`10.0.0.${number}`)],
        sourceDestCheck: true,
      },
    ],
    ...overrides,
  };
}

function facts(...instances: readonly CloudInstance[]): CloudFacts {
  return { vpcId: "vpc-1", region: "us-west-2", vpcCidrs: [], instances, subnets: [], routeTables: [] };
}

describe("hosts that EC2 shows", () => {
  let registry: ListOfHosts;
  let controller: HostController;
  let clock: VirtualClock;
  beforeEach(() => {
    registry = new ListOfHosts();
    clock = new VirtualClock();
    controller = new HostController({
      registry,
      clock,
      log: silentLog,
      hostTags: [{ key: "role", value: "node" }],
    });
  });

  it("registers instances that run and carry the tag, with the labels that placement reads", async () => {
    const other = instance(3, { tags: { role: "nat" } });
    await controller.reconcile(facts(instance(1), instance(2, { state: "stopped" }), other), never);

    expect(registry.list).toEqual([
      {
        name: "ip-10-0-0-1",
        ip: "10.0.0.1",
        origin: "cloud",
        tags: {
          "topology.kubernetes.io/region": "us-west-2",
          "failure-domain.beta.kubernetes.io/region": "us-west-2",
          "topology.kubernetes.io/zone": "us-west-2a",
          "failure-domain.beta.kubernetes.io/zone": "us-west-2a",
          "romana.io/subnet-id": "subnet-a",
        },
      },
    ]);
  });

  it("only labels a host of a Node: it neither removes nor registers it again, whatever becomes of its instance", async () => {
    registry.list.push({ name: "node-1", ip: parseIpv4("10.0.0.1"), tags: { a: "b" }, origin: "kubernetes" });
    await controller.reconcile(facts(instance(1)), never);
    const labelled = registry.list.map(({ name, tags }) => [name, tags["romana.io/subnet-id"], tags["a"]]);
    await controller.reconcile(facts(instance(1, { state: "terminated" })), never);
    for (let looks = 0; looks < 3; looks += 1) {
      await clock.runFor(31_000);
      await controller.reconcile(facts(instance(2)), never);
    }

    expect(labelled).toEqual([["node-1", "subnet-a", "b"]]);
    expect(registry.list.map(({ name, origin }) => [name, origin])).toEqual([
      ["node-1", "kubernetes"],
      ["ip-10-0-0-2", "cloud"],
    ]);
  });

  it("registers nothing twice, and nothing that has another name already", async () => {
    registry.list.push({ name: "node-1", ip: parseIpv4("10.0.0.1"), tags: {}, origin: "api" });
    await controller.reconcile(facts(instance(1)), never);
    await controller.reconcile(facts(instance(1)), never);

    expect(registry.list.map(({ name }) => name)).toEqual(["node-1"]);
  });

  it("fills in labels that a host lacks, keeps those that it has, and takes EC2's word for the subnet", async () => {
    registry.list.push({
      name: "node-1",
      ip: parseIpv4("10.0.0.1"),
      tags: { rack: "r7", "topology.kubernetes.io/zone": "mine", "romana.io/subnet-id": "subnet-wrong" },
      origin: "api",
    });
    await controller.reconcile(facts(instance(1)), never);

    expect(registry.list[0]?.tags).toMatchObject({
      rack: "r7",
      "topology.kubernetes.io/zone": "mine",
      "romana.io/subnet-id": "subnet-a",
      "topology.kubernetes.io/region": "us-west-2",
    });
  });

  it("removes a host that it registered when its instance was absent twice in a row, not before", async () => {
    await controller.reconcile(facts(instance(1), instance(2)), never);
    await controller.reconcile(facts(instance(2)), never);
    await controller.reconcile(facts(instance(1), instance(2)), never);
    await controller.reconcile(facts(instance(2)), never);
    await clock.runFor(30_000);
    expect(registry.list).toHaveLength(2);
    await controller.reconcile(facts(instance(2)), never);

    expect(registry.list.map(({ name }) => name)).toEqual(["ip-10-0-0-2"]);
  });

  it("removes nobody for looks that follow each other within seconds", async () => {
    await controller.reconcile(facts(instance(1)), never);
    for (let look = 0; look < 5; look += 1) {
      await controller.reconcile(facts(), never);
      await clock.runFor(1000);
    }

    expect(registry.list.map(({ name }) => name)).toEqual(["ip-10-0-0-1"]);
  });

  it("removes nobody while an instance cannot be read", async () => {
    await controller.reconcile(facts(instance(1)), never);
    const unread = { ...facts(), unreadableInstanceIds: ["i-1"] };
    for (let look = 0; look < 3; look += 1) {
      await controller.reconcile(unread, never);
      await clock.runFor(60_000);
    }

    expect(registry.list.map(({ name }) => name)).toEqual(["ip-10-0-0-1"]);
  });

  it("says no longer that a host was refused when its instance is gone", async () => {
    registry.refuse = "ip-10-0-0-1";
    await controller.reconcile(facts(instance(1)), never);
    await controller.reconcile(facts(), never);

    expect([...controller.refused()]).toEqual([]);
  });

  it("never removes a host that somebody else registered", async () => {
    registry.list.push({ name: "node-1", ip: parseIpv4("10.0.0.1"), tags: {}, origin: "api" });
    for (let pass = 0; pass < 5; pass += 1) {
      await controller.reconcile(facts(instance(2)), never);
    }

    expect(registry.list.map(({ name }) => name)).toContain("node-1");
  });

  it("keeps the host of an instance that was replaced under the same address", async () => {
    await controller.reconcile(facts(instance(1)), never);
    const replaced = [instance(1, { state: "terminated", interfaces: [] }), { ...instance(1), id: "i-new" }];
    await controller.reconcile(facts(...replaced), never);
    await controller.reconcile(facts(...replaced), never);

    expect(registry.list.map(({ name }) => name)).toEqual(["ip-10-0-0-1"]);
  });

  it("goes on with the others when one is refused, and tells which", async () => {
    registry.refuse = "ip-10-0-0-1";
    await controller.reconcile(facts(instance(1), instance(2)), never);
    expect(registry.list.map(({ name }) => name)).toEqual(["ip-10-0-0-2"]);
    expect([...controller.refused()]).toEqual([["ip-10-0-0-1", "ip-10-0-0-1 exists"]]);

    registry.refuse = "";
    await controller.reconcile(facts(instance(1), instance(2)), never);
    expect([...controller.refused()]).toEqual([]);
  });

  it("removes nothing when every host that it learned is absent at once, and says what to look at", async () => {
    await controller.reconcile(facts(instance(1), instance(2)), never);
    for (let pass = 0; pass < 5; pass += 1) {
      await clock.runFor(60_000);
      await controller.reconcile(facts(), never);
    }
    expect(registry.list).toHaveLength(2);
    expect([...controller.refused().keys()]).toEqual(["ip-10-0-0-1", "ip-10-0-0-2"]);

    await controller.reconcile(facts(instance(1), instance(2)), never);
    expect([...controller.refused()]).toEqual([]);
  });
});
