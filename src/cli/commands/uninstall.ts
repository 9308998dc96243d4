import type { Command } from "commander";

import { controllerOptions } from "../../config/controller-options.ts";
import type { ControllerConfig } from "../../config/load.ts";
import type { Option as Setting } from "../../config/option.ts";
import { NetworkError } from "../../core/errors.ts";
import type { LeftRoute, RemovalPlan, RemovedRoute } from "../../core/routing/plan-removal.ts";
import { examples } from "../examples.ts";
import { Output } from "../output.ts";
import { formatOf, type GlobalOptions } from "../settings.ts";
import type { Column } from "../table.ts";
import type { Terminal } from "../terminal.ts";
import { addSetting } from "./controller.ts";

/** A removal as it ended. */
export interface RemovalOutcome {
  readonly plan: RemovalPlan;
  /** What could not be removed, each with its reason. */
  readonly remaining: readonly (RemovedRoute & { readonly problem: string })[];
  /** Nothing was changed: a dry run, or nothing was there to do. */
  readonly isUnchanged: boolean;
}

/**
 * Removes the routes that are on record as ours. `confirm` is called with the plan before anything is changed, and not for a dry run or a plan that changes
 * nothing; it throws to end the removal there.
 */
export type UninstallRoutes = (
  config: ControllerConfig,
  confirm: (plan: RemovalPlan) => Promise<void>,
  signal: AbortSignal,
) => Promise<RemovalOutcome>;

/** Options of the controller that matter here; all the others are taken too, so that the same line, file and environment serve. */
const SHOWN = new Set([
  "cloud",
  "cluster",
  "dry-run",
  "election",
  "etcd-cacert",
  "etcd-cert",
  "etcd-endpoints",
  "etcd-key",
  "etcd-password-file",
  "etcd-prefix",
  "etcd-user",
  "ignore-routes",
  "kubernetes",
  "leader-ttl",
  "lease",
  "region",
  "store",
  "vpc",
]);

const routeColumns: readonly Column<RemovedRoute>[] = [
  { header: "ROUTE TABLE", cell: ({ routeTableId }) => routeTableId },
  { header: "DESTINATION", cell: ({ destination }) => destination },
  { header: "TARGET", cell: ({ target }) => target },
];

const REASONS: Readonly<Record<LeftRoute["reason"], string>> = {
  foreign: "not on record as ours",
  "led-elsewhere": "somebody led it elsewhere since",
  ignored: "inside --ignore-routes",
};

/** `romana uninstall`: it works on the store and on EC2 itself, with the controller's own options, while no controller runs. */
export function uninstallCommand(
  program: Command,
  terminal: Terminal,
  signal: AbortSignal,
  uninstallRoutes: UninstallRoutes,
): void {
  const command = program
    .command("uninstall")
    .description(
      "take Romana's routes out of the route tables; runs with the controller's options, while no controller does",
    )
    .option("--routes", "remove every route that is on record as Romana's")
    .option("-y, --yes", "do not ask");
  for (const setting of Object.values<Setting<unknown>>(controllerOptions)) {
    if (setting.name !== controllerOptions.config.name) {
      addSetting(command, setting, { isHidden: !SHOWN.has(setting.name) });
    }
  }
  examples(command, [
    [
      "romana uninstall --routes --dry-run --config /etc/romana/controller.yaml",
      "what would go, and what stays",
    ],
    [
      "romana uninstall --routes --yes --cloud aws --region us-west-2 --vpc vpc-0a1b2c3d --store etcd",
      "without asking",
    ],
  ]).action(async () => {
    const {
      routes = false,
      yes = false,
      ...given
    } = command.opts<{
      readonly routes?: boolean;
      readonly yes?: boolean;
    }>();
    if (!routes) {
      throw new NetworkError(
        "invalid",
        "UNINSTALL_UNSAID",
        "say what shall be removed: romana uninstall --routes takes Romana's routes out of the route tables",
      );
    }
    const { loadControllerConfig } = await import("../../config/load.ts");
    const { config: file, ...shared } = command.optsWithGlobals<GlobalOptions>();
    const flags = { ...given, ...(file === undefined ? {} : { config: file }) };
    const config = loadControllerConfig({ flags, environment: terminal.env });
    const out = new Output(formatOf(shared), terminal);
    const confirm = async (plan: RemovalPlan): Promise<void> => {
      if (yes) {
        return;
      }
      showPlan(new Output("table", { ...terminal, write: (text) => terminal.note(text.trimEnd()) }), plan);
      const question = `Pods of other nodes are out of reach without them. Remove ${counted(plan.remove.length)}?`;
      if (!(await terminal.confirm(question, signal))) {
        throw new NetworkError("conflict", "ROUTES_KEPT", "the routes were kept, as you said");
      }
    };
    await report(out, terminal, config.dryRun, await uninstallRoutes(config, confirm, signal));
  });
}

function showPlan(out: Output, { remove }: RemovalPlan): void {
  if (remove.length > 0) {
    out.table(routeColumns, remove);
  }
}

async function report(
  out: Output,
  terminal: Terminal,
  dryRun: boolean,
  { plan, remaining, isUnchanged }: RemovalOutcome,
): Promise<void> {
  const { remove, forget, left } = plan;
  const open = new Set(remaining.map(keyOf));
  const removed = isUnchanged ? [] : remove.filter((route) => !open.has(keyOf(route)));
  if (!out.forPeople) {
    await out.list({
      value: { dryRun, remove, removed, remaining, forgotten: isUnchanged ? [] : forget, left },
      rows: dryRun ? remove : removed,
      columns: routeColumns,
      name: ({ routeTableId, destination }) => `${routeTableId}/${destination}`,
      empty: "",
    });
  } else {
    if (dryRun) {
      showPlan(out, plan);
    }
    out.text(summary(plan, removed.length, dryRun));
    if (left.length > 0) {
      out.text("\nLeft alone:");
      out.table([...routeColumns, { header: "REASON", cell: ({ reason }) => REASONS[reason] }], left);
    }
  }
  if (remaining.length > 0) {
    const [first] = remaining;
    throw new NetworkError(
      "transient",
      "UNINSTALL_INCOMPLETE",
      `${counted(removed.length)} of ${remove.length} removed, ${remaining.length} could not be: ${first?.routeTableId ?? ""} ${first?.destination ?? ""}: ${first?.problem ?? ""}; run it again, what is gone stays gone`,
      { remaining: remaining.map(({ routeTableId, destination }) => `${routeTableId} ${destination}`) },
    );
  }
  if (out.forPeople && !dryRun) {
    terminal.note(
      "Source/Dest checks stay off: the EC2 console or API turns them on again, interface by interface.",
    );
  }
}

function summary({ remove, forget }: RemovalPlan, removed: number, dryRun: boolean): string {
  if (remove.length === 0 && forget.length === 0) {
    return "No route is on record in this store: nothing to remove.";
  }
  const records =
    forget.length === 0
      ? ""
      : `, and ${forget.length === 1 ? "1 record" : `${forget.length} records`} forgotten without a route of ours`;
  return dryRun
    ? `${counted(remove.length)} would be removed${records}; nothing was changed.`
    : `${counted(removed)} removed${records}.`;
}

function counted(count: number): string {
  return count === 1 ? "1 route" : `${count} routes`;
}

function keyOf({ routeTableId, destination }: RemovedRoute): string {
  return `${routeTableId} ${destination}`;
}
