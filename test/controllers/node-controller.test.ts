import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { NodeController } from "../../src/controllers/node-controller.ts";
import type { NewInterface } from "../../src/controllers/node-instances.ts";
import type { CloudFacts, CloudInstance, InstanceState } from "../../src/core/cloud/facts.ts";
import type { ClusterNode } from "../../src/core/cluster/objects.ts";
import { NetworkError } from "../../src/core/errors.ts";
import { parseIpv4 } from "../../src/core/net/ipv4.ts";
import type { ClusterEvent } from "../../src/ports/cluster.ts";
import type { AddressingService } from "../../src/services/addressing-service.ts";
import { AgentReports } from "../../src/services/cluster/agent-reports.ts";
import { ObjectView } from "../../src/services/cluster/object-view.ts";
import { createStore, openService, signal, twoZones, type FaultyStore } from "../services/support.ts";
import { clusterNode } from "../support/cluster-objects.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { silentLog } from "../support/silent-log.ts";

const GRACE_MS = 900_000;

/** EC2 as a controller of Nodes sees it. */
class FakeEc2 {
  readonly instances = new Map<string, CloudInstance>();
  readonly described: string[] = [];
  readonly placed: NewInterface[] = [];
  looks = 0;
  failure: Error | undefined;

  run(number: number, over: Partial<CloudInstance> & { readonly state?: InstanceState } = {}): CloudInstance {
    const instance: CloudInstance = {
      id: `i-${number}`,
      state: "running",
      zone: "a",
      tags: {},
      interfaces: [
        {
          id: `eni-${number}`,
          subnetId: "subnet-a",
          addresses: [parseIpv4(`172.16.${Math.floor(number / 250)}.${(number % 250) + 1}`)],
          sourceDestCheck: true,
        },
      ],
      ...over,
    };
    this.instances.set(instance.id, instance);
    return instance;
  }

  describe = async (instanceId: string): Promise<CloudInstance | undefined> => {
    this.described.push(instanceId);
    if (this.failure !== undefined) {
      throw this.failure;
    }
    return Promise.resolve(this.instances.get(instanceId));
  };

  turnOff = async (interfaces: readonly NewInterface[]): Promise<void> => {
    this.placed.push(...interfaces);
    return Promise.resolve();
  };

  look = (): void => {
    this.looks += 1;
  };

  facts(): CloudFacts {
    const rest = { vpcId: "vpc-1", region: "us-west-2", vpcCidrs: [], subnets: [], routeTables: [] };
    return { ...rest, instances: [...this.instances.values()] };
  }
}

/** A Node on instance `number`. */
function nodeOn(number: number, over: Partial<ClusterNode> = {}): ClusterNode {
  return clusterNode({
    name: `node-${number}`,
    uid: `uid-${number}`,
    providerId: `aws:///a/i-${number}`,
    internalIps: [`172.16.${Math.floor(number / 250)}.${(number % 250) + 1}`],
    ...over,
  });
}

describe.for([["with a cloud"], ["without a cloud"]] as const)("Nodes become hosts %s", ([kind]) => {
  const cloud = kind === "with a cloud";
  /** Cases of one kind alone. */
  const onAws = cloud ? [kind] : [];
  const offAws = cloud ? [] : [kind];
  let clock: FakeClock;
  let store: FaultyStore;
  let service: AddressingService;
  let view: ObjectView<ClusterNode>;
  let ec2: FakeEc2;
  let agents: AgentReports;
  let problem: string;
  let events: Omit<ClusterEvent, "firstMs">[];
  let controller: NodeController;
  beforeEach(async () => {
    clock = new FakeClock();
    store = createStore();
    service = await openService(store);
    await service.updateTopology(twoZones, signal);
    view = new ObjectView<ClusterNode>();
    ec2 = new FakeEc2();
    agents = new AgentReports(clock);
    events = [];
    problem = "";
    controller = begin();
  });
  afterEach(() => controller.stop());

  function begin(): NodeController {
    const made = new NodeController({
      nodes: view,
      nodesProblem: () => problem,
      registry: service,
      cloud: cloud ? { describe: ec2.describe, placed: ec2.turnOff, look: ec2.look } : undefined,
      hostGraceMs: GRACE_MS,
      events: { record: (event) => void events.push(event) },
      agents,
      clock,
      log: silentLog,
    });
    made.start();
    return made;
  }

  /** Lets so much time pass, with a look at EC2 every 31 s. */
  async function pass(ms: number): Promise<void> {
    for (let past = 0; past < ms; past += 31_000) {
      await clock.advance(Math.min(31_000, ms - past));
      await controller.cloudSeen(ec2.facts());
      await clock.advance(0);
    }
  }

  const settle = async (): Promise<void> => {
    // Several hand-overs: Node, EC2, transaction, and what the change of hosts leads to.
    for (let turns = 0; turns < 5; turns += 1) {
      await clock.advance(0);
    }
  };
  const names = (): readonly string[] => service.hosts().hosts.map(({ name }) => name);
  const told = (): readonly string[] =>
    events.map(({ subject, reason }) => `${reason} ${subject.name} ${subject.uid}`);

  it("at once, with what is known of them, and say where they were placed", async () => {
    ec2.run(1);
    view.replace([]);
    view.put(nodeOn(1));
    await settle();

    expect(service.host("node-1")).toMatchObject({
      ip: "172.16.0.2",
      origin: "kubernetes",
      node: { uid: "uid-1", instanceId: cloud ? "i-1" : "aws:///a/i-1" },
      placed: true,
      tags: cloud ? { zone: "a", "romana.io/subnet-id": "subnet-a" } : { zone: "a" },
    });
    expect(told()).toEqual(["HostPlaced node-1 uid-1"]);
    expect(events[0]).toMatchObject({
      type: "Normal",
      subject: { apiVersion: "v1", kind: "Node" },
      note: 'The host node-1 (172.16.0.2) is in group 10.0.0.0/17 of network "pods".',
    });
    expect(ec2.described).toEqual(cloud ? ["i-1"] : []);
    expect(ec2.placed).toEqual(cloud ? [{ host: "node-1", interfaceId: "eni-1", instanceId: "i-1" }] : []);
    expect(ec2.looks).toBe(0);
  });

  describe("in a store without networks", () => {
    beforeEach(async () => {
      await controller.stop();
      service = await openService(createStore());
      controller = begin();
      ec2.run(1);
      view.replace([nodeOn(1)]);
      if (cloud) {
        await controller.cloudSeen(ec2.facts());
      }
      await settle();
    });

    it("say nothing while a topology is on its way", async () => {
      const before = told();
      await service.updateTopology(twoZones, signal);
      await settle();
      await pass(31_000);

      expect(before).toEqual([]);
      expect(told()).toEqual(["HostPlaced node-1 uid-1"]);
    });

    it("say so when none comes for a quarter of a minute", async () => {
      await clock.advance(14_000);
      const early = told();
      await clock.advance(1_000);
      await settle();

      expect(names()).toEqual(["node-1"]);
      expect(early).toEqual([]);
      expect(told()).toEqual(["HostUnplaced node-1 uid-1"]);
    });
  });

  it("not before all of them were listed", async () => {
    ec2.run(1);
    view.put(nodeOn(1));
    await pass(62_000);

    expect(names()).toEqual([]);
  });

  it(
    "5,000 at the start in few transactions and without a question about any",
    { timeout: 30_000 },
    async () => {
      const all = Array.from({ length: 5000 }, (_, index) => index + 1);
      all.forEach((number) => ec2.run(number));
      view.replace(all.map((number) => nodeOn(number)));
      const before = store.transactions.length;
      await controller.cloudSeen(ec2.facts());
      await settle();

      expect(names()).toHaveLength(5000);
      expect(ec2.described).toEqual([]);
      expect(store.transactions.length - before).toBeLessThan(100);
    },
  );

  it("when the controller was away meanwhile, and those whose Nodes went then are missed from then on", async () => {
    ec2.run(1);
    ec2.run(2);
    view.replace([nodeOn(1), nodeOn(2)]);
    await pass(1000);
    await controller.stop();
    view.remove(nodeOn(1));
    ec2.instances.delete("i-1");
    ec2.run(3);
    view.put(nodeOn(3));
    controller = begin();
    await pass(62_000);
    expect(names()).toEqual(cloud ? ["node-2", "node-3"] : ["node-1", "node-2", "node-3"]);

    await pass(GRACE_MS);
    expect(names()).toEqual(["node-2", "node-3"]);
    expect(told()).toContain("HostRemoved node-1 uid-1");
  });

  it("and follow the labels of their Nodes; one with addresses stays where it is, and says so", async () => {
    ec2.run(1);
    view.replace([nodeOn(1)]);
    await pass(1000);
    await service.allocate({ name: "pod", host: "node-1", tenant: "t", segment: "s" }, signal);
    view.put(nodeOn(1, { labels: { zone: "b" }, resourceVersion: "2" }));
    await settle();
    const misplaced = service.host("node-1")?.misplaced;
    await service.release("pod", signal);
    await settle();

    expect(misplaced).toBe(true);
    expect(service.host("node-1")).toMatchObject({ misplaced: false, groups: [{ cidr: "10.0.128.0/17" }] });
    expect(told().map((line) => line.split(" ")[0])).toEqual(["HostPlaced", "HostMisplaced", "HostPlaced"]);
  });

  it("unplaced where no group takes them, with the reason, once", async () => {
    ec2.run(1);
    view.replace([nodeOn(1, { labels: { zone: "c" } })]);
    await pass(1000);
    view.put(nodeOn(1, { labels: { zone: "c" }, resourceVersion: "2", ready: "false" }));
    await pass(62_000);

    expect(service.host("node-1")?.placed).toBe(false);
    expect(told()).toEqual(["HostUnplaced node-1 uid-1"]);
    expect(events[0]?.note).toContain('no group of network "pods"');
  });

  it("as soon as they are complete", async () => {
    ec2.run(1);
    view.replace([nodeOn(1, { internalIps: [] })]);
    await settle();
    const early = told();
    view.put(nodeOn(1, { resourceVersion: "2" }));
    await settle();

    expect(early).toEqual(["NodeIncomplete node-1 uid-1"]);
    expect(names()).toEqual(["node-1"]);
  });

  it("one of two with one address, the other when the first is gone", async () => {
    ec2.run(1);
    view.replace([nodeOn(1), nodeOn(1, { name: "twin", uid: "uid-twin" }), nodeOn(9)]);
    ec2.run(9);
    await pass(1000);
    const early = [...names()];
    const said = told();
    view.remove(nodeOn(1));
    await service.removeHost("node-1", signal);
    await settle();
    await settle();

    expect(early.toSorted()).toEqual(["node-1", "node-9"]);
    expect(said).toContain("HostAddressTaken twin uid-twin");
    expect(names()).toContain("twin");
  });

  it("beside hosts of others, which are never touched", async () => {
    await service.addHost(
      { name: "listed", ip: parseIpv4("172.16.9.9"), tags: { zone: "a" }, origin: "api" },
      signal,
    );
    const before = service.host("listed");
    view.replace([
      nodeOn(1),
      clusterNode({ name: "listed", uid: "u", internalIps: ["172.16.9.9"], labels: { zone: "b" } }),
    ]);
    ec2.run(1);
    await pass(1000);
    view.remove({ uid: "u", namespace: "", name: "listed" });
    await pass(2 * GRACE_MS);

    expect(service.host("listed")).toEqual(before);
  });

  it("and none is removed while the cluster shows no Node at all; one that comes back ends that", async () => {
    [1, 2, 3].forEach((number) => ec2.run(number));
    view.replace([1, 2, 3].map((number) => nodeOn(number)));
    await pass(1000);
    ec2.instances.clear();
    view.replace([]);
    await pass(2 * GRACE_MS);
    expect(names()).toHaveLength(3);

    ec2.run(2);
    view.put(nodeOn(2));
    await pass(62_000);
    expect(names()).toEqual(["node-2"]);
  });

  it("the same ones when a Node object is created again by the same machine", async () => {
    ec2.run(1);
    view.replace([nodeOn(1)]);
    await pass(1000);
    await service.allocate({ name: "pod", host: "node-1", tenant: "t", segment: "s" }, signal);
    agents.put("node-1", { ready: true, endpoints: new Map() });
    view.put(nodeOn(1, { uid: "uid-new" }));
    await settle();

    expect(service.host("node-1")?.node?.uid).toBe("uid-new");
    expect(service.address("pod")?.host).toBe("node-1");
    expect(agents.of("node-1")?.ready).toBe(true);
  });

  it("again, ever later, while the store does not answer", async () => {
    ec2.run(1);
    view.replace([]);
    const fail = () => Promise.reject(new NetworkError("exhausted", "STORE_FULL", "no space"));
    store.failNext(fail);
    store.failNext(fail);
    view.put(nodeOn(1));
    await settle();
    const early = [...names()];
    await clock.advance(2000);
    await settle();

    expect(early).toEqual([]);
    expect(names()).toEqual(["node-1"]);
  });

  it("no more after the end", async () => {
    view.replace([nodeOn(1)]);
    await controller.stop();
    view.put(nodeOn(2));
    await clock.advance(60_000);

    expect(names()).toEqual([]);
    expect(clock.pendingTimers).toBe(0);
  });

  it.for(onAws)("many new ones after one look at all of the VPC, not a question about each", async () => {
    view.replace([]);
    const many = Array.from({ length: 30 }, (_, index) => index + 1);
    many.forEach((number) => ec2.run(number));
    many.forEach((number) => view.put(nodeOn(number)));
    await settle();
    expect([ec2.described.length, ec2.looks > 0, names().length]).toEqual([0, true, 0]);

    await controller.cloudSeen(ec2.facts());
    await settle();
    expect([ec2.described.length, names().length]).toEqual([0, 30]);
  });

  it.for(onAws)("one that EC2 does not show yet when it does, asked about ever later", async () => {
    view.replace([nodeOn(1)]);
    await settle();
    const said = told();
    await clock.advance(1100);
    await clock.advance(2100);
    ec2.run(1);
    await clock.advance(5000);
    await settle();

    expect(said).toEqual(["InstanceUnknown node-1 uid-1"]);
    expect(ec2.described).toHaveLength(4);
    expect(names()).toEqual(["node-1"]);
  });

  it.for(onAws)("one about which EC2 cannot be asked when it can, or when a look shows it", async () => {
    ec2.run(1);
    ec2.failure = new NetworkError("transient", "CLOUD_UNAVAILABLE", "no");
    view.replace([nodeOn(1)]);
    await clock.advance(20_000);
    const early = [...names()];
    await controller.cloudSeen(ec2.facts());
    await settle();

    expect(early).toEqual([]);
    expect(names()).toEqual(["node-1"]);
  });

  it.for(onAws)("until their Node is gone and EC2 has terminated the instance", async () => {
    [1, 2].forEach((number) => ec2.run(number));
    view.replace([nodeOn(1), nodeOn(2)]);
    await pass(1000);
    await service.allocate({ name: "pod", host: "node-1", tenant: "t", segment: "s" }, signal);
    view.remove(nodeOn(1));
    await pass(10 * GRACE_MS);
    const early = [...names()];
    ec2.run(1, { state: "terminated" });
    await pass(1000);

    expect(early).toEqual(["node-1", "node-2"]);
    expect(names()).toEqual(["node-2"]);
    expect(service.addresses()).toEqual([]);
    expect(told()).toContain("HostRemoved node-1 uid-1");
  });

  it.for(onAws)(
    "until EC2, asked about it alone, knows nothing of an instance that looks no longer show",
    async () => {
      [1, 2].forEach((number) => ec2.run(number));
      view.replace([nodeOn(1), nodeOn(2)]);
      await pass(1000);
      view.remove(nodeOn(1));
      // It lost the tag of the cluster: looks do not show it, and it runs.
      const shown = ec2.facts();
      const untagged = { ...shown, instances: shown.instances.filter(({ id }) => id !== "i-1") };
      for (let looks = 0; looks < 5; looks += 1) {
        await clock.advance(31_000);
        await controller.cloudSeen(untagged);
        await settle();
      }
      const early = [...names()];
      const asked = ec2.described.filter((id) => id === "i-1").length;
      ec2.instances.delete("i-1");
      await pass(124_000);

      expect(early).toEqual(["node-1", "node-2"]);
      expect(asked).toBeGreaterThan(0);
      expect(names()).toEqual(["node-2"]);
    },
  );

  it.for(onAws)(
    "anew when another instance takes over the name, as soon as the former one is gone",
    async () => {
      [1, 2].forEach((number) => ec2.run(number));
      view.replace([nodeOn(1), nodeOn(2)]);
      await pass(1000);
      await service.allocate({ name: "pod", host: "node-1", tenant: "t", segment: "s" }, signal);
      ec2.run(3);
      view.put(nodeOn(3, { name: "node-1" }));
      await pass(62_000);
      const early = service.host("node-1")?.node;
      const said = told();
      ec2.run(1, { state: "terminated" });
      await pass(1000);
      await settle();

      expect(early).toEqual({ uid: "uid-1", instanceId: "i-1" });
      expect(said).toContain("HostNameHeld node-1 uid-3");
      expect(service.host("node-1")).toMatchObject({
        ip: "172.16.0.4",
        node: { uid: "uid-3", instanceId: "i-3" },
      });
      expect(service.addresses()).toEqual([]);
    },
  );

  it.for(offAws)(
    "until their Node has been gone for the grace time, which a restart begins anew",
    async () => {
      view.replace([nodeOn(1), nodeOn(2)]);
      await settle();
      view.remove(nodeOn(1));
      await clock.advance(GRACE_MS - 1000);
      await controller.stop();
      controller = begin();
      await clock.advance(GRACE_MS - 1000);
      const early = [...names()];
      await clock.advance(2000);
      await settle();

      expect(early).toEqual(["node-1", "node-2"]);
      expect(names()).toEqual(["node-2"]);
    },
  );

  it.for(offAws)("and stay while it is not known which Nodes there are", async () => {
    view.replace([nodeOn(1), nodeOn(2)]);
    await settle();
    view.remove(nodeOn(1));
    await clock.advance(60_000);
    problem = "watch nodes: nobody answers";
    await clock.advance(2 * GRACE_MS);
    await settle();
    const meanwhile = names();
    problem = "";
    await clock.advance(31_000);
    await settle();

    expect(meanwhile).toEqual(["node-1", "node-2"]);
    expect(names()).toEqual(["node-2"]);
  });

  it.for(onAws)("ask EC2 about nothing more after the end", async () => {
    const gate = Promise.withResolvers<void>();
    const answerOf = ec2.describe;
    ec2.describe = async (id) => {
      const answer = answerOf(id);
      await gate.promise;
      return answer;
    };
    await controller.stop();
    controller = begin();
    view.replace(Array.from({ length: 8 }, (_, index) => nodeOn(index + 1)));
    await settle();
    view.put(nodeOn(20));
    await settle();
    const asked = ec2.described.length;
    const stopped = controller.stop();
    gate.resolve();
    await stopped;
    await settle();

    expect(asked).toBe(8);
    expect(ec2.described).toHaveLength(8);
    expect(clock.pendingTimers).toBe(0);
  });

  it.for(offAws)("and stay when their Node comes back within the grace time", async () => {
    view.replace([nodeOn(1), nodeOn(2)]);
    await settle();
    view.remove(nodeOn(1));
    await clock.advance(GRACE_MS - 1000);
    view.put(nodeOn(1, { uid: "uid-back" }));
    await settle();
    view.remove(nodeOn(1, { uid: "uid-back" }));
    await clock.advance(GRACE_MS - 1000);

    expect(names()).toEqual(["node-1", "node-2"]);
  });
});
