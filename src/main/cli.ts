#!/usr/bin/env node
import { run } from "../cli/run.ts";
import { processTerminal } from "../cli/terminal.ts";
import { readVersion } from "../cli/version.ts";

const stop = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) {
  // The second one ends the process at once, as if nobody listened.
  process.once(name, () => stop.abort(new Error(`ended by ${name}`)));
}
// `romana … | head` closes our output early: that ends the program, and is no failure of it.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") {
    throw error;
  }
  process.exit(0);
});

process.exitCode = await run(process.argv.slice(2), {
  version: readVersion(),
  terminal: processTerminal(),
  signal: stop.signal,
  // Loaded when they are asked for: the SDKs behind them take longer to load than most commands to run.
  runController: async (config, signal) => {
    const { runController } = await import("./controller.ts");
    await runController(config, signal);
  },
  runVpcRouter: async (config, signal) => {
    const { runVpcRouter } = await import("./vpc-router.ts");
    await runVpcRouter(config, signal);
  },
  runSimulation: async (options, signal) => {
    const { runSimulation } = await import("./simulate.ts");
    return await runSimulation(options, signal);
  },
  createCertificates: async (options) => {
    const { createCertificates } = await import("./certificates.ts");
    return await createCertificates(options);
  },
  installCertificates: async (options, signal) => {
    const { installCertificates } = await import("./certificates.ts");
    return await installCertificates(options, signal);
  },
  uninstallRoutes: async (config, confirm, signal) => {
    const { uninstallRoutes } = await import("./uninstall.ts");
    return await uninstallRoutes(config, confirm, signal);
  },
});
