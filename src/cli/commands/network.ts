import type { Command } from "commander";

import type { RomanaClient } from "../../client/client.ts";
import type { BlockDocument, NetworkListEntry } from "../../client/wire.ts";
import { containsCidr, parseCidr } from "../../core/net/cidr.ts";
import { examples } from "../examples.ts";
import { originalBlocks, originalNetworks } from "../original-tables.ts";
import type { OpenSession } from "../session.ts";
import type { Column } from "../table.ts";

const networkColumns: readonly Column<NetworkListEntry>[] = [
  { header: "NAME", cell: ({ id }) => id },
  { header: "CIDR", cell: ({ cidr }) => cidr },
  { header: "REVISION", cell: ({ revision }) => revision },
];

/** `romana network`. */
export function networkCommands(program: Command, open: OpenSession): void {
  const network = program.command("network").description("networks: the ranges that pods get addresses from");

  examples(network.command("list").alias("ls").description("list networks"), [
    ["romana network list", "names and ranges"],
    ["romana network list -o name", "one a line, for scripts"],
  ]).action(async (_options, command: Command) => {
    const { client, out } = await open(command);
    const networks = await client.networks();
    await out.list({
      value: networks,
      rows: networks,
      columns: networkColumns,
      name: ({ id }) => `network/${id}`,
      empty: 'No networks: "romana topology update FILE" sets them up.',
      original: () => originalNetworks(networks),
    });
  });
}

interface BlockFilter {
  readonly network?: string;
  readonly host?: string;
  readonly tenant?: string;
  readonly segment?: string;
}

/** `romana block`. */
export function blockCommands(program: Command, open: OpenSession): void {
  const block = program
    .command("block")
    .description("blocks: the ranges of a network that hosts hold for a tenant and segment");

  examples(
    block
      .command("list")
      .alias("ls")
      .option("--network <name>", "only blocks of this network")
      .option("--host <name>", "only blocks on this host")
      .option("--tenant <name>", "only blocks of this tenant")
      .option("--segment <name>", "only blocks of this segment")
      .description("list blocks, their owners and how many addresses are in use"),
    [
      ["romana block list", "all of them"],
      ["romana block list --host node-1 --tenant web", "what web holds on node-1"],
    ],
  ).action(async (filter: BlockFilter, command: Command) => {
    const { client, out } = await open(command);
    const list = await client.blocks(filter.network);
    const blocks = list.blocks.filter((candidate) => matches(candidate, filter));
    const networks = out.format === "wide" ? await client.networks() : [];
    await out.list({
      value: { ...list, blocks },
      rows: blocks,
      columns: blockColumns(networks),
      name: ({ cidr }) => `block/${cidr}`,
      empty: "No blocks.",
      original: () => originalBlocks(blocks),
    });
  });
}

function matches(block: BlockDocument, { host, tenant, segment }: BlockFilter): boolean {
  return (
    (host === undefined || block.host === host) &&
    (tenant === undefined || block.tenant === tenant) &&
    (segment === undefined || block.segment === segment)
  );
}

function blockColumns(networks: readonly NetworkListEntry[]): readonly Column<BlockDocument>[] {
  const networkOf = ({ cidr }: BlockDocument): string =>
    networks.find((network) => containsCidr(parseCidr(network.cidr), parseCidr(cidr)))?.id ?? "-";
  return [
    { header: "CIDR", cell: ({ cidr }) => cidr },
    { header: "HOST", cell: ({ host }) => host || "-" },
    { header: "TENANT", cell: ({ tenant }) => tenant || "-" },
    { header: "SEGMENT", cell: ({ segment }) => segment || "-" },
    { header: "IN USE", cell: ({ allocated_ip_count: count }) => count },
    { header: "NETWORK", cell: networkOf, wide: true },
    { header: "REVISION", cell: ({ revision }) => revision, wide: true },
  ];
}

/** `romana blackout`. */
export function blackoutCommands(program: Command, open: OpenSession): void {
  const blackout = program
    .command("blackout")
    .description("blackouts: parts of a network that nobody gets an address from");

  examples(
    blackout
      .command("list")
      .alias("ls")
      .argument("[network]", "only this network")
      .description("list blackouts"),
    [["romana blackout list", "of all networks"]],
  ).action(async (network: string | undefined, _options, command: Command) => {
    const { client, out } = await open(command);
    const rows = await blackoutsOf(client, network);
    await out.list({
      value: rows,
      rows,
      columns: [
        { header: "NETWORK", cell: (row) => row.network },
        { header: "CIDR", cell: (row) => row.cidr },
      ],
      name: ({ cidr }) => `blackout/${cidr}`,
      empty: "No blackouts.",
    });
  });

  examples(
    blackout
      .command("add")
      .argument("<network>", "name of the network")
      .argument("<cidr>", "the part of it")
      .description("keep a part of a network free of addresses"),
    [["romana blackout add prod 10.0.0.0/28", "the first 16 addresses of prod"]],
  ).action(async (network: string, cidr: string, _options, command: Command) => {
    const { client, out } = await open(command);
    await client.addBlackout(network, cidr);
    await out.done(`blackout ${cidr} added to network ${network}`, `blackout/${cidr}`);
  });

  examples(
    blackout
      .command("remove")
      .alias("rm")
      .argument("<network>", "name of the network")
      .argument("<cidr>", "the blackout, as it was added")
      .description("let addresses be taken from a part of a network again"),
    [["romana blackout remove prod 10.0.0.0/28", "undoes the example of add"]],
  ).action(async (network: string, cidr: string, _options, command: Command) => {
    const { client, out } = await open(command);
    await client.removeBlackout(network, cidr);
    await out.done(`blackout ${cidr} removed from network ${network}`, `blackout/${cidr}`);
  });
}

async function blackoutsOf(
  client: RomanaClient,
  network: string | undefined,
): Promise<readonly { readonly network: string; readonly cidr: string }[]> {
  const names = network === undefined ? (await client.networks()).map(({ id }) => id) : [network];
  const rows: { network: string; cidr: string }[] = [];
  for (const name of names) {
    rows.push(...(await client.blackouts(name)).map(({ cidr }) => ({ network: name, cidr })));
  }
  return rows;
}
