import type { Command } from "commander";

import { NetworkError } from "../../core/errors.ts";
import type { Finding } from "../../core/migration/finding.ts";
import type { ImportReport } from "../../core/views/state-views.ts";
import { examples } from "../examples.ts";
import type { OpenSession, Session } from "../session.ts";
import type { Column } from "../table.ts";

interface ImportFlags {
  readonly repair?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

const findingColumns: readonly Column<Finding>[] = [
  { header: "SEVERITY", cell: ({ severity }) => severity },
  { header: "CODE", cell: ({ code }) => code },
  { header: "FINDING", cell: ({ message }) => message },
  { header: "REPAIR", cell: ({ repair }) => repair },
  { header: "PLACE", cell: ({ place }) => place, wide: true },
];

/** `romana export` and `romana import`. */
export function stateCommands(program: Command, open: OpenSession): void {
  examples(
    program
      .command("export")
      .argument("[file]", "where to; - or none: standard output", "-")
      .description("write the whole state as one document: networks, hosts, blocks, addresses, policies"),
    [
      ["romana export backup.json", "written whole or not at all, readable by you alone"],
      ["romana export | gzip > backup.json.gz", "to standard output"],
    ],
  ).action(async (file: string, _options, command: Command) => {
    const { client, out, terminal } = await open(command);
    const { formatStateDocument } = await import("../../core/migration/state-document.ts");
    const pieces = formatStateDocument(await client.exportState());
    if (file === "-") {
      for (const piece of pieces) {
        terminal.write(piece);
      }
      return;
    }
    const { writePrivateFile } = await import("../write-file.ts");
    const bytes = await writePrivateFile(file, pieces);
    await out.done(`The state was written to ${file} (${size(bytes)}).`, `file/${file}`);
  });

  examples(
    program
      .command("import")
      .argument("<file>", 'document of "romana export", or the original\'s state; -: standard input')
      .option("--repair", "take what is sound of a damaged state, and leave out the rest")
      .option("--dry-run", "say what would be taken, and change nothing")
      .option("-y, --yes", "do not ask")
      .description("put a state in the place of one without addresses: all of it, or nothing"),
    [
      ["romana import backup.json", "shows what it holds, and asks"],
      [
        "romana import romana-ipam-data.json --dry-run",
        "what the original left behind, and what is odd in it",
      ],
    ],
  ).action(async (file: string, flags: ImportFlags, command: Command) => {
    await importState(await open(command), file, flags);
  });
}

async function importState(
  session: Session,
  file: string,
  { repair = false, dryRun = false, yes = false }: ImportFlags,
): Promise<void> {
  const { client, out, terminal, signal } = session;
  const document = await readJson(session, file);
  terminal.note("Checking the state …");
  const trial = await client.importState(document, { repair, dryRun: true });
  if (dryRun || (!trial.sound && !repair)) {
    await showReport(session, trial);
  }
  if (dryRun) {
    return;
  }
  if (!trial.sound && !repair) {
    const count = trial.findings.filter(({ severity }) => severity === "unsound").length;
    throw new NetworkError(
      "invalid",
      "IMPORT_UNSOUND",
      `nothing was imported: ${count} findings say that the state is damaged; --repair does what each line says and takes the rest`,
    );
  }
  if (!yes) {
    if (out.forPeople) {
      await showReport(session, trial);
    }
    const question = "This replaces networks, hosts, blocks, tenants and policies of the controller. Import?";
    if (!(await terminal.confirm(question, signal))) {
      throw new NetworkError("conflict", "STATE_KEPT", "nothing was imported, as you said");
    }
  }
  terminal.note("Importing …");
  const report = await client.importState(document, { repair, dryRun: false });
  if (!out.forPeople || yes) {
    await showReport(session, report);
  }
  if (out.forPeople) {
    out.text(`Imported from ${file}.`);
  }
}

async function showReport({ out }: Session, report: ImportReport): Promise<void> {
  if (!out.forPeople) {
    await out.list({
      value: report,
      rows: report.findings,
      columns: findingColumns,
      name: ({ code, place }) => `${code}/${place}`,
      empty: "",
    });
    return;
  }
  const { networks, groups, hosts, blocks, addresses, blackouts, tenants, policies } = report;
  const source = report.source === "original" ? "the original's state" : "a state document";
  out.text(
    `This is ${source}: ${networks} networks with ${groups} groups, ${hosts} hosts, ${blocks} blocks, ` +
      `${addresses} addresses, ${blackouts} blackouts, ${tenants} tenants, ${policies} policies.`,
  );
  if (report.findings.length > 0) {
    out.text("");
    out.table(findingColumns, report.findings);
    out.text("");
  }
}

async function readJson({ terminal }: Session, file: string): Promise<unknown> {
  const text = await terminal.read(file);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new NetworkError(
      "invalid",
      "IMPORT_MALFORMED",
      `${file === "-" ? "standard input" : file} is not JSON: ${error instanceof Error ? error.message : String(error)}`,
      { file },
      error,
    );
  }
}

function size(bytes: number): string {
  return bytes < 1_000_000 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}
