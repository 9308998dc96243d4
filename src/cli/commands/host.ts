import { InvalidArgumentError, type Command } from "commander";

import type { RomanaClient } from "../../client/client.ts";
import type { HostDocument } from "../../client/wire.ts";
import { NetworkError } from "../../core/errors.ts";
import { networkOf } from "../../core/net/cidr.ts";
import { collect } from "../collect.ts";
import { examples } from "../examples.ts";
import { formatLabels, parseLabelChanges } from "../labels.ts";
import { originalHosts } from "../original-tables.ts";
import type { OpenSession, Session } from "../session.ts";
import type { Column } from "../table.ts";
import { addWatch, watchList } from "../watch-list.ts";

const columns: readonly Column<HostDocument>[] = [
  { header: "NAME", cell: ({ name }) => name },
  { header: "IP", cell: ({ ip }) => ip },
  { header: "STATE", cell: stateOf },
  { header: "GROUPS", cell: ({ groups }) => groups.map(({ cidr }) => cidr).join(",") || "-" },
  { header: "ORIGIN", cell: ({ origin }) => origin, wide: true },
  { header: "AGENT PORT", cell: ({ agent_port: port }) => port, wide: true },
  { header: "LABELS", cell: ({ tags }) => formatLabels(tags), wide: true },
  { header: "REASON", cell: ({ reason }) => reason || "-", wide: true },
];

/** `romana host`. */
export function hostCommands(program: Command, open: OpenSession): void {
  const host = program.command("host").description("hosts: the machines that run pods");

  examples(
    addWatch(host.command("list").alias("ls").description("list hosts and the groups they stand in")),
    [
      ["romana host list", "where each host stands"],
      ["romana host list -o wide", "with labels, and why a host has no place"],
      ["romana host list --watch", "and then what changes"],
    ],
  ).action(async ({ watch = false }: { readonly watch?: boolean }, command: Command) => {
    const session = await open(command);
    const { client, out } = session;
    if (watch) {
      const key = ({ name }: HostDocument): string => name;
      const name = (row: HostDocument): string => `host/${row.name}`;
      await watchList(session, { kind: "hosts", columns, key, name, matches: () => true });
    }
    const list = await client.hosts();
    await out.list({
      value: list,
      rows: list.hosts,
      columns,
      name: ({ name }) => `host/${name}`,
      empty: "No hosts.",
      original: () => originalHosts(list.hosts),
    });
  });

  examples(
    host
      .command("show")
      .argument("<host...>", "names or IP addresses")
      .description("show all that is known of hosts"),
    [["romana host show node-1 192.168.0.12", "by name and by address"]],
  ).action(async (names: readonly string[], _options, command: Command) => {
    const session = await open(command);
    const found = findHosts((await session.client.hosts()).hosts, names);
    await showHosts(session, found);
  });

  examples(
    host
      .command("add")
      .argument("<name>", "name of the host, as pods' requests give it")
      .argument("<ip>", "its IPv4 address")
      .argument("[cidr]", "for older scripts, without effect: the topology decides", checkRange)
      .argument("[agent-port]", "port of its agent", parsePort)
      .option("-l, --label <key=value>", "a label that groups ask for; may be given several times", collect)
      .option("-t, --tag <key=value>", "the same, by the name that the REST API has for it", collect)
      .description("register a host by hand; hosts of a cluster register themselves"),
    [
      ["romana host add node-1 192.168.0.11 -l rack=r7", "a host in rack r7"],
      ["romana host add node-1 192.168.0.11 --tag rack=r7 --tag zone=a", "the same, with a zone"],
    ],
  ).action(
    async (
      name: string,
      ip: string,
      _cidr: string | undefined,
      agentPort: number | undefined,
      { label = [], tag = [] }: { readonly label?: readonly string[]; readonly tag?: readonly string[] },
      command: Command,
    ) => {
      const { client, out } = await open(command);
      const { set: tags } = parseLabelChanges([...label, ...tag]);
      await client.addHost({ name, ip, tags, ...(agentPort === undefined ? {} : { agent_port: agentPort }) });
      await out.done(`host ${name} added`, `host/${name}`);
    },
  );

  examples(
    host
      .command("remove")
      .alias("rm")
      .argument("<host>", "name or IP address")
      .option("-y, --yes", "do not ask, though its addresses are in use")
      .description("remove a host and release its addresses and blocks"),
    [["romana host remove node-1", "asks first while addresses of its pods are in use"]],
  ).action(async (key: string, { yes = false }: { readonly yes?: boolean }, command: Command) => {
    const { client, out, terminal, signal } = await open(command);
    const [{ name }] = findHosts((await client.hosts()).hosts, [key]);
    const inUse = yes ? 0 : await addressesInUse(client, name);
    const question = `Host ${name} has ${inUse} ${inUse === 1 ? "address" : "addresses"} in use; its pods lose them. Remove it?`;
    if (inUse > 0 && !(await terminal.confirm(question, signal))) {
      throw new NetworkError("conflict", "HOST_KEPT", `host ${name} was kept, as you said`, { host: name });
    }
    await client.removeHost(name);
    await out.done(`host ${name} removed`, `host/${name}`);
  });

  examples(
    host
      .command("label")
      .argument("<host>", "name or IP address")
      .argument("<labels...>", "KEY=VALUE sets, KEY- removes")
      .option("--replace", "drop all labels that are not given")
      .description("change the labels of a host"),
    [
      ["romana host label node-1 rack=r8", "the other labels stay"],
      ["romana host label node-1 rack-", "removes one"],
    ],
  ).action(
    async (
      key: string,
      texts: readonly string[],
      { replace = false }: { readonly replace?: boolean },
      command: Command,
    ) => {
      const { client, out } = await open(command);
      const { set, remove } = parseLabelChanges(texts);
      const [{ name, tags }] = findHosts((await client.hosts()).hosts, [key]);
      const kept = Object.entries(replace ? {} : (tags ?? {})).filter(([label]) => !remove.includes(label));
      await client.setLabels(name, { ...Object.fromEntries(kept), ...set });
      await out.done(`host ${name} labelled`, `host/${name}`);
    },
  );
}

async function showHosts({ out }: Session, hosts: readonly HostDocument[]): Promise<void> {
  if (!out.forPeople) {
    await out.list({
      value: hosts.length === 1 ? hosts[0] : hosts,
      rows: hosts,
      columns,
      name: ({ name }) => `host/${name}`,
      empty: "",
    });
    return;
  }
  const texts = hosts.map((host) =>
    [
      `Name:        ${host.name}`,
      `IP:          ${host.ip}`,
      `Agent port:  ${host.agent_port}`,
      `State:       ${stateOf(host)}${host.reason === "" ? "" : `: ${host.reason}`}`,
      `Origin:      ${host.origin}`,
      `Groups:      ${host.groups.map(({ network, cidr }) => `${cidr} (network ${network})`).join(", ") || "-"}`,
      `Labels:      ${formatLabels(host.tags)}`,
    ].join("\n"),
  );
  out.text(texts.join("\n\n"));
}

/** The hosts of these names or addresses, in the order asked for. Throws `HOST_NOT_FOUND`, which names all that are unknown. */
function findHosts(
  hosts: readonly HostDocument[],
  keys: readonly string[],
): readonly [HostDocument, ...HostDocument[]] {
  const found = keys.map(
    (key) => hosts.find(({ name }) => name === key) ?? hosts.find(({ ip }) => ip === key),
  );
  const unknown = keys.filter((_key, index) => found[index] === undefined);
  const [first, ...others] = found.filter((host) => host !== undefined);
  if (unknown.length > 0 || first === undefined) {
    throw new NetworkError(
      "not-found",
      "HOST_NOT_FOUND",
      `no host has the name or address ${unknown.join(", ")}: "romana host list" shows those that are known`,
      { hosts: unknown },
    );
  }
  return [first, ...others];
}

async function addressesInUse(client: RomanaClient, host: string): Promise<number> {
  const { blocks } = await client.blocks();
  return blocks
    .filter((block) => block.host === host)
    .reduce((total, block) => total + block.allocated_ip_count, 0);
}

function stateOf({ placed, misplaced }: HostDocument): string {
  if (!placed) {
    return "unplaced";
  }
  return misplaced ? "misplaced" : "placed";
}

/** What is not used is read all the same: something else in its place would be lost without a word. */
function checkRange(text: string): string {
  return text === "" ? "" : networkOf(text);
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port === 0 || port > 65_535) {
    throw new InvalidArgumentError("expected a port, 1 to 65535");
  }
  return port;
}
