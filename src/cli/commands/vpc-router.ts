import type { Command } from "commander";

import type { RouterConfig } from "../../config/load-router.ts";
import type { Option as Setting } from "../../config/option.ts";
import { routerOptions } from "../../config/router-options.ts";
import { examples } from "../examples.ts";
import type { Terminal } from "../terminal.ts";
import { addSetting } from "./controller.ts";

/** Runs the stand-alone router until the signal is aborted. */
export type RunVpcRouter = (config: RouterConfig, signal: AbortSignal) => Promise<void>;

/** `romana vpc-router`: every option of its configuration is a flag; `--check` reads a list and ends. */
export function vpcRouterCommand(
  program: Command,
  terminal: Terminal,
  signal: AbortSignal,
  runVpcRouter: RunVpcRouter,
): void {
  const command = program
    .command("vpc-router")
    .description("run the stand-alone router: routes to listed gateways (NAT, VPN, firewalls), with failover")
    .option(
      "--check <file>",
      "Read a list of routes, say what is wrong with it, and end. Asks nothing of AWS.",
    );
  for (const setting of Object.values<Setting<unknown>>(routerOptions)) {
    if (setting.name !== routerOptions.config.name) {
      addSetting(command, setting);
    }
  }
  examples(command, [
    ["romana vpc-router --route-spec /etc/romana/routes.json", "keeps what the file lists"],
    ["romana vpc-router --listen 127.0.0.1:33289 --health multi", "takes the list by POST /route_spec"],
    ["romana vpc-router --route-spec routes.json --dry-run", "plans and logs, changes nothing"],
    ["romana vpc-router --check routes.json", "exit code 0 or 2"],
  ]).action(async () => {
    const { check, ...given } = command.opts<{ readonly check?: string; readonly allowEmpty?: boolean }>();
    if (check !== undefined) {
      terminal.write(`${await checkRouteSpec(check, given.allowEmpty === true)}\n`);
      return;
    }
    const { loadRouterConfig } = await import("../../config/load-router.ts");
    const { config } = command.optsWithGlobals<{ readonly config?: string }>();
    const flags = { ...given, ...(config === undefined ? {} : { config }) };
    await runVpcRouter(loadRouterConfig({ flags, environment: terminal.env }), signal);
  });
}

async function checkRouteSpec(path: string, allowEmpty: boolean): Promise<string> {
  const { loadRouteSpec } = await import("../../config/route-spec.ts");
  const { addressesOf } = await import("../../core/routing/route-spec.ts");
  const spec = loadRouteSpec(path, allowEmpty);
  return `${path} is good: ${count(spec.routes.size, "route")} to ${count(addressesOf(spec).length, "address", "es")}`;
}

function count(number: number, noun: string, plural = "s"): string {
  return `${number} ${noun}${number === 1 ? "" : plural}`;
}
