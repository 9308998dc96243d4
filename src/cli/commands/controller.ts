import { Option, type Command } from "commander";

import { controllerOptions } from "../../config/controller-options.ts";
import type { ControllerConfig } from "../../config/load.ts";
import type { Option as Setting } from "../../config/option.ts";
import { originalOptions } from "../../config/original-options.ts";
import { examples } from "../examples.ts";
import { withValues } from "../known-values.ts";
import type { Terminal } from "../terminal.ts";

/** Runs the controller until the signal is aborted. */
export type RunController = (config: ControllerConfig, signal: AbortSignal) => Promise<void>;

/** `romana controller`: every option of the configuration is a flag. `--config` is the one that all commands share. */
export function controllerCommand(
  program: Command,
  terminal: Terminal,
  signal: AbortSignal,
  runController: RunController,
): void {
  const command = program
    .command("controller")
    .description("run the controller: REST API, addresses, routes and failover");
  for (const setting of Object.values<Setting<unknown>>(controllerOptions)) {
    if (setting.name !== controllerOptions.config.name) {
      addSetting(command, setting);
    }
  }
  addReplacedOptions(command);
  examples(command, [
    ["romana controller --store memory --cloud none", "on its own, to try the API"],
    ["romana controller --cloud aws --topology builtin:aws-us-west-2", "on an instance of a cluster"],
    ["romana controller --cloud aws --dry-run", "plans and reports, changes nothing"],
  ]).action(async () => {
    const { loadControllerConfig } = await import("../../config/load.ts");
    const { config } = command.optsWithGlobals<{ readonly config?: string }>();
    const flags = { ...command.opts(), ...(config === undefined ? {} : { config }) };
    await runController(loadControllerConfig({ flags, environment: terminal.env }), signal);
  });
}

/** Declares an option of a configuration as a flag, its aliases hidden; with `isHidden`, itself too. */
export function addSetting(
  command: Command,
  { name, aliases, form, placeholder, help, defaultNote, section }: Setting<unknown>,
  { isHidden = false } = {},
): void {
  for (const [index, each] of [name, ...aliases].entries()) {
    const flags = form === "switch" ? `--${each}` : `--${each} <${placeholder}>`;
    const option = new Option(flags, `${help} Default: ${defaultNote}.`)
      .helpGroup(`${section}:`)
      .hideHelp(isHidden || index > 0);
    if (/^[a-z]+(\|[a-z]+)+$/.test(placeholder)) {
      withValues(option, placeholder.split("|"));
    }
    if (form === "list") {
      option.argParser((text: string, before: readonly string[] | undefined) => [...(before ?? []), text]);
    }
    command.addOption(option);
  }
}

/** Options of the original that nothing reads: taken with or without a value, so that they are answered where all other mistakes are, with what replaces them. */
function addReplacedOptions(command: Command): void {
  const names = originalOptions.flatMap(({ name, here }) => (here === undefined ? [name] : []));
  const known = new Set(command.options.map(({ long }) => long));
  for (const name of new Set(names)) {
    if (!known.has(`--${name}`)) {
      command.addOption(new Option(`--${name} [value]`).hideHelp());
    }
  }
}
