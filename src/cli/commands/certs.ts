import { resolve } from "node:path";

import { InvalidArgumentError, type Command } from "commander";

import { collect } from "../collect.ts";
import { examples } from "../examples.ts";
import type { Terminal } from "../terminal.ts";

/** What certificates are made, and where. */
export interface CertificateOptions {
  readonly dir: string;
  /** Names and addresses under which the controller is reached. */
  readonly hosts: readonly string[];
  /** Hosts whose agents get a certificate. */
  readonly agents: readonly string[];
  readonly days: number;
}

/** Makes the files and answers their names. */
export type CreateCertificates = (options: CertificateOptions) => Promise<readonly string[]>;

const MAX_DAYS = 3650;

/** `romana certs`. */
export function certsCommand(
  program: Command,
  terminal: Terminal,
  createCertificates: CreateCertificates,
): void {
  const certs = program.command("certs").description("certificates for a trial installation");
  examples(
    certs
      .command("init")
      .option("--dir <folder>", "where they are written; nothing there is overwritten", "./romana-certs")
      .option("--host <name|ip>", "a name or address of the controller; may be given several times", collect)
      .option("--agent <host>", "a host whose agent gets a certificate; may be given several times", collect)
      .option("--days <n>", "how long they hold", parseDays, 365)
      .description("make an authority, and certificates for server, admin, reader and agents"),
    [
      ["romana certs init", "for a controller on this machine"],
      [
        "romana certs init --host 10.0.1.7 --host romana.example.com",
        "for one that is reached from elsewhere",
      ],
      ["romana certs init --dir ./certs --agent ip-10-0-1-7 --days 30", "with one for an agent, for a month"],
    ],
  ).action(async (options: { dir: string; host?: string[]; agent?: string[]; days: number }) => {
    const hosts = [...new Set(["localhost", "127.0.0.1", "::1", ...(options.host ?? [])])];
    const agents = [...new Set(options.agent ?? [])];
    const { dir, days } = options;
    const names = await createCertificates({ dir, hosts, agents, days });
    terminal.write(nextSteps(resolve(dir), names, options.host?.[0]));
  });
}

function nextSteps(folder: string, names: readonly string[], host: string | undefined): string {
  const name = host?.includes(":") === true ? `[${host}]` : (host ?? "127.0.0.1");
  return [
    `${folder} holds ${names.join(", ")}.`,
    "Keep ca.key to yourself: whoever has it can make an admin. The controller does not need it.",
    "",
    "Start the controller with",
    `  romana controller --listen https://${host === undefined ? "127.0.0.1" : "0.0.0.0"}:9600 \\`,
    `    --tls-cert ${folder}/server.crt --tls-key ${folder}/server.key --tls-client-ca ${folder}/ca.crt`,
    "",
    "and put into ~/.romana.yaml",
    `  RootURL: https://${name}:9600`,
    `  CACert: ${folder}/ca.crt`,
    `  ClientCert: ${folder}/admin.crt`,
    `  ClientKey: ${folder}/admin.key`,
    "",
  ].join("\n");
}

function parseDays(text: string): number {
  const days = Number(text);
  if (!/^\d+$/.test(text) || days < 1 || days > MAX_DAYS) {
    throw new InvalidArgumentError(`Expected a whole number of days, 1 to ${MAX_DAYS}.`);
  }
  return days;
}
