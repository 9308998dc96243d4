import type { ActualRoute, CloudFacts, CloudRouteTable } from "../cloud/facts.ts";
import { compareCidr, containsCidr, overlaps, type Cidr } from "../net/cidr.ts";
import { aggregate, type Aggregation, type Prefix } from "./aggregate.ts";
import { chooseGateway, isDead } from "./choose-gateway.ts";
import { groupByInterface, joinGateways, type Gateway } from "./gateway.ts";
import { isInsideVpc, listedPrefixes, subnetsOf } from "./listed-prefixes.ts";
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
 *     yes       any other target           no         skipped, foreign; never touched, but for a listed destination with takeOver: replace
 *     yes       anything                   any        skipped, ignored, when inside --ignore-routes
 *     no        something                  yes        delete, after what takes over its traffic stands; one that is listed and has no gateway stays
 *     no        nothing                    yes        forget
 *     no        something in a network     no         skipped, foreign
 *     no        anything else              no         nothing
 *
 * Deterministic: the order of hosts, facts and records does not matter. Linear in hosts, groups and routes; what changed costs a choice
 * among the candidates of its prefix.
 */
export function planRoutes(input: PlannerInput): RoutePlan {
  const gateways = joinGateways(input.hosts, input.facts);
  const listed = input.listed ?? [];
  const tables = selectTables(
    input.facts,
    input.tables,
    new Set([
      ...[...gateways.values()].map(({ subnetId }) => subnetId),
      ...(input.listed === undefined ? [] : subnetsOf(input.hosts, input.facts)),
    ]),
  );
  const byInterface = groupByInterface(gateways.values());
  const owned = indexOwned(input.owned);
  const networks = input.trees.map(({ root }) => root.cidr);
  const current = currentInterfaces(tables, owned, byInterface);
  const budget = routeBudget(input, tables, owned, byInterface, networks);
  const aggregation =
    input.listed === undefined
      ? aggregate(
          input.trees,
          gateways,
          budget,
          (destination) => byInterface.get(current.get(destination) ?? "")?.[0]?.subnetId,
        )
      : listedPrefixes(listed, gateways, budget, (destination) => current.has(destination));
  const { desired, skipped, alarms } = assign(input, aggregation, current);

  const served = new Set(desired.map(({ destination }) => destination));
  const unserved = new Set(
    listed
      .filter(({ hosts, destination }) => hosts.length > 0 && !served.has(destination))
      .map(({ destination }) => destination),
  );
  const uncovered =
    input.listed === undefined
      ? [
          ...aggregation.refused.map(({ destination }) => destination),
          ...skipped.map((each) => each.destination),
        ].filter((destination) => !desired.some((route) => overlaps(route.destination, destination)))
      : [];
  const operations: RouteOperation[] = [];
  const adopt: OwnedRoute[] = [];
  const forget: OwnedRoute[] = [];
  const shared = {
    desired,
    uncovered,
    unserved,
    takeOver: input.takeOver ?? false,
    isListed: input.listed !== undefined,
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
    isListed: input.listed !== undefined,
  };
}

/** Chooses a gateway for every prefix, those that stay first, so that the load they carry counts when the others are chosen. */
function assign(
  input: PlannerInput,
  aggregation: Aggregation,
  current: ReadonlyMap<Cidr, string>,
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
  /** Of several candidates on the interface that serves it now, one that is not dead. */
  const holderOf = (prefix: Prefix): string | undefined => {
    const interfaceId = current.get(prefix.destination);
    const holders = prefix.candidates.filter((candidate) => candidate.interfaceId === interfaceId);
    return (holders.find((candidate) => !isDead(candidate, input.health)) ?? holders[0])?.host;
  };
  const open: Prefix[] = [];
  for (const prefix of aggregation.prefixes) {
    const holder = input.sticky ? holderOf(prefix) : undefined;
    const refusal = refusalOf(prefix, input.facts);
    if (refusal !== undefined) {
      skipped.push({
        routeTableId: "",
        destination: prefix.destination,
        reason: "inside-vpc",
        message: refusal,
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
    const holder = holderOf(prefix);
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
          message:
            prefix.level === "listed"
              ? `${holder ?? ""} is down and no other address listed for ${subject} can take over: its route stays`
              : `${holder ?? ""} is down and group ${prefix.group} has no healthy node to take over ${subject}: its route stays`,
        });
      } else {
        const message =
          prefix.level === "listed"
            ? `no address listed for ${subject} can be its gateway (${hosts}): none answers`
            : `no node of group ${prefix.group} can be the gateway of ${subject} (${hosts}): none answers`;
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

/** Why EC2 would refuse a route for this prefix, if it would. */
function refusalOf({ destination, level, network }: Prefix, facts: CloudFacts): string | undefined {
  if (level === "listed") {
    return isInsideVpc(destination, facts)
      ? `${destination} lies inside a CIDR of ${facts.vpcId} and is no subnet's: EC2 refuses such routes; take it off the list`
      : undefined;
  }
  return facts.vpcCidrs.some((cidr) => overlaps(cidr, destination))
    ? `${destination} overlaps a CIDR of ${facts.vpcId}: EC2 refuses such routes; give the network "${network}" another CIDR`
    : undefined;
}

/**
 * What a destination leads to now: the interface that most of the tables lead it to (that of the lower name on a tie), else the one that our record names. Only
 * routes that are ours or that lead to one of our nodes count.
 */
function currentInterfaces(
  tables: readonly CloudRouteTable[],
  owned: ReadonlyMap<string, ReadonlyMap<Cidr, string>>,
  byInterface: ReadonlyMap<string, readonly Gateway[]>,
): ReadonlyMap<Cidr, string> {
  const votes = new Map<Cidr, Map<Gateway, number>>();
  const vote = (destination: Cidr, gateways: readonly Gateway[] | undefined, weight: number) => {
    const gateway = gateways?.[0];
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
      return [destination, (first as [Gateway, number])[0].interfaceId] as const;
    }),
  );
}

/** Routes that fit into the fullest table: its quota less what is not ours there less the reserve; 0 or more. */
function routeBudget(
  input: PlannerInput,
  tables: readonly CloudRouteTable[],
  owned: ReadonlyMap<string, ReadonlyMap<Cidr, string>>,
  byInterface: ReadonlyMap<string, readonly Gateway[]>,
  networks: readonly Cidr[],
): number {
  const listed = new Set(input.listed?.map(({ destination }) => destination));
  let budget = Number.MAX_SAFE_INTEGER;
  for (const table of tables) {
    const records = owned.get(table.id);
    const ours = table.routes.filter(
      (route) =>
        records?.has(route.destination) === true ||
        (listed.has(route.destination) && (input.takeOver === true || leadsToNode(route, byInterface))) ||
        (leadsToNode(route, byInterface) &&
          networks.some((network) => containsCidr(network, route.destination))),
    ).length;
    budget = Math.min(budget, input.quotaOf(table.id) - (table.routeCount - ours) - input.reserve);
  }
  return Math.max(0, budget);
}

function leadsToNode(route: ActualRoute, byInterface: ReadonlyMap<string, readonly Gateway[]>): boolean {
  return route.target.kind === "interface" && byInterface.has(route.target.id);
}

/** Records of tables that are no longer selected: the route goes if the table still stands, else the record. */
function leaveOtherTables(
  input: PlannerInput,
  planned: ReadonlySet<string>,
  operations: RouteOperation[],
  forget: OwnedRoute[],
): void {
  const listed =
    input.listed &&
    new Set(input.listed.flatMap(({ hosts, destination }) => (hosts.length > 0 ? destination : [])));
  const others = new Map(input.facts.routeTables.map((table) => [table.id, table]));
  const records = input.owned.filter(({ routeTableId }) => !planned.has(routeTableId)).toSorted(byPlace);
  for (const record of records) {
    if (!input.ignore.some((cidr) => containsCidr(cidr, record.destination))) {
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
          isUnlisted: listed !== undefined && !listed.has(record.destination),
          reason:
            input.listed === undefined
              ? "the table is no longer one of the cluster's"
              : "the table's subnets hold no listed address any more",
        });
      } else {
        forget.push(record);
      }
    }
  }
}

function byPlace(a: OwnedRoute, b: OwnedRoute): number {
  return a.routeTableId === b.routeTableId
    ? compareCidr(a.destination, b.destination)
    : a.routeTableId < b.routeTableId
      ? -1
      : 1;
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
