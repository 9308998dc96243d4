import type { Command } from "commander";

import type { AddressDocument, BlockDocument, NetworkListEntry } from "../../client/wire.ts";
import { NetworkError } from "../../core/errors.ts";
import { containsAddress, containsCidr, parseCidr, rangeOf } from "../../core/net/cidr.ts";
import { parseIpv4 } from "../../core/net/ipv4.ts";
import { examples } from "../examples.ts";
import { notByHand } from "../not-by-hand.ts";
import { originalBlocks } from "../original-tables.ts";
import type { OpenSession, Session } from "../session.ts";
import type { Column } from "../table.ts";
import { watchList, watchOption } from "../watch-list.ts";

interface BlockFilter {
  readonly network?: string;
  readonly host?: string;
  readonly tenant?: string;
  readonly segment?: string;
  readonly watch?: boolean;
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
      .addOption(watchOption())
      .description("list blocks, their owners and how many addresses are in use"),
    [
      ["romana block list", "all of them"],
      ["romana block list --host node-1 --tenant web", "what web holds on node-1"],
      ["romana block list --watch", "and then what changes"],
    ],
  ).action(async (filter: BlockFilter, command: Command) => {
    const session = await open(command);
    const { client, out } = session;
    const needsNetworks = out.format === "wide" || (filter.watch === true && filter.network !== undefined);
    const networks = needsNetworks ? await client.networks() : [];
    if (filter.watch === true) {
      await watchList(session, {
        kind: "blocks",
        host: filter.host,
        columns: blockColumns(networks),
        key: ({ cidr }) => cidr,
        name: ({ cidr }) => `block/${cidr}`,
        matches: (candidate) =>
          matches(candidate, filter) &&
          (filter.network === undefined || networkOf(networks, candidate) === filter.network),
      });
    }
    const list = await client.blocks(filter.network);
    const blocks = list.blocks.filter((candidate) => matches(candidate, filter));
    await out.list({
      value: { ...list, blocks },
      rows: blocks,
      columns: blockColumns(networks),
      name: ({ cidr }) => `block/${cidr}`,
      empty: "No blocks.",
      original: () => originalBlocks(blocks),
    });
  });

  examples(
    block
      .command("show")
      .argument("<cidr...>", "ranges of blocks, or addresses in them")
      .description("show blocks with the addresses in use"),
    [["romana block show 10.0.0.0/29", "its owner, and who holds its addresses"]],
  ).action(async (keys: readonly string[], _options, command: Command) => {
    await showBlocks(await open(command), keys);
  });

  notByHand(block, "add", [
    "a block is taken for a host when the first pod of a tenant and segment there gets an address",
    'ask for the address: "romana address add NAME --host HOST --tenant TENANT"',
  ]);
  notByHand(block, "remove", [
    "a block returns to its group when its last address is released",
    'release those that "romana address list" shows in it: "romana address remove NAME"; or remove the host: "romana host remove HOST"',
  ]);
}

/** A block with the addresses in it. */
interface BlockCard extends BlockDocument {
  readonly network: string;
  readonly addresses: readonly AddressDocument[];
}

async function showBlocks({ client, out }: Session, keys: readonly string[]): Promise<void> {
  const [{ blocks }, networks, addresses] = await Promise.all([
    client.blocks(),
    client.networks(),
    client.addresses(),
  ]);
  const cards: readonly BlockCard[] = keys.map((key) => {
    const block = findBlock(blocks, key);
    const range = parseCidr(block.cidr);
    return {
      ...block,
      network: networks.find((network) => containsCidr(parseCidr(network.cidr), range))?.id ?? "",
      addresses: addresses.filter(({ address }) => containsAddress(range, parseIpv4(address))),
    };
  });
  if (!out.forPeople) {
    await out.list({
      value: cards.length === 1 ? cards[0] : cards,
      rows: cards,
      columns: [],
      name: ({ cidr }) => `block/${cidr}`,
      empty: "",
    });
    return;
  }
  for (const [index, card] of cards.entries()) {
    out.text(
      [
        ...(index === 0 ? [] : [""]),
        `CIDR:       ${card.cidr}`,
        `Network:    ${card.network || "-"}`,
        `Host:       ${card.host || "- (empty: anybody of its group may take it)"}`,
        `Tenant:     ${card.tenant || "-"}`,
        `Segment:    ${card.segment || "-"}`,
        `In use:     ${card.allocated_ip_count} of ${rangeOf(parseCidr(card.cidr)).size}`,
      ].join("\n"),
    );
    if (card.addresses.length > 0) {
      out.text("");
      out.table(
        [
          { header: "ADDRESS", cell: ({ address }) => address },
          { header: "NAME", cell: ({ name }) => name },
        ],
        card.addresses,
      );
    }
  }
}

/** The block of this range, or the one that holds this address. Throws `BLOCK_NOT_FOUND`. */
function findBlock(blocks: readonly BlockDocument[], key: string): BlockDocument {
  const wanted = key.includes("/") ? parseCidr(key) : parseCidr(`${parseIpv4(key)}/32`);
  const found =
    blocks.find(({ cidr }) => cidr === wanted) ??
    (key.includes("/") ? undefined : blocks.find(({ cidr }) => containsCidr(parseCidr(cidr), wanted)));
  if (found === undefined) {
    throw new NetworkError(
      "not-found",
      "BLOCK_NOT_FOUND",
      `no block is or holds ${key}: "romana block list" shows those that there are`,
      { block: key },
    );
  }
  return found;
}

function matches(block: BlockDocument, { host, tenant, segment }: BlockFilter): boolean {
  return (
    (host === undefined || block.host === host) &&
    (tenant === undefined || block.tenant === tenant) &&
    (segment === undefined || block.segment === segment)
  );
}

function networkOf(networks: readonly NetworkListEntry[], { cidr }: BlockDocument): string {
  return networks.find((network) => containsCidr(parseCidr(network.cidr), parseCidr(cidr)))?.id ?? "-";
}

function blockColumns(networks: readonly NetworkListEntry[]): readonly Column<BlockDocument>[] {
  return [
    { header: "CIDR", cell: ({ cidr }) => cidr },
    { header: "HOST", cell: ({ host }) => host || "-" },
    { header: "TENANT", cell: ({ tenant }) => tenant || "-" },
    { header: "SEGMENT", cell: ({ segment }) => segment || "-" },
    { header: "IN USE", cell: ({ allocated_ip_count: count }) => count },
    { header: "NETWORK", cell: (block) => networkOf(networks, block), wide: true },
    { header: "REVISION", cell: ({ revision }) => revision, wide: true },
  ];
}
