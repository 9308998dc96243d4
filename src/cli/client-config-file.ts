import { existsSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";

import { NetworkError } from "../core/errors.ts";
import type { Terminal } from "./terminal.ts";

/** The keys of the configuration file, as they are documented. Read in any case. */
export const configKeys = [
  "RootURL",
  "RootPort",
  "LogFile",
  "Format",
  "Platform",
  "Verbose",
  "Token",
  "TokenFile",
  "CACert",
  "TLSServerName",
  "ClientCert",
  "ClientKey",
] as const;

export type ConfigKey = (typeof configKeys)[number];

/** A value of the file, as it is written there, and where: `/etc/romana/cli.yaml, line 3`. */
export interface ConfigEntry {
  readonly text: string;
  readonly place: string;
}

/** What the configuration file says. */
export interface ClientConfigFile {
  readonly path: string;
  /** Folder that relative paths of the file start from. */
  readonly folder: string;
  readonly entries: ReadonlyMap<ConfigKey, ConfigEntry>;
}

/**
 * Reads the configuration file of the CLI, YAML or JSON: the named one, else `~/.romana.{yaml,yml,json}`, else `/etc/romana/cli.yaml`; undefined
 * when there is none. Other keys than ours, and ours without a value, are left alone. Warns of a token that others can read. Throws `CONFIG_MALFORMED` with file,
 * line and column, `FILE_UNREADABLE` for a named one that is not there.
 */
export async function readClientConfig(
  named: string | undefined,
  terminal: Terminal,
): Promise<ClientConfigFile | undefined> {
  const home = terminal.env["HOME"] ?? homedir();
  const usual = [".romana.yaml", ".romana.yml", ".romana.json"].map((name) => join(home, name));
  const path = named ?? [...usual, "/etc/romana/cli.yaml"].find((candidate) => existsSync(candidate));
  if (path === undefined) {
    return undefined;
  }
  const entries = await parseConfig(path, await terminal.read(path));
  if (entries.has("Token")) {
    warnOfReaders(path, terminal);
  }
  return { path, folder: dirname(path), entries };
}

/** Says so on standard error when others than its owner may read a file that holds a secret. */
export function warnOfReaders(path: string, terminal: Terminal): void {
  const mode = statSync(path, { throwIfNoEntry: false })?.mode ?? 0;
  if ((mode & 0o077) !== 0) {
    terminal.note(`Warning: ${path} holds a secret and others may read it: chmod 600 ${path}`);
  }
}

async function parseConfig(path: string, text: string): Promise<ReadonlyMap<ConfigKey, ConfigEntry>> {
  const { isMap, isScalar, LineCounter, parseDocument } = await import("yaml");
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [error] = document.errors;
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0]);
    throw malformed(`${path}, line ${line}, column ${col}`, error.message, error);
  }
  const { contents } = document;
  if (contents === null) {
    return new Map();
  }
  if (!isMap(contents)) {
    throw malformed(path, 'expected lines such as "RootURL: http://127.0.0.1:9600"');
  }
  const entries = new Map<ConfigKey, ConfigEntry>();
  for (const { key, value } of contents.items) {
    const name = isScalar(key) ? String(key.value).toLowerCase() : "";
    const known = configKeys.find((each) => each.toLowerCase() === name);
    if (
      known === undefined ||
      value === null ||
      (isScalar(value) && (value.value === null || value.value === ""))
    ) {
      continue;
    }
    const start = isScalar(key) ? (key.range?.[0] ?? 0) : 0;
    const place = `${path}, line ${lines.linePos(start).line}`;
    if (!isScalar(value)) {
      throw malformed(place, `${known} takes one value, not a list or a mapping`);
    }
    // As it stands there: a token or a name that looks like a number is none.
    entries.set(known, { text: value.source ?? String(value.value), place });
  }
  return entries;
}

function malformed(place: string, problem: string, cause?: unknown): NetworkError {
  return new NetworkError(
    "invalid",
    "CONFIG_MALFORMED",
    `cannot read ${place}: ${problem}`,
    { place },
    cause,
  );
}
