/** Draws docs/images/failover.svg: what the planner decides for a small cluster, before and after a gateway falls silent. */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import type { CloudFacts } from "../src/core/cloud/facts.ts";
import type { HealthSnapshot, NodeHealthEntry } from "../src/core/health/view.ts";
import { networkOf, parseCidr, type Cidr } from "../src/core/net/cidr.ts";
import { parseIpv4 } from "../src/core/net/ipv4.ts";
import { planFailover } from "../src/core/routing/failover.ts";
import { planRoutes } from "../src/core/routing/plan-routes.ts";
import type { DesiredRoute, PlannerInput } from "../src/core/routing/route-plan.ts";
import { readTopology } from "../src/core/topology/read-topology.ts";

const ZONES = ["us-west-2a", "us-west-2b", "us-west-2c"] as const;
const NODES_PER_ZONE = 3;

interface Node {
  readonly name: string;
  readonly zone: number;
  readonly ip: string;
}

interface Scene {
  readonly title: string;
  readonly routes: readonly DesiredRoute[];
  readonly dead: string | undefined;
  readonly moved: ReadonlySet<Cidr>;
}

const nodes: readonly Node[] = ZONES.flatMap((_zone, zone) =>
  Array.from({ length: NODES_PER_ZONE }, (_, index) => ({
    name: `node-${zone * NODES_PER_ZONE + index + 1}`,
    zone,
    ip: `172.20.${zone * 32}.${index + 10}`,
  })),
);

/** The picture as text. The same text each time: the planner and everything it is asked about is deterministic. */
export function drawFailover(): string {
  const input = plannerInput();
  const plan = planRoutes(input);
  const victim = plan.desired[1];
  if (victim === undefined) {
    throw new TypeError("the planner wants fewer than two routes");
  }
  const failover = planFailover({
    desired: plan.desired,
    routeTableIds: plan.routeTableIds,
    gateways: plan.gateways,
    dead: victim.host,
    answered: new Set(nodes.map(({ name }) => name).filter((name) => name !== victim.host)),
    health: input.health,
  });
  const moves = new Map(failover.moves.map((move) => [move.destination, move]));
  const scenes: readonly Scene[] = [
    {
      title: "One route per group, in every route table",
      routes: plan.desired,
      dead: undefined,
      moved: new Set(),
    },
    {
      title: `${victim.host} falls silent: its route moves`,
      routes: plan.desired.map((route) => moves.get(route.destination) ?? route),
      dead: victim.host,
      moved: new Set(moves.keys()),
    },
  ];
  return svg(scenes);
}

function plannerInput(): PlannerInput {
  const { networks } = readTopology(
    {
      networks: [{ name: "pods", cidr: "100.96.0.0/11" }],
      topologies: [{ networks: ["pods"], map: ZONES.map((name) => ({ name })) }],
    },
    { reserved: [] },
  );
  const facts: CloudFacts = {
    vpcId: "vpc-1",
    region: "us-west-2",
    vpcCidrs: [parseCidr("172.20.0.0/16")],
    subnets: ZONES.map((zone, index) => ({
      id: `subnet-${index}`,
      zone,
      cidr: networkOf(`172.20.${index * 32}.0/19`),
    })),
    instances: nodes.map(({ name, zone, ip }) => ({
      id: `i-${name}`,
      state: "running",
      zone: ZONES[zone] ?? "",
      tags: {},
      interfaces: [
        {
          id: `eni-${name}`,
          subnetId: `subnet-${zone}`,
          addresses: [parseIpv4(ip)],
          sourceDestCheck: false,
        },
      ],
    })),
    routeTables: [{ id: "rtb-1", main: true, subnetIds: [], tags: {}, routes: [], routeCount: 0 }],
  };
  const up: NodeHealthEntry = { health: "up", last: "up", holdDownUntil: 0 };
  const health: HealthSnapshot = {
    blind: false,
    nodes: new Map(nodes.map(({ name }) => [name, up])),
    confirmed: () => true,
  };
  return {
    trees: networks.map(({ network, root }) => ({
      network: network.name,
      root,
      hostsOf: (leaf) => {
        const zone = root.children.findIndex(({ cidr }) => cidr === leaf);
        return nodes.filter((node) => node.zone === zone).map(({ name }) => name);
      },
      blocksOf: () => [],
    })),
    hosts: nodes.map(({ name, ip }) => ({ name, ip: parseIpv4(ip), standing: "ready" })),
    facts,
    health,
    owned: [],
    tables: { kind: "cluster" },
    quotaOf: () => 500,
    reserve: 25,
    ignore: [],
    sticky: true,
  };
}

const BLUE = "#1d4ed8";
const GREEN = "#15803d";
const RED = "#dc2626";
const PANEL = { width: 470, height: 350 };
const TABLE = { x: 14, y: 122, width: 178, row: 38 };
const ZONE = { x: 262, y: 52, width: 196, height: 90, gap: 8 };

function svg(scenes: readonly Scene[]): string {
  const width = PANEL.width * scenes.length;
  const panels = scenes.map((scene, index) => panel(scene, index * PANEL.width));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${PANEL.height}" width="${width}" height="${PANEL.height}" font-family="system-ui, sans-serif" font-size="13">`,
    `<title>Three groups of three nodes, one route each; when a gateway falls silent its route is replaced</title>`,
    `<defs>${head("kept", BLUE)}${head("moved", GREEN)}</defs>`,
    `<rect width="${width}" height="${PANEL.height}" fill="#ffffff"/>`,
    ...panels,
    `</svg>`,
    ``,
  ].join("\n");
}

function head(id: string, colour: string): string {
  return `<marker id="${id}" markerWidth="6" markerHeight="6" refX="5" refY="3" orient="auto"><path d="M0 0L6 3L0 6z" fill="${colour}"/></marker>`;
}

function panel(scene: Scene, x: number): string {
  const holders = new Map(scene.routes.map(({ host, destination }) => [host, scene.moved.has(destination)]));
  return [
    `<g transform="translate(${x} 0)">`,
    text(14, 28, scene.title, `font-size="15" font-weight="600" fill="#111827"`),
    ...ZONES.map((zone, index) => zoneBox(zone, index)),
    ...nodes.map((node) => nodeBox(node, scene.dead, holders)),
    tableBox(scene),
    ...scene.routes.map((route, index) => arrow(scene, route, index)),
    `</g>`,
  ].join("\n");
}

function zoneBox(zone: string, index: number): string {
  const y = ZONE.y + index * (ZONE.height + ZONE.gap);
  return [
    `<rect x="${ZONE.x}" y="${y}" width="${ZONE.width}" height="${ZONE.height}" rx="6" fill="#f3f4f6" stroke="#d1d5db"/>`,
    text(ZONE.x + 10, y + 20, zone, `fill="#374151"`),
  ].join("\n");
}

function nodeAt(node: Node): { readonly x: number; readonly y: number } {
  const index = nodes.filter(({ zone }) => zone === node.zone).indexOf(node);
  return { x: ZONE.x + 10 + index * 60, y: ZONE.y + node.zone * (ZONE.height + ZONE.gap) + 32 };
}

function nodeBox(node: Node, dead: string | undefined, holders: ReadonlyMap<string, boolean>): string {
  const { x, y } = nodeAt(node);
  const moved = holders.get(node.name);
  const [fill, ink] =
    node.name === dead
      ? [RED, "#ffffff"]
      : moved === undefined
        ? ["#ffffff", "#374151"]
        : moved
          ? [GREEN, "#ffffff"]
          : [BLUE, "#ffffff"];
  const word = node.name === dead ? "silent" : moved === undefined ? "" : "gateway";
  return [
    `<rect x="${x}" y="${y}" width="56" height="40" rx="4" fill="${fill}" stroke="#9ca3af"/>`,
    text(x + 28, y + (word === "" ? 25 : 17), node.name, `text-anchor="middle" font-size="12" fill="${ink}"`),
    ...(word === "" ? [] : [text(x + 28, y + 32, word, `text-anchor="middle" font-size="10" fill="${ink}"`)]),
  ].join("\n");
}

function tableBox(scene: Scene): string {
  const height = TABLE.row * scene.routes.length;
  return [
    text(TABLE.x, TABLE.y - 10, "VPC route table", `fill="#374151"`),
    `<rect x="${TABLE.x}" y="${TABLE.y}" width="${TABLE.width}" height="${height}" rx="6" fill="#ffffff" stroke="#6b7280"/>`,
    ...scene.routes.map(({ destination, host }, index) => {
      const colour = scene.moved.has(destination) ? GREEN : "#111827";
      return text(
        TABLE.x + 10,
        TABLE.y + index * TABLE.row + 24,
        `${destination} → ${host}`,
        `font-size="12" fill="${colour}"`,
      );
    }),
  ].join("\n");
}

function arrow(scene: Scene, { destination, host }: DesiredRoute, index: number): string {
  const node = nodes.find(({ name }) => name === host);
  if (node === undefined) {
    throw new TypeError(`the planner chose ${host}, which is none of the nodes`);
  }
  const { x, y } = nodeAt(node);
  const fromX = TABLE.x + TABLE.width;
  const fromY = TABLE.y + index * TABLE.row + 20;
  const start = `M${fromX} ${fromY}C${fromX + 40} ${fromY}`;
  const lane = y + 51;
  const way =
    x === nodeAt(nodes[node.zone * NODES_PER_ZONE] ?? node).x
      ? `${start} ${x - 30} ${y + 20} ${x - 2} ${y + 20}`
      : // Around the nodes to the left of it, on the lane below them.
        `${start} ${ZONE.x - 24} ${lane} ${ZONE.x + 4} ${lane}L${x + 18} ${lane}Q${x + 28} ${lane} ${x + 28} ${y + 42}`;
  const [name, colour] = scene.moved.has(destination) ? ["moved", GREEN] : ["kept", BLUE];
  return `<path d="${way}" fill="none" stroke="${colour}" stroke-width="1.8" marker-end="url(#${name})"/>`;
}

function text(x: number, y: number, content: string, attributes: string): string {
  return `<text x="${x}" y="${y}" ${attributes}>${content}</text>`;
}

if (import.meta.main) {
  writeFileSync(fileURLToPath(new URL("../docs/images/failover.svg", import.meta.url)), drawFailover());
}
