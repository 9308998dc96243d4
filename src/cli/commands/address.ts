import type { Command } from "commander";

import type { AddressDocument } from "../../client/wire.ts";
import { NetworkError } from "../../core/errors.ts";
import { examples } from "../examples.ts";
import type { OpenSession } from "../session.ts";
import type { Column } from "../table.ts";
import { watchList, watchOption } from "../watch-list.ts";

const columns: readonly Column<AddressDocument>[] = [
  { header: "ADDRESS", cell: ({ address }) => address },
  { header: "NAME", cell: ({ name }) => name },
  { header: "HOST", cell: ({ host }) => host },
  { header: "TENANT", cell: ({ tenant }) => tenant || "-" },
  { header: "SEGMENT", cell: ({ segment }) => segment || "-" },
  { header: "NETWORK", cell: ({ network }) => network, wide: true },
  {
    header: "POD",
    cell: ({ pod }) => (pod === undefined ? "-" : `${pod.namespace}/${pod.name}`),
    wide: true,
  },
];

interface AddressFilter {
  readonly host?: string;
  readonly tenant?: string;
  readonly segment?: string;
  readonly network?: string;
  readonly watch?: boolean;
}

/** `romana address`. */
export function addressCommands(program: Command, open: OpenSession): void {
  const address = program.command("address").description("addresses: what pods hold");

  examples(
    address
      .command("list")
      .alias("ls")
      .option("--host <name>", "only addresses on this host")
      .option("--tenant <name>", "only addresses of this tenant")
      .option("--segment <name>", "only addresses of this segment")
      .option("--network <name>", "only addresses of this network")
      .addOption(watchOption())
      .description("list the addresses in use"),
    [
      ["romana address list --host node-1", "what runs on node-1"],
      ["romana address list --watch -o json", "a line for each that is taken or released"],
    ],
  ).action(async (filter: AddressFilter, command: Command) => {
    const session = await open(command);
    const { client, out } = session;
    const matches = ({ host, tenant, segment, network }: AddressDocument): boolean =>
      host === (filter.host ?? host) &&
      tenant === (filter.tenant ?? tenant) &&
      segment === (filter.segment ?? segment) &&
      network === (filter.network ?? network);
    if (filter.watch === true) {
      const key = ({ name }: AddressDocument): string => name;
      const name = (row: AddressDocument): string => `address/${row.name}`;
      await watchList(session, { kind: "addresses", host: filter.host, columns, key, name, matches });
    }
    const rows = (await client.addresses()).filter(matches);
    await out.list({
      value: rows,
      rows,
      columns,
      name: ({ name }) => `address/${name}`,
      empty: "No addresses in use.",
    });
  });

  examples(
    address
      .command("show")
      .argument("<address...>", "names or IP addresses")
      .description("show who holds addresses"),
    [["romana address show 10.0.0.7 web-1.shop", "by address and by name"]],
  ).action(async (keys: readonly string[], _options, command: Command) => {
    const { client, out } = await open(command);
    const all = await client.addresses();
    const rows = keys.map((key) => findAddress(all, key));
    await out.list({
      value: rows.length === 1 ? rows[0] : rows,
      rows,
      // Where none is a Pod's, the column says nothing.
      columns: columns
        .filter(({ header }) => header !== "POD" || rows.some(({ pod }) => pod !== undefined))
        .map((column) => ({ ...column, wide: false })),
      name: ({ name }) => `address/${name}`,
      empty: "",
    });
  });

  examples(
    address
      .command("add")
      .alias("allocate")
      .argument("<name>", "who holds it, such as POD.NAMESPACE; given once only")
      .requiredOption("--host <name>", "the host that the pod runs on")
      .option("--tenant <name>", "tenant of the pod", "")
      .option("--segment <name>", "segment of the tenant", "")
      .option("--address <ip>", "this address and no other")
      .description("take an address and print it"),
    [["romana address add web-1.shop --host node-1 --tenant shop", "prints the address"]],
  ).action(
    async (
      name: string,
      wanted: {
        readonly host: string;
        readonly tenant: string;
        readonly segment: string;
        readonly address?: string;
      },
      command: Command,
    ) => {
      const { client, out } = await open(command);
      const given = await client.allocate({ name, ...wanted });
      if (out.forPeople) {
        out.text(given);
      } else if (out.format === "name") {
        out.text(`address/${name}`);
      } else {
        await out.document(given);
      }
    },
  );

  examples(
    address
      .command("remove")
      .alias("rm")
      .alias("release")
      .argument("<address>", "name or IP address")
      .description("release an address"),
    [
      ["romana address remove web-1.shop", "by name"],
      ["romana address remove 10.0.0.7", "by address"],
    ],
  ).action(async (key: string, _options, command: Command) => {
    const { client, out } = await open(command);
    await client.release(key);
    await out.done(`address ${key} released`, `address/${key}`);
  });
}

/** By name first, as a release has it. Throws `ADDRESS_NOT_FOUND`. */
function findAddress(all: readonly AddressDocument[], key: string): AddressDocument {
  const found = all.find(({ name }) => name === key) ?? all.find(({ address }) => address === key);
  if (found === undefined) {
    throw new NetworkError(
      "not-found",
      "ADDRESS_NOT_FOUND",
      `no address has the name or the IP "${key}": "romana address list" shows those in use`,
      { address: key },
    );
  }
  return found;
}
