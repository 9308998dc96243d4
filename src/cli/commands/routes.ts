import type { Command } from "commander";

import { NetworkError } from "../../core/errors.ts";
import type { NodeHealthView, PlanView, RouteView, StatusView } from "../../core/views/route-views.ts";
import { examples } from "../examples.ts";
import type { OpenSession, Session } from "../session.ts";

type Paint = (text: string) => string;

/** `romana plan`, `routes`, `health`, `status`, `rebalance`. */
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

  examples(program.command("health").description("show which nodes answer, and which routes they carry"), [
    ["romana health", "what the probes say"],
    ["romana health -o wide", "with the destinations that lead to each node"],
  ]).action(async (_options, command: Command) => {
    await showHealth(await open(command));
  });

  examples(program.command("status").description("show the controller at a glance"), [
    ["romana status", "leader, last pass, alarms"],
  ]).action(async (_options, command: Command) => {
    const { client, out, colours } = await open(command);
    const status = await client.status();
    if (out.forPeople) {
      out.text(statusText(status, colours.red));
    } else if (out.format === "name") {
      out.text("controller/romana");
    } else {
      await out.document(status);
    }
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
    `${sourceDestCheck.length} checks to turn off. Granularity: ${granularity}.`
  );
}

async function showRoutes({ client, out, colours }: Session): Promise<void> {
  const status = await client.routes();
  const paint: Readonly<Record<RouteView["state"], Paint>> = {
    active: colours.green,
    pending: colours.yellow,
    blackhole: colours.red,
    failed: colours.red,
    conflict: colours.red,
  };
  await out.list({
    value: status,
    rows: status.routes,
    columns: [
      { header: "DESTINATION", cell: ({ destination }) => destination },
      { header: "ROUTE TABLE", cell: ({ routeTableId }) => routeTableId },
      { header: "STATE", cell: ({ state }) => paint[state](state) },
      { header: "TARGET", cell: ({ target }) => target },
      { header: "HOST", cell: ({ host }) => host || "-" },
      { header: "NETWORK", cell: ({ network }) => network, wide: true },
      { header: "GROUP", cell: ({ group }) => group || "-", wide: true },
      { header: "MESSAGE", cell: ({ message }) => message ?? "-", wide: true },
    ],
    name: ({ routeTableId, destination }) => `${routeTableId}/${destination}`,
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

function statusText(status: StatusView, red: Paint): string {
  const { hosts, routes, lastPass } = status;
  const calls = Object.entries(status.cloudCalls).map(([action, count]) => `${action} ${count}`);
  const lines = [
    ["Version", status.version],
    ["Started", status.startedAt],
    ["Cloud", [status.cloud, status.region, status.vpcId].filter((part) => part !== null).join(" ")],
    ["Store", status.store],
    [
      "Role",
      `${status.leader ? "leader" : "standby"}${status.dryRun ? ", dry run: nothing is applied" : ""}`,
    ],
    ["Hosts", `${hosts.total} (${hosts.unplaced} unplaced, ${hosts.misplaced} misplaced)`],
    ["Routes", `${routes.active} of ${routes.desired} active`],
    ["Last pass", lastPass === null ? "none yet" : passText(lastPass, red)],
    ["Cloud calls", calls.join(", ") || "none"],
    ...status.alarms.map(({ kind, subject, message }) => [red("Alarm"), `${kind} (${subject}): ${message}`]),
  ] as const;
  return lines.map(([key, value]) => `${`${key}:`.padEnd(13)}${value}`).join("\n");
}

function passText(pass: NonNullable<StatusView["lastPass"]>, red: Paint): string {
  const { startedAt, durationMs, outcome, operations, failed, error } = pass;
  const text = `${startedAt}, ${durationMs} ms, ${operations} operations`;
  return outcome === "ok"
    ? text
    : `${text}, ${red(`${failed} failed`)}${error === undefined ? "" : `: ${error}`}`;
}
