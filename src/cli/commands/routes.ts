import { InvalidArgumentError, Option, type Command } from "commander";

import { NetworkError } from "../../core/errors.ts";
import { containsCidr, parseCidr, rangeOf } from "../../core/net/cidr.ts";
import type { NodeHealthView, PlanView, RouteView } from "../../core/views/route-views.ts";
import { examples } from "../examples.ts";
import { withValues } from "../known-values.ts";
import type { OpenSession, Session } from "../session.ts";
import type { Column } from "../table.ts";
import { watchList, watchOption } from "../watch-list.ts";

type Paint = (text: string) => string;

/** `romana plan`, `route`, `routes`, `health`, `rebalance`. */
export function routeCommands(program: Command, open: OpenSession): void {
  examples(program.command("plan").description("show what a pass would do now, without doing it"), [
    ["romana plan", "operations, and what is left alone and why"],
    ["romana plan -o json", "the same for programs"],
  ]).action(async (_options, command: Command) => {
    const session = await open(command);
    await showPlan(session, await session.client.plan());
  });

  examples(
    program.command("routes").description("show the routes that lead to the groups, in every route table"),
    [
      ["romana routes", "state of each"],
      ["romana routes -o wide", "with what stands in the way"],
    ],
  ).action(async (_options, command: Command) => {
    await showRoutes(await open(command));
  });

  const route = program.command("route").description("routes of the VPC that lead to the groups");

  examples(
    route
      .command("list")
      .alias("ls")
      .option("--table <id>", "only routes of this route table")
      .option("--host <name>", "only routes that lead through this host")
      .addOption(
        withValues(
          new Option("--state <state>", `only routes in this state: ${routeStates.join(", ")}`),
          routeStates,
        ).argParser(parseState),
      )
      .addOption(watchOption())
      .description("list the routes that lead to the groups, in every route table"),
    [
      ["romana route list", "state of each"],
      ["romana route list --watch", "and then what changes, such as a failover"],
      ["romana route list --state failed -o wide", "what stands in the way"],
    ],
  ).action(async (filter: RouteFilter, command: Command) => {
    await showRoutes(await open(command), filter);
  });

  examples(
    route
      .command("show")
      .argument("<destination>", "the route's CIDR, or an address that it leads to")
      .description("show one route in every table, and what is known of its gateway"),
    [["romana route show 10.0.0.0/25", "where it leads, table by table"]],
  ).action(async (key: string, _options, command: Command) => {
    await showRoute(await open(command), key);
  });

  examples(program.command("health").description("show which nodes answer, and which routes they carry"), [
    ["romana health", "what the probes say"],
    ["romana health -o wide", "with the destinations that lead to each node"],
  ]).action(async (_options, command: Command) => {
    await showHealth(await open(command));
  });

  examples(
    program
      .command("rebalance")
      .option("-y, --yes", "do not ask")
      .description("spread the routes over all gateways again, back to recovered ones too"),
    [["romana rebalance", "asks first: each route that moves may lose packets for a moment"]],
  ).action(async ({ yes = false }: { readonly yes?: boolean }, command: Command) => {
    const session = await open(command);
    const question = "Routes that move may lose packets for a moment. Rebalance?";
    if (!yes && !(await session.terminal.confirm(question, session.signal))) {
      throw new NetworkError("conflict", "ROUTES_KEPT", "the routes were kept, as you said");
    }
    await showPlan(session, await session.client.rebalance());
  });
}

async function showPlan({ out, colours }: Session, plan: PlanView): Promise<void> {
  if (!out.forPeople) {
    await out.list({
      value: plan,
      rows: plan.operations,
      columns: [],
      name: ({ routeTableId, destination }) => `${routeTableId}/${destination}`,
      empty: "",
    });
    return;
  }
  const paint = { create: colours.green, replace: colours.yellow, delete: colours.red };
  if (plan.operations.length > 0) {
    out.table(
      [
        { header: "OPERATION", cell: ({ kind }) => paint[kind](kind) },
        { header: "DESTINATION", cell: ({ destination }) => destination },
        { header: "ROUTE TABLE", cell: ({ routeTableId }) => routeTableId },
        { header: "TARGET", cell: ({ target }) => target },
        { header: "HOST", cell: ({ host }) => host || "-" },
        { header: "WAS", cell: ({ previousTarget }) => previousTarget ?? "-", wide: true },
        { header: "REASON", cell: ({ reason }) => reason },
      ],
      plan.operations,
    );
    out.text("");
  }
  if (plan.sourceDestCheck.length > 0) {
    out.text("Source/Dest check to turn off:");
    out.table(
      [
        { header: "INTERFACE", cell: ({ interfaceId }) => interfaceId },
        { header: "HOST", cell: ({ host }) => host },
      ],
      plan.sourceDestCheck,
    );
    out.text("");
  }
  if (plan.skipped.length > 0) {
    out.text("Left alone:");
    out.table(
      [
        { header: "DESTINATION", cell: ({ destination }) => destination },
        { header: "ROUTE TABLE", cell: ({ routeTableId }) => routeTableId },
        { header: "REASON", cell: ({ reason }) => reason },
      ],
      plan.skipped,
    );
    out.text("");
  }
  for (const { kind, subject, message } of plan.alarms) {
    out.text(`${colours.red("Alarm")} ${kind} (${subject}): ${message}`);
  }
  out.text(summary(plan));
}

function summary({ operations, sourceDestCheck, granularity }: PlanView): string {
  const count = (kind: string): number => operations.filter((operation) => operation.kind === kind).length;
  if (operations.length + sourceDestCheck.length === 0) {
    return `Nothing to do. Granularity: ${granularity}.`;
  }
  return (
    `Plan: ${count("create")} to create, ${count("replace")} to replace, ${count("delete")} to delete, ` +
    `${sourceDestCheck.length} ${sourceDestCheck.length === 1 ? "check" : "checks"} to turn off. Granularity: ${granularity}.`
  );
}

const routeStates = ["active", "pending", "blackhole", "failed", "conflict"] as const;

interface RouteFilter {
  readonly table?: string;
  readonly host?: string;
  readonly state?: RouteView["state"];
  readonly watch?: boolean;
}

function parseState(text: string): RouteView["state"] {
  const state = routeStates.find((candidate) => candidate === text);
  if (state === undefined) {
    throw new InvalidArgumentError(`expected one of ${routeStates.join(", ")}`);
  }
  return state;
}

function painterOf(colours: Session["colours"]): Readonly<Record<RouteView["state"], Paint>> {
  return {
    active: colours.green,
    pending: colours.yellow,
    blackhole: colours.red,
    failed: colours.red,
    conflict: colours.red,
  };
}

function routeColumns(colours: Session["colours"]): readonly Column<RouteView>[] {
  const paint = painterOf(colours);
  return [
    { header: "DESTINATION", cell: ({ destination }) => destination },
    { header: "ROUTE TABLE", cell: ({ routeTableId }) => routeTableId },
    { header: "STATE", cell: ({ state }) => paint[state](state) },
    { header: "TARGET", cell: ({ target }) => target },
    { header: "HOST", cell: ({ host }) => host || "-" },
    { header: "NETWORK", cell: ({ network }) => network, wide: true },
    { header: "GROUP", cell: ({ group }) => group || "-", wide: true },
    { header: "MESSAGE", cell: ({ message }) => message ?? "-", wide: true },
  ];
}

async function showRoutes(session: Session, filter: RouteFilter = {}): Promise<void> {
  const { client, out, colours } = session;
  const matches = ({ routeTableId, host, state }: RouteView): boolean =>
    routeTableId === (filter.table ?? routeTableId) &&
    host === (filter.host ?? host) &&
    state === (filter.state ?? state);
  const name = ({ routeTableId, destination }: RouteView): string => `${routeTableId}/${destination}`;
  const columns = routeColumns(colours);
  if (filter.watch === true) {
    await watchList(session, { kind: "routes", columns, key: name, name, matches });
  }
  const all = await client.routes();
  const routes = all.routes.filter(matches);
  const status = { ...all, routes };
  await out.list({
    value: status,
    rows: routes,
    columns,
    name,
    empty: status.readAt === null ? "No pass was made yet." : "No routes: no group has a host.",
  });
  if (out.format === "wide" && status.tables.length > 0) {
    out.text("");
    out.table(
      [
        { header: "ROUTE TABLE", cell: ({ id }) => id },
        { header: "MAIN", cell: ({ main }) => (main ? "yes" : "no") },
        { header: "ROUTES", cell: ({ routeCount, quota }) => `${routeCount}/${quota}` },
        { header: "OURS", cell: ({ owned }) => owned },
      ],
      status.tables,
    );
  }
}

async function showRoute({ client, out, colours }: Session, key: string): Promise<void> {
  const wanted = parseCidr(key.includes("/") ? key : `${key}/32`);
  const [{ routes, skipped }, { nodes }] = await Promise.all([client.routes(), client.health()]);
  // A test for the longest prefix, as the VPC does it.
  const destination = routes
    .map((route) => parseCidr(route.destination))
    .filter((cidr) => cidr === wanted || (!key.includes("/") && containsCidr(cidr, wanted)))
    .toSorted((a, b) => rangeOf(b).length - rangeOf(a).length)[0];
  if (destination === undefined) {
    throw new NetworkError(
      "not-found",
      "ROUTE_UNKNOWN",
      `no route of ours leads to ${key}: "romana route list" shows those that there are`,
      { destination: key },
    );
  }
  const rows = routes
    .filter((route) => route.destination === destination)
    .map((route) => ({ ...route, gateway: nodes.find(({ host }) => host === route.host) ?? null }));
  const leftAlone = skipped.filter((route) => route.destination === destination);
  if (!out.forPeople) {
    await out.list({
      value: { destination, routes: rows, skipped: leftAlone },
      rows,
      columns: [],
      name: ({ routeTableId }) => `${routeTableId}/${destination}`,
      empty: "",
    });
    return;
  }
  const paint = painterOf(colours);
  out.text(`Destination: ${destination}`);
  out.text(`Network:     ${rows[0]?.network ?? "-"}`);
  out.text(`Group:       ${rows[0]?.group || "-"}\n`);
  out.table(
    [
      { header: "ROUTE TABLE", cell: ({ routeTableId }) => routeTableId },
      { header: "STATE", cell: ({ state }) => paint[state](state) },
      { header: "TARGET", cell: ({ target }) => target },
      { header: "HOST", cell: ({ host }) => host || "-" },
      { header: "HEALTH", cell: ({ gateway }) => gateway?.health ?? "-" },
      { header: "SRC/DST CHECK", cell: ({ gateway }) => gateway?.sourceDestCheck ?? "-" },
      { header: "MESSAGE", cell: ({ message }) => message ?? "-" },
    ],
    rows,
  );
  for (const { routeTableId, reason } of leftAlone) {
    out.text(`Left alone in ${routeTableId}: ${reason}`);
  }
}

async function showHealth({ client, out, terminal, colours }: Session): Promise<void> {
  const view = await client.health();
  const paint: Readonly<Record<NodeHealthView["health"], Paint>> = {
    up: colours.green,
    down: colours.red,
    suspect: colours.yellow,
    rising: colours.yellow,
    unmeasured: colours.yellow,
    unknown: colours.dim,
  };
  await out.list({
    value: view,
    rows: view.nodes,
    columns: [
      { header: "HOST", cell: ({ host }) => host },
      { header: "IP", cell: ({ ip }) => ip },
      { header: "HEALTH", cell: ({ health }) => paint[health](health) },
      { header: "LAST", cell: ({ last }) => last },
      { header: "HELD DOWN", cell: ({ holdDownSeconds: held }) => (held > 0 ? `${Math.ceil(held)}s` : "-") },
      { header: "ROUTES", cell: ({ gatewayOf }) => gatewayOf.length },
      { header: "SRC/DST CHECK", cell: ({ sourceDestCheck }) => sourceDestCheck },
      { header: "INSTANCE", cell: ({ instanceId }) => instanceId || "-", wide: true },
      { header: "INTERFACE", cell: ({ interfaceId }) => interfaceId || "-", wide: true },
      { header: "DESTINATIONS", cell: ({ gatewayOf }) => gatewayOf.join(",") || "-", wide: true },
    ],
    name: ({ host }) => `host/${host}`,
    empty: "No nodes are probed.",
  });
  if (view.blind && out.forPeople) {
    terminal.note(
      "Nobody answers us: that says nothing of the nodes, and no route moves until somebody does.",
    );
  }
}
