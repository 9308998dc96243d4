import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { EC2Client } from "@aws-sdk/client-ec2";

import { RomanaClient } from "../../src/client/client.ts";
import { judgeAudit, type AuditRules } from "./audit.ts";
import { EtcdServer } from "./etcd.ts";
import type { FixtureSize } from "./fixture-objects.ts";
import { freePorts } from "./free-ports.ts";
import { KubeApiServer } from "./kube-api.ts";
import { startFixtureEtcd } from "./kube-fixture.ts";
import { LAB_CLUSTER, LAB_REGION, MotoVpc } from "./moto-vpc.ts";
import { startMoto, type Moto } from "./moto.ts";
import { Replica } from "./replica-lab.ts";
import { toolPath } from "./tools.ts";

/** What our components may do, as it is shipped. */
const RBAC = fileURLToPath(new URL("../../deploy/kubernetes/base/rbac.yaml", import.meta.url));
const CONTROLLER = { namespace: "kube-system", name: "romana-controller" } as const;
/** From here on a snapshot is quicker than writing the objects. */
const WORTH_A_SNAPSHOT = 2000;

const run = promisify(execFile);

export interface KubeLabOptions {
  /** What stands in the cluster from the start; nothing unless given. */
  readonly fixture?: FixtureSize;
  /** The API server's etcd, which the controllers may share: Debian's unless given. */
  readonly etcdProgram?: string;
  /** Zones of a VPC in moto; without it there is none, and controllers run with `--cloud=none`. */
  readonly zones?: number;
  /** The first two octets of the VPC's addresses: `10.40` unless given. What lies in `127` answers probes. */
  readonly vpcOctets?: string;
  readonly serviceRange?: string;
}

export interface LaunchOptions {
  /** Where the controller keeps its state; `memory` unless given. `etcd` is the API server's own. */
  readonly store?: "memory" | "sqlite" | "etcd";
  readonly flags?: readonly string[];
  /** Started by `bin/romana`, with its settings for memory, as users do; else by Node alone. */
  readonly asShipped?: boolean;
}

/** A controller that follows the lab's cluster. */
export interface LabFollower {
  readonly process: Replica;
  readonly client: RomanaClient;
  /** Its metrics as they are now. */
  readonly metrics: () => Promise<MetricValues>;
}

/** The sum of a metric's values over the labels that are asked for; `undefined` when it has none. */
export type MetricValues = (name: string, labels?: Readonly<Record<string, string>>) => number | undefined;

/**
 * A real API server with our own roles in it, a VPC in moto where one is asked for, and real controllers that follow both as the service account of our manifests:
 *
 *     etcd ◄── kube-apiserver (RBAC of deploy/) ◄── romana controller ──► moto
 *       ▲          ▲ the test: nodes, pods, policies │ REST API
 *       └──────────┼─────────── --store=etcd ────────┘
 *                  └ audit log: who asked what
 */
export class KubeLab {
  readonly etcd: EtcdServer;
  readonly kube: KubeApiServer;
  /** A kubeconfig with the controller's token. */
  readonly kubeconfig: string;
  readonly #moto: Moto | undefined;
  readonly #hand: EC2Client | undefined;
  readonly #vpc: MotoVpc | undefined;
  readonly #folder = mkdtempSync(join(tmpdir(), "romana-kube-lab-"));
  readonly #stopping = new AbortController();
  readonly #followers: LabFollower[] = [];

  private constructor(parts: Parts, kubeconfig: string) {
    this.etcd = parts.etcd;
    this.kube = parts.kube;
    this.#moto = parts.moto;
    this.#hand = parts.hand;
    this.#vpc = parts.vpc;
    this.kubeconfig = kubeconfig;
  }

  static async start(options: KubeLabOptions = {}): Promise<KubeLab> {
    const undo: (() => Promise<unknown> | void)[] = [];
    try {
      const etcd = await etcdFor(options);
      undo.push(() => etcd.stop());
      const kube = await KubeApiServer.start({
        etcd,
        ...(options.serviceRange === undefined ? {} : { serviceRange: options.serviceRange }),
      });
      undo.push(() => kube.stop());
      await applyRoles(kube);
      const kubeconfig = kube.writeKubeconfig(await kube.tokenOf(CONTROLLER));
      if (options.zones === undefined) {
        return new KubeLab({ etcd, kube }, kubeconfig);
      }
      const moto = await startMoto();
      undo.push(() => moto.stop());
      const hand = new EC2Client({
        endpoint: moto.endpoint,
        region: LAB_REGION,
        credentials: { accessKeyId: "test", secretAccessKey: "test" },
      });
      undo.push(() => hand.destroy());
      const vpc = await MotoVpc.create(hand, options.vpcOctets ?? "10.40", options.zones);
      return new KubeLab({ etcd, kube, moto, hand, vpc }, kubeconfig);
    } catch (error) {
      for (const step of undo.toReversed()) {
        await step();
      }
      throw error;
    }
  }

  /** The VPC in moto. Throws when the lab was started without `zones`. */
  get vpc(): MotoVpc {
    if (this.#vpc === undefined) {
      throw new Error("this lab has no VPC: start it with zones");
    }
    return this.#vpc;
  }

  /** Another client of moto's, which the lab ends: for what the VPC has no method for. */
  get hand(): EC2Client {
    if (this.#hand === undefined) {
      throw new Error("this lab has no VPC: start it with zones");
    }
    return this.#hand;
  }

  /** A controller that is not started yet; `process.launch()` does it. */
  async follower({
    store = "memory",
    flags = [],
    asShipped = false,
  }: LaunchOptions = {}): Promise<LabFollower> {
    const [port = 0] = await freePorts(1);
    const id = `replica-${this.#followers.length + 1}`;
    const process = new Replica(id, port, {
      asShipped,
      flags: [
        `--kubernetes=${this.kubeconfig}`,
        ...this.#storeFlags(store, id),
        ...this.#cloudFlags(),
        ...flags,
      ],
      environment: {
        ...(this.#moto === undefined ? {} : { AWS_ENDPOINT_URL: this.#moto.endpoint }),
        AWS_ACCESS_KEY_ID: "test",
        AWS_SECRET_ACCESS_KEY: "test",
        AWS_EC2_METADATA_DISABLED: "true",
      },
    });
    const client = new RomanaClient({
      endpoint: { kind: "tcp", host: "127.0.0.1", port },
      signal: this.#stopping.signal,
    });
    const metrics = async (): Promise<MetricValues> => {
      const answer = await fetch(`http://127.0.0.1:${port}/metrics`, { signal: this.#stopping.signal });
      const text = await answer.text();
      return (name, labels = {}) => sumOf(text, name, labels);
    };
    const follower = { process, client, metrics };
    this.#followers.push(follower);
    return follower;
  }

  /** A controller that answers `/readyz`. */
  async controller(options: LaunchOptions = {}): Promise<LabFollower> {
    const follower = await this.follower(options);
    await follower.process.start();
    return follower;
  }

  /** What each controller said last, for a test that failed. */
  lastWords(): string {
    return this.#followers.map(({ process }) => `${process.id}:\n${process.output.slice(-4000)}`).join("\n");
  }

  /** What is wrong with what our components asked of the API server so far; see `judgeAudit`. */
  judge(mayBeRefused?: AuditRules["mayBeRefused"]): readonly string[] {
    return judgeAudit(this.kube.audit(), {
      accounts: [`${CONTROLLER.namespace}/${CONTROLLER.name}`],
      ...(mayBeRefused === undefined ? {} : { mayBeRefused }),
    });
  }

  async close(): Promise<void> {
    this.#stopping.abort(new Error("the lab is closed"));
    await Promise.all(this.#followers.map(({ process }) => process.stop()));
    await this.kube.stop();
    await this.etcd.stop();
    this.#hand?.destroy();
    await this.#moto?.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #storeFlags(store: "memory" | "sqlite" | "etcd", id: string): readonly string[] {
    switch (store) {
      case "memory":
        return ["--store=memory"];
      case "sqlite":
        return [`--store=sqlite:${join(this.#folder, `${id}.db`)}`];
      case "etcd":
        return ["--store=etcd", `--etcd-endpoints=${this.etcd.endpoint}`];
    }
  }

  /** Without `--host-tag`: Nodes become hosts, and no instance by its tags alone. */
  #cloudFlags(): readonly string[] {
    return this.#vpc === undefined
      ? ["--cloud=none"]
      : ["--cloud=aws", `--region=${LAB_REGION}`, `--vpc=${this.#vpc.id}`, `--cluster=${LAB_CLUSTER}`];
  }
}

interface Parts {
  readonly etcd: EtcdServer;
  readonly kube: KubeApiServer;
  readonly moto?: Moto;
  readonly hand?: EC2Client;
  readonly vpc?: MotoVpc;
}

/** Puts our service accounts and their roles in, as whoever installs us does. */
export async function applyRoles(kube: KubeApiServer): Promise<void> {
  await run(toolPath("kubectl"), [`--kubeconfig=${kube.writeKubeconfig()}`, "apply", `--filename=${RBAC}`], {
    timeout: 60_000,
  });
}

async function etcdFor({ fixture, etcdProgram }: KubeLabOptions): Promise<EtcdServer> {
  const options = etcdProgram === undefined ? {} : { program: etcdProgram };
  return fixture === undefined
    ? await EtcdServer.start(options)
    : await startFixtureEtcd(fixture, {
        ...options,
        cached: fixture.nodes + fixture.pods >= WORTH_A_SNAPSHOT,
      });
}

/** Of the text of `/metrics`. */
function sumOf(text: string, name: string, labels: Readonly<Record<string, string>>): number | undefined {
  const wanted = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
  const values = text
    .split("\n")
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .filter((line) => wanted.every((label) => line.includes(label)))
    .map((line) => Number(line.slice(line.lastIndexOf(" ") + 1)));
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0);
}
