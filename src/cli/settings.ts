import { isIP } from "node:net";
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";

import type { Credentials } from "../client/credentials.ts";
import { parseEndpoint, type Endpoint } from "../client/http.ts";
import { NetworkError } from "../core/errors.ts";
import {
  configKeys,
  readClientConfig,
  warnOfReaders,
  type ClientConfigFile,
  type ConfigKey,
} from "./client-config-file.ts";
import { originalFormats, outputFormats, type OutputFormat } from "./output.ts";
import type { Terminal } from "./terminal.ts";

/** The options that every command takes. */
export interface GlobalOptions {
  readonly rootURL?: string;
  readonly rootPort?: string;
  readonly output?: string;
  readonly format?: string;
  readonly config?: string;
  readonly platform?: string;
  readonly verbose?: boolean;
  readonly cacert?: string;
  readonly tlsServerName?: string;
  readonly clientCert?: string;
  readonly clientKey?: string;
  readonly clientTokenFile?: string;
}

/** Where to ask, as whom, and how to print. */
export interface ClientSettings {
  readonly endpoint: Endpoint;
  readonly credentials: Credentials;
  readonly format: OutputFormat;
  readonly verbose: boolean;
  /** File that takes what `--verbose` says; undefined: standard error. */
  readonly logFile: string | undefined;
  /** Every key with its value and where that comes from, in the order of the documentation. Secrets are in it: mask them. */
  readonly sources: readonly Setting[];
}

/** One value and where it comes from. */
export interface Setting {
  readonly key: ConfigKey;
  readonly text: string;
  /** `--rootURL`, `ROMANA_URL`, `/etc/romana/cli.yaml, line 3` or `default`. */
  readonly source: string;
  /** Folder that a relative path starts from. */
  readonly folder: string;
}

const defaultUrl = "http://127.0.0.1";
const defaultPort = "9600";

const fallbacks: ReadonlyMap<ConfigKey, string> = new Map([
  ["RootURL", defaultUrl],
  ["RootPort", defaultPort],
  ["Format", "table"],
]);

/** The variable of the environment for each key. Those of files say "client": `romana controller` has files of its own. */
const variables: Readonly<Record<ConfigKey, string>> = {
  RootURL: "ROMANA_URL",
  RootPort: "ROMANA_PORT",
  LogFile: "ROMANA_LOG_FILE",
  Format: "ROMANA_FORMAT",
  Platform: "ROMANA_PLATFORM",
  Verbose: "ROMANA_VERBOSE",
  Token: "ROMANA_TOKEN",
  TokenFile: "ROMANA_CLIENT_TOKEN_FILE",
  CACert: "ROMANA_CACERT",
  TLSServerName: "ROMANA_TLS_SERVER_NAME",
  ClientCert: "ROMANA_CLIENT_CERT",
  ClientKey: "ROMANA_CLIENT_KEY",
};

/**
 * Options > environment > configuration file > defaults, key by key. A token given directly and one in a file are one setting: the nearer one
 * wins. Throws `NetworkError` `invalid`, which says where the bad value came from.
 */
export async function clientSettings(options: GlobalOptions, terminal: Terminal): Promise<ClientSettings> {
  const file = await readClientConfig(options.config, terminal);
  const sources = configKeys
    .map((key) => findSetting(key, options, terminal, file))
    .filter((setting) => setting !== undefined);
  const get = (key: ConfigKey): Setting | undefined => sources.find((setting) => setting.key === key);
  const logFile = get("LogFile");
  return {
    endpoint: readEndpoint(get("RootURL"), get("RootPort")),
    credentials: await readCredentials(get, terminal),
    format: chooseFormat(options.output, get("Format")),
    verbose: readSwitch(get("Verbose")),
    logFile: logFile === undefined ? undefined : pathOf(logFile, terminal),
    sources,
  };
}

function findSetting(
  key: ConfigKey,
  options: GlobalOptions,
  { env }: Terminal,
  file: ClientConfigFile | undefined,
): Setting | undefined {
  const here = process.cwd();
  const flag = flagOf(key, options);
  if (flag !== undefined) {
    return { key, ...flag, folder: here };
  }
  const text = env[variables[key]];
  if (text !== undefined && text !== "") {
    return { key, text, source: variables[key], folder: here };
  }
  const entry = file?.entries.get(key);
  if (file !== undefined && entry !== undefined) {
    return { key, text: entry.text, source: entry.place, folder: file.folder };
  }
  const fallback = fallbacks.get(key);
  return fallback === undefined ? undefined : { key, text: fallback, source: "default", folder: here };
}

function flagOf(
  key: ConfigKey,
  options: GlobalOptions,
): { readonly text: string; readonly source: string } | undefined {
  const { rootURL, rootPort, format, platform, verbose, cacert, tlsServerName } = options;
  const { clientCert, clientKey, clientTokenFile } = options;
  const flags: Partial<Record<ConfigKey, readonly [string | undefined, string]>> = {
    RootURL: [rootURL, "--rootURL"],
    RootPort: [rootPort, "--rootPort"],
    Format: [format, "--format"],
    Platform: [platform, "--platform"],
    Verbose: [verbose === true ? "true" : undefined, "--verbose"],
    TokenFile: [clientTokenFile, "--client-token-file"],
    CACert: [cacert, "--cacert"],
    TLSServerName: [tlsServerName, "--tls-server-name"],
    ClientCert: [clientCert, "--client-cert"],
    ClientKey: [clientKey, "--client-key"],
  };
  const [text, source = ""] = flags[key] ?? [];
  return text === undefined ? undefined : { text, source };
}

/** How near a setting is: an option before a variable before the file. */
function nearness({ source }: Setting): number {
  if (source.startsWith("--")) {
    return 3;
  }
  return source.startsWith("ROMANA_") ? 2 : 1;
}

async function readCredentials(
  get: (key: ConfigKey) => Setting | undefined,
  terminal: Terminal,
): Promise<Credentials> {
  const pem = async (key: ConfigKey): Promise<string | undefined> => {
    const setting = get(key);
    return setting === undefined ? undefined : await readSecret(setting, terminal);
  };
  const [ca, cert, key, token] = await Promise.all([
    pem("CACert"),
    pem("ClientCert"),
    pem("ClientKey"),
    readToken(get("Token"), get("TokenFile"), terminal),
  ]);
  const serverName = readServerName(get("TLSServerName"));
  if ((cert === undefined) !== (key === undefined)) {
    throw new NetworkError(
      "invalid",
      "CREDENTIALS_INCOMPLETE",
      "a client certificate needs both ClientCert and ClientKey: give the other one too, or neither",
    );
  }
  return {
    ...(token === undefined ? {} : { token }),
    ...(ca === undefined ? {} : { ca }),
    ...(serverName === undefined ? {} : { serverName }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

/** TLS knows names alone there: an address is compared without being told. */
function readServerName(setting: Setting | undefined): string | undefined {
  if (setting !== undefined && (isIP(setting.text) !== 0 || !/^[a-z0-9.-]{1,253}$/i.test(setting.text))) {
    throw new NetworkError(
      "invalid",
      "SERVER_NAME_INVALID",
      `${setting.source}: "${setting.text}" is not the name of a server, such as romana.kube-system.svc`,
      { text: setting.text },
    );
  }
  return setting?.text;
}

async function readToken(
  direct: Setting | undefined,
  file: Setting | undefined,
  terminal: Terminal,
): Promise<string | undefined> {
  const isDirect = direct !== undefined && (file === undefined || nearness(direct) >= nearness(file));
  const chosen = isDirect ? direct : file;
  if (chosen === undefined) {
    return undefined;
  }
  const token = isDirect ? chosen.text : (await readSecret(chosen, terminal)).trim();
  // It becomes a header: no blank, no line end, nothing that is not ASCII. The message does not repeat it.
  if (!/^[\x21-\x7E]+$/.test(token)) {
    throw new NetworkError(
      "invalid",
      "TOKEN_MALFORMED",
      `the token of ${chosen.source} is empty or has a blank, a line end or a character that is not ASCII: put the token alone there`,
    );
  }
  return token;
}

async function readSecret(setting: Setting, terminal: Terminal): Promise<string> {
  const path = pathOf(setting, terminal);
  if (setting.key === "ClientKey" || setting.key === "TokenFile") {
    warnOfReaders(path, terminal);
  }
  return await terminal.read(path);
}

function pathOf({ text, folder }: Setting, { env }: Terminal): string {
  if (text.startsWith("~/")) {
    return join(env["HOME"] ?? homedir(), text.slice(2));
  }
  return isAbsolute(text) ? text : resolve(folder, text);
}

/** A port in the URL wins over `RootPort`, unless that is given by what is nearer than the URL. */
function readEndpoint(url: Setting | undefined, port: Setting | undefined): Endpoint {
  const number = readPort(port);
  const endpoint = parseEndpoint(url?.text ?? defaultUrl, number);
  const isNearer = port !== undefined && url !== undefined && nearness(port) > nearness(url);
  return isNearer && endpoint.kind === "tcp" ? { ...endpoint, port: number } : endpoint;
}

function readPort(setting: Setting | undefined): number {
  const { text = defaultPort, source = "default" } = setting ?? {};
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port === 0 || port > 65_535) {
    throw new NetworkError(
      "invalid",
      "PORT_INVALID",
      `not a port: "${text}" (${source}; expected 1 to 65535)`,
      {
        text,
      },
    );
  }
  return port;
}

function readSwitch(setting: Setting | undefined): boolean {
  const { text = "false", source = "" } = setting ?? {};
  if (/^(true|yes|on|1)$/i.test(text)) {
    return true;
  }
  if (/^(false|no|off|0)$/i.test(text)) {
    return false;
  }
  throw new NetworkError(
    "invalid",
    "VALUE_INVALID",
    `${source}: Verbose cannot be "${text}": true or false`,
    {
      text,
    },
  );
}

/** How a command prints that asks no controller: `-o`, else `-f`, else a table. */
export function formatOf({ output, format }: Pick<GlobalOptions, "output" | "format">): OutputFormat {
  return chooseFormat(output, format === undefined ? undefined : { text: format, source: "--format" });
}

/** `-o` wins over `-f`, the variable and the file. The original's words `table` and `json` mean the original's output there. */
function chooseFormat(
  output: string | undefined,
  setting: Pick<Setting, "text" | "source"> | undefined,
): OutputFormat {
  if (output !== undefined) {
    return oneOf(outputFormats, output, "--output");
  }
  if (setting === undefined || setting.source === "default") {
    return "table";
  }
  const { text, source } = setting;
  const original = originalFormats.find((format) => format === text);
  if (original !== undefined) {
    return `original-${original}`;
  }
  return source === "--format"
    ? `original-${oneOf(originalFormats, text, source)}`
    : oneOf(outputFormats, text, `${source}: Format`);
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
