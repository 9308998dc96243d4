import type { Command } from "commander";

import type { NetworkListEntry } from "../../client/wire.ts";
import { NetworkError } from "../../core/errors.ts";
import { examples } from "../examples.ts";
import { notByHand } from "../not-by-hand.ts";
import { originalNetworks } from "../original-tables.ts";
import type { OpenSession, Session } from "../session.ts";
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

  examples(
    network
      .command("show")
      .argument("<network...>", "names")
      .description("show networks: tenants, groups, how much is in use, blackouts"),
    [["romana network show prod", "how full it is"]],
  ).action(async (names: readonly string[], _options, command: Command) => {
    const session = await open(command);
    await showNetworks(session, names);
  });

  notByHand(network, "add", [
    "networks are part of the topology",
    'add it there: "romana topology show > topology.json", edit, "romana topology update topology.json"',
  ]);
  notByHand(network, "remove", [
    "networks are part of the topology",
    'take it out there: "romana topology show > topology.json", edit, "romana topology update topology.json"; it is refused while its addresses are in use',
  ]);
}

/** A network with what is known of it elsewhere. */
interface NetworkCard extends NetworkListEntry {
  readonly block_mask: number | null;
  /** Empty: any. */
  readonly tenants: readonly string[];
  readonly blocks: number;
  readonly addresses: number;
  readonly blackouts: readonly string[];
}

async function showNetworks({ client, out }: Session, names: readonly string[]): Promise<void> {
  const [networks, topology] = await Promise.all([client.networks(), client.topology()]);
  const cards: NetworkCard[] = [];
  for (const name of names) {
    const network = networks.find(({ id }) => id === name);
    if (network === undefined) {
      throw new NetworkError(
        "not-found",
        "NETWORK_NOT_FOUND",
        `no network is called "${name}": "romana network list" shows those that there are`,
        { network: name },
      );
    }
    const [{ blocks }, blackouts] = await Promise.all([client.blocks(name), client.blackouts(name)]);
    const entry = topology.networks?.find((candidate) => candidate.name === name);
    cards.push({
      ...network,
      block_mask: entry?.block_mask ?? null,
      tenants: (entry?.tenants ?? []).filter((tenant) => tenant !== "*"),
      blocks: blocks.length,
      addresses: blocks.reduce((total, { allocated_ip_count: count }) => total + count, 0),
      blackouts: blackouts.map(({ cidr }) => cidr),
    });
  }
  if (!out.forPeople) {
    await out.list({
      value: cards.length === 1 ? cards[0] : cards,
      rows: cards,
      columns: [],
      name: ({ id }) => `network/${id}`,
      empty: "",
    });
    return;
  }
  const texts = cards.map((card) =>
    [
      `Name:        ${card.id}`,
      `CIDR:        ${card.cidr}`,
      `Block mask:  ${card.block_mask === null ? "-" : `/${card.block_mask}`}`,
      `Tenants:     ${card.tenants.join(", ") || "any"}`,
      `In use:      ${card.addresses} addresses in ${card.blocks} blocks`,
      `Blackouts:   ${card.blackouts.join(", ") || "-"}`,
    ].join("\n"),
  );
  out.text(texts.join("\n\n"));
}
