import type { Command } from "commander";
import picocolors from "picocolors";

import { RomanaClient } from "../client/client.ts";
import { formatEndpoint } from "../client/http.ts";
import { Output } from "./output.ts";
import { clientSettings, type GlobalOptions } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

/** What a command works with. */
export interface Session {
  readonly client: RomanaClient;
  readonly out: Output;
  readonly terminal: Terminal;
  readonly colours: ReturnType<typeof picocolors.createColors>;
  readonly signal: AbortSignal;
}

/** Opens the session of a command that was called. */
export type OpenSession = (command: Command) => Promise<Session>;

/** Reads the options that all commands share, wherever on the line they stand. */
export function sessionOpener(terminal: Terminal, signal: AbortSignal): OpenSession {
  return async (command) => {
    const { endpoint, format, verbose } = await clientSettings(
      command.optsWithGlobals<GlobalOptions>(),
      terminal,
    );
    if (verbose) {
      terminal.note(`asking ${formatEndpoint(endpoint)}`);
    }
    return {
      client: new RomanaClient({ endpoint, signal }),
      out: new Output(format, terminal),
      terminal,
      colours: picocolors.createColors(terminal.coloured),
      signal,
    };
  };
}
