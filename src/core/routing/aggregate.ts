import { compareCidr, type Cidr } from "../net/cidr.ts";
import type { Group } from "../topology/topology.ts";
import type { Gateway } from "./gateway.ts";

/** One network's carved tree with the hosts in its leaves and the blocks that they hold there. */
export interface RoutingTree {
  readonly network: string;
  readonly root: Group;
  readonly hostsOf: (leaf: Cidr) => readonly string[];
  readonly blocksOf: (host: string, leaf: Cidr) => readonly Cidr[];
}

/**
 * A destination that wants a route, and who can be its gateway: all candidates stand in one subnet, because a gateway hands packets on to the
 * hosts beside it and cannot reach those of another subnet except through the VPC, whose route would lead back to it.
 *
 * `level`: `group` a leaf group, `parent` a whole subtree, `block` one host's block that its group's gateway cannot reach, `listed` one whose
 * gateways somebody listed: those stand anywhere, and hand packets on by themselves.
 */
export interface Prefix {
  readonly destination: Cidr;
  readonly network: string;
  readonly group: string;
  readonly level: "group" | "parent" | "block" | "listed";
  readonly subnetId: string;
  /** Sorted by host name. */
  readonly candidates: readonly Gateway[];
}

export interface RefusedPrefix {
  readonly destination: Cidr;
  readonly network: string;
  readonly reason: "over-budget" | "no-interface";
  readonly message: string;
}

export interface Aggregation {
  /** Sorted by destination, the wider first. */
  readonly prefixes: readonly Prefix[];
  readonly refused: readonly RefusedPrefix[];
  /** Prefixes that the finest plan would have had. */
  readonly finest: number;
  /** A leaf group has hosts in several subnets: then routes depend on who holds which block, not on the groups alone. */
  readonly blocksMatter: boolean;
  /** Subtrees that became one route, as `network cidr`. Empty in the finest plan. */
  readonly collapsed: readonly string[];
}

interface Node {
  readonly tree: RoutingTree;
  readonly group: Group;
  readonly path: string;
  readonly depth: number;
  readonly children: readonly Node[];
  /** The gateways below, by subnet. Of an inner node it is put together when it is asked for: the finest plan never asks. */
  readonly bySubnet: () => ReadonlyMap<string, readonly Gateway[]>;
  readonly hostCount: number;
}

/**
 * Cuts the trees into the finest set of prefixes that fits into `budget` routes: leaf groups first, which spread the load over as many
 * gateways as there are groups; where that is too many, whole subtrees from the deepest and smallest up, each only if it saves routes.
 *
 * A group whose hosts stand in several subnets gets one route for the subnet that `currentSubnet` names (the one that serves it now) or that has
 * most hosts; what stands elsewhere gets routes of its own, for whole leaf groups where that is possible, else for its blocks.
 *
 * Linear in hosts and groups; sorting adds a logarithm over the groups.
 */
export function aggregate(
  trees: readonly RoutingTree[],
  gateways: ReadonlyMap<string, Gateway>,
  budget: number,
  currentSubnet: (destination: Cidr) => string | undefined,
): Aggregation {
  const refused: RefusedPrefix[] = [];
  const nodes: Node[] = [];
  const roots = trees.map((tree) => summarize(tree, tree.root, tree.network, 0, gateways, nodes, refused));
  const collapsedNodes = new Set<Node>();
  const parents = new Map(nodes.flatMap((node) => node.children.map((child) => [child, node] as const)));
  const ownCosts = new Map<Node, number>();
  const ownCost = (node: Node): number => {
    const known = ownCosts.get(node) ?? collapse(node, currentSubnet).length;
    ownCosts.set(node, known);
    return known;
  };
  // Children stand before their parents in `nodes`.
  const cost = new Map<Node, number>();
  const costOf = (node: Node) => cost.get(node) ?? 0;
  for (const node of nodes) {
    if (node.children.length > 0) {
      cost.set(
        node,
        node.children.reduce((sum, child) => sum + costOf(child), 0),
      );
    } else {
      cost.set(node, node.hostCount === 0 ? 0 : ownCost(node));
    }
  }

  const finest = roots.reduce((sum, root) => sum + costOf(root), 0);
  let needed = finest;
  if (needed > budget) {
    for (const node of nodes
      .filter((each) => each.children.length > 0 && each.hostCount > 0)
      .toSorted(deepestFirst)) {
      const saved = costOf(node) - ownCost(node);
      if (saved > 0) {
        collapsedNodes.add(node);
        for (let each: Node | undefined = node; each !== undefined; each = parents.get(each)) {
          cost.set(each, costOf(each) - saved);
        }
        needed -= saved;
        if (needed <= budget) {
          break;
        }
      }
    }
  }

  const units = roots.flatMap((root) => cut(root, collapsedNodes));
  const prefixes: Prefix[] = [];
  for (const unit of units.toSorted((a, b) => standsFirst(a, b, currentSubnet))) {
    const routes = collapse(unit, currentSubnet);
    if (prefixes.length + routes.length <= budget) {
      prefixes.push(...routes);
    } else {
      refused.push({
        destination: unit.group.cidr,
        network: unit.tree.network,
        reason: "over-budget",
        message: `the coarsest plan needs ${needed} routes, ${Math.max(budget, 0)} fit: raise the quota of the fullest route table or remove routes from it`,
      });
    }
  }
  return {
    prefixes: prefixes.toSorted((a, b) => compareCidr(a.destination, b.destination)),
    refused: refused.toSorted((a, b) => compareCidr(a.destination, b.destination)),
    finest,
    blocksMatter: nodes.some((node) => node.children.length === 0 && node.bySubnet().size > 1),
    collapsed: [...collapsedNodes]
      .filter((node) => units.includes(node))
      .map((node) => `${node.tree.network} ${node.group.cidr}`)
      .toSorted(),
  };
}

/** Builds the summary of a subtree; every node is appended to `nodes`, hosts without an interface to `refused`. */
function summarize(
  tree: RoutingTree,
  group: Group,
  path: string,
  depth: number,
  gateways: ReadonlyMap<string, Gateway>,
  nodes: Node[],
  refused: RefusedPrefix[],
): Node {
  const children = group.children.map((child, index) =>
    summarize(
      tree,
      child,
      `${path}/${child.name === "" ? index : child.name}`,
      depth + 1,
      gateways,
      nodes,
      refused,
    ),
  );
  if (children.length > 0) {
    const hostCount = children.reduce((sum, child) => sum + child.hostCount, 0);
    const node = { tree, group, path, depth, children, bySubnet: once(() => union(children)), hostCount };
    nodes.push(node);
    return node;
  }
  const bySubnet = new Map<string, Gateway[]>();
  const missing: string[] = [];
  let hostCount = 0;
  for (const host of tree.hostsOf(group.cidr)) {
    const gateway = gateways.get(host);
    if (gateway === undefined) {
      missing.push(host);
    } else {
      hostCount += 1;
      append(bySubnet, gateway.subnetId, [gateway]);
    }
  }
  if (missing.length > 0) {
    refused.push(withoutInterface(tree, group, path, missing));
  }
  const node = { tree, group, path, depth, children, bySubnet: () => bySubnet, hostCount };
  nodes.push(node);
  return node;
}

function union(children: readonly Node[]): ReadonlyMap<string, readonly Gateway[]> {
  const bySubnet = new Map<string, Gateway[]>();
  for (const child of children) {
    for (const [subnetId, members] of child.bySubnet()) {
      append(bySubnet, subnetId, members);
    }
  }
  return bySubnet;
}

function append(bySubnet: Map<string, Gateway[]>, subnetId: string, members: readonly Gateway[]): void {
  const known = bySubnet.get(subnetId);
  if (known === undefined) {
    bySubnet.set(subnetId, [...members]);
  } else {
    members.forEach((member) => known.push(member));
  }
}

function once<T>(compute: () => T): () => T {
  let known: { readonly value: T } | undefined;
  return () => (known ??= { value: compute() }).value;
}

function withoutInterface(
  tree: RoutingTree,
  group: Group,
  path: string,
  hosts: readonly string[],
): RefusedPrefix {
  const shown = hosts.slice(0, 3).join(", ") + (hosts.length > 3 ? ` and ${hosts.length - 3} more` : "");
  return {
    destination: group.cidr,
    network: tree.network,
    reason: "no-interface",
    message: `no running instance of the VPC owns the address of ${shown} in group ${path}: no route can lead there`,
  };
}

/** The nodes at which the plan cuts the tree: each becomes one unit of routes. */
function cut(node: Node, collapsedNodes: ReadonlySet<Node>): readonly Node[] {
  if (node.hostCount === 0) {
    return [];
  }
  return node.children.length === 0 || collapsedNodes.has(node)
    ? [node]
    : node.children.flatMap((child) => cut(child, collapsedNodes));
}

/** The routes of a node that is one unit: its own prefix, and more specific ones for what its gateway cannot reach. */
function collapse(node: Node, currentSubnet: (destination: Cidr) => string | undefined): readonly Prefix[] {
  const main = mainSubnet(node, currentSubnet(node.group.cidr));
  const specific = exceptions(node, main, currentSubnet);
  // A leaf as small as one block: whoever holds that block needs the route.
  if (specific.some(({ destination }) => destination === node.group.cidr)) {
    return specific;
  }
  return [
    {
      destination: node.group.cidr,
      network: node.tree.network,
      group: node.path,
      level: node.children.length === 0 ? "group" : "parent",
      subnetId: main,
      candidates: (node.bySubnet().get(main) ?? []).toSorted(byHost),
    },
    ...specific,
  ];
}

function exceptions(
  node: Node,
  main: string,
  currentSubnet: (destination: Cidr) => string | undefined,
): readonly Prefix[] {
  if (node.bySubnet().size === 0 || (node.bySubnet().size === 1 && node.bySubnet().has(main))) {
    return [];
  }
  if (node.children.length > 0) {
    return node.children.flatMap((child) =>
      child.hostCount > 0 && !child.bySubnet().has(main)
        ? collapse(child, currentSubnet)
        : exceptions(child, main, currentSubnet),
    );
  }
  return [...node.bySubnet()]
    .filter(([subnetId]) => subnetId !== main)
    .flatMap(([subnetId, members]) =>
      members.flatMap((gateway) =>
        node.tree.blocksOf(gateway.host, node.group.cidr).map((block): Prefix => ({
          destination: block,
          network: node.tree.network,
          group: node.path,
          level: "block",
          subnetId,
          candidates: [gateway],
        })),
      ),
    );
}

function mainSubnet(node: Node, current: string | undefined): string {
  if (current !== undefined && node.bySubnet().has(current)) {
    return current;
  }
  let main = "";
  let most = 0;
  for (const [subnetId, members] of node.bySubnet()) {
    if (members.length > most || (members.length === most && subnetId < main)) {
      main = subnetId;
      most = members.length;
    }
  }
  return main;
}

function deepestFirst(a: Node, b: Node): number {
  return b.depth - a.depth || a.hostCount - b.hostCount || compareCidr(a.group.cidr, b.group.cidr);
}

/** What stands already comes first, so that a plan that does not fit gives up what was never there. */
function standsFirst(a: Node, b: Node, currentSubnet: (destination: Cidr) => string | undefined): number {
  const standsA = currentSubnet(a.group.cidr) === undefined ? 1 : 0;
  const standsB = currentSubnet(b.group.cidr) === undefined ? 1 : 0;
  return standsA - standsB || compareCidr(a.group.cidr, b.group.cidr);
}

function byHost(a: Gateway, b: Gateway): number {
  return a.host < b.host ? -1 : 1;
}
