import { spawn, type ChildProcess } from "node:child_process";
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { EtcdServer } from "./etcd.ts";
import { freePorts } from "./free-ports.ts";
import { skipUnless } from "./skip.ts";
import { findTool, toolPath } from "./tools.ts";

/** How long the server may take to become ready, on a busy machine with a full etcd. */
const READY_MS = 120_000;
const ASK_EVERY_MS = 50;
const ATTEMPTS = 3;

/**
 * For `describe.skipIf`: true when this machine has no Kubernetes API server and its tests are to be left out, which is said loudly. With `CI=true` it is always
 * false, and the start fails.
 */
export function requireKubeApi(): boolean {
  return skipUnless(
    findTool("kube-apiserver") !== undefined,
    "kube-apiserver (`make test` builds it where there is Go; or KUBEBUILDER_ASSETS names a folder with it)",
  );
}

export interface KubeApiOptions {
  /** The API server's own etcd, which it shares; started and stopped with it unless given. */
  readonly etcd?: EtcdServer;
  /** `10.96.0.0/12` unless given. */
  readonly serviceRange?: string;
  /** More lines of its file of tokens: `token,user,uid,"group,group"`. */
  readonly tokens?: readonly string[];
  /** More flags of the API server's own; they win. */
  readonly flags?: readonly string[];
}

export interface KubeAnswer {
  readonly status: number;
  readonly body: unknown;
}

export interface KubeRequest {
  readonly body?: unknown;
  /** The administrator's unless given. */
  readonly token?: string;
  /** `application/json` unless given. */
  readonly contentType?: string;
  readonly userAgent?: string;
}

/** One line of the audit log; see audit.k8s.io/v1 Event. */
export interface AuditEntry {
  readonly stage: string;
  readonly verb: string;
  readonly requestURI: string;
  /** RFC 3339. */
  readonly requestReceivedTimestamp: string;
  /** RFC 3339: when it was answered, or its answer began, see `stage`. */
  readonly stageTimestamp: string;
  readonly userAgent?: string;
  readonly user: { readonly username: string };
  readonly objectRef?: { readonly resource?: string; readonly name?: string; readonly subresource?: string };
  readonly responseStatus?: { readonly code?: number };
}

/**
 * A real kube-apiserver on 127.0.0.1 with RBAC, TLS, tokens of service accounts and an audit log, and nothing else: no scheduler, no kubelet, no controller. What those do
 * is played by the test.
 */
export class KubeApiServer {
  readonly etcd: EtcdServer;
  /** `https://127.0.0.1:PORT` */
  readonly url: string;
  readonly port: number;
  readonly adminToken: string;
  readonly serviceRange: string;
  readonly #folder: string;
  readonly #command: readonly string[];
  readonly #ownsEtcd: boolean;
  readonly #agent = new Agent({ keepAlive: true, rejectUnauthorized: false, maxSockets: 64 });
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #output = "";
  readonly #kill = (): void => void this.#child?.kill("SIGKILL");

  private constructor(plan: Plan) {
    this.etcd = plan.etcd;
    this.port = plan.port;
    this.url = `https://127.0.0.1:${plan.port}`;
    this.adminToken = plan.adminToken;
    this.serviceRange = plan.serviceRange;
    this.#folder = plan.folder;
    this.#command = plan.command;
    this.#ownsEtcd = plan.ownsEtcd;
    process.on("exit", this.#kill);
  }

  /** Resolves when it is ready. Rejects with its last words. */
  static async start(options: KubeApiOptions = {}): Promise<KubeApiServer> {
    const etcd = options.etcd ?? (await EtcdServer.start());
    for (let attempt = 1; ; attempt += 1) {
      const server = new KubeApiServer(await planServer(etcd, options));
      try {
        server.spawn();
        await server.ready();
        return server;
      } catch (error) {
        await server.#remove();
        if (attempt === ATTEMPTS || !String(error).includes("address already in use")) {
          if (options.etcd === undefined) {
            await etcd.stop();
          }
          throw error;
        }
      }
    }
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** The certificates to trust, PEM. Made by the server at its first start. */
  get ca(): string {
    return readFileSync(this.caFile, "utf8");
  }

  get caFile(): string {
    return join(this.#folder, "certs", "apiserver.crt");
  }

  /** Starts the process; it may not be ready yet. */
  spawn(): void {
    const [program = "", ...flags] = this.#command;
    this.#output = "";
    const child = spawn(program, flags, { stdio: ["ignore", "pipe", "pipe"] });
    const keep = (chunk: Buffer): void => {
      this.#output = (this.#output + chunk.toString()).slice(-4_000);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    this.#child = child;
    this.#ended = new Promise((resolve) => {
      child.once("error", (error) => {
        this.#output += String(error);
        resolve();
      });
      child.once("close", () => resolve());
    });
  }

  /** Resolves when `/readyz` says ok; rejects when the process ended or takes longer. */
  async ready(withinMs = READY_MS): Promise<void> {
    const deadline = performance.now() + withinMs;
    const ended = this.#ended.then(() => "ended" as const);
    while (!(await this.#isReady())) {
      const what = await Promise.race([ended, sleep(ASK_EVERY_MS, "goes on" as const)]);
      if (what === "ended" || performance.now() > deadline) {
        const why = what === "ended" ? "ended" : `is not ready after ${withinMs} ms`;
        throw new Error(`kube-apiserver ${why}; its last words:\n${this.#output}`);
      }
    }
  }

  /** `SIGKILL` and `SIGTERM` resolve when the process is gone (SIGTERM may take a minute while clients are connected). */
  async kill(signal: "SIGKILL" | "SIGTERM" | "SIGSTOP" | "SIGCONT" = "SIGKILL"): Promise<void> {
    this.#child?.kill(signal);
    if (signal === "SIGKILL" || signal === "SIGTERM") {
      await this.#ended;
      this.#agent.destroy();
    }
  }

  /** Starts it again on the same etcd, port and certificates. Resolves when it is ready. */
  async restart(): Promise<void> {
    await this.kill("SIGKILL");
    this.spawn();
    await this.ready();
  }

  /** Ends it, and its etcd unless that was given; may be called twice. */
  async stop(): Promise<void> {
    await this.#remove();
    if (this.#ownsEtcd) {
      await this.etcd.stop();
    }
  }

  /** One request; any status is an answer. `path` begins with a slash. */
  async request(method: string, path: string, options: KubeRequest = {}): Promise<KubeAnswer> {
    const text = options.body === undefined ? undefined : JSON.stringify(options.body);
    return new Promise((resolve, reject) => {
      const call = httpsRequest(
        `${this.url}${path}`,
        {
          method,
          agent: this.#agent,
          headers: {
            authorization: `Bearer ${options.token ?? this.adminToken}`,
            accept: "application/json",
            "user-agent": options.userAgent ?? "test",
            ...(text === undefined
              ? {}
              : {
                  "content-type": options.contentType ?? "application/json",
                  "content-length": Buffer.byteLength(text),
                }),
          },
        },
        (answer) => {
          const chunks: Buffer[] = [];
          answer.on("data", (chunk: Buffer) => chunks.push(chunk));
          answer.once("error", reject);
          answer.once("end", () => {
            const body = Buffer.concat(chunks).toString("utf8");
            resolve({ status: answer.statusCode ?? 0, body: parsed(body) });
          });
        },
      );
      call.once("error", reject);
      call.end(text);
    });
  }

  /** The same as a promise that rejects for a status of 400 and more, with the server's words. */
  async call(method: string, path: string, options: KubeRequest = {}): Promise<unknown> {
    const { status, body } = await this.request(method, path, options);
    if (status >= 400) {
      throw new Error(`${method} ${path}: ${status} ${JSON.stringify(body)}`);
    }
    return body;
  }

  /** A token of a service account (made when it does not exist), bound to `pod` when one is named, which must exist. */
  async tokenOf(
    account: { readonly namespace: string; readonly name: string },
    {
      audiences,
      pod,
    }: {
      readonly audiences?: readonly string[];
      readonly pod?: { readonly name: string; readonly uid: string };
    } = {},
  ): Promise<string> {
    const accounts = `/api/v1/namespaces/${account.namespace}/serviceaccounts`;
    const made = await this.request("POST", accounts, { body: { metadata: { name: account.name } } });
    if (made.status >= 400 && made.status !== 409) {
      throw new Error(`cannot make the service account ${account.name}: ${JSON.stringify(made.body)}`);
    }
    const answer = await this.call("POST", `${accounts}/${account.name}/token`, {
      body: {
        spec: {
          ...(audiences === undefined ? {} : { audiences }),
          ...(pod === undefined ? {} : { boundObjectRef: { apiVersion: "v1", kind: "Pod", ...pod } }),
        },
      },
    });
    return (answer as { readonly status: { readonly token: string } }).status.token;
  }

  /** Writes a kubeconfig file for a token, below the server's folder; its path. */
  writeKubeconfig(token = this.adminToken): string {
    const path = join(this.#folder, `kubeconfig-${randomUUID()}`);
    const config = {
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "test", cluster: { server: this.url, "certificate-authority": this.caFile } }],
      users: [{ name: "test", user: { token } }],
      contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
      "current-context": "test",
    };
    writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
    return path;
  }

  /** What was asked so far, one entry for each request that was answered or whose answer began. */
  audit(): readonly AuditEntry[] {
    const file = join(this.#folder, "audit.log");
    if (!existsSync(file)) {
      return [];
    }
    const lines = readFileSync(file, "utf8").split("\n");
    // The last one may be half written.
    return lines.slice(0, -1).map((line) => JSON.parse(line) as AuditEntry);
  }

  async #remove(): Promise<void> {
    await this.kill("SIGKILL");
    process.off("exit", this.#kill);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #isReady(): Promise<boolean> {
    try {
      return (await this.request("GET", "/readyz")).status === 200;
    } catch {
      // Not listening yet: `ready` asks again until its time is over.
      return false;
    }
  }
}

interface Plan {
  readonly etcd: EtcdServer;
  readonly ownsEtcd: boolean;
  readonly port: number;
  readonly folder: string;
  readonly adminToken: string;
  readonly serviceRange: string;
  readonly command: readonly string[];
}

async function planServer(etcd: EtcdServer, options: KubeApiOptions): Promise<Plan> {
  const [port = 0] = await freePorts(1);
  const folder = mkdtempSync(join(tmpdir(), "romana-kube-api-"));
  const adminToken = randomUUID();
  const serviceRange = options.serviceRange ?? "10.96.0.0/12";
  const write = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const signing = write("sa.key", privateKey.export({ type: "pkcs8", format: "pem" }).toString());
  const verifying = write("sa.pub", publicKey.export({ type: "spki", format: "pem" }).toString());
  const tokens = write(
    "tokens.csv",
    [`${adminToken},test-admin,test-admin,system:masters`, ...(options.tokens ?? []), ""].join("\n"),
  );
  const policy = write(
    "audit-policy.yaml",
    "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n",
  );
  const command = [
    toolPath("kube-apiserver"),
    `--etcd-servers=${etcd.endpoint}`,
    "--bind-address=127.0.0.1",
    `--secure-port=${port}`,
    `--cert-dir=${join(folder, "certs")}`,
    `--service-cluster-ip-range=${serviceRange}`,
    "--service-account-issuer=https://kubernetes.default.svc",
    `--service-account-key-file=${verifying}`,
    `--service-account-signing-key-file=${signing}`,
    `--token-auth-file=${tokens}`,
    "--authorization-mode=RBAC",
    "--disable-admission-plugins=ServiceAccount",
    `--audit-policy-file=${policy}`,
    `--audit-log-path=${join(folder, "audit.log")}`,
    "--audit-log-mode=blocking",
    ...(options.flags ?? []),
  ];
  return { etcd, ownsEtcd: options.etcd === undefined, port, folder, adminToken, serviceRange, command };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // `/readyz` and other plain answers.
    return text;
  }
}
