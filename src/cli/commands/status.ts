import type { Command } from "commander";

import type { RomanaClient } from "../../client/client.ts";
import type { LeaderDocument } from "../../client/wire.ts";
import { NetworkError } from "../../core/errors.ts";
import type { StatusView } from "../../core/views/route-views.ts";
import { examples } from "../examples.ts";
import type { OpenSession, Session } from "../session.ts";

type Paint = (text: string) => string;

/** `romana status` and `romana leader`. */
export function statusCommands(program: Command, open: OpenSession): void {
  examples(program.command("status").description("show the controller at a glance"), [
    ["romana status", "leader, store, what is in use, last pass, problems"],
  ]).action(async (_options, command: Command) => {
    await showStatus(await open(command));
  });

  examples(program.command("leader").description("show which replica leads, and since when"), [
    ["romana leader", "its name and URL"],
    ["romana leader -o name", "for scripts"],
  ]).action(async (_options, command: Command) => {
    const { client, out } = await open(command);
    const leader = await client.leader();
    await out.list({
      value: leader,
      rows: [leader],
      columns: [
        { header: "LEADER", cell: ({ id }) => id },
        { header: "URL", cell: ({ url }) => url || "-" },
        { header: "EPOCH", cell: ({ epoch }) => epoch },
        { header: "SINCE", cell: ({ since }) => since },
        { header: "ANSWERS", cell: ({ self }) => (self ? "itself" : "another replica") },
      ],
      name: ({ id }) => `controller/${id}`,
      empty: "",
    });
  });
}

async function showStatus({ client, out, colours }: Session): Promise<void> {
  if (out.format === "name") {
    out.text("controller/romana");
    return;
  }
  if (!out.forPeople) {
    await out.document(await client.status());
    return;
  }
  const [status, leader, { blocks }, networks] = await Promise.all([
    client.status(),
    findLeader(client),
    client.blocks(),
    client.networks(),
  ]);
  const inUse = blocks.reduce((total, { allocated_ip_count: count }) => total + count, 0);
  const lines = [
    ["Version", status.version],
    ["Started", status.startedAt],
    ["Cloud", [status.cloud, status.region, status.vpcId].filter((part) => part !== null).join(" ")],
    ["Store", status.store],
    ["Role", roleText(status, leader)],
    ["Networks", networks.map(({ id, cidr }) => `${id} ${cidr}`).join(", ") || "none"],
    ["Hosts", hostsText(status, colours.yellow)],
    ["Addresses", `${inUse} in use, in ${blocks.length} blocks`],
    ["Routes", routesText(status, colours.yellow)],
    ["Last pass", status.lastPass === null ? "none yet" : passText(status.lastPass, colours.red)],
    ["Cloud calls", callsText(status)],
    ...status.alarms.map(
      ({ kind, subject, message }) => [colours.red("Alarm"), `${kind} (${subject}): ${message}`] as const,
    ),
  ] as const;
  out.text(lines.map(([key, value]) => `${`${key}:`.padEnd(13)}${value}`).join("\n"));
}

/** Who leads; undefined while nobody does, and from a controller that knows of no others. */
async function findLeader(client: RomanaClient): Promise<LeaderDocument | undefined> {
  try {
    return await client.leader();
  } catch (error) {
    if (error instanceof NetworkError && error.kind === "not-found") {
      return undefined;
    }
    throw error;
  }
}

function roleText({ leader: leads, dryRun }: StatusView, leader: LeaderDocument | undefined): string {
  const dry = dryRun ? ", dry run: nothing is applied" : "";
  if (leader === undefined) {
    return `${leads ? "leader" : "standby"}${dry}`;
  }
  const where = leader.url === null || leader.url === "" ? leader.id : `${leader.id} at ${leader.url}`;
  return leader.self
    ? `leader (${leader.id}, epoch ${leader.epoch}, since ${leader.since})${dry}`
    : `standby; ${where} leads (epoch ${leader.epoch}, since ${leader.since})${dry}`;
}

function hostsText({ hosts }: StatusView, yellow: Paint): string {
  const text = `${hosts.total} (${hosts.unplaced} unplaced, ${hosts.misplaced} misplaced)`;
  return hosts.unplaced + hosts.misplaced > 0 ? yellow(text) : text;
}

function routesText({ routes }: StatusView, yellow: Paint): string {
  const text = `${routes.active} of ${routes.desired} active`;
  return routes.active < routes.desired ? yellow(text) : text;
}

function callsText({ cloudCalls }: StatusView): string {
  const calls = Object.entries(cloudCalls).map(([action, count]) => `${action} ${count}`);
  return calls.join(", ") || "none";
}

function passText(pass: NonNullable<StatusView["lastPass"]>, red: Paint): string {
  const { startedAt, durationMs, outcome, operations, failed, error } = pass;
  const text = `${startedAt}, ${durationMs} ms, ${operations} operations`;
  return outcome === "ok"
    ? text
    : `${text}, ${red(`${failed} failed`)}${error === undefined ? "" : `: ${error}`}`;
}
