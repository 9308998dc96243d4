import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { CreateRouteCommand, DeleteRouteCommand, ReplaceRouteCommand } from "@aws-sdk/client-ec2";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { awsTopology } from "../../../src/core/topology/aws-topology.ts";
import { LAB_REGION, MotoLab, until, type LabController, type LabInstance } from "../../support/moto-lab.ts";
import { requireMoto } from "../../support/moto.ts";
import { canMakeNamespaces } from "../../support/probe-namespace.ts";
import { skipUnless } from "../../support/skip.ts";
import { explainedWays, waysTo } from "../../support/told-routes.ts";

const withoutLab = requireMoto() || skipUnless(canMakeNamespaces(), "network namespaces and nftables (root)");

/** 12 groups in 3 zones, 2 nodes a group. */
const PREFIXES = 12;

describe.skipIf(withoutLab)("romana controller on an EC2 API", { timeout: 60_000 }, () => {
  let lab: MotoLab;
  let store: string;
  let topology: string;
  let controller: LabController;

  beforeAll(async () => {
    lab = await MotoLab.start({ zones: 3, instancesPerZone: 8 });
    store = join(lab.folder, "romana.db");
    topology = join(lab.folder, "topology.json");
    const document = awsTopology({ region: LAB_REGION, zones: ["a", "b", "c"], groupsPerZone: 4 });
    writeFileSync(topology, `# three zones of four groups\n${JSON.stringify(document)}`);
    controller = await start();
    await converged();
  }, 120_000);
  afterEach(() => {
    lab.heal();
  });
  afterAll(async () => {
    await lab?.close();
  });

  function flags(): readonly string[] {
    return [
      `--store=sqlite:${store}`,
      `--topology=${topology}`,
      "--host-tag=role=node",
      "--cluster=lab",
      "--interval=2s",
      "--hold-down=1s",
    ];
  }

  function start(...more: readonly string[]): Promise<LabController> {
    return lab.controller(...flags(), ...more);
  }

  async function converged(): Promise<void> {
    await until("every table serves every group", async () =>
      [...(await lab.allRoutes()).values()].every((routes) => routes.size === PREFIXES),
    );
    await until("no probe is missing", async () =>
      (await controller.client.health()).nodes.every(({ health }) => health === "up"),
    );
  }

  async function gateway(): Promise<{ node: LabInstance; destinations: readonly string[] }> {
    const { nodes } = await controller.client.health();
    const found = nodes.find(({ gatewayOf }) => gatewayOf.length > 0);
    const node = lab.instances.find(({ name }) => name === found?.host);
    if (found === undefined || node === undefined) {
      throw new Error("no node is a gateway");
    }
    return { node, destinations: found.gatewayOf };
  }

  function nodeOf(interfaceId: string | undefined): LabInstance | undefined {
    return lab.instances.find((instance) => instance.interfaceId === interfaceId);
  }

  it("finds its hosts and places each in a group of its zone", async () => {
    const { hosts } = await controller.client.hosts();

    expect(hosts.map(({ name }) => name).toSorted()).toEqual(
      lab.instances.map(({ name }) => name).toSorted(),
    );
    expect(hosts.every(({ placed }) => placed)).toBe(true);
  });

  it("writes the same twelve routes into all three tables, each to a node of the group's own zone, with one call each", async () => {
    const tables = [...(await lab.allRoutes()).values()].map((routes) => [...routes].toSorted(byDestination));
    const [first = []] = tables;

    expect(tables).toEqual([first, first, first]);
    expect(first).toHaveLength(PREFIXES);
    const zones = first.map(([, target]) => nodeOf(target)?.zone);
    expect(zones.filter((zone) => zone === `${LAB_REGION}b`)).toHaveLength(4);
    expect(new Set(first.map(([, target]) => target)).size).toBe(PREFIXES);
    expect(lab.proxy.counts()["CreateRoute"]).toBe(3 * PREFIXES);
  });

  it("turns the Source/Dest check off on every node", async () => {
    await until("every check is off", async () => (await lab.checksOn()).length === 0);

    expect(lab.proxy.counts()["ModifyNetworkInterfaceAttribute"]).toBe(24);
  });

  it("has nothing left to plan, and says what it holds", async () => {
    const plan = await controller.client.plan();
    const status = await controller.client.status();

    expect(plan.operations).toEqual([]);
    expect(plan.alarms).toEqual([]);
    expect(status.routes).toEqual({ desired: 36, active: 36 });
    expect(status.hosts).toEqual({ total: 24, unplaced: 0, misplaced: 0 });
  });

  it("restores a route that was deleted by hand and one that was led elsewhere", async () => {
    const table = lab.tables[1] ?? "";
    const before = await lab.routes(table);
    const [first = "", second = ""] = [...before.keys()];
    const other = lab.instances.find(({ interfaceId }) => interfaceId !== before.get(second));
    // Our own writes count for 5 s before EC2's word does.
    await until("the last write is old", () => {
      const writes = lab.proxy.calls().filter(({ action }) => /^(Create|Replace|Delete)Route$/.test(action));
      return performance.now() - (writes.at(-1)?.endedMs ?? 0) > 5500;
    });
    await lab.hand.send(new DeleteRouteCommand({ RouteTableId: table, DestinationCidrBlock: first }));
    await lab.hand.send(
      new ReplaceRouteCommand({
        RouteTableId: table,
        DestinationCidrBlock: second,
        NetworkInterfaceId: other?.interfaceId,
      }),
    );

    await until("both are as before", async () => {
      const now = await lab.routes(table);
      return now.get(first) === before.get(first) && now.get(second) === before.get(second);
    });
    expect(await lab.routes(table)).toEqual(before);
  });

  it("explains where every table leads an address, as EC2 has it: a pod's, a node's, one under somebody else's route, any", async () => {
    const { client } = controller;
    const { hosts } = await client.hosts();
    const pods = await Promise.all(
      hosts.map(({ name }) => client.allocate({ name, host: name, tenant: "t", segment: "" })),
    );
    const [node] = lab.instances;
    const foreign = { RouteTableId: lab.tables[0], DestinationCidrBlock: "100.96.16.0/24" };
    await lab.hand.send(new CreateRouteCommand({ ...foreign, NetworkInterfaceId: node?.interfaceId }));
    const shadowed = await until("it has seen the route", async () =>
      (await client.explainIp("100.96.16.1")).routes.some(({ ownership }) => ownership === "foreign"),
    ).then(() => client.explainIp("100.96.16.1"));

    expect(
      shadowed.routes.map(({ ownership, standIn }) => `${ownership} ${standIn !== ""}`).toSorted(),
    ).toEqual(["foreign false", "ours true", "ours true"]);
    const others = ["100.96.16.1", "100.127.255.254", "10.9.8.7", node?.address ?? ""];
    for (const address of [...pods, ...others]) {
      expect(explainedWays(await client.explainIp(address))).toEqual(await waysTo(lab, address));
    }
    await lab.hand.send(new DeleteRouteCommand(foreign));
    await Promise.all(hosts.map(({ name }) => client.release(name)));
  });

  it("leaves a route of somebody else inside its network alone, and reports it", async () => {
    const table = lab.tables[0] ?? "";
    const [node] = lab.instances;
    const foreign = "100.127.0.0/24";
    await lab.hand.send(
      new CreateRouteCommand({
        RouteTableId: table,
        DestinationCidrBlock: foreign,
        NetworkInterfaceId: node?.interfaceId,
      }),
    );
    await until("it is reported", async () =>
      (await controller.client.status()).alarms.some(
        ({ kind, subject }) => kind === "foreign-route" && subject.includes(foreign),
      ),
    );
    await controller.client.reconcile();

    expect((await lab.routes(table)).get(foreign)).toBe(node?.interfaceId);
    await lab.hand.send(new DeleteRouteCommand({ RouteTableId: table, DestinationCidrBlock: foreign }));
  });

  it("moves the routes of a node that falls silent to the other node of its group, in all tables, and nothing else", async () => {
    const { node, destinations } = await gateway();
    const before = await lab.allRoutes();
    const [prefix = ""] = destinations;
    const [address = ""] = prefix.split("/");
    const foretold = await controller.client.explainIp(address);
    const ranked = await controller.client.explainRoute(prefix);
    lab.silence(node.address);
    await until("no route leads to it", async () =>
      [...(await lab.allRoutes()).values()].every(
        (routes) => ![...routes.values()].includes(node.interfaceId),
      ),
    );

    const now = [...(await lab.allRoutes())].flatMap(([table, routes]) =>
      [...routes].map(([destination, target]) => ({ table, destination, target })),
    );
    const movedOn = now.filter(({ destination }) => destinations.includes(destination));
    const others = now.filter(({ destination }) => !destinations.includes(destination));
    expect(movedOn.map(({ target }) => nodeOf(target)?.zone)).toEqual(movedOn.map(() => node.zone));
    expect(others.map(({ target }) => target)).toEqual(
      others.map(({ table, destination }) => before.get(table)?.get(destination)),
    );
    // Who was foretold to take over did, and nobody is left to take over from it.
    const taker = lab.instances.find(
      ({ name }) => name === ranked.candidates.find(({ rank }) => rank === 1)?.host,
    );
    const explained = await controller.client.explainIp(address);
    expect(foretold.routes.map(({ gateway: found, standIn }) => [found?.host, standIn])).toEqual(
      lab.tables.map(() => [node.name, taker?.name]),
    );
    expect(explainedWays(explained)).toEqual(await waysTo(lab, address));
    expect(explained.routes.map(({ target, standIn }) => [target, standIn])).toEqual(
      lab.tables.map(() => [taker?.interfaceId, ""]),
    );
    lab.heal();
    await until("it is up again", async () =>
      (await controller.client.health()).nodes.some(
        ({ host, health }) => host === node.name && health === "up",
      ),
    );
    await controller.client.reconcile();
    expect([...(await lab.allRoutes()).values()].flatMap((routes) => [...routes.values()])).not.toContain(
      node.interfaceId,
    );
  });

  it("gives a recovered node its share back when it is asked to rebalance", async () => {
    await converged();
    await controller.client.rebalance();
    const { nodes } = await controller.client.health();

    expect(nodes.filter(({ gatewayOf }) => gatewayOf.length > 1)).toEqual([]);
  });

  it("moves nothing while it cannot send to a node: that node is unmeasured, the others are not", async () => {
    const { node } = await gateway();
    const before = await lab.allRoutes();
    lab.refuseSending(node.address);
    await until("it is unmeasured", async () =>
      (await controller.client.health()).nodes.some(
        ({ host, health }) => host === node.name && health === "unmeasured",
      ),
    );
    await controller.client.reconcile();

    expect(await lab.allRoutes()).toEqual(before);
    expect((await controller.client.health()).nodes.filter(({ health }) => health !== "up")).toHaveLength(1);
  });

  it("moves nothing when nobody answers: it is blind, and says so", async () => {
    await converged();
    const before = await lab.allRoutes();
    lab.silence(...lab.instances.map(({ address }) => address));
    await until("it is blind", async () => (await controller.client.health()).blind);
    await controller.client.reconcile();

    expect((await controller.client.status()).alarms.map(({ kind }) => kind)).toContain("blind");
    expect(await lab.allRoutes()).toEqual(before);
    lab.heal();
    await until("it sees again", async () => !(await controller.client.health()).blind);
    await converged();
    expect(await lab.allRoutes()).toEqual(before);
  });

  it("follows an instance that was replaced under the same address", async () => {
    await converged();
    const { node, destinations } = await gateway();
    await lab.terminate(node);
    const zone = lab.subnets.indexOf(node.subnetId);
    const replaced = await lab.run(zone, node.address);
    lab.instances.push(replaced);

    await until("every route of the group leads to a living node, and the new check is off", async () => {
      const targets = [...(await lab.allRoutes()).values()].flatMap((routes) =>
        destinations.map((destination) => nodeOf(routes.get(destination))),
      );
      return targets.every((target) => target !== undefined) && (await lab.checksOn()).length === 0;
    });
    expect((await controller.client.hosts()).hosts).toHaveLength(24);
  });

  it("finishes after SIGTERM and after kill -9 in the middle of its writes what it had begun", async () => {
    await controller.kill();
    for (const table of lab.tables) {
      for (const destination of (await lab.routes(table)).keys()) {
        await lab.hand.send(
          new DeleteRouteCommand({ RouteTableId: table, DestinationCidrBlock: destination }),
        );
      }
    }
    const written = async () =>
      [...(await lab.allRoutes()).values()].reduce((sum, { size }) => sum + size, 0);
    lab.proxy.delay("CreateRoute", 300);
    const ending = lab.launch(...flags());
    await until("it writes", async () => (await written()) > 0, 20_000, 5);
    expect(await ending.stop()).toBe(0);
    // Of 36 routes, those whose calls were under way: what became of them is not known.
    const warnings = ending.log().filter(({ level }) => level === "warn");
    expect(warnings.length).toBeLessThanOrEqual(8);
    const begun = await written();
    const dying = lab.launch(...flags());
    await until("more routes are written", async () => (await written()) > begun, 20_000, 5);
    await dying.kill();
    expect(await written()).toBeLessThan(3 * PREFIXES);
    lab.proxy.delay("CreateRoute", 0);
    controller = await start();
    await converged();

    expect((await controller.client.status()).alarms).toEqual([]);
    // The routes stand; that they are known to be ours comes with the next look at EC2.
    await until("every route is known to be ours", async () => {
      const { tables } = await controller.client.routes();
      return tables.length === 3 && tables.every(({ owned }) => owned === PREFIXES);
    });
  });

  it("goes on when EC2 throttles, errs and answers late", async () => {
    for (const table of lab.tables) {
      for (const destination of [...(await lab.routes(table)).keys()].slice(0, 6)) {
        await lab.hand.send(
          new DeleteRouteCommand({ RouteTableId: table, DestinationCidrBlock: destination }),
        );
      }
    }
    lab.proxy.fail(
      "CreateRoute",
      { kind: "error", status: 503, code: "RequestLimitExceeded", message: "slow down" },
      { times: 4 },
    );
    lab.proxy.fail("CreateRoute", { kind: "html", status: 500 }, { times: 2, skip: 2 });
    lab.proxy.fail("CreateRoute", { kind: "lost" }, { times: 2, skip: 1 });
    lab.proxy.fail("DescribeRouteTables", { kind: "reset" }, { times: 2 });

    await until(
      "every table serves every group",
      async () => [...(await lab.allRoutes()).values()].every((routes) => routes.size === PREFIXES),
      40_000,
    );
    expect(controller.log().filter(({ level }) => level === 50)).toEqual([]);
  });

  it("ends on SIGTERM with 0 and leaves the routes where they are", async () => {
    await converged();
    const before = await lab.allRoutes();

    expect(await controller.stop()).toBe(0);
    expect(await lab.allRoutes()).toEqual(before);
  });

  it("adopts all routes after a lost store, and changes nothing under --dry-run", async () => {
    const before = lab.proxy.counts();
    store = join(lab.folder, "another.db");
    controller = await start("--dry-run");
    const plan = await controller.client.plan();
    await controller.stop();

    const writes = (counts: Readonly<Record<string, number>>) =>
      ["CreateRoute", "ReplaceRoute", "DeleteRoute", "ModifyNetworkInterfaceAttribute"].map(
        (action) => counts[action] ?? 0,
      );
    expect(plan.operations).toEqual([]);
    expect(writes(lab.proxy.counts())).toEqual(writes(before));
  });
});

function byDestination([a]: readonly [string, string], [b]: readonly [string, string]): number {
  return a < b ? -1 : 1;
}
