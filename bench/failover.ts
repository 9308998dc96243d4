import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { DeleteRouteCommand, DescribeRouteTablesCommand } from "@aws-sdk/client-ec2";

import { awsTopology } from "../src/core/topology/aws-topology.ts";
import {
  LAB_REGION,
  MotoLab,
  until,
  type LabController,
  type LabInstance,
} from "../test/support/moto-lab.ts";
import { bar, summarize, type BenchRow } from "./bench-row.ts";

const VPC_ROUTER = "vpc-router (Romana 2.0)";
/**
 * Moto is one process: who reads it without a pause slows down the writes that are timed. A read of all tables takes it about 15 ms for 72 routes and 60 ms for
 * the 288 of eight networks, so the pause grows with them; what is read is up to a pause late.
 */
const READ_EVERY_MS = 25;
const ROUTES_PER_PAUSE = 72;
/** The controller's default, `--ec2-rate`. */
const TOKENS_PER_SECOND = 5;
/** Network n has 100.(64 + 4n).0.0/14. */
const FIRST_OCTET = 64;

interface Kill {
  readonly routes: number;
  /** From the node's silence to the last of its routes leading elsewhere, as an outside reader saw it. */
  readonly outageMs: number;
}

/**
 * A node falls silent at a random moment; an outside reader of moto says when the last of its routes leads elsewhere. Default settings, 24
 * instances, 12 groups of 2, two networks: 24 prefixes × 3 tables.
 */
export async function bench(ids: readonly string[]): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  if (ids.includes("failover-median") || ids.includes("failover-p99")) {
    const kills = await measure({ kills: 100, networks: 2, writeMs: 0 });
    const outage = summarize(kills.map(({ outageMs }) => outageMs / 1000));
    const name = `node silent to last route replaced, ${outage.count} kills, ${routesOf(kills)}, ${spread(outage)}`;
    rows.push(
      {
        id: "failover-median",
        name,
        ...bar(outage.median, "s", 0.8, "at most"),
        peer: VPC_ROUTER,
        peerFigure: "3.1 s by default, 2.05 s at its fastest",
      },
      {
        id: "failover-p99",
        name: "the same, 99th percentile",
        ...bar(outage.p99, "s", 1, "at most"),
        peer: VPC_ROUTER,
        peerFigure: "3.1 s by default, 2.05 s at its fastest",
      },
    );
  }
  if (ids.includes("failover-latency")) {
    const kills = await measure({ kills: 25, networks: 8, writeMs: 50, routes: 24 });
    const outage = summarize(kills.map(({ outageMs }) => outageMs / 1000));
    rows.push({
      id: "failover-latency",
      name: `the same with 50 ms per write, p99 of ${outage.count} kills, ${routesOf(kills)}, ${spread(outage)}`,
      ...bar(outage.p99, "s", 1.5, "at most"),
      peer: "",
      peerFigure: "",
    });
  }
  if (ids.includes("failover-bulk")) {
    const kills = await measureBulk(20, 100);
    const outage = summarize(kills.map(({ outageMs }) => outageMs / 1000));
    rows.push({
      id: "failover-bulk",
      name: `a node fails while 180 creates of 100 ms are queued, p99 of ${outage.count} kills, ${routesOf(kills)}, ${spread(outage)}`,
      ...bar(outage.p99, "s", 1.5, "at most"),
      peer: VPC_ROUTER,
      peerFigure: "20.3 s",
    });
  }
  return rows;
}

function spread({ min, median, max }: ReturnType<typeof summarize>): string {
  return `min ${min.toFixed(2)}, median ${median.toFixed(2)}, max ${max.toFixed(2)} s`;
}

function routesOf(kills: readonly Kill[]): string {
  const counts = summarize(kills.map(({ routes }) => routes));
  return counts.min === counts.max
    ? `${counts.min} routes each`
    : `${counts.min} to ${counts.max} routes each`;
}

interface Setting {
  readonly kills: number;
  /** Networks that share the topology; the nodes of a group of two hold all of their prefixes between them. */
  readonly networks: number;
  readonly writeMs: number;
  /** Kill only who holds this many routes. */
  readonly routes?: number;
}

const BASE_FLAGS = [
  "--store=memory",
  "--host-tag=role=node",
  "--cluster=lab",
  "--hold-down=1s",
  "--hold-down-max=1s",
];

async function withLab<T>(
  networks: number,
  work: (lab: MotoLab, flags: readonly string[]) => Promise<T>,
): Promise<T> {
  const lab = await MotoLab.start({ zones: 3, instancesPerZone: 8, traits: NO_TRAITS });
  try {
    const topology = join(lab.folder, "topology.json");
    writeFileSync(topology, JSON.stringify(topologyOf(networks)));
    return await work(lab, [...BASE_FLAGS, `--topology=${topology}`]);
  } finally {
    await lab.close();
  }
}

async function measure(setting: Setting): Promise<readonly Kill[]> {
  return await withLab(setting.networks, async (lab, flags) => {
    await writeRoutes(lab, flags, setting.networks);
    const controller = await lab.controller(...flags);
    await converged(controller, setting.networks);
    await healthy(controller);
    delayWrites(lab, setting.writeMs);
    const pauseMs = (READ_EVERY_MS * setting.networks * 12 * 3) / ROUTES_PER_PAUSE;
    const kills: Kill[] = [];
    // The first kills gather a group's routes on one node.
    for (let round = 0; kills.length < setting.kills && round < setting.kills + 30; round += 1) {
      await fullBucket(lab);
      const outcome = await kill(
        lab,
        await victim(lab, controller, () => true, setting.routes),
        () => true,
        pauseMs,
      );
      if (setting.routes === undefined || outcome.routes === setting.routes) {
        kills.push(outcome);
      }
      await healthy(controller);
    }
    return kills;
  });
}

/**
 * Each round: the routes of five of seven networks are taken away by hand, a new controller finds 180 creates to make, and a gateway dies while they are
 * queued. What counts are its routes of the two networks that stand.
 */
async function measureBulk(kills: number, writeMs: number): Promise<readonly Kill[]> {
  const networks = 7;
  return await withLab(networks, async (lab, flags) => {
    await writeRoutes(lab, flags, networks);
    const standing = (destination: string) => Number(destination.split(".")[1]) < FIRST_OCTET + 8;
    const outcomes: Kill[] = [];
    for (let round = 0; round < kills; round += 1) {
      delayWrites(lab, 0);
      for (const table of lab.tables) {
        const gone = [...(await lab.routes(table)).keys()].filter((destination) => !standing(destination));
        await Promise.all(
          gone.map((DestinationCidrBlock) =>
            lab.hand.send(new DeleteRouteCommand({ RouteTableId: table, DestinationCidrBlock })),
          ),
        );
      }
      delayWrites(lab, writeMs);
      const before = lab.proxy.counts()["CreateRoute"] ?? 0;
      const controller = lab.launch(...flags);
      await until(
        "creates are being sent",
        () => (lab.proxy.counts()["CreateRoute"] ?? 0) >= before + 8,
        30_000,
        5,
      );
      outcomes.push(await kill(lab, await victim(lab, controller, standing), standing));
      await controller.stop();
    }
    return outcomes;
  });
}

/** Brings all routes in place quickly; the controller that is measured then adopts them and has its buckets full. */
async function writeRoutes(lab: MotoLab, flags: readonly string[], networks: number): Promise<void> {
  const first = await lab.controller(...flags, "--ec2-rate=1000", "--ec2-burst=1000");
  await converged(first, networks);
  await first.stop();
}

/** Waits until the controller's bucket for ReplaceRoute is full again: failovers do not come every few seconds. */
async function fullBucket(lab: MotoLab): Promise<void> {
  await until(
    "the bucket is full",
    () => {
      const recent = lab.proxy
        .calls("ReplaceRoute")
        .filter(({ startedMs }) => performance.now() - startedMs < 10_000);
      const oldest = recent[0]?.startedMs ?? -Infinity;
      return performance.now() - oldest > (recent.length / TOKENS_PER_SECOND) * 1000;
    },
    20_000,
    50,
  );
}

function delayWrites(lab: MotoLab, delayMs: number): void {
  for (const action of ["CreateRoute", "ReplaceRoute", "DeleteRoute"]) {
    lab.proxy.delay(action, delayMs);
  }
}

/** What the proxy would add by asking moto before each write is time that EC2 does not take. */
const NO_TRAITS = {
  duplicateRoutes: false,
  routesInsideVpc: false,
  severalInterfaces: false,
  blackholes: false,
};

async function kill(
  lab: MotoLab,
  node: LabInstance,
  counts: (destination: string) => boolean,
  pauseMs = READ_EVERY_MS,
): Promise<Kill> {
  // Any phase of the 200 ms between two probes.
  await sleep(Math.random() * 200);
  const routes = await countOf(lab, node, counts);
  lab.silence(node.address);
  const silentAt = performance.now();
  await until(
    "its routes lead elsewhere",
    async () => (await countOf(lab, node, counts)) === 0,
    30_000,
    pauseMs,
  );
  const outageMs = performance.now() - silentAt;
  lab.heal();
  if (routes === 0) {
    throw new Error(`${node.name} held no route when it fell silent`);
  }
  return { routes, outageMs };
}

/** A gateway of a destination that counts, at random: of those with the most prefixes when a number of routes is asked for. */
async function victim(
  lab: MotoLab,
  controller: LabController,
  counts: (destination: string) => boolean,
  routes?: number,
): Promise<LabInstance> {
  const { nodes } = await controller.client.health();
  const most = Math.max(...nodes.map(({ gatewayOf }) => gatewayOf.length));
  const holders = nodes.filter(
    ({ gatewayOf }) => gatewayOf.some(counts) && gatewayOf.length >= (routes === undefined ? 1 : most),
  );
  const chosen = holders[Math.floor(Math.random() * holders.length)];
  const node = lab.instances.find(({ name }) => name === chosen?.host);
  if (node === undefined) {
    throw new Error("no node holds a route");
  }
  return node;
}

async function converged(controller: LabController, networks: number): Promise<void> {
  await until(
    "all routes stand",
    async () => {
      const { routes } = await controller.client.status();
      return routes.desired === 12 * networks * 3 && routes.active === routes.desired;
    },
    120_000,
    100,
  );
}

async function healthy(controller: LabController): Promise<void> {
  await until(
    "every node is up",
    async () => {
      const { nodes } = await controller.client.health();
      return nodes.length > 0 && nodes.every(({ health }) => health === "up");
    },
    60_000,
    50,
  );
}

/** Routes in all tables that lead to a node. */
async function countOf(
  lab: MotoLab,
  node: LabInstance,
  counts: (destination: string) => boolean,
): Promise<number> {
  const { RouteTables } = await lab.hand.send(new DescribeRouteTablesCommand({ RouteTableIds: lab.tables }));
  return (RouteTables ?? [])
    .flatMap(({ Routes }) => Routes ?? [])
    .filter(
      ({ NetworkInterfaceId, DestinationCidrBlock }) =>
        NetworkInterfaceId === node.interfaceId && counts(DestinationCidrBlock ?? ""),
    ).length;
}

/** 12 groups over three zones; `networks` ranges that all map to them. */
function topologyOf(networks: number): unknown {
  const document = awsTopology({ region: LAB_REGION, zones: ["a", "b", "c"], groupsPerZone: 4 }) as {
    readonly topologies: readonly { readonly map: unknown }[];
  };
  const names = Array.from({ length: networks }, (_, index) => `net-${index + 1}`);
  return {
    networks: names.map((name, index) => ({
      name,
      cidr: `100.${FIRST_OCTET + index * 4}.0.0/14`,
      block_mask: 29,
    })),
    topologies: [{ networks: names, map: document.topologies[0]?.map }],
  };
}
