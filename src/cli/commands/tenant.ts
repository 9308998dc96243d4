import type { Command } from "commander";

import type { SegmentDocument, TenantDocument } from "../../client/wire.ts";
import { NetworkError } from "../../core/errors.ts";
import { examples } from "../examples.ts";
import type { OpenSession } from "../session.ts";
import type { Column } from "../table.ts";

const tenantColumns: readonly Column<TenantDocument>[] = [
  { header: "NAME", cell: ({ name }) => name || "-" },
  { header: "SEGMENTS", cell: ({ segments }) => segments.length },
  { header: "ADDRESSES", cell: ({ addresses }) => addresses },
  { header: "BLOCKS", cell: ({ blocks }) => blocks },
  { header: "DECLARED", cell: ({ declared }) => (declared ? "yes" : "no") },
  { header: "NETWORKS", cell: ({ networks }) => networks.join(",") || "-", wide: true },
  { header: "SEGMENT NAMES", cell: ({ segments }) => segments.join(",") || "-", wide: true },
];

/** `romana tenant`. */
export function tenantCommands(program: Command, open: OpenSession): void {
  const tenant = program.command("tenant").description("tenants: who addresses and blocks belong to");

  examples(
    tenant
      .command("create")
      .alias("add")
      .argument("<name...>", "their names")
      .description("declare tenants; those that pods ask for appear by themselves"),
    [["romana tenant create shop", "it is listed before its first pod"]],
  ).action(async (names: readonly string[], _options, command: Command) => {
    const { client, out } = await open(command);
    for (const name of names) {
      await client.createTenant(name);
      await out.done(`tenant ${name} created`, `tenant/${name}`);
    }
  });

  examples(
    tenant
      .command("delete")
      .alias("remove")
      .alias("rm")
      .argument("<tenant...>", "names")
      .description("forget tenants and their segments; refused while addresses of theirs are in use"),
    [["romana tenant delete shop", "when its last pod is gone"]],
  ).action(async (names: readonly string[], _options, command: Command) => {
    const { client, out } = await open(command);
    for (const name of names) {
      await client.deleteTenant(name);
      await out.done(`tenant ${name} deleted`, `tenant/${name}`);
    }
  });

  examples(tenant.command("list").alias("ls").description("list tenants, declared or in use"), [
    ["romana tenant list", "with how much they use"],
    ["romana tenant list -o wide", "with their networks and segments"],
  ]).action(async (_options, command: Command) => {
    const { client, out } = await open(command);
    const tenants = await client.tenants();
    await out.list({
      value: tenants,
      rows: tenants,
      columns: tenantColumns,
      name: ({ name }) => `tenant/${name}`,
      empty: "No tenants.",
    });
  });

  examples(
    tenant.command("show").argument("<tenant...>", "names").description("show tenants with their segments"),
    [["romana tenant show shop", "networks, segments, addresses"]],
  ).action(async (names: readonly string[], _options, command: Command) => {
    const { client, out } = await open(command);
    const found: TenantDocument[] = [];
    for (const name of names) {
      found.push(await client.tenant(name));
    }
    if (!out.forPeople) {
      await out.list({
        value: found.length === 1 ? found[0] : found,
        rows: found,
        columns: tenantColumns,
        name: ({ name }) => `tenant/${name}`,
        empty: "",
      });
      return;
    }
    const texts = found.map((each) =>
      [
        `Name:       ${each.name || "-"}`,
        `Declared:   ${each.declared ? "yes" : "no, it appeared with its first address"}`,
        `Networks:   ${each.networks.join(", ") || "-"}`,
        `Segments:   ${each.segments.join(", ") || "-"}`,
        `Addresses:  ${each.addresses} in ${each.blocks} blocks`,
      ].join("\n"),
    );
    out.text(texts.join("\n\n"));
  });
}

/** A segment with its tenant. */
interface SegmentRow extends SegmentDocument {
  readonly tenant: string;
}

const segmentColumns: readonly Column<SegmentRow>[] = [
  { header: "TENANT", cell: ({ tenant }) => tenant || "-" },
  { header: "SEGMENT", cell: ({ name }) => name || "-" },
  { header: "ADDRESSES", cell: ({ addresses }) => addresses },
  { header: "BLOCKS", cell: ({ blocks }) => blocks },
  { header: "DECLARED", cell: ({ declared }) => (declared ? "yes" : "no") },
];

/** `romana segment`. */
export function segmentCommands(program: Command, open: OpenSession): void {
  const segment = program
    .command("segment")
    .description("segments: parts of a tenant with blocks of their own");

  examples(
    segment
      .command("add")
      .alias("create")
      .argument("<tenant>", "its tenant; declared too if it is not known yet")
      .argument("<segment...>", "names")
      .description("declare segments of a tenant; those that pods ask for appear by themselves"),
    [["romana segment add shop web db", "two segments of tenant shop"]],
  ).action(async (tenant: string, names: readonly string[], _options, command: Command) => {
    const { client, out } = await open(command);
    await ensureTenant(
      () => client.tenant(tenant),
      () => client.createTenant(tenant),
    );
    for (const name of names) {
      await client.addSegment(tenant, name);
      await out.done(`segment ${name} added to tenant ${tenant}`, `segment/${tenant}/${name}`);
    }
  });

  examples(
    segment
      .command("remove")
      .alias("rm")
      .alias("delete")
      .argument("<tenant>", "its tenant")
      .argument("<segment...>", "names")
      .description("forget segments; refused while addresses of theirs are in use"),
    [["romana segment remove shop db", "when its last pod is gone"]],
  ).action(async (tenant: string, names: readonly string[], _options, command: Command) => {
    const { client, out } = await open(command);
    for (const name of names) {
      await client.removeSegment(tenant, name);
      await out.done(`segment ${name} removed from tenant ${tenant}`, `segment/${tenant}/${name}`);
    }
  });

  examples(
    segment
      .command("list")
      .alias("ls")
      .argument("[tenant...]", "only of these tenants")
      .description("list segments of some tenants, or of all"),
    [
      ["romana segment list", "of all tenants"],
      ["romana segment list shop", "of one"],
    ],
  ).action(async (names: readonly string[], _options, command: Command) => {
    const { client, out } = await open(command);
    const tenants = names.length > 0 ? names : (await client.tenants()).map(({ name }) => name);
    const rows: SegmentRow[] = [];
    for (const tenant of tenants) {
      rows.push(...(await client.segments(tenant)).map((each) => ({ tenant, ...each })));
    }
    await out.list({
      value: rows,
      rows,
      columns: segmentColumns,
      name: ({ tenant, name }) => `segment/${tenant}/${name}`,
      empty: "No segments.",
    });
  });
}

/** Creates what is not there; somebody who creates it at the same moment does us a favour. */
async function ensureTenant(look: () => Promise<unknown>, create: () => Promise<unknown>): Promise<void> {
  try {
    await look();
  } catch (error) {
    if (!(error instanceof NetworkError) || error.kind !== "not-found") {
      throw error;
    }
    await create().catch((refusal: unknown) => {
      if (!(refusal instanceof NetworkError) || refusal.kind !== "conflict") {
        throw refusal;
      }
    });
  }
}
