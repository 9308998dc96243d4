import { InvalidArgumentError, type Command } from "commander";

import type { GroupEntry, TopologyEntry } from "../../client/wire.ts";
import type { Group } from "../../core/topology/topology.ts";
import { readJson } from "../documents.ts";
import { examples } from "../examples.ts";
import { formatLabels } from "../labels.ts";
import { originalTopology } from "../original-tables.ts";
import type { OpenSession, Session } from "../session.ts";
import type { Column } from "../table.ts";

/** A line of a group tree. */
interface GroupRow {
  readonly depth: number;
  readonly name: string;
  readonly cidr: string;
  readonly hosts: readonly string[];
  readonly assignment: Readonly<Record<string, string>>;
}

const groupColumns: readonly Column<GroupRow>[] = [
  { header: "GROUP", cell: ({ depth, name }) => `${"  ".repeat(depth)}${name || "-"}` },
  { header: "CIDR", cell: ({ cidr }) => cidr || "-" },
  { header: "HOSTS", cell: ({ hosts }) => hosts.length },
  { header: "LABELS", cell: ({ assignment }) => formatLabels(assignment), wide: true },
  { header: "HOST NAMES", cell: ({ hosts }) => hosts.join(",") || "-", wide: true },
];

/** `romana topology`. */
export function topologyCommands(program: Command, open: OpenSession): void {
  const topology = program
    .command("topology")
    .description("topology: networks, and the groups that hosts stand in");

  examples(topology.command("list").alias("ls").description("list networks, groups and their ranges"), [
    ["romana topology list", "the group trees"],
    ["romana topology list -o wide", "with labels and host names"],
  ]).action(async (_options, command: Command) => {
    const session = await open(command);
    await listTopology(session, await session.client.topology());
  });

  examples(
    topology.command("show").description("print the topology document, ready to be edited and posted back"),
    [["romana topology show > topology.json", "to keep it"]],
  ).action(async (_options, command: Command) => {
    const { client, out } = await open(command);
    await out.document(await client.topology());
  });

  examples(
    topology
      .command("update")
      .argument("[file]", "document with # or // comments; - or none: standard input", "-")
      .description("replace the topology: all of it is applied, or nothing"),
    [
      ["romana topology update topology.json", "from a file"],
      ["romana topology aws --region us-west-2 | romana topology update", "generated"],
    ],
  ).action(async (file: string, _options, command: Command) => {
    const { client, out, terminal } = await open(command);
    await client.updateTopology(await readJson(terminal, file, "TOPOLOGY_MALFORMED"));
    const { warnings } = await client.topologyStatus();
    for (const { place, message } of warnings) {
      terminal.note(`Warning: ${place}: ${message}`);
    }
    await out.done("Topology updated successfully.", "topology/current");
  });

  examples(
    topology
      .command("validate")
      .argument("<file>", "document with # or // comments; -: standard input")
      .description("check a document and show the ranges it gives, without a controller"),
    [["romana topology validate topology.json", "problems, or the group trees"]],
  ).action(async (file: string, _options, command: Command) => {
    const session = await open(command);
    await validate(session, await readJson(session.terminal, file, "TOPOLOGY_MALFORMED"));
  });

  examples(
    topology
      .command("aws")
      .requiredOption("--region <name>", "AWS region, such as us-west-2")
      .option("--zones <a,b,c>", "letters or names of zones (default: all that the region has)", splitList)
      .option("--groups-per-zone <n>", "leaf groups of a zone, one subnet each at most", parseCount, 8)
      .option("--cidr <cidr>", "range of the pods, outside the VPC", "100.96.0.0/11")
      .option("--block-mask <n>", "prefix length of a block", parseCount, 29)
      .description("generate a topology for a region, with room for zones to come"),
    [
      ["romana topology aws --region us-west-2", "for all of its zones"],
      ["romana topology aws --region eu-west-1 --zones a,b --groups-per-zone 4", "two zones"],
    ],
  ).action(
    async (
      options: {
        readonly region: string;
        readonly zones?: readonly string[];
        readonly groupsPerZone: number;
        readonly cidr: string;
        readonly blockMask: number;
      },
      command: Command,
    ) => {
      const { out } = await open(command);
      const { awsTopology } = await import("../../core/topology/aws-topology.ts");
      await out.document(awsTopology(options));
    },
  );

  examples(
    topology
      .command("builtin")
      .argument("[name]", "which one; none: list their names")
      .description("print a topology that the program brings along"),
    [
      ["romana topology builtin", "their names"],
      ["romana topology builtin kubeadm", "the one for kubeadm clusters"],
    ],
  ).action(async (name: string | undefined, _options, command: Command) => {
    const { out } = await open(command);
    const { builtinNames, builtinTopology } = await import("../../core/topology/builtin.ts");
    if (name !== undefined) {
      await out.document(builtinTopology(name));
      return;
    }
    await out.list({
      value: builtinNames,
      rows: builtinNames,
      columns: [{ header: "NAME", cell: (row) => row }],
      name: (row) => row,
      empty: "",
    });
  });
}

async function listTopology({ out }: Session, topology: TopologyEntry): Promise<void> {
  const { networks, topologies } = topology;
  const rows = (topologies ?? []).flatMap(({ map }) => rowsOf(map ?? [], 0));
  if (!out.forPeople || out.format === "original-table" || rows.length === 0) {
    await out.list({
      value: topology,
      rows,
      columns: groupColumns,
      name: ({ cidr }) => `group/${cidr}`,
      empty: 'No topology: "romana topology update FILE" sets one up.',
      original: () => originalTopology(topology),
    });
    return;
  }
  out.table(
    [
      { header: "NETWORK", cell: ({ name }) => name },
      { header: "CIDR", cell: ({ cidr }) => cidr },
      { header: "BLOCK MASK", cell: ({ block_mask: mask }) => (mask === undefined ? "-" : `/${mask}`) },
      { header: "TENANTS", cell: ({ tenants }) => (tenants ?? []).join(",") || "*" },
    ],
    networks ?? [],
  );
  for (const entry of topologies ?? []) {
    out.text(`\nGroups of ${(entry.networks ?? []).join(", ")}:`);
    out.table(groupColumns, rowsOf(entry.map ?? [], 0));
  }
}

function rowsOf(groups: readonly GroupEntry[], depth: number): readonly GroupRow[] {
  return groups.flatMap((group) => {
    const members = [...(group.groups ?? []), ...(group.hosts ?? [])];
    const hosts = members.filter(({ ip }) => ip !== undefined);
    const row = {
      depth,
      name: group.name ?? "",
      cidr: group.cidr ?? "",
      hosts: hosts.map(({ name }) => name ?? ""),
      assignment: group.assignment ?? {},
    };
    return [
      row,
      ...rowsOf(
        members.filter(({ ip }) => ip === undefined),
        depth + 1,
      ),
    ];
  });
}

async function validate({ out, terminal }: Session, document: unknown): Promise<void> {
  const { readTopology } = await import("../../core/topology/read-topology.ts");
  const { networks, hosts, warnings } = readTopology(document, { reserved: [] });
  for (const { place, message } of warnings) {
    terminal.note(`Warning: ${place}: ${message}`);
  }
  const trees = networks.map(({ network, root }) => ({ network: network.name, groups: carvedRows(root, 0) }));
  if (!out.forPeople) {
    await out.document({ valid: true, networks: trees, hosts: hosts.length, warnings });
    return;
  }
  out.text(
    `The document is valid: ${counted(networks.length, "network")}, ${counted(hosts.length, "host")}.`,
  );
  for (const { network, groups } of trees) {
    out.text(`\nGroups of ${network}:`);
    out.table(
      [
        { header: "GROUP", cell: ({ depth, name }) => `${"  ".repeat(depth)}${name || "-"}` },
        { header: "CIDR", cell: ({ cidr }) => cidr },
        { header: "KIND", cell: ({ kind }) => kind },
        { header: "LABELS", cell: ({ assignment }) => formatLabels(assignment), wide: true },
      ],
      groups,
    );
  }
}

function carvedRows(
  group: Group,
  depth: number,
): readonly (Pick<Group, "name" | "cidr" | "kind" | "assignment"> & { readonly depth: number })[] {
  const { name, cidr, kind, assignment } = group;
  return [
    { depth, name, cidr, kind, assignment },
    ...group.children.flatMap((child) => carvedRows(child, depth + 1)),
  ];
}

function splitList(text: string): readonly string[] {
  return text.split(",").map((part) => part.trim());
}

function parseCount(text: string): number {
  if (!/^\d{1,6}$/.test(text)) {
    throw new InvalidArgumentError("expected a number");
  }
  return Number(text);
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
