import type { Command } from "commander";

import type { RomanaClient } from "../../client/client.ts";
import { examples } from "../examples.ts";
import type { OpenSession } from "../session.ts";

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
