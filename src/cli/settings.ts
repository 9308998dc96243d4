import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

import { parseEndpoint, type Endpoint } from "../client/http.ts";
import { NetworkError } from "../core/errors.ts";
import { originalFormats, outputFormats, type OutputFormat } from "./output.ts";
import type { Terminal } from "./terminal.ts";

/** The options that every command takes. */
export interface GlobalOptions {
  readonly rootURL?: string;
  readonly rootPort?: string;
  readonly output?: string;
  readonly format?: string;
  readonly config?: string;
  readonly verbose?: boolean;
}

/** Where to ask, and how to print. */
export interface ClientSettings {
  readonly endpoint: Endpoint;
  readonly format: OutputFormat;
  readonly verbose: boolean;
}

const defaultUrl = "http://127.0.0.1";
const defaultPort = 9600;

/**
 * Options > environment (`ROMANA_URL`) > configuration file > defaults. The file is that of the original's CLI: `RootURL`, `Format` and
 * `Verbose`, in YAML or JSON, in `--config`, `~/.romana.{yaml,yml,json}` or `/etc/romana/cli.yaml`. Throws `NetworkError` `invalid`.
 */
export async function clientSettings(options: GlobalOptions, terminal: Terminal): Promise<ClientSettings> {
  const file = await readConfigFile(options.config, terminal);
  const url = options.rootURL ?? terminal.env["ROMANA_URL"] ?? file.get("rooturl") ?? defaultUrl;
  return {
    endpoint: parseEndpoint(url, readPort(options.rootPort ?? file.get("rootport"))),
    format: chooseFormat(options, file.get("format")),
    verbose: options.verbose ?? file.get("verbose") === "true",
  };
}

function readPort(text: string | undefined): number {
  if (text === undefined) {
    return defaultPort;
  }
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port === 0 || port > 65_535) {
    throw new NetworkError("invalid", "PORT_INVALID", `not a port: "${text}" (expected 1 to 65535)`, {
      text,
    });
  }
  return port;
}

function chooseFormat({ output, format }: GlobalOptions, inFile: string | undefined): OutputFormat {
  if (output !== undefined) {
    return oneOf(outputFormats, output, "--output");
  }
  const original = format ?? inFile;
  if (original === undefined) {
    return "table";
  }
  return `original-${oneOf(originalFormats, original, format === undefined ? "Format" : "--format")}`;
}

function oneOf<Choice extends string>(choices: readonly Choice[], text: string, option: string): Choice {
  const choice = choices.find((candidate) => candidate === text);
  if (choice === undefined) {
    throw new NetworkError(
      "invalid",
      "FORMAT_UNKNOWN",
      `${option} cannot be "${text}": choose ${choices.join(", ")}`,
      { text },
    );
  }
  return choice;
}

/** The file's plain values by lower-case key: the original's reader did not mind the case either. */
async function readConfigFile(
  named: string | undefined,
  terminal: Terminal,
): Promise<ReadonlyMap<string, string>> {
  const home = terminal.env["HOME"] ?? homedir();
  const usual = [".romana.yaml", ".romana.yml", ".romana.json"].map((name) => join(home, name));
  const file = named ?? [...usual, "/etc/romana/cli.yaml"].find((candidate) => existsSync(candidate));
  if (file === undefined) {
    return new Map();
  }
  const text = await terminal.read(file);
  const { parse } = await import("yaml");
  try {
    const value: unknown = parse(text);
    const entries = typeof value === "object" && value !== null ? Object.entries(value) : [];
    return new Map(entries.map(([key, entry]) => [key.toLowerCase(), String(entry)]));
  } catch (error) {
    throw new NetworkError(
      "invalid",
      "CONFIG_MALFORMED",
      `cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`,
      { file },
      error,
    );
  }
}
