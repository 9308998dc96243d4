import type { Command } from "commander";
import picocolors from "picocolors";

import { RomanaClient } from "../client/client.ts";
import { formatEndpoint } from "../client/http.ts";
import { openLog } from "./log.ts";
import { Output } from "./output.ts";
import { clientSettings, type ClientSettings, type GlobalOptions } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

/** What a command works with. */
export interface Session {
  readonly client: RomanaClient;
  readonly out: Output;
  readonly terminal: Terminal;
  readonly colours: ReturnType<typeof picocolors.createColors>;
  readonly signal: AbortSignal;
  readonly settings: ClientSettings;
}

/** Opens the session of a command that was called. */
export type OpenSession = (command: Command) => Promise<Session>;

/** Reads the options that all commands share, wherever on the line they stand. */
export function sessionOpener(terminal: Terminal, signal: AbortSignal): OpenSession {
  return async (command) => {
    const settings = await clientSettings(command.optsWithGlobals<GlobalOptions>(), terminal);
    const { endpoint, credentials, format } = settings;
    const log = await openLog(settings, terminal);
    log(`asking ${formatEndpoint(endpoint)}`);
    return {
      client: new RomanaClient({
        endpoint,
        credentials,
        signal,
        observe: ({ method, path, place, outcome, durationMs }) =>
          log(`${method} ${path} on ${place}: ${outcome}, ${Math.round(durationMs)} ms`),
      }),
      out: new Output(format, terminal),
      terminal,
      colours: picocolors.createColors(terminal.coloured),
      signal,
      settings,
    };
  };
}
