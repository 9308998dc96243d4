import type { NetworkLayout } from "../ipam/view.ts";
import { compareCidr, containsCidr, overlaps, type Cidr } from "../net/cidr.ts";
import { bestOf } from "../routing/choose-gateway.ts";
import type { Gateway } from "../routing/gateway.ts";
import type { DesiredRoute, SkippedRoute } from "../routing/route-plan.ts";
import type { Group } from "../topology/topology.ts";
import { leavesOf } from "../topology/walk-groups.ts";
import type { CandidateView, RouteExplanation, TableRoute } from "./explain-views.ts";
import { granularity } from "./plan-view.ts";
import { gatewayView, plannedTables, standInsFor, syncOf, type RouteFacts } from "./route-facts.ts";

/** A large group has thousands of nodes; so many are shown. */
const MAX_CANDIDATES = 50;
/** At most so many related routes are shown. */
const MAX_RELATED = 100;

/** What a route is explained from. */
export interface RouteInput {
  readonly cidr: Cidr;
  readonly layout: readonly NetworkLayout[];
  /** Absent without a cloud, and before its first look. */
  readonly routes: RouteFacts | undefined;
}

/** Says who wants a route, how it stands in each table, who could be its gateway, and why not the others. */
export function explainRoute({ cidr, layout, routes }: RouteInput): RouteExplanation {
  const network = layout.find((each) => overlaps(each.network.cidr, cidr));
  const desired = routes?.desired.find(({ destination }) => destination === cidr);
  const related = (routes?.desired ?? [])
    .map(({ destination }) => destination)
    .filter((destination) => destination !== cidr && overlaps(destination, cidr))
    .toSorted(compareCidr)
    .slice(0, MAX_RELATED);
  const refused = (routes?.plan.skipped ?? []).filter(
    (each) => each.routeTableId === "" && each.destination === cidr,
  );
  const kind = kindOf(cidr, network, desired, related, refused);
  const tables =
    routes === undefined
      ? []
      : plannedTables(routes).map((table) => tableRoute(routes, table, cidr, desired));
  const explained = {
    cidr,
    kind,
    network: desired?.network ?? network?.network.name ?? null,
    group: desired?.group ?? null,
    level: desired?.level ?? null,
    gateway: desired?.host ?? null,
    choice: desired?.choice ?? null,
    granularity: routes === undefined ? "no routes are known here" : granularity(routes.plan),
    related,
    readAt: routes?.readAt ?? null,
    tables,
    candidates: routes === undefined || desired === undefined ? [] : candidatesOf(routes, desired, network),
  };
  return {
    ...explained,
    summary: summaryOf(explained, refused),
    notes: notesOf(explained, routes),
  };
}

function kindOf(
  cidr: Cidr,
  network: NetworkLayout | undefined,
  desired: DesiredRoute | undefined,
  related: readonly Cidr[],
  refused: readonly SkippedRoute[],
): RouteExplanation["kind"] {
  if (desired !== undefined) {
    return "wanted";
  }
  if (refused.length > 0) {
    return "refused";
  }
  if (related.some((other) => containsCidr(other, cidr))) {
    return "covered";
  }
  if (related.length > 0) {
    return "split";
  }
  return network === undefined ? "outside" : "unwanted";
}

function tableRoute(
  routes: RouteFacts,
  table: RouteFacts["facts"]["routeTables"][number],
  cidr: Cidr,
  desired: DesiredRoute | undefined,
): TableRoute {
  const actual = table.routes.find(({ destination }) => destination === cidr);
  const recorded = routes.recordOf(table.id, cidr);
  const target = actual?.target;
  return {
    routeTableId: table.id,
    main: table.main,
    routeCount: table.routeCount,
    quota: routes.quotaOf(table.id),
    state: actual?.state ?? "missing",
    ownership: actual === undefined ? "missing" : recorded === undefined ? "foreign" : "ours",
    sync: syncOf(routes, table.id, desired, actual),
    target: target === undefined ? "" : target.kind === "local" ? "local" : target.id,
    gateway: target?.kind === "interface" ? gatewayView(routes, target.id) : null,
    recorded: recorded ?? "",
    failure: routes.failureOf(table.id, cidr) ?? null,
    skipped: routes.plan.skipped
      .filter((each) => each.routeTableId === table.id && each.destination === cidr)
      .map(({ reason, message }) => `${reason}: ${message}`)
      .join("; "),
  };
}

/** The hosts of the group: the gateway, those who could take over in the order in which they would, and why not the others. */
function candidatesOf(
  routes: RouteFacts,
  desired: DesiredRoute,
  network: NetworkLayout | undefined,
): readonly CandidateView[] {
  const load = new Map<string, number>();
  for (const { host } of routes.desired) {
    load.set(host, (load.get(host) ?? 0) + 1);
  }
  const eligible = new Set(desired.candidates);
  const members = new Set([...eligible, ...membersOf(network, desired.destination)]);
  const ranked = rankedStandIns(routes, desired, load);
  const views = [...members].map((host): CandidateView => {
    const gateway = routes.plan.gateways.get(host);
    const view =
      gateway === undefined
        ? {
            host,
            interfaceId: "",
            instanceId: "",
            zone: "",
            subnetId: "",
            health: "unknown" as const,
            standing: "" as const,
          }
        : gatewayView(routes, gateway.interfaceId);
    const carried = load.get(host) ?? 0;
    if (host === desired.host) {
      return { ...view, host, routes: carried, rank: 0, verdict: "gateway", reason: chosenBecause(desired) };
    }
    const rank = ranked.indexOf(host) + 1;
    return rank > 0
      ? {
          ...view,
          host,
          routes: carried,
          rank,
          verdict: "stand-in",
          reason: `answers probes and carries ${carried} of the plan's routes`,
        }
      : {
          ...view,
          host,
          routes: carried,
          rank: 0,
          verdict: "no",
          reason: whyNot(routes, host, gateway, desired, eligible),
        };
  });
  const order = (view: CandidateView): number =>
    view.verdict === "gateway" ? -1 : view.rank > 0 ? view.rank : Number.MAX_SAFE_INTEGER;
  return views.toSorted((a, b) => order(a) - order(b) || (a.host < b.host ? -1 : 1)).slice(0, MAX_CANDIDATES);
}

/** The first is whom a failover takes; the others would follow if it died as well. */
function rankedStandIns(
  routes: RouteFacts,
  desired: DesiredRoute,
  load: ReadonlyMap<string, number>,
): readonly string[] {
  const { health, plan } = routes;
  const first = standInsFor(routes, desired.host).get(desired.destination);
  if (first === undefined) {
    return [];
  }
  const ranked = [first];
  const open = desired.candidates.flatMap((host): readonly Gateway[] => {
    const gateway = plan.gateways.get(host);
    const fit =
      gateway !== undefined &&
      host !== desired.host &&
      host !== first &&
      health.nodes.get(host)?.health === "up" &&
      (gateway.standing === "ready" || gateway.standing === "not-ready");
    return fit ? [gateway] : [];
  });
  const context = { health, loadOf: (host: string) => load.get(host) ?? 0 };
  while (open.length > 0 && ranked.length < MAX_CANDIDATES) {
    const best = bestOf(desired.destination, open, context);
    if (best === undefined) {
      break;
    }
    ranked.push(best.host);
    open.splice(open.indexOf(best), 1);
  }
  return ranked;
}

function membersOf(network: NetworkLayout | undefined, cidr: Cidr): readonly string[] {
  if (network === undefined) {
    return [];
  }
  return leavesUnder(network.root, cidr).flatMap(({ cidr: leaf }) =>
    network.hostsOf(leaf).map(({ name }) => name),
  );
}

function leavesUnder(root: Group, cidr: Cidr): readonly Group[] {
  return leavesOf(root).filter((leaf) => containsCidr(cidr, leaf.cidr));
}

function chosenBecause({ choice }: DesiredRoute): string {
  switch (choice) {
    case "kept":
      return "is the gateway: it serves the route and nothing speaks against it, so it stays";
    case "chosen":
      return "is the gateway: of those who may be, it ranks first by health, then by fewest routes, then by hash";
    case "stays":
      return "is the gateway, is down, and stays: nobody can take over";
  }
}

function whyNot(
  { health }: RouteFacts,
  host: string,
  gateway: Gateway | undefined,
  desired: DesiredRoute,
  eligible: ReadonlySet<string>,
): string {
  if (gateway === undefined) {
    return "no running instance of the VPC owns its address";
  }
  if (!eligible.has(host)) {
    return `stands in ${gateway.subnetId}, another subnet than the gateway's: a next hop has to be in one subnet with those behind it`;
  }
  if (gateway.standing === "gone") {
    return "EC2 says that its instance does not run";
  }
  if (gateway.standing === "leaving") {
    return "leaves: it is cordoned, draining or shutting down";
  }
  if (health.blind) {
    return "nobody answers our probes, so nobody is known to be able";
  }
  const state = health.nodes.get(host)?.health ?? "unknown";
  return state === "up"
    ? `ranks behind those shown, for ${desired.destination}`
    : `is ${state}: only a node that answers probes takes over`;
}

type Explained = Omit<RouteExplanation, "summary" | "notes">;

function summaryOf(
  { cidr, kind, network, group, level, gateway, related, tables }: Explained,
  refused: readonly SkippedRoute[],
): string {
  const inSync = tables.filter(({ sync }) => sync === "in-sync").length;
  switch (kind) {
    case "wanted": {
      const what = level === "block" ? "a block in" : level === "parent" ? "all groups below" : "group";
      return `${cidr} is wanted for ${what} ${group} of network "${network}", gateway ${gateway}; ${inSync} of ${tables.length} tables have it so`;
    }
    case "refused":
      return `${cidr} is wanted and cannot be had: ${refused.map(({ message }) => message).join("; ")}`;
    case "covered":
      return `${cidr} has no route of its own: ${related.filter((each) => containsCidr(each, cidr)).join(", ")} carries its traffic`;
    case "split":
      return `${cidr} has no route of its own: ${related.length} finer routes carry its traffic`;
    case "unwanted":
      return `${cidr} is in network "${network}", and no group with hosts wants a route for it`;
    case "outside":
      return `${cidr} is in no network of ours: no route for it is ever written or changed`;
  }
}

function notesOf({ tables, candidates, kind }: Explained, routes: RouteFacts | undefined): readonly string[] {
  const notes: string[] = [];
  if (routes === undefined) {
    return ["No route table was read: there is no cloud, or no pass was made yet"];
  }
  for (const { routeTableId, failure, ownership, sync } of tables) {
    if (failure !== null) {
      const tries = failure.attempts === 1 ? "1 try" : `${failure.attempts} tries`;
      const next =
        failure.retrySeconds === 0
          ? "it is tried again in the next pass"
          : `next try in ${failure.retrySeconds} s`;
      notes.push(`${routeTableId}: the last write failed (${tries}): ${failure.message}; ${next}`);
    }
    if (ownership === "foreign" && kind !== "outside") {
      notes.push(
        sync === "in-sync"
          ? `${routeTableId}: the route is not on record yet; it leads where it should and is adopted in the next pass`
          : `${routeTableId}: somebody else's route stands there; it is never changed: remove it, or leave the range to it`,
      );
    }
  }
  if (kind === "wanted" && candidates.every(({ verdict }) => verdict !== "stand-in")) {
    notes.push("Nobody can take over: should the gateway die, the route stays and leads nowhere");
  }
  return notes;
}
