import { performance } from "node:perf_hooks";

import type { CloudFacts, CloudInstance, CloudRouteTable } from "../src/core/cloud/facts.ts";
import { formatCidr, parseCidr, rangeOf, type Cidr } from "../src/core/net/cidr.ts";
import { formatIpv4 } from "../src/core/net/ipv4.ts";
import type { RoutingTree } from "../src/core/routing/aggregate.ts";
import { planRoutes } from "../src/core/routing/plan-routes.ts";
import type { OwnedRoute, PlannerInput } from "../src/core/routing/route-plan.ts";
import type { Group } from "../src/core/topology/topology.ts";
import { bar, summarize, type BenchRow } from "./bench-row.ts";

const NODES = 5000;
const ZONES = 6;
const GROUPS_PER_ZONE = 8;
const TABLES = 60;
const RUNS = 60;

/** The planner alone on parsed facts: 5,000 nodes, 48 groups, 60 tables; nothing stands yet, nothing to do, one gateway is down. */
export async function bench(): Promise<BenchRow[]> {
  const empty = cluster();
  const plan = planRoutes(empty);
  const converged = afterApplying(empty, plan.desired);
  const [first] = plan.desired;
  const changed: PlannerInput = {
    ...converged,
    health: {
      blind: false,
      confirmed: () => true,
      nodes: new Map(converged.health.nodes).set(first?.host ?? "", {
        health: "down",
        last: "down",
        holdDownUntil: 0,
      }),
    },
  };
  return [
    measure("plan-full", "plan from nothing", empty, TABLES * 48, 20),
    measure("plan-idle", "plan with nothing to do", converged, 0, 10),
    measure("plan-change", "plan after one gateway went down", changed, TABLES, 10),
  ];
}

function measure(
  id: string,
  name: string,
  input: PlannerInput,
  operations: number,
  limitMs: number,
): BenchRow {
  const times: number[] = [];
  for (let run = 0; run < RUNS + 5; run += 1) {
    const started = performance.now();
    const plan = planRoutes(input);
    const took = performance.now() - started;
    if (plan.operations.length !== operations) {
      throw new Error(`${id}: expected ${operations} operations, the planner made ${plan.operations.length}`);
    }
    if (run >= 5) {
      times.push(took);
    }
  }
  const { median, p99 } = summarize(times);
  return {
    id,
    name: `${name}: 5,000 nodes, 48 groups, 60 tables (p99 ${p99.toFixed(1)} ms)`,
    ...bar(median, "ms", limitMs, "at most"),
    peer: "none: no peer plans",
    peerFigure: "",
  };
}

function cluster(): PlannerInput {
  const root = parseCidr("100.96.0.0/11");
  const zones: Group[] = [];
  const hostsOf = new Map<Cidr, string[]>();
  for (let zone = 0; zone < ZONES; zone += 1) {
    const cidr = formatCidr(rangeOf(root).first + zone * 2 ** 18, 14);
    const leaves = Array.from({ length: GROUPS_PER_ZONE }, (_, index) => {
      const leaf = formatCidr(rangeOf(cidr).first + index * 2 ** 15, 17);
      hostsOf.set(leaf, []);
      return group(leaf, []);
    });
    zones.push(group(cidr, leaves));
  }
  const leaves = [...hostsOf.keys()];
  const instances: CloudInstance[] = [];
  const hosts = Array.from({ length: NODES }, (_, index) => {
    const leaf = leaves[index % leaves.length] as Cidr;
    const zone = Math.floor((index % leaves.length) / GROUPS_PER_ZONE);
    const name = `node-${index}`;
    const ip = formatIpv4(0x0a_00_00_00 + index + 256);
    hostsOf.get(leaf)?.push(name);
    instances.push({
      id: `i-${index}`,
      state: "running",
      zone: `zone-${zone}`,
      tags: {},
      interfaces: [
        { id: `eni-${index}`, subnetId: `subnet-${zone}`, addresses: [ip], sourceDestCheck: false },
      ],
    });
    return { name, ip, standing: "ready" as const };
  });
  const facts: CloudFacts = {
    vpcId: "vpc-1",
    region: "us-east-1",
    vpcCidrs: [parseCidr("10.0.0.0/16")],
    instances,
    subnets: [],
    routeTables: Array.from({ length: TABLES }, (_, index): CloudRouteTable => ({
      id: `rtb-${index}`,
      main: index === 0,
      subnetIds: [],
      tags: {},
      routes: [{ destination: parseCidr("10.0.0.0/16"), target: { kind: "local" }, state: "active" }],
      routeCount: 0,
    })),
  };
  const tree: RoutingTree = {
    network: "pods",
    root: group(root, zones),
    hostsOf: (leaf) => hostsOf.get(leaf) ?? [],
    blocksOf: () => [],
  };
  return {
    trees: [tree],
    hosts,
    facts,
    health: {
      blind: false,
      confirmed: () => true,
      nodes: new Map(
        hosts.map(({ name }) => [name, { health: "up", last: "up", holdDownUntil: 0 }] as const),
      ),
    },
    owned: [],
    tables: { kind: "vpc" },
    quotaOf: () => 500,
    reserve: 25,
    ignore: [],
    sticky: true,
  };
}

function afterApplying(
  input: PlannerInput,
  desired: readonly { destination: Cidr; target: string }[],
): PlannerInput {
  const owned: OwnedRoute[] = [];
  const routeTables = input.facts.routeTables.map((table) => {
    for (const { destination, target } of desired) {
      owned.push({ routeTableId: table.id, destination, target });
    }
    const routes = desired.map(({ destination, target }) => ({
      destination,
      target: { kind: "interface" as const, id: target },
      state: "active" as const,
    }));
    return { ...table, routes: [...table.routes, ...routes], routeCount: routes.length };
  });
  return { ...input, facts: { ...input.facts, routeTables }, owned };
}

function group(cidr: Cidr, children: readonly Group[]): Group {
  return { network: "pods", name: cidr, cidr, kind: "group", assignment: {}, routing: "", children };
}
