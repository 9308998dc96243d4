import type { Command } from "commander";

import type { AddressRoute, IpExplanation, RouteExplanation } from "../../core/views/explain-views.ts";
import type { GatewayView } from "../../core/views/route-facts.ts";
import { examples } from "../examples.ts";
import { formatLabels } from "../labels.ts";
import type { OpenSession, Session } from "../session.ts";

/** `romana explain`. */
export function explainCommands(program: Command, open: OpenSession): void {
  const explain = program.command("explain").description("say why a packet goes where it goes");

  examples(
    explain
      .command("ip")
      .argument("<address>", "an IPv4 address: a pod's, a node's, any")
      .description("show what an address is, and how each route table leads there"),
    [
      ["romana explain ip 100.96.0.1", "network, groups, block, pod, host, routes, and who takes over"],
      ["romana explain ip 100.96.0.1 -o json", "the same for programs"],
    ],
  ).action(async (address: string, _options, command: Command) => {
    const session = await open(command);
    await show(session, await session.client.explainIp(address), "address", address, showIp);
  });

  examples(
    explain
      .command("route")
      .argument("<cidr>", "destination of a route, such as 100.96.0.0/15")
      .description("show who wants a route, how it stands in each table, and who could be its gateway"),
    [["romana explain route 100.96.0.0/15", "and why not the other nodes"]],
  ).action(async (cidr: string, _options, command: Command) => {
    const session = await open(command);
    await show(session, await session.client.explainRoute(cidr), "route", cidr, showRoute);
  });
}

async function show<T>(
  session: Session,
  value: T,
  kind: string,
  subject: string,
  forPeople: (session: Session, value: T) => void,
): Promise<void> {
  const { out } = session;
  if (out.forPeople) {
    forPeople(session, value);
  } else if (out.format === "name") {
    out.text(`${kind}/${subject}`);
  } else {
    await out.document(value);
  }
}

function showIp({ out, colours }: Session, ip: IpExplanation): void {
  const { network, groups, block, host } = ip;
  out.text(`${ip.summary}.`);
  out.text("");
  if (network !== null) {
    const tenants = network.tenants.length === 0 ? "any tenant" : `tenants ${network.tenants.join(", ")}`;
    out.text(line("Network", `${network.name} ${network.cidr}, for ${tenants}`));
  }
  for (const [depth, { name, cidr, kind }] of groups.entries()) {
    const branch = depth === 0 ? "" : `${"   ".repeat(depth - 1)}└─ `;
    out.text(
      line(
        depth === 0 ? "Groups" : "",
        `${branch}${name || "-"} ${cidr}${kind === "group" ? "" : ` (${kind})`}`,
      ),
    );
  }
  if (block !== null) {
    out.text(
      line(
        "Block",
        `${block.cidr} ${block.state}, ${block.inUse} of ${block.size} in use, revision ${block.revision}`,
      ),
    );
  }
  if (ip.blackout !== null) {
    out.text(line("Blackout", ip.blackout));
  }
  if (ip.tenant !== null) {
    out.text(line("Owner", `tenant ${quoted(ip.tenant)}, segment ${quoted(ip.segment ?? "")}`));
  }
  if (ip.holder !== null) {
    out.text(line("Name", ip.holder));
  }
  // An older controller does not say it.
  if (ip.pod) {
    const { namespace, name, uid, labels, phase } = ip.pod;
    out.text(line("Pod", `${namespace}/${name} ${uid}, ${phase === null ? "not known" : phase || "new"}`));
    if (labels !== null) {
      out.text(line("", formatLabels(labels)));
    }
  }
  if (host !== null) {
    const where =
      host.gateway === null
        ? ""
        : `, ${host.gateway.instanceId} in ${host.gateway.subnetId} (${host.gateway.zone})`;
    out.text(line("Host", `${host.name} ${host.ip}, ${host.state}${where}`));
    if (host.reason !== "") {
      out.text(line("", host.reason));
    }
    out.text(line("Labels", formatLabels(host.labels)));
  }
  if (ip.routes.length > 0) {
    out.text("");
    out.table(
      [
        {
          header: "ROUTE TABLE",
          cell: ({ routeTableId, main }) => `${routeTableId}${main ? " (main)" : ""}`,
        },
        { header: "DESTINATION", cell: ({ destination }) => destination || "-" },
        { header: "WHOSE", cell: ({ ownership }) => ownership },
        {
          header: "STATE",
          cell: ({ state }) => (state === "active" ? colours.green(state) : colours.red(state)),
        },
        { header: "SYNC", cell: ({ sync }) => sync },
        { header: "TARGET", cell: ({ target }) => target || "-" },
        { header: "GATEWAY", cell: ({ gateway }) => nodeText(gateway) },
        { header: "IF IT DIES", cell: ifItDies },
        { header: "FAILURE", cell: ({ failure }) => failure || "-", wide: true },
      ],
      ip.routes,
    );
  }
  showNotes(out, ip.notes);
}

function showRoute({ out, colours }: Session, route: RouteExplanation): void {
  out.text(`${route.summary}.`);
  out.text("");
  if (route.network !== null) {
    out.text(line("Network", route.network));
  }
  if (route.group !== null) {
    out.text(line("Group", `${route.group || "/"} (${route.level})`));
  }
  if (route.gateway !== null) {
    out.text(line("Gateway", `${route.gateway} (${route.choice})`));
  }
  out.text(line("Plan", route.granularity));
  if (route.related.length > 0) {
    out.text(line("Related", route.related.join(", ")));
  }
  if (route.tables.length > 0) {
    out.text("");
    out.table(
      [
        {
          header: "ROUTE TABLE",
          cell: ({ routeTableId, main }) => `${routeTableId}${main ? " (main)" : ""}`,
        },
        {
          header: "STATE",
          cell: ({ state }) => (state === "active" ? colours.green(state) : colours.red(state)),
        },
        { header: "WHOSE", cell: ({ ownership }) => ownership },
        { header: "SYNC", cell: ({ sync }) => sync },
        { header: "TARGET", cell: ({ target }) => target || "-" },
        { header: "GATEWAY", cell: ({ gateway }) => nodeText(gateway) },
        { header: "ON RECORD", cell: ({ recorded }) => recorded || "-" },
        { header: "ROUTES", cell: ({ routeCount, quota }) => `${routeCount}/${quota}`, wide: true },
        { header: "LEFT ALONE", cell: ({ skipped }) => skipped || "-", wide: true },
      ],
      route.tables,
    );
  }
  if (route.candidates.length > 0) {
    out.text("");
    out.table(
      [
        { header: "RANK", cell: ({ rank }) => (rank > 0 ? rank : "-") },
        { header: "HOST", cell: ({ host }) => host },
        { header: "HEALTH", cell: ({ health }) => health },
        { header: "STANDING", cell: ({ standing }) => standing || "-" },
        { header: "ROUTES", cell: ({ routes }) => routes },
        { header: "WHY", cell: ({ reason }) => reason },
        { header: "SUBNET", cell: ({ subnetId }) => subnetId || "-", wide: true },
        { header: "INTERFACE", cell: ({ interfaceId }) => interfaceId || "-", wide: true },
      ],
      route.candidates,
    );
  }
  showNotes(out, route.notes);
}

function showNotes(out: Session["out"], notes: readonly string[]): void {
  if (notes.length > 0) {
    out.text("");
    notes.forEach((note) => out.text(`${note}.`));
  }
}

function ifItDies({ standIn, ownership, gateway }: AddressRoute): string {
  if (standIn !== "") {
    return `${standIn} takes over`;
  }
  return ownership === "ours" && gateway !== null ? "nobody takes over" : "-";
}

function nodeText(gateway: GatewayView | null): string {
  if (gateway === null) {
    return "-";
  }
  return gateway.host === ""
    ? `${gateway.instanceId || "no instance"}, no host of ours`
    : `${gateway.host} (${gateway.health})`;
}

function line(title: string, text: string): string {
  return `${(title === "" ? "" : `${title}:`).padEnd(11)}${text}`;
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
