import {
  DescribeAvailabilityZonesCommand,
  DescribeRouteTablesCommand,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { requireKubeApi } from "../../support/kube-api.ts";
import { KubeLab, type LabFollower } from "../../support/kube-lab.ts";
import { create, node, patch, remove, type KubeObject } from "../../support/kube-objects.ts";
import { until } from "../../support/moto-lab.ts";
import type { LabInstance } from "../../support/moto-vpc.ts";
import { requireMoto } from "../../support/moto.ts";
import { Sight, told } from "./sight.ts";

const TAINT = "romana.io/agent-not-ready";
/** Leaf groups of a zone (issue 6). */
const GROUPS_PER_ZONE = 8;

interface GroupOfDocument {
  readonly assignment?: Readonly<Record<string, string>>;
  readonly groups?: readonly GroupOfDocument[];
}

function leavesOf(map: readonly GroupOfDocument[]): readonly GroupOfDocument[] {
  return map.flatMap((group) => ((group.groups ?? []).length === 0 ? [group] : leavesOf(group.groups ?? [])));
}

describe.skipIf(requireKubeApi() || requireMoto())("a controller in a cluster on AWS", () => {
  let lab: KubeLab;
  let controller: LabFollower;
  let sight: Sight;
  /** Of this machine, on which nobody listens there: a refusal is an answer. */
  const FLAGS = ["--probe=tcp", "--probe-port=9", "--interval=1s"];
  beforeAll(async () => {
    lab = await KubeLab.start({ zones: 3, vpcOctets: "127.16" });
    controller = await lab.controller({ store: "etcd", flags: [...FLAGS, "--dry-run"] });
    sight = new Sight(controller);
    await sight.leads();
  });
  afterAll(() => lab.close());

  const nodeOf = (name: string, { id, address, zone }: LabInstance): KubeObject => {
    const made = node({ name, ip: address, zone, instance: id });
    return { ...made, spec: { ...made.spec, taints: [{ key: TAINT, effect: "NoSchedule" }] } };
  };
  /** Interfaces that the routes of all tables lead to, by destination; local routes are left out. */
  async function routes(): Promise<readonly ReadonlyMap<string, string>[]> {
    const { RouteTables = [] } = await lab.hand.send(
      new DescribeRouteTablesCommand({ RouteTableIds: lab.vpc.tables }),
    );
    return RouteTables.map(
      ({ Routes = [] }) =>
        new Map(
          Routes.flatMap(({ DestinationCidrBlock, NetworkInterfaceId }) =>
            DestinationCidrBlock !== undefined && NetworkInterfaceId !== undefined
              ? [[DestinationCidrBlock, NetworkInterfaceId] as const]
              : [],
          ),
        ),
    );
  }
  async function leadsTo(cidr: string, { interfaceId }: LabInstance): Promise<boolean> {
    const tables = await routes();
    return (
      tables.length === lab.vpc.tables.length && tables.every((table) => table.get(cidr) === interfaceId)
    );
  }
  async function groupOf(host: string): Promise<string> {
    const groups = (await sight.host(host))?.["groups"] as readonly { readonly cidr: string }[] | undefined;
    return groups?.[0]?.cidr ?? "";
  }
  async function isTainted(name: string): Promise<boolean> {
    const { spec } = (await lab.kube.call("GET", `/api/v1/nodes/${name}`)) as {
      readonly spec: { readonly taints?: readonly { readonly key: string }[] };
    };
    return spec.taints?.some(({ key }) => key === TAINT) === true;
  }
  const agentReady = async (host: string): Promise<number> =>
    (await controller.process.call("PUT", `/hosts/${host}/agent`, { ready: true, endpoints: [] })).status;
  const terminate = (instance: LabInstance): Promise<unknown> =>
    lab.hand.send(new TerminateInstancesCommand({ InstanceIds: [instance.id] }));
  /** Resolves when so many passes were begun and ended from now on. */
  async function passes(count: number): Promise<void> {
    const seen = new Set<string>();
    await until(`${count} passes`, async () => {
      const { lastPass } = await controller.client.status();
      seen.add(lastPass?.startedAt ?? "");
      // The one that had ended, and the one that was under way, may have begun before.
      return seen.size > count + 1;
    });
  }

  it("begins with all zones of the region, eight groups each", async () => {
    const { AvailabilityZones = [] } = await lab.hand.send(new DescribeAvailabilityZonesCommand({}));
    const zones = AvailabilityZones.map(({ ZoneName }) => ZoneName ?? "");
    let map: readonly GroupOfDocument[] = [];
    await until("there is a topology", async () => {
      const { topologies } = (await sight.get("/topology")).body as {
        readonly topologies?: readonly { readonly map: readonly GroupOfDocument[] }[];
      };
      map = topologies?.[0]?.map ?? [];
      return map.length > 0;
    });

    const leaves = leavesOf(map).flatMap(
      ({ assignment }) => assignment?.["topology.kubernetes.io/zone"] ?? [],
    );
    expect(zones.length).toBeGreaterThan(3);
    expect(leaves.toSorted()).toEqual(
      zones.flatMap((zone) => Array<string>(GROUPS_PER_ZONE).fill(zone)).toSorted(),
    );
  });

  it("takes the startup taint off no earlier than the routes of the group stand", async () => {
    const machines = await Promise.all([0, 1, 2].map((zone) => lab.vpc.run(zone, `127.16.${zone}.10`)));
    for (const [index, machine] of machines.entries()) {
      await create(lab.kube, nodeOf(`n${index}`, machine));
      await sight.placed(`n${index}`);
      expect(await agentReady(`n${index}`)).toBe(200);
    }
    // A dry run writes no routes, so none stands.
    await passes(2);
    expect((await routes()).map((table) => table.size)).toEqual([0, 0, 0]);
    expect(await Promise.all([0, 1, 2].map((index) => isTainted(`n${index}`)))).toEqual([true, true, true]);

    await controller.process.kill("SIGKILL");
    controller = await lab.controller({ store: "etcd", flags: FLAGS });
    sight = new Sight(controller);
    await sight.leads();
    for (const [index, machine] of machines.entries()) {
      const name = `n${index}`;
      expect(await agentReady(name)).toBe(200);
      await until(`the taint of ${name} is gone`, async () => !(await isTainted(name)));
      expect(await leadsTo(await groupOf(name), machine)).toBe(true);
      expect(await lab.vpc.checks(machine.interfaceId)).toBe(false);
      expect((await sight.host(name))?.["tags"]).toMatchObject({ "romana.io/subnet-id": machine.subnetId });
    }
  });

  it("keeps a host whose Node is gone while its instance runs, and removes it with its addresses when that is terminated", async () => {
    const machine = await lab.vpc.run(0, "127.16.0.20");
    const made = await create(lab.kube, nodeOf("leaves", machine));
    await sight.placed("leaves");
    expect(await sight.allocate("web.leaves.1", "leaves")).toMatchObject({ status: 200 });

    await remove(lab.kube, made);
    await passes(3);
    expect(await sight.isPlaced("leaves")).toBe(true);
    expect(JSON.stringify((await sight.get("/addresses")).body)).toContain("web.leaves.1");

    await terminate(machine);
    await until("the host is gone", async () => (await sight.get("/hosts/leaves")).status === 404);
    expect(JSON.stringify((await sight.get("/addresses")).body)).not.toContain("web.leaves.1");
    await told(lab.kube, "leaves", "HostRemoved");
    expect(await sight.isPlaced("n0")).toBe(true);
  });

  it("waits for the end of the former instance before a Node of the same name becomes a host", async () => {
    const [former, latter] = await Promise.all([
      lab.vpc.run(1, "127.16.1.30"),
      lab.vpc.run(1, "127.16.1.31"),
    ]);
    const made = await create(lab.kube, nodeOf("again", former));
    await sight.placed("again");
    await remove(lab.kube, made);
    await create(lab.kube, nodeOf("again", latter));

    await told(lab.kube, "again", "HostNameHeld");
    expect(await sight.host("again")).toMatchObject({ ip: former.address });
    await terminate(former);
    await until("it is the new machine", async () => (await sight.host("again"))?.["ip"] === latter.address);
    await sight.placed("again");
    await until("its check is off", async () => !(await lab.vpc.checks(latter.interfaceId)));
    expect(await sight.isPlaced("n1")).toBe(true);
  });

  it("moves routes off a node that is cordoned or has lost its Node, while another node can take them", async () => {
    // Groups are filled evenly: one more than there are, so that two share one.
    const machines = await lab.vpc.runMany(2, GROUPS_PER_ZONE);
    const byName = new Map(machines.map((machine, index) => [`c${index}`, machine]));
    for (const [name, machine] of byName) {
      await create(lab.kube, nodeOf(name, machine));
      await sight.placed(name);
    }
    const group = await groupOf("n2");
    const groups = await Promise.all([...byName.keys()].map((name) => groupOf(name)));
    const sharing = [...byName.keys()].filter((_name, index) => groups[index] === group);
    expect(sharing).toHaveLength(1);
    await until("its route stands", async () => (await routes()).every((table) => table.has(group)));
    const [table] = await routes();
    const interfaceId = table?.get(group) ?? "";
    const isOther = byName.get(sharing[0] ?? "")?.interfaceId === interfaceId;
    const [carrier = "", standIn = ""] = isOther ? [sharing[0], "n2"] : ["n2", sharing[0]];
    const cordon = (name: string, unschedulable: true | null): Promise<KubeObject> =>
      patch(lab.kube, node({ name }), { spec: { unschedulable } });

    await cordon(carrier, true);
    await until(`${standIn} carries the routes of ${group}`, async () =>
      (await routes()).every((each) => each.has(group) && each.get(group) !== interfaceId),
    );
    await passes(2);
    expect((await routes()).some((each) => each.get(group) === interfaceId)).toBe(false);

    await cordon(carrier, null);
    await cordon(standIn, true);
    await until(`${carrier} carries them again`, async () =>
      (await routes()).every((each) => each.get(group) === interfaceId),
    );

    // Its Node is gone, and the instance runs: the host stays, and hands its routes over.
    await cordon(standIn, null);
    await remove(lab.kube, node({ name: carrier }));
    await until(`${standIn} carries the routes of ${group} again`, async () =>
      (await routes()).every((each) => each.has(group) && each.get(group) !== interfaceId),
    );
    expect(await sight.isPlaced(carrier)).toBe(true);
    expect(await sight.isPlaced(standIn)).toBe(true);
  });

  it("asked for nothing that its role does not allow", () => {
    expect(lab.judge()).toEqual([]);
  });
});
