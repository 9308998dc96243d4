import { describe, expect, it } from "vitest";

import { MemoryStore } from "../../src/adapters/memory/memory-store.ts";
import { SeededRandom } from "../../src/adapters/simulation/seeded-random.ts";
import { CLUSTER_NAME, NODE_TAG, SimulatedCluster } from "../../src/adapters/simulation/simulated-cluster.ts";
import { VirtualClock } from "../../src/adapters/simulation/virtual-clock.ts";
import { ExplainedIp, ExplainedRoute } from "../../src/api/resources/explain.schemas.ts";
import { loadControllerConfig } from "../../src/config/load.ts";
import type { Cidr } from "../../src/core/net/cidr.ts";
import { parseCidr } from "../../src/core/net/cidr.ts";
import { parseIpv4, type Ipv4 } from "../../src/core/net/ipv4.ts";
import { awsTopology } from "../../src/core/topology/aws-topology.ts";
import { createControlPlane } from "../../src/main/create-control-plane.ts";
import { silentLog } from "../support/silent-log.ts";

const never = new AbortController().signal;

/** A simulated region with its control plane in a steady state: every node up, every route written, a pod on every node. */
async function steadyRegion({ nodes = 12, seed = 3 } = {}) {
  const clock = new VirtualClock();
  const zones = ["us-west-2a", "us-west-2b", "us-west-2c"];
  const cluster = new SimulatedCluster({
    clock,
    random: new SeededRandom(seed),
    region: "us-west-2",
    zones,
    nodes,
  });
  const config = loadControllerConfig({
    flags: {
      cloud: "aws",
      cluster: CLUSTER_NAME,
      hostTag: [`${NODE_TAG.key}=${NODE_TAG.value}`],
      region: "us-west-2",
    },
    environment: {},
  });
  const plane = await createControlPlane(
    {
      clock,
      log: silentLog,
      store: new MemoryStore({ clock }),
      prefix: "/romana",
      replica: { id: "one", url: "" },
      random: () => 0,
      cloud: cluster.cloud,
      prober: cluster.prober,
      config,
      version: "test",
      cloudName: "simulation",
      storeName: "memory",
    },
    never,
  );
  const topology = awsTopology({
    region: "us-west-2",
    zones: ["a", "b", "c"],
    groupsPerZone: 1,
    cidr: "100.96.0.0/11",
    blockMask: 29,
  });
  await clock.runUntilSettled(plane.addressing.updateTopology(topology, never));
  plane.start();
  await clock.runUntilTrue(() => plane.addressing.hosts().hosts.some(({ placed }) => placed), 120_000);
  await clock.runUntilTrue(
    () =>
      plane.routes.routes().routes.length > 0 &&
      plane.routes.routes().routes.every(({ state }) => state === "active"),
    600_000,
  );
  await clock.runFor(120_000);
  const pods = new Map<string, Ipv4>();
  for (const { name, placed } of plane.addressing.hosts().hosts) {
    if (placed) {
      const request = { name: `pod-${name}`, host: name, tenant: "blue", segment: "web" };
      pods.set(name, await clock.runUntilSettled(plane.addressing.allocate(request, never)));
    }
  }
  return { clock, cluster, plane, pods };
}

/** The node to which each table leads a destination, by what stands in the region itself. */
function holders({ cluster, clock }: Awaited<ReturnType<typeof steadyRegion>>, destination: Cidr): string[] {
  const names = new Map([...cluster.nodes.values()].map(({ name, card }) => [card.id, name]));
  return [...cluster.region.routeTables.values()].flatMap((table) =>
    cluster.region
      .routesAt(table, clock.monotonic())
      .filter((route) => route.destination === destination && route.target.kind === "interface")
      .map(({ target }) => (target.kind === "interface" ? (names.get(target.id) ?? target.id) : "")),
  );
}

describe("an explanation of an address on a simulated region", () => {
  it("names network, groups, block, host, owner and, for each table, the gateway that the region has", async () => {
    const region = await steadyRegion();
    const { plane, pods } = region;
    const [[name, address] = ["", parseIpv4("0.0.0.0")]] = pods;

    const explained = plane.explain.explainIp(address);

    expect(ExplainedIp.parse(JSON.parse(JSON.stringify(explained)))).toEqual(
      JSON.parse(JSON.stringify(explained)),
    );
    expect(explained.kind).toBe("in-use");
    expect([explained.holder, explained.host?.name, explained.tenant, explained.segment]).toEqual([
      `pod-${name}`,
      name,
      "blue",
      "web",
    ]);
    expect(explained.block).toMatchObject({ state: "owned", inUse: 1, size: 8 });
    expect(explained.groups.length).toBeGreaterThan(1);
    expect(explained.groups[0]?.cidr).toBe("100.96.0.0/11");
    expect(explained.routes.length).toBe(plane.routes.routes().tables.length);
    for (const route of explained.routes) {
      expect([route.ownership, route.state, route.sync]).toEqual(["ours", "active", "in-sync"]);
      expect(holders(region, parseCidr(route.destination))).toContain(route.gateway?.host);
    }
    await plane.stop();
  });

  it.for([3, 4, 5])("foretells who takes over when the gateway dies (seed %i)", async (seed) => {
    const region = await steadyRegion({ seed });
    const { plane, pods, cluster, clock } = region;
    const explained = [...pods.values()].map((address) => plane.explain.explainIp(address));
    const gateway = explained[0]?.routes[0]?.gateway?.host ?? "";
    const foretold = new Map(
      explained.flatMap(({ routes }) =>
        routes
          .filter((route) => route.gateway?.host === gateway)
          .map(({ destination, standIn }) => [destination, standIn] as const),
      ),
    );
    const ranked = [...foretold.keys()].map(
      (destination) =>
        plane.explain.explainRoute(parseCidr(destination)).candidates.find(({ rank }) => rank === 1)?.host,
    );

    cluster.node(gateway).instance.hung = true;
    await clock.runUntilTrue(
      () => [...foretold.keys()].every((cidr) => !holders(region, parseCidr(cidr)).includes(gateway)),
      60_000,
    );

    expect(foretold.size).toBeGreaterThan(0);
    expect(ranked).toEqual([...foretold.values()]);
    for (const [destination, standIn] of foretold) {
      expect(standIn).not.toBe("");
      expect(new Set(holders(region, parseCidr(destination)))).toEqual(new Set([standIn]));
    }
    await plane.stop();
  });

  it("says that nobody takes over where the gateway is alone in its group", async () => {
    const { plane, pods } = await steadyRegion({ nodes: 3 });
    const [address = parseIpv4("0.0.0.0")] = pods.values();

    const { routes, notes, host } = plane.explain.explainIp(address);
    const route = plane.explain.explainRoute(parseCidr(routes[0]?.destination ?? ""));

    expect(routes.map(({ standIn }) => standIn)).toEqual(routes.map(() => ""));
    expect(notes).toContain(
      `Host ${host?.name} is a gateway itself: if it dies, the address dies with it, whoever takes the route`,
    );
    expect(route.notes).toContain(
      "Nobody can take over: should the gateway die, the route stays and leads nowhere",
    );
    await plane.stop();
  });

  it("tells free addresses, nodes, addresses of the VPC and those of nobody apart", async () => {
    const { plane, pods } = await steadyRegion();
    const [[name, address] = ["", parseIpv4("0.0.0.0")]] = pods;
    const node = plane.addressing.hosts().hosts.find((host) => host.name === name);
    const next = parseIpv4(address.replace(/\d+$/, (last) => `${Number(last) + 1}`));
    const explain = (text: string) => plane.explain.explainIp(parseIpv4(text));

    const free = explain(next);

    expect([free.kind, free.block?.state, free.holder, free.host?.name]).toEqual([
      "free",
      "owned",
      null,
      name,
    ]);
    expect(free.notes[0]).toContain(`reaches host ${name} and dies there`);
    expect([explain("100.96.77.1").kind, explain("100.96.77.1").block?.state]).toEqual(["free", "unused"]);
    expect(explain("100.96.77.1").notes[0]).toContain("dies at the gateway");
    expect([explain(node?.ip ?? "").kind, explain(node?.ip ?? "").host?.name]).toEqual(["node", name]);
    expect(explain("203.0.113.9").kind).toBe("outside");
    const [vpc = ""] = plane.duties()?.state.snapshot()?.facts.vpcCidrs ?? [];
    const unused = vpc.replace(/\.\d+\.\d+\/\d+$/, ".255.250");
    expect([explain(unused).kind, explain(unused).routes[0]?.ownership]).toEqual(["vpc", "local"]);
    await plane.stop();
  });

  it("says in which reserve a free address lies, and which blackout", async () => {
    const { plane, clock } = await steadyRegion();
    const [{ name } = { name: "" }] = plane.addressing.networks();
    await clock.runUntilSettled(plane.addressing.addBlackout(name, parseCidr("100.127.255.0/24"), never));

    const { summary, blackout, notes } = plane.explain.explainIp(parseIpv4("100.127.255.9"));

    expect(summary).toMatch(/which is reserve and takes no host/);
    expect(blackout).toBe("100.127.255.0/24");
    expect(notes[0]).toContain("it is never handed out");
    await plane.stop();
  });
});

describe("an explanation of a route on a simulated region", () => {
  it("names who wants it, how each table has it, and every node of its group with the reason", async () => {
    const region = await steadyRegion();
    const { plane } = region;
    const [wanted] = plane.routes.routes().routes;
    const cidr = parseCidr(wanted?.destination ?? "");

    const route = plane.explain.explainRoute(cidr);

    expect(ExplainedRoute.parse(JSON.parse(JSON.stringify(route)))).toEqual(
      JSON.parse(JSON.stringify(route)),
    );
    expect([route.kind, route.network, route.gateway]).toEqual(["wanted", wanted?.network, wanted?.host]);
    expect(
      route.tables.map(({ sync, ownership, recorded, target }) => [sync, ownership, recorded === target]),
    ).toEqual(route.tables.map(() => ["in-sync", "ours", true]));
    const inGroup = plane.addressing
      .hosts()
      .hosts.filter(({ groups }) => groups.some((group) => group.cidr === cidr))
      .map(({ name }) => name);
    expect(route.candidates.map(({ host }) => host).toSorted()).toEqual(inGroup.toSorted());
    expect(route.candidates[0]?.verdict).toBe("gateway");
    expect(route.candidates.slice(1).map(({ rank }) => rank)).toEqual(
      route.candidates.slice(1).map((_, index) => index + 1),
    );
    await plane.stop();
  });

  it("says why a node is no stand-in", async () => {
    const { plane, cluster, clock } = await steadyRegion();
    const [wanted] = plane.routes.routes().routes;
    const cidr = parseCidr(wanted?.destination ?? "");
    const silent = plane.explain.explainRoute(cidr).candidates.at(-1)?.host ?? "";

    cluster.node(silent).instance.hung = true;
    await clock.runFor(60_000);
    const found = plane.explain.explainRoute(cidr).candidates.find(({ host }) => host === silent);

    expect([found?.verdict, found?.rank]).toEqual(["no", 0]);
    expect(found?.reason).toBe("is down: only a node that answers probes takes over");
    await plane.stop();
  });

  it("says which route carries a finer or a wider one, and that it touches nothing outside its networks", async () => {
    const { plane } = await steadyRegion();
    const [wanted] = plane.routes.routes().routes;
    const explain = (text: string) => plane.explain.explainRoute(parseCidr(text));
    const inner = `${wanted?.destination.split("/")[0]}/28`;

    expect([explain(inner).kind, explain(inner).related]).toEqual(["covered", [wanted?.destination]]);
    expect(explain("100.96.0.0/11").kind).toBe("split");
    expect(explain("100.127.255.0/24").kind).toBe("unwanted");
    expect(explain("203.0.113.0/24").kind).toBe("outside");
    await plane.stop();
  });

  it("shows a write that fails, with its next try", async () => {
    const { plane, cluster, clock } = await steadyRegion();
    const routes = plane.routes.routes();
    const cidr = parseCidr(routes.routes[0]?.destination ?? "");
    const [first, second] = [...cluster.region.routeTables.values()].filter(({ id }) =>
      routes.tables.some((table) => table.id === id),
    );
    cluster.ec2.deny("CreateRoute");
    cluster.region.deleteRoute(first?.id ?? "", cidr);

    await clock.runUntilTrue(
      () => plane.explain.explainRoute(cidr).tables.some(({ failure }) => failure !== null),
      120_000,
    );
    const { tables, notes } = plane.explain.explainRoute(cidr);
    const failed = tables.find(({ routeTableId }) => routeTableId === first?.id);

    expect([failed?.state, failed?.ownership, failed?.sync]).toEqual(["missing", "missing", "failed"]);
    expect(failed?.failure?.attempts).toBeGreaterThan(0);
    expect(notes[0]).toContain(`${first?.id}: the last write failed`);
    expect(tables.find(({ routeTableId }) => routeTableId === second?.id)?.sync).toBe("in-sync");
    await plane.stop();
  });

  it("shows a route that somebody else wrote, and that packets take it", async () => {
    const { plane, cluster, clock } = await steadyRegion();
    const theirs = parseCidr("100.127.255.0/24");
    const ours = new Set([...cluster.nodes.values()].map(({ card }) => card.id));
    const stranger = [...cluster.region.interfaces.keys()].find((id) => !ours.has(id)) ?? "";
    const [{ id: tableId } = { id: "" }] = plane.routes.routes().tables;
    cluster.region.createRoute(tableId, theirs, { kind: "interface", id: stranger });
    await clock.runFor(60_000);

    const route = plane.explain.explainRoute(theirs);
    const ip = plane.explain.explainIp(parseIpv4("100.127.255.9"));
    const shown = route.tables.find(({ routeTableId }) => routeTableId === tableId);
    const step = ip.routes.find(({ routeTableId }) => routeTableId === tableId);

    expect([route.kind, shown?.ownership, shown?.target]).toEqual(["unwanted", "foreign", stranger]);
    expect(shown?.skipped).toMatch(/^foreign: /);
    expect(route.notes[0]).toContain("somebody else's route stands there");
    expect([step?.destination, step?.ownership, step?.gateway?.host, step?.standIn]).toEqual([
      theirs,
      "foreign",
      "",
      "",
    ]);
    await plane.stop();
  });
});
