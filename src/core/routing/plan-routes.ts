import type { ActualRoute, CloudRouteTable } from "../cloud/facts.ts";
import { containsCidr, overlaps, type Cidr } from "../net/cidr.ts";
import { aggregate, type Aggregation, type Prefix } from "./aggregate.ts";
import { chooseGateway } from "./choose-gateway.ts";
import { joinGateways, type Gateway } from "./gateway.ts";
import { planTable } from "./plan-table.ts";
import type {
  DesiredRoute,
  OwnedRoute,
  PlannerInput,
  RouteAlarm,
  RouteOperation,
  RoutePlan,
  SkippedRoute,
} from "./route-plan.ts";
import { selectTables } from "./select-tables.ts";

/**
 * Plans one pass: which prefixes want a route, who is the gateway of each, and what has to change in every table. What happens to one destination
 * in one table:
 *
 *     desired   in the table               recorded   result
 *     -------   ------------------------   --------   ----------------------------------------------------------
 *     yes       nothing                    any        create (unless the table is full: skipped, table-full)
 *     yes       the desired target         yes        nothing, also as a blackhole: no other target is better
 *     yes       the desired target         no         adopt
 *     yes       another target             yes        replace: one call, no gap
 *     yes       another candidate's        no         adopt and replace
 *     yes       any other target           no         skipped, foreign; never touched
 *     yes       anything                   any        skipped, ignored, when inside --ignore-routes
 *     no        something                  yes        delete, after what takes over its traffic stands
 *     no        nothing                    yes        forget
 *     no        something in a network     no         skipped, foreign
 *     no        anything else              no         nothing
 *
 * Deterministic: the order of hosts, facts and records does not matter. Linear in hosts, groups and routes; what changed costs a choice
 * among the candidates of its prefix.
 */
export function planRoutes(input: PlannerInput): RoutePlan {
  const gateways = joinGateways(input.hosts, input.facts);
  const tables = selectTables(
    input.facts,
    input.tables,
    new Set([...gateways.values()].map(({ subnetId }) => subnetId)),
  );
  const byInterface = new Map([...gateways.values()].map((gateway) => [gateway.interfaceId, gateway]));
  const owned = indexOwned(input.owned);
  const networks = input.trees.map(({ root }) => root.cidr);
  const current = currentGateways(tables, owned, byInterface);
  const budget = routeBudget(input, tables, owned, byInterface, networks);
  const aggregation = aggregate(
    input.trees,
    gateways,
    budget,
    (destination) => current.get(destination)?.subnetId,
  );
  const { desired, skipped, alarms } = assign(input, aggregation, current);

  const uncovered = [
    ...aggregation.refused.map(({ destination }) => destination),
    ...skipped.map((each) => each.destination),
  ].filter((destination) => !desired.some((route) => overlaps(route.destination, destination)));
  const operations: RouteOperation[] = [];
  const adopt: OwnedRoute[] = [];
  const forget: OwnedRoute[] = [];
  const shared = {
    desired,
    uncovered,
    ignore: input.ignore,
    networks,
    byInterface,
    overlapping: memoizedOverlaps(desired.map(({ destination }) => destination)),
  };
  const planned = new Set(tables.map(({ id }) => id));
  for (const table of tables) {
    const result = planTable(table, owned.get(table.id) ?? new Map(), input.quotaOf(table.id), shared);
    operations.push(...result.operations);
    adopt.push(...result.adopt);
    forget.push(...result.forget);
    skipped.push(...result.skipped);
    alarms.push(...result.alarms);
  }
  leaveOtherTables(input, planned, operations, forget);

  if (tables.length === 0 && desired.length > 0) {
    alarms.push({
      kind: "no-table",
      subject: input.facts.vpcId,
      message: `no route table of ${input.facts.vpcId} is selected: check --route-tables and that nodes stand in its subnets`,
    });
  }
  if (input.health.blind) {
    alarms.push({
      kind: "blind",
      subject: "probes",
      message: "nobody answers our probes: no route is moved until somebody does",
    });
  }
  return {
    gateways,
    routeTableIds: tables.map(({ id }) => id),
    desired,
    operations,
    adopt,
    forget,
    skipped,
    alarms,
    budget,
    finest: aggregation.finest,
    blocksMatter: aggregation.blocksMatter,
    collapsed: aggregation.collapsed,
  };
}

/** Chooses a gateway for every prefix, those that stay first, so that the load they carry counts when the others are chosen. */
function assign(
  input: PlannerInput,
  aggregation: Aggregation,
  current: ReadonlyMap<Cidr, Gateway>,
): { desired: readonly DesiredRoute[]; skipped: SkippedRoute[]; alarms: RouteAlarm[] } {
  const load = new Map<string, number>();
  const context = { health: input.health, loadOf: (host: string) => load.get(host) ?? 0 };
  const chosen = new Map<Prefix, DesiredRoute>();
  const skipped: SkippedRoute[] = aggregation.refused.map(({ destination, reason, message }) => ({
    routeTableId: "",
    destination,
    reason,
    message,
  }));
  const alarms: RouteAlarm[] = aggregation.refused.map(({ destination, reason, message }) => ({
    kind: reason,
    subject: destination,
    message,
  }));
  const take = (prefix: Prefix, gateway: Gateway, choice: DesiredRoute["choice"]) => {
    load.set(gateway.host, (load.get(gateway.host) ?? 0) + 1);
    chosen.set(prefix, {
      destination: prefix.destination,
      network: prefix.network,
      group: prefix.group,
      level: prefix.level,
      host: gateway.host,
      target: gateway.interfaceId,
      candidates: prefix.candidates.map(({ host }) => host),
      choice,
    });
  };
  const open: Prefix[] = [];
  for (const prefix of aggregation.prefixes) {
    const holder = input.sticky ? current.get(prefix.destination)?.host : undefined;
    if (input.facts.vpcCidrs.some((cidr) => overlaps(cidr, prefix.destination))) {
      skipped.push({
        routeTableId: "",
        destination: prefix.destination,
        reason: "inside-vpc",
        message: `${prefix.destination} overlaps a CIDR of ${input.facts.vpcId}: EC2 refuses such routes; give the network "${prefix.network}" another CIDR`,
      });
      continue;
    }
    const choice = chooseGateway(prefix.destination, prefix.candidates, holder, context);
    if (choice.kind === "kept") {
      take(prefix, choice.gateway, "kept");
    } else {
      open.push(prefix);
    }
  }
  for (const prefix of open) {
    const holder = current.get(prefix.destination)?.host;
    const choice = chooseGateway(
      prefix.destination,
      prefix.candidates,
      input.sticky ? holder : undefined,
      context,
    );
    const kept = choice.kind === "none" ? prefix.candidates.find(({ host }) => host === holder) : undefined;
    if (choice.kind !== "none") {
      take(prefix, choice.gateway, choice.kind);
    } else if (kept !== undefined) {
      take(prefix, kept, "stays");
    }
    if (choice.kind === "stays" || choice.kind === "none") {
      const subject = prefix.destination;
      const hosts = prefix.candidates.map(({ host }) => host).join(", ");
      if (choice.kind === "stays" || kept !== undefined) {
        alarms.push({
          kind: "no-stand-in",
          subject,
          message: `${holder ?? ""} is down and group ${prefix.group} has no healthy node to take over ${subject}: its route stays`,
        });
      } else {
        const message = `no node of group ${prefix.group} can be the gateway of ${subject} (${hosts}): none answers`;
        skipped.push({ routeTableId: "", destination: subject, reason: "no-gateway", message });
        alarms.push({ kind: "no-gateway", subject, message });
      }
    }
  }
  return {
    desired: aggregation.prefixes.flatMap((prefix) => chosen.get(prefix) ?? []),
    skipped,
    alarms,
  };
}

/**
 * Who serves a destination now: the gateway that most of the tables lead it to (the lower name on a tie), else the one that our record names. Only routes that are
 * ours or that lead to one of our nodes count.
 */
function currentGateways(
  tables: readonly CloudRouteTable[],
  owned: ReadonlyMap<string, ReadonlyMap<Cidr, string>>,
  byInterface: ReadonlyMap<string, Gateway>,
): ReadonlyMap<Cidr, Gateway> {
  const votes = new Map<Cidr, Map<Gateway, number>>();
  const vote = (destination: Cidr, gateway: Gateway | undefined, weight: number) => {
    if (gateway !== undefined) {
      const known = votes.get(destination) ?? new Map<Gateway, number>();
      known.set(gateway, (known.get(gateway) ?? 0) + weight);
      votes.set(destination, known);
    }
  };
  for (const table of tables) {
    for (const route of table.routes) {
      if (route.target.kind === "interface") {
        vote(route.destination, byInterface.get(route.target.id), 1);
      }
    }
    // A record weighs less than any standing route: it decides only where no table has one.
    for (const [destination, target] of owned.get(table.id) ?? []) {
      vote(destination, byInterface.get(target), 1e-6);
    }
  }
  return new Map(
    [...votes].map(([destination, known]) => {
      const [first] = [...known].toSorted(([a, x], [b, y]) => y - x || (a.host < b.host ? -1 : 1));
      return [destination, (first as [Gateway, number])[0]] as const;
    }),
  );
}

/** Routes that fit into the fullest table: its quota less what is not ours there less the reserve; 0 or more. */
function routeBudget(
  input: PlannerInput,
  tables: readonly CloudRouteTable[],
  owned: ReadonlyMap<string, ReadonlyMap<Cidr, string>>,
  byInterface: ReadonlyMap<string, Gateway>,
  networks: readonly Cidr[],
): number {
  let budget = Number.MAX_SAFE_INTEGER;
  for (const table of tables) {
    const records = owned.get(table.id);
    const ours = table.routes.filter(
      (route) =>
        records?.has(route.destination) === true ||
        (leadsToNode(route, byInterface) &&
          networks.some((network) => containsCidr(network, route.destination))),
    ).length;
    budget = Math.min(budget, input.quotaOf(table.id) - (table.routeCount - ours) - input.reserve);
  }
  return Math.max(0, budget);
}

function leadsToNode(route: ActualRoute, byInterface: ReadonlyMap<string, Gateway>): boolean {
  return route.target.kind === "interface" && byInterface.has(route.target.id);
}

/** Records of tables that are no longer selected: the route goes if the table still stands, else the record. */
function leaveOtherTables(
  input: PlannerInput,
  planned: ReadonlySet<string>,
  operations: RouteOperation[],
  forget: OwnedRoute[],
): void {
  const others = new Map(input.facts.routeTables.map((table) => [table.id, table]));
  for (const record of input.owned) {
    if (
      !planned.has(record.routeTableId) &&
      !input.ignore.some((cidr) => containsCidr(cidr, record.destination))
    ) {
      const stands = others
        .get(record.routeTableId)
        ?.routes.some(({ destination }) => destination === record.destination);
      if (stands === true) {
        operations.push({
          kind: "delete",
          routeTableId: record.routeTableId,
          destination: record.destination,
          after: [],
          makesRoom: false,
          reason: "the table is no longer one of the cluster's",
        });
      } else {
        forget.push(record);
      }
    }
  }
}

function indexOwned(owned: readonly OwnedRoute[]): ReadonlyMap<string, ReadonlyMap<Cidr, string>> {
  const index = new Map<string, Map<Cidr, string>>();
  for (const { routeTableId, destination, target } of owned) {
    const table = index.get(routeTableId) ?? new Map<Cidr, string>();
    table.set(destination, target);
    index.set(routeTableId, table);
  }
  return index;
}

/** Which of these destinations overlap another one; the same question comes once per table. */
function memoizedOverlaps(destinations: readonly Cidr[]): (destination: Cidr) => readonly Cidr[] {
  const known = new Map<Cidr, readonly Cidr[]>();
  return (destination) => {
    const found = known.get(destination) ?? destinations.filter((each) => overlaps(each, destination));
    known.set(destination, found);
    return found;
  };
}
