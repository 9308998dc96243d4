import { resolve } from "node:path";

import { InvalidArgumentError, type Command } from "commander";

import {
  parseKubernetesSource,
  parseNamespacedName,
  type KubernetesSource,
} from "../../config/kubernetes-values.ts";
import { NetworkError } from "../../core/errors.ts";
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

/** What a cluster gets, and where. */
export interface ClusterCertificateOptions {
  readonly cluster: Extract<KubernetesSource, { readonly kind: "in-cluster" | "kubeconfig" }>;
  readonly namespace: string;
  /** Names of the Secret and of the ConfigMap. */
  readonly secret: string;
  readonly configMap: string;
  readonly hosts: readonly string[];
  readonly days: number;
}

/** Puts a certificate into a cluster that has none; answers whether one was made, or one that was there was kept. */
export type InstallCertificates = (
  options: ClusterCertificateOptions,
  signal: AbortSignal,
) => Promise<"made" | "kept">;

const MAX_DAYS = 3650;

/** `romana certs`. */
export function certsCommand(
  program: Command,
  terminal: Terminal,
  signal: AbortSignal,
  {
    createCertificates,
    installCertificates,
  }: { readonly createCertificates: CreateCertificates; readonly installCertificates: InstallCertificates },
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
  examples(
    certs
      .command("install")
      .option("--host <name|ip>", "a name or address of the controller; may be given several times", collect)
      .option("--kubernetes <in-cluster|file>", "which cluster: our own, or a kubeconfig file", "in-cluster")
      .option("-n, --namespace <name>", "where both objects stand", "kube-system")
      .option("--secret <name>", "the Secret: certificate, key and client authority", "romana-tls")
      .option("--configmap <name>", "the ConfigMap: the authority that agents trust", "romana-ca")
      .option("--days <n>", "how long it holds", parseDays, MAX_DAYS)
      .description(
        "put a certificate for the controller into a cluster that has none; one that is there is kept",
      ),
    [
      [
        "romana certs install --host romana.kube-system.svc --host 10.96.0.99",
        "what the Job romana-certs runs",
      ],
      ["romana certs install --kubernetes ~/.kube/config --host romana.kube-system.svc", "from elsewhere"],
    ],
  ).action(async (options: InstallOptions) => {
    const { namespace, secret, configmap: configMap, days } = options;
    const cluster = parseKubernetesSource(options.kubernetes);
    if (cluster.kind === "auto" || cluster.kind === "off") {
      throw new NetworkError(
        "invalid",
        "VALUE_INVALID",
        `--kubernetes: expected in-cluster or a kubeconfig file, not "${options.kubernetes}"`,
        { text: options.kubernetes },
      );
    }
    for (const name of [namespace, secret, configMap]) {
      parseNamespacedName(`x/${name}`);
    }
    const hosts = [...new Set(["localhost", "127.0.0.1", "::1", ...(options.host ?? [])])];
    const done = await installCertificates({ cluster, namespace, secret, configMap, hosts, days }, signal);
    terminal.write(
      done === "made"
        ? `Made the Secret ${namespace}/${secret}, good for ${days} days, and added its authority to the ConfigMap ${namespace}/${configMap}. The authority's key is gone.\n`
        : `The Secret ${namespace}/${secret} is there and stays as it is.\n`,
    );
  });
}

interface InstallOptions {
  readonly host?: readonly string[];
  readonly kubernetes: string;
  readonly namespace: string;
  readonly secret: string;
  readonly configmap: string;
  readonly days: number;
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
