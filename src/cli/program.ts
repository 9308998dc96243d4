import { Command, Option } from "commander";

import { addressCommands } from "./commands/address.ts";
import { blackoutCommands } from "./commands/blackout.ts";
import { blockCommands } from "./commands/block.ts";
import { certsCommand, type CreateCertificates, type InstallCertificates } from "./commands/certs.ts";
import { completionCommand } from "./commands/completion.ts";
import { configCommands } from "./commands/config.ts";
import { controllerCommand, type RunController } from "./commands/controller.ts";
import { explainCommands } from "./commands/explain.ts";
import { helpCommand } from "./commands/help.ts";
import { hostCommands } from "./commands/host.ts";
import { ipamCommands } from "./commands/ipam.ts";
import { networkCommands } from "./commands/network.ts";
import { policyCommands } from "./commands/policy.ts";
import { routeCommands } from "./commands/routes.ts";
import { simulateCommand, type RunSimulation } from "./commands/simulate.ts";
import { stateCommands } from "./commands/state.ts";
import { statusCommands } from "./commands/status.ts";
import { segmentCommands, tenantCommands } from "./commands/tenant.ts";
import { topologyCommands } from "./commands/topology.ts";
import { uninstallCommand, type UninstallRoutes } from "./commands/uninstall.ts";
import { vpcRouterCommand, type RunVpcRouter } from "./commands/vpc-router.ts";
import { withValues } from "./known-values.ts";
import { originalFormats, outputFormats } from "./output.ts";
import { sessionOpener } from "./session.ts";
import type { Terminal } from "./terminal.ts";

/** What the commands need from outside. The heavy programs are given as functions that load them when they are called. */
export interface ProgramParts {
  readonly version: string;
  readonly terminal: Terminal;
  /** Aborted when the program shall end. */
  readonly signal: AbortSignal;
  readonly runController: RunController;
  readonly runSimulation: RunSimulation;
  readonly runVpcRouter: RunVpcRouter;
  readonly createCertificates: CreateCertificates;
  readonly installCertificates: InstallCertificates;
  readonly uninstallRoutes: UninstallRoutes;
}

/** The command line of `romana`, with every command. */
export function createProgram({
  version,
  terminal,
  signal,
  runController,
  runSimulation,
  runVpcRouter,
  createCertificates,
  installCertificates,
  uninstallRoutes,
}: ProgramParts): Command {
  const program = new Command("romana")
    .description("Topology-aware pod networking for Kubernetes on AWS, without overlay.")
    .version(version, "--version", "print the version")
    .option(
      "-r, --rootURL <url>",
      "the controller: http[s]://HOST[:PORT] or unix:/PATH (default: $ROMANA_URL or http://127.0.0.1:9600)",
    )
    .option("-p, --rootPort <port>", "its port, when the URL beside it has none (default: 9600)")
    .addOption(
      withValues(
        new Option("-o, --output <format>", `how to print: ${outputFormats.join(", ")} (default: table)`),
        outputFormats,
      ),
    )
    .addOption(
      withValues(
        new Option("-f, --format <format>", `the original's output: ${originalFormats.join(", ")}`),
        originalFormats,
      ).conflicts("output"),
    )
    .option("-c, --config <file>", "configuration file (default: ~/.romana.yaml, then /etc/romana/cli.yaml)")
    .addOption(new Option("-P, --platform <name>", "read for older scripts, without effect").hideHelp())
    .option("-v, --verbose", "say on standard error, or in the log file, what is asked of whom")
    .option(
      "--cacert <file>",
      "certificates that the controller's may come from, PEM (default: $ROMANA_CACERT)",
    )
    .option(
      "--tls-server-name <name>",
      "the name in the controller's certificate, where it is reached by another one (default: $ROMANA_TLS_SERVER_NAME)",
    )
    .option(
      "--client-cert <file>",
      "certificate to show to the controller, PEM (default: $ROMANA_CLIENT_CERT)",
    )
    .option("--client-key <file>", "its key, PEM (default: $ROMANA_CLIENT_KEY)")
    .option(
      "--client-token-file <file>",
      "file with a token and nothing else (default: $ROMANA_CLIENT_TOKEN_FILE)",
    )
    .configureHelp({ showGlobalOptions: true, sortSubcommands: true })
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => terminal.write(text),
      writeErr: (text) => terminal.note(text.trimEnd()),
      outputError: (text, write) => write(text.replace(/^error: /, "Error: ")),
    })
    .exitOverride();

  const open = sessionOpener(terminal, signal);
  controllerCommand(program, terminal, signal, runController);
  simulateCommand(program, signal, runSimulation);
  statusCommands(program, open);
  vpcRouterCommand(program, terminal, signal, runVpcRouter);
  certsCommand(program, terminal, signal, { createCertificates, installCertificates });
  uninstallCommand(program, terminal, signal, uninstallRoutes);
  routeCommands(program, open);
  topologyCommands(program, open);
  hostCommands(program, open);
  networkCommands(program, open);
  blockCommands(program, open);
  addressCommands(program, open);
  blackoutCommands(program, open);
  ipamCommands(program, open);
  tenantCommands(program, open);
  segmentCommands(program, open);
  policyCommands(program, open);
  stateCommands(program, open);
  explainCommands(program, open);
  configCommands(program, open);
  completionCommand(program, terminal, open);
  helpCommand(program);
  showUsageAfterError(program);
  return program;
}

/** Whoever typed something wrong sees what the command takes. */
function showUsageAfterError(command: Command): void {
  const usage = command.createHelp().commandUsage(command);
  command.showHelpAfterError(`Usage: ${usage}   (more: --help)`);
  for (const each of command.commands) {
    showUsageAfterError(each);
  }
}
