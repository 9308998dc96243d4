import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { RomanaClient } from "../../../src/client/client.ts";
import { EtcdServer } from "../../support/etcd.ts";
import { freePorts } from "../../support/free-ports.ts";
import { create, node, pod } from "../../support/kube-objects.ts";
import { until } from "../../support/moto-lab.ts";
import { PlayedKubelet, type Ended, type PlayedContainer } from "../../support/played-kubelet.ts";
import { TestAuthority, type CertificateFiles } from "../../support/test-authority.ts";
import { DeployedCluster } from "./cluster.ts";

export const CONTROLLER = "/apis/apps/v1/namespaces/kube-system/deployments/romana-controller";
const LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/romana-controller";
const READY_MS = 20_000;

/** What a platform's manifests take for granted of a control-plane node. */
export interface Platform {
  readonly serviceRange: string;
  /** Where the cluster's own etcd is asked, and which files of the node prove who asks. */
  readonly etcd: {
    readonly endpoint: string;
    readonly ca: string;
    readonly cert: string;
    readonly key: string;
  };
  /** Where an etcd of Romana's own is asked. */
  readonly ownEtcdEndpoint: string;
  /** How a node finds EC2 and learns about itself. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** A Pod of the controller that runs, and ways to ask it. */
export interface DeployedController {
  readonly container: PlayedContainer;
  readonly port: number;
  /** Over the socket in the Pod, as `kubectl exec` does. */
  readonly client: RomanaClient;
  /** What the Lease says of who leads. */
  readonly leads: () => Promise<boolean>;
  readonly stop: (signal?: "SIGTERM" | "SIGKILL") => Promise<Ended>;
}

/** An answer over TLS. */
export interface Answer {
  readonly status: number;
  readonly text: string;
}

/**
 * An API server on an etcd that asks for certificates, as on the platform, an etcd of Romana's own beside it, and control-plane nodes that run what is deployed:
 *
 *     kubectl apply ──► kube-apiserver ──► etcd (TLS) ◄─┐
 *                            ▲                          ├── romana controller, of the applied Deployment
 *                            └── token of its Pod ──────┘
 */
export class DeployedLab {
  readonly cluster: DeployedCluster;
  readonly platform: Platform;
  readonly etcd: EtcdServer;
  readonly ownEtcd: EtcdServer;
  readonly #files: CertificateFiles;
  readonly #authority: TestAuthority;
  readonly #folder: string;
  readonly #kubelets: PlayedKubelet[] = [];

  private constructor(parts: {
    readonly cluster: DeployedCluster;
    readonly platform: Platform;
    readonly etcd: EtcdServer;
    readonly ownEtcd: EtcdServer;
    readonly files: CertificateFiles;
    readonly authority: TestAuthority;
    readonly folder: string;
  }) {
    this.cluster = parts.cluster;
    this.platform = parts.platform;
    this.etcd = parts.etcd;
    this.ownEtcd = parts.ownEtcd;
    this.#files = parts.files;
    this.#authority = parts.authority;
    this.#folder = parts.folder;
  }

  static async start(platform: Platform): Promise<DeployedLab> {
    const folder = mkdtempSync(join(tmpdir(), "romana-deployed-"));
    const authority = await TestAuthority.create();
    const files = await authority.issue(folder, "etcd");
    const [etcd, ownEtcd] = await Promise.all([
      EtcdServer.start({ tls: files }),
      EtcdServer.start({ tls: files }),
    ]);
    const cluster = await DeployedCluster.start(platform.serviceRange, {
      etcd,
      flags: [`--etcd-cafile=${files.ca}`, `--etcd-certfile=${files.cert}`, `--etcd-keyfile=${files.key}`],
    });
    return new DeployedLab({ cluster, platform, etcd, ownEtcd, files, authority, folder });
  }

  /** The files of a client of Romana's own etcd, as the Secret `romana-etcd-tls` has them. */
  etcdSecret(): string {
    const read = (file: string): string => readFileSync(file).toString("base64");
    const { ca, cert, key } = this.#files;
    return JSON.stringify({
      apiVersion: "v1",
      kind: "Secret",
      metadata: { namespace: "kube-system", name: "romana-etcd-tls" },
      data: { "ca.crt": read(ca), "tls.crt": read(cert), "tls.key": read(key) },
    });
  }

  /** A control-plane node; port 9600 of it is another one here. */
  kubelet(name: string, port: number): PlayedKubelet {
    const { etcd, ownEtcdEndpoint, environment = {} } = this.platform;
    const kubelet = new PlayedKubelet(this.cluster.server, {
      name,
      files: {
        [etcd.ca]: this.#files.ca,
        [etcd.cert]: this.#files.cert,
        [etcd.key]: this.#files.key,
      },
      instead: [
        ["0.0.0.0:9600", `https://127.0.0.1:${port}`],
        ["127.0.0.1:9600", `127.0.0.1:${port}`],
        [etcd.endpoint, this.etcd.endpoint],
        [ownEtcdEndpoint, this.ownEtcd.endpoint],
      ],
      environment,
    });
    this.#kubelets.push(kubelet);
    return kubelet;
  }

  /** A Pod of the applied Deployment, on a control-plane node of its own; resolves when its readiness probe would pass. */
  async controller(name: string): Promise<DeployedController> {
    const [port = 0] = await freePorts(1);
    const kubelet = this.kubelet(`control-plane-of-${name}`, port);
    const container = await kubelet.run(CONTROLLER, name);
    let said = "";
    await until(
      `${name} is ready`,
      async () => {
        if (!container.isRunning) {
          throw new Error(`${name} ended: ${container.output.slice(-4000)}`);
        }
        said = await ask(port, "GET", "/readyz", {}).then(
          ({ status, text }) => `${status} ${text}`,
          (error: unknown) => String(error),
        );
        return said.startsWith("200 ");
      },
      READY_MS,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}, ${said}: ${container.output.slice(-4000)}`);
    });
    const path = join(container.folderOf("/run/romana"), "api.sock");
    return {
      container,
      port,
      client: new RomanaClient({ endpoint: { kind: "unix", path }, signal: new AbortController().signal }),
      leads: async () => (await this.leaseHolder()).startsWith(`${name}_`),
      stop: async (signal = "SIGTERM") => await kubelet.delete(container, signal),
    };
  }

  /** `NAME_RANDOM`, or nothing. */
  async leaseHolder(): Promise<string> {
    const { status, body } = await this.cluster.server.request("GET", LEASE);
    return status === 200
      ? ((body as { readonly spec: { readonly holderIdentity?: string } }).spec.holderIdentity ?? "")
      : "";
  }

  /** A token as the agent's Pod on that node has it. */
  async agentToken(nodeName: string): Promise<string> {
    const name = `romana-agent-${nodeName}`;
    const plain = pod({ namespace: "kube-system", name, node: nodeName });
    const made = await create(this.cluster.server, {
      ...plain,
      spec: { ...plain.spec, serviceAccountName: "romana-agent" },
    });
    return await this.cluster.server.tokenOf(
      { namespace: "kube-system", name: "romana-agent" },
      { audiences: ["romana"], pod: { name, uid: made.metadata.uid ?? "" } },
    );
  }

  /** A Node as it joins. */
  async join(traits: Parameters<typeof node>[0]): Promise<void> {
    await create(this.cluster.server, node(traits));
  }

  /** As step 4 of taking Romana away says, and the Nodes with their agents too. */
  async forget(): Promise<void> {
    for (const etcd of [this.etcd, this.ownEtcd]) {
      await etcd.etcdctl(["del", "--prefix", "/romana/"]);
    }
    for (const path of ["/api/v1/nodes", "/api/v1/namespaces/kube-system/pods"]) {
      await this.cluster.server.call("DELETE", path, { body: { gracePeriodSeconds: 0 } });
    }
    await this.cluster.server.request("DELETE", LEASE);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#kubelets.map((kubelet) => kubelet.close()));
    await this.cluster.stop();
    await Promise.all([this.etcd.stop(), this.ownEtcd.stop()]);
    this.#authority.remove();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** One request over TLS to a controller of this machine, checked against `ca` under the Service's name where it is given; else as a probe of the kubelet. */
export async function ask(
  port: number,
  method: string,
  path: string,
  { ca, token, body }: { readonly ca?: string; readonly token?: string; readonly body?: unknown },
): Promise<Answer> {
  const sent = body === undefined ? "" : JSON.stringify(body);
  return await new Promise((resolve, reject) => {
    const call = request(
      {
        host: "127.0.0.1",
        port,
        method,
        path,
        agent: false,
        timeout: 10_000,
        ...(ca === undefined ? { rejectUnauthorized: false } : { ca, servername: "romana.kube-system.svc" }),
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(sent === ""
            ? {}
            : { "content-type": "application/json", "content-length": Buffer.byteLength(sent) }),
        },
      },
      (answer) => {
        let text = "";
        answer.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        answer.once("end", () => resolve({ status: answer.statusCode ?? 0, text }));
        answer.once("error", reject);
      },
    );
    call.once("timeout", () => call.destroy(new Error(`no answer to ${method} ${path}`)));
    call.once("error", reject);
    call.end(sent);
  });
}
