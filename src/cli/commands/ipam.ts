import { Option, type Command } from "commander";

import { NetworkError } from "../../core/errors.ts";
import type { IpamCheck, IpamFinding, LeakRelease } from "../../core/views/ipam-views.ts";
import { examples } from "../examples.ts";
import { CommandEnd, findingsExitCode } from "../exit-codes.ts";
import { withValues } from "../known-values.ts";
import type { OpenSession, Session } from "../session.ts";
import type { Column } from "../table.ts";

const columns: readonly Column<IpamFinding>[] = [
  { header: "KIND", cell: ({ kind }) => kind },
  { header: "ADDRESS", cell: ({ address }) => address },
  { header: "NAME", cell: ({ name }) => name || "-" },
  { header: "HOST", cell: ({ host }) => host || "-" },
  { header: "POD", cell: ({ pod }) => (pod === null ? "-" : `${pod.namespace}/${pod.name}`) },
  { header: "RELEASED", cell: ({ releaseAt }) => releaseAt ?? "-" },
  { header: "WHAT", cell: ({ message }) => message },
  { header: "SINCE", cell: ({ since }) => since ?? "-", wide: true },
  { header: "UID", cell: ({ pod }) => pod?.uid ?? "-", wide: true },
  { header: "TENANT", cell: ({ tenant }) => tenant || "-", wide: true },
  { header: "SEGMENT", cell: ({ segment }) => segment || "-", wide: true },
];

interface ReleaseFlags {
  readonly leaked: true;
  readonly grace?: string;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

/** `romana ipam`. */
export function ipamCommands(program: Command, open: OpenSession): void {
  const ipam = program.command("ipam").description("compare addresses with Pods and interfaces");

  examples(
    ipam
      .command("check")
      .description(
        "tell what does not fit: leaked addresses, Pods without a record, and more; ends with 6 then",
      ),
    [
      ["romana ipam check", "a line for each finding"],
      ["romana ipam check -o json", "the same for programs"],
    ],
  ).action(async (_options, command: Command) => {
    const session = await open(command);
    await showCheck(session, await session.client.checkIpam());
  });

  examples(
    ipam
      .command("release")
      .requiredOption("--leaked", "what leaked: no Pod holds it, and its node has no such interface")
      .addOption(
        withValues(
          new Option(
            "--grace <duration>",
            "how long that must have been so, instead of the controller's --address-grace",
          ),
          ["0s", "1m", "10m"],
        ),
      )
      .option("--dry-run", "release nothing, show what would be")
      .option("-y, --yes", "do not ask")
      .description("release leaked addresses"),
    [
      ["romana ipam release --leaked --dry-run", "what leaked for longer than the grace time"],
      ["romana ipam release --leaked --grace 0s", "all that both sources agree on, after a question"],
    ],
  ).action(async (flags: ReleaseFlags, command: Command) => {
    await releaseLeaked(await open(command), flags);
  });
}

async function showCheck({ out, terminal }: Session, check: IpamCheck): Promise<void> {
  await out.list({
    value: check,
    rows: check.findings,
    columns,
    name: ({ kind, address }) => `${kind}/${address}`,
    empty: `${check.addresses} addresses in use, ${check.pods} Pods: nothing was found.`,
  });
  if (out.forPeople && check.podsProblem !== "") {
    terminal.note(`It is not known which Pods there are: ${check.podsProblem}.`);
  }
  if (out.forPeople && check.silentHostCount > 0) {
    const named = check.silentHosts.slice(0, 5).join(", ");
    const more = check.silentHostCount > 5 ? ` and ${check.silentHostCount - 5} more` : "";
    terminal.note(`No agent speaks for ${named}${more}: their addresses are kept.`);
  }
  if (!check.clean) {
    throw new CommandEnd(findingsExitCode);
  }
}

async function releaseLeaked(
  session: Session,
  { grace, dryRun = false, yes = false }: ReleaseFlags,
): Promise<void> {
  const { client, out, terminal, signal } = session;
  if (dryRun || !yes) {
    const trial = await client.releaseLeaked({ grace, dryRun: true });
    const count = trial.released.length;
    if (dryRun || count === 0) {
      await show(session, trial, count === 0 ? "Nothing to release." : `${count} would be released.`);
      return;
    }
    if (out.forPeople) {
      out.table(columns, trial.released);
    }
    const question = `Release ${count === 1 ? "this address" : `these ${count} addresses`}?`;
    if (!(await terminal.confirm(question, signal))) {
      throw new NetworkError("conflict", "LEAKS_KEPT", "nothing was released, as you said");
    }
  }
  const done = await client.releaseLeaked({ grace, dryRun: false });
  const { released, failed } = done;
  await show(session, done, released.length === 0 ? "Nothing to release." : `${released.length} released.`);
  if (failed.length > 0) {
    const [first] = failed;
    throw new NetworkError(
      "conflict",
      "LEAKS_KEPT",
      `${failed.length} could not be released, ${first?.address} for one: ${first?.message}; look with "romana ipam check"`,
    );
  }
}

async function show({ out }: Session, release: LeakRelease, summary: string): Promise<void> {
  const { released, kept } = release;
  if (!out.forPeople) {
    await out.list({
      value: release,
      rows: released,
      columns,
      name: ({ address }) => `address/${address}`,
      empty: "",
    });
    return;
  }
  if (released.length > 0) {
    out.table(columns, released);
  }
  out.text(summary);
  if (kept.length > 0) {
    out.text("");
    out.text(`${kept.length} kept:`);
    out.table(columns, kept);
  }
}
