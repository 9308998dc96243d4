import { execFile, spawn, type ChildProcess } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

import { freePorts } from "./free-ports.ts";
import { skipUnless } from "./skip.ts";
import { standsStill } from "./stand-still.ts";

/** Files of a certificate authority and of the server's pair; with them etcd speaks TLS and asks its clients for certificates. */
export interface EtcdTlsFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface EtcdOptions {
  /** None: plain HTTP. */
  readonly tls?: EtcdTlsFiles | undefined;
  /** More flags of etcd's own, such as `--quota-backend-bytes=16777216`. */
  readonly flags?: readonly string[];
  /** Where folders of data are made; the system's place for temporary files unless given. */
  readonly disk?: string;
  /** Which etcd: the one on the PATH unless given (`toolPath("etcd-3.5")` is a newer one). */
  readonly program?: string;
  /** A file that `etcdctl snapshot save` wrote: what the cluster begins with, its revisions included. */
  readonly snapshot?: string;
}

/** A user of etcd; `root` may do everything. */
export interface EtcdUser {
  readonly name: string;
  readonly password: string;
}

/** How long etcd may take to become healthy, on a busy machine. */
const READY_MS = 30_000;
const ASK_EVERY_MS = 30;
/** Another program may take a port between our asking for it and etcd's listening on it. */
const ATTEMPTS = 3;

const run = promisify(execFile);

/**
 * For `describe.skipIf`: true when this machine has no etcd and its tests are to be left out, which is said loudly. With `CI=true` it is always
 * false, and the start fails.
 */
export function requireEtcd(): boolean {
  return skipUnless(
    isOnPath("etcd") && isOnPath("etcdctl"),
    "etcd and etcdctl (Debian: etcd-server, etcd-client; `make test` installs them as root)",
  );
}

/**
 * A real etcd with fsync in a folder of its own, on free ports of 127.0.0.1. `start` resolves when it is healthy. `stop` ends it and removes the
 * folder; it may be called twice.
 */
export class EtcdServer {
  readonly name: string;
  readonly clientPort: number;
  /** `http://127.0.0.1:PORT`, or `https://…`. */
  readonly endpoint: string;
  readonly #command: readonly string[];
  readonly #folder: string;
  readonly #healthUrl: string;
  readonly #tls: EtcdTlsFiles | undefined;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #output = "";
  readonly #kill = (): void => void this.#child?.kill("SIGKILL");

  /** Made by `EtcdServer.start` and `EtcdCluster.start`. */
  constructor(member: EtcdMember) {
    this.name = member.name;
    this.clientPort = member.clientPort;
    this.endpoint = member.endpoint;
    this.#command = member.command;
    this.#folder = member.folder;
    this.#healthUrl = member.healthUrl;
    this.#tls = member.tls;
    process.on("exit", this.#kill);
  }

  static async start(options: EtcdOptions = {}): Promise<EtcdServer> {
    const cluster = await EtcdCluster.start(1, options);
    const [server] = cluster.members;
    if (server === undefined) {
      throw new Error("a cluster of one has no member");
    }
    return server;
  }

  get endpoints(): readonly string[] {
    return [this.endpoint];
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts the process; it may not be healthy yet. */
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

  /** Resolves when etcd says that it is healthy, which needs a quorum; rejects when it ended or takes longer than `withinMs`. */
  async healthy(withinMs = READY_MS): Promise<void> {
    const deadline = performance.now() + withinMs;
    const ended = this.#ended.then(() => "ended" as const);
    while (!(await this.#isHealthy())) {
      const what = await Promise.race([ended, sleep(ASK_EVERY_MS, "goes on" as const)]);
      if (what === "ended" || performance.now() > deadline) {
        const why = what === "ended" ? "ended" : `is not healthy after ${withinMs} ms`;
        throw new Error(`etcd ${this.name} ${why}; its last words:\n${this.#output}`);
      }
    }
  }

  /** `SIGKILL` resolves when the process is gone; `SIGSTOP` when it is silent, until `SIGCONT`. */
  async kill(signal: "SIGKILL" | "SIGSTOP" | "SIGCONT"): Promise<void> {
    this.#child?.kill(signal);
    if (signal === "SIGKILL") {
      await this.#ended;
    } else if (signal === "SIGSTOP" && this.pid !== undefined) {
      await standsStill(this.pid);
    }
  }

  /** Resolves when the process has ended by itself. */
  ended(): Promise<void> {
    return this.#ended;
  }

  /** Starts it again on the same folder and ports, after `kill("SIGKILL")`. Resolves when it is healthy. */
  async restart(): Promise<void> {
    await this.kill("SIGKILL");
    this.spawn();
    await this.healthy();
  }

  async stop(): Promise<void> {
    await this.kill("SIGKILL");
    process.off("exit", this.#kill);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** What `etcdctl` prints. `user`: as whom, where authentication is on. Rejects when it fails. */
  async etcdctl(args: readonly string[], user?: EtcdUser): Promise<string> {
    const tls =
      this.#tls === undefined
        ? []
        : [`--cacert=${this.#tls.ca}`, `--cert=${this.#tls.cert}`, `--key=${this.#tls.key}`];
    const as = user === undefined ? [] : [`--user=${user.name}:${user.password}`];
    const { stdout } = await run("etcdctl", [`--endpoints=${this.endpoint}`, ...tls, ...as, ...args], {
      env: { ...process.env, ETCDCTL_API: "3" },
      timeout: 20_000,
    });
    return stdout;
  }

  /** Turns authentication on: `root` may do everything, `user` may read and write under `prefix` and nothing else. */
  async enableAuth(root: EtcdUser, user: EtcdUser, prefix: string): Promise<void> {
    for (const each of [root, user]) {
      await this.etcdctl(["user", "add", `${each.name}:${each.password}`]);
    }
    await this.etcdctl(["user", "grant-role", root.name, "root"]).catch(async () => {
      // Some versions make the role `root` by themselves, others want it made first.
      await this.etcdctl(["role", "add", "root"]);
      await this.etcdctl(["user", "grant-role", root.name, "root"]);
    });
    await this.etcdctl(["role", "add", user.name]);
    await this.etcdctl(["role", "grant-permission", user.name, "readwrite", prefix, "--prefix=true"]);
    await this.etcdctl(["user", "grant-role", user.name, user.name]);
    await this.etcdctl(["auth", "enable"]);
  }

  async #isHealthy(): Promise<boolean> {
    try {
      const answer = await fetch(this.#healthUrl, { signal: AbortSignal.timeout(2_000) });
      return ((await answer.json()) as { readonly health?: unknown }).health === "true";
    } catch {
      // Not listening yet, or silent: `healthy` asks again until its time is over.
      return false;
    }
  }
}

/** Several etcds that form one cluster. */
export class EtcdCluster {
  readonly members: readonly EtcdServer[];

  private constructor(members: readonly EtcdServer[]) {
    this.members = members;
  }

  static async start(size = 3, options: EtcdOptions = {}): Promise<EtcdCluster> {
    for (let attempt = 1; ; attempt += 1) {
      const plans = await planMembers(size, options);
      const members = plans.map((member) => new EtcdServer(member));
      const cluster = new EtcdCluster(members);
      try {
        await Promise.all(plans.map((member) => restored(member, options.snapshot)));
        members.forEach((member) => member.spawn());
        await Promise.all(members.map((member) => member.healthy()));
        return cluster;
      } catch (error) {
        await cluster.stop();
        if (attempt === ATTEMPTS || !String(error).includes("address already in use")) {
          throw error;
        }
      }
    }
  }

  get endpoints(): readonly string[] {
    return this.members.map(({ endpoint }) => endpoint);
  }

  async stop(): Promise<void> {
    await Promise.all(this.members.map((member) => member.stop()));
  }
}

interface EtcdMember {
  readonly name: string;
  readonly clientPort: number;
  readonly endpoint: string;
  readonly healthUrl: string;
  readonly folder: string;
  readonly tls: EtcdTlsFiles | undefined;
  readonly command: readonly string[];
  /** The flags that a restored folder must have been made with. */
  readonly identity: readonly string[];
}

async function planMembers(size: number, options: EtcdOptions): Promise<readonly EtcdMember[]> {
  const { tls } = options;
  const ports = await freePorts(size * 3);
  const names = Array.from({ length: size }, (_, index) => `etcd-${index + 1}`);
  const portOf = (index: number, which: 0 | 1 | 2): number => ports[index * 3 + which] ?? 0;
  const peers = names.map((name, index) => `${name}=http://127.0.0.1:${portOf(index, 1)}`).join(",");
  return names.map((name, index) => {
    const folder = mkdtempSync(join(options.disk ?? tmpdir(), "romana-etcd-"));
    const endpoint = `${tls === undefined ? "http" : "https"}://127.0.0.1:${portOf(index, 0)}`;
    const peer = `http://127.0.0.1:${portOf(index, 1)}`;
    const token = `romana-test-${ports.join("-")}`;
    const metrics = `http://127.0.0.1:${portOf(index, 2)}`;
    const identity = [
      `--name=${name}`,
      `--data-dir=${join(folder, "data")}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=${peers}`,
      `--initial-cluster-token=${token}`,
    ];
    const command = [
      options.program ?? "etcd",
      ...identity,
      `--listen-client-urls=${endpoint}`,
      `--advertise-client-urls=${endpoint}`,
      `--listen-peer-urls=${peer}`,
      `--listen-metrics-urls=${metrics}`,
      "--logger=zap",
      "--log-level=error",
      ...(tls === undefined
        ? []
        : [
            "--client-cert-auth",
            `--trusted-ca-file=${tls.ca}`,
            `--cert-file=${tls.cert}`,
            `--key-file=${tls.key}`,
          ]),
      ...(options.flags ?? []),
    ];
    return {
      name,
      clientPort: portOf(index, 0),
      endpoint,
      healthUrl: `${metrics}/health`,
      folder,
      tls,
      command,
      identity,
    };
  });
}

/** Puts what the snapshot holds into the folder of a member that has not been started yet. */
async function restored({ identity }: EtcdMember, snapshot: string | undefined): Promise<void> {
  if (snapshot !== undefined) {
    await run("etcdctl", ["snapshot", "restore", snapshot, ...identity], {
      env: { ...process.env, ETCDCTL_API: "3" },
      timeout: 60_000,
    });
  }
}

function isOnPath(program: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      // Not in this folder.
      return false;
    }
  });
}
