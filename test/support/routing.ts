import type {
  ActualRoute,
  CloudFacts,
  CloudInstance,
  CloudRouteTable,
  InstanceState,
} from "../../src/core/cloud/facts.ts";
import type { HealthSnapshot, NodeHealth } from "../../src/core/health/view.ts";
import { formatCidr, parseCidr, rangeOf, type Cidr } from "../../src/core/net/cidr.ts";
import { formatIpv4, ipv4Value, parseIpv4 } from "../../src/core/net/ipv4.ts";
import type { RoutingTree } from "../../src/core/routing/aggregate.ts";
import type { OwnedRoute, PlannerInput, RouteOperation } from "../../src/core/routing/route-plan.ts";
import type { Group } from "../../src/core/topology/topology.ts";

/** A cluster in short: `nodes` as "n1@subnet-a" (host n1, interface eni-n1), groups as "10.0.0.0/17": ["n1", "n2"]. */
export interface ClusterSketch {
  readonly groups: Readonly<Record<string, readonly string[]>>;
  readonly nodes: readonly string[];
  /** Route tables with routes as "10.0.0.0/17 eni-n1" ("blackhole" may follow). */
  readonly tables?: Readonly<Record<string, readonly string[]>>;
  readonly owned?: "all" | "none" | readonly string[];
  readonly down?: readonly string[];
  readonly health?: Readonly<Record<string, NodeHealth>>;
  readonly blind?: boolean;
  /** Up, but has not answered since the dead one was found down. */
  readonly unconfirmed?: readonly string[];
  readonly states?: Readonly<Record<string, InstanceState>>;
  readonly standing?: Readonly<Record<string, "ready" | "not-ready" | "leaving">>;
  readonly blocks?: Readonly<Record<string, readonly string[]>>;
  readonly root?: string;
  readonly overrides?: Partial<PlannerInput>;
}

/** A planner's input from a sketch; every node is up unless the sketch says otherwise. */
export function cluster(sketch: ClusterSketch): PlannerInput {
  const nodes = sketch.nodes.map((text, index) => {
    const [name = "", subnetId = "subnet-a"] = text.split("@");
    return { name, subnetId, ip: formatIpv4(ipv4Value(parseIpv4("172.31.0.1")) + index) };
  });
  const facts: CloudFacts = {
    vpcId: "vpc-1",
    region: "us-west-2",
    vpcCidrs: [parseCidr("172.31.0.0/16")],
    subnets: [...new Set(nodes.map(({ subnetId }) => subnetId))].map((id) => ({
      id,
      zone: id.replace("subnet-", "zone-"),
      cidr: parseCidr("172.31.0.0/20"),
    })),
    instances: nodes.map(({ name, subnetId, ip }): CloudInstance => ({
      id: `i-${name}`,
      state: sketch.states?.[name] ?? "running",
      zone: subnetId.replace("subnet-", "zone-"),
      tags: {},
      interfaces: [{ id: `eni-${name}`, subnetId, addresses: [ip], sourceDestCheck: false }],
    })),
    routeTables: Object.entries(sketch.tables ?? { "rtb-1": [] }).map(([id, routes], index) =>
      table(id, routes, index === 0),
    ),
  };
  const owned: readonly OwnedRoute[] =
    sketch.owned === "none"
      ? []
      : facts.routeTables.flatMap((each) =>
          each.routes
            .filter(
              ({ target, destination }) =>
                target.kind !== "local" &&
                (sketch.owned === undefined || sketch.owned === "all" || sketch.owned.includes(destination)),
            )
            .map(({ destination, target }) => ({
              routeTableId: each.id,
              destination,
              target: target.kind === "local" ? "" : target.id,
            })),
        );
  const health: HealthSnapshot = {
    blind: sketch.blind ?? false,
    confirmed: (standIn) => !(sketch.unconfirmed ?? []).includes(standIn),
    nodes: new Map(
      nodes.map(({ name }) => {
        const state = sketch.health?.[name] ?? (sketch.down?.includes(name) === true ? "down" : "up");
        const last = state === "suspect" || state === "unmeasured" ? "up" : state;
        return [name, { health: state, last, holdDownUntil: 0 }] as const;
      }),
    ),
  };
  return {
    trees: [tree(sketch)],
    hosts: nodes.map(({ name, ip }) => ({ name, ip, standing: sketch.standing?.[name] ?? "ready" })),
    facts,
    health,
    owned,
    tables: { kind: "cluster" },
    quotaOf: () => 500,
    reserve: 2,
    ignore: [],
    sticky: true,
    ...sketch.overrides,
  };
}

/** The sketch's groups under one root; groups that share a /16 within a /8 root become children of a parent when `root` is given. */
function tree(sketch: ClusterSketch): RoutingTree {
  const leaves = Object.keys(sketch.groups).map((cidr) => group(parseCidr(cidr), []));
  const root = parseCidr(sketch.root ?? "100.96.0.0/11");
  return {
    network: "pods",
    root: nest(root, leaves),
    hostsOf: (leaf) => sketch.groups[leaf] ?? [],
    blocksOf: (host, leaf) =>
      (sketch.blocks?.[host] ?? []).map(parseCidr).filter((block) => inside(leaf, block)),
  };
}

/** Parents are the /16 of their leaves. */
function nest(root: Cidr, leaves: readonly Group[]): Group {
  const parents = new Map<Cidr, Group[]>();
  for (const leaf of leaves) {
    const parent = formatCidr(rangeOf(leaf.cidr).first, Math.min(16, rangeOf(leaf.cidr).length));
    parents.set(parent, [...(parents.get(parent) ?? []), leaf]);
  }
  return group(
    root,
    [...parents].map(([cidr, children]) =>
      children.length === 1 && children[0]?.cidr === cidr ? children[0] : group(cidr, children),
    ),
  );
}

function group(cidr: Cidr, children: readonly Group[]): Group {
  return { network: "pods", name: cidr, cidr, kind: "group", assignment: {}, routing: "", children };
}

function inside(outer: Cidr, inner: Cidr): boolean {
  const a = rangeOf(outer);
  const b = rangeOf(inner);
  return b.first >= a.first && b.first + b.size <= a.first + a.size;
}

function table(id: string, routes: readonly string[], main: boolean): CloudRouteTable {
  const parsed = routes.map((text): ActualRoute => {
    const [destination = "", target = "", state] = text.split(" ");
    return {
      destination: parseCidr(destination),
      target: target.startsWith("eni-") ? { kind: "interface", id: target } : { kind: "other", id: target },
      state: state === "blackhole" ? "blackhole" : "active",
    };
  });
  return {
    id,
    main,
    subnetIds: [],
    tags: {},
    routes: [
      { destination: parseCidr("172.31.0.0/16"), target: { kind: "local" }, state: "active" },
      ...parsed,
    ],
    routeCount: parsed.length,
  };
}

/** One line per operation, the way a person would say it. */
export function show(operation: RouteOperation): string {
  const place = operation.routeTableId === "rtb-1" ? "" : ` in ${operation.routeTableId}`;
  return operation.kind === "delete"
    ? `delete ${operation.destination}${place}`
    : `${operation.kind} ${operation.destination} via ${operation.target}${place}`;
}

/** The facts after these operations, as EC2 would report them. */
export function applied(facts: CloudFacts, operations: readonly RouteOperation[]): CloudFacts {
  return {
    ...facts,
    routeTables: facts.routeTables.map((each) => {
      const routes = new Map(each.routes.map((route) => [route.destination, route]));
      for (const operation of operations.filter(({ routeTableId }) => routeTableId === each.id)) {
        if (operation.kind === "delete") {
          routes.delete(operation.destination);
        } else {
          routes.set(operation.destination, {
            destination: operation.destination,
            target: { kind: "interface", id: operation.target },
            state: "active",
          });
        }
      }
      const list = [...routes.values()];
      return {
        ...each,
        routes: list,
        routeCount: list.filter(({ target }) => target.kind !== "local").length,
      };
    }),
  };
}
