import { execFile, spawn, type ChildProcess } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { z } from "zod";

import type { KubeApiServer } from "./kube-api.ts";
import { create, patchStatus, remove, type KubeObject } from "./kube-objects.ts";
import { workloadSchema, type PodContainer, type PodVolume, type Workload } from "./pod-manifest.ts";

const PROGRAM = fileURLToPath(new URL("../../bin/romana", import.meta.url));
/** What runs in a mount namespace of its own: pairs of SOURCE TARGET, `--`, and the program. Only the mounts can be written. */
const MOUNTS = `set -eu
mount --make-rprivate /
mount --bind "$1" /etc
mount -t tmpfs tmpfs /run
shift
while [ "$1" != -- ]; do
  if [ -d "$1" ]; then mkdir -p "$2"; else mkdir -p "$(dirname "$2")"; : > "$2"; fi
  mount --bind "$1" "$2"
  if [ "$3" = ro ]; then mount -o remount,bind,ro "$2"; fi
  shift 3
done
shift
for each in /etc /run /; do mount -o remount,bind,ro "$each"; done
exec "$@"`;
const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
const POD_IP = "127.0.0.1";

const filesSchema = z.looseObject({ data: z.record(z.string(), z.string()).default({}) });

export interface NodeTraits {
  readonly name: string;
  /** What lies on the node at the paths that manifests name by `hostPath`: where this machine has it. */
  readonly files?: Readonly<Record<string, string>>;
  /** Addresses and ports that this machine gives to somebody else: what stands in manifests, and what is taken for it. */
  readonly instead?: readonly (readonly [text: string, ours: string])[];
  /** Variables that lead to what a node finds by itself. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** What a program that ended said. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A container of a played Pod: a process that sees the mounts of its manifest and has no more rights than that gives. */
export class PlayedContainer {
  readonly pod: KubeObject;
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #folders: ReadonlyMap<string, string>;
  #stdout = "";
  #stderr = "";

  constructor(
    pod: KubeObject,
    child: ChildProcess,
    environment: Readonly<Record<string, string>>,
    folders: ReadonlyMap<string, string>,
  ) {
    this.pod = pod;
    this.#child = child;
    this.#environment = environment;
    this.#folders = folders;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.#stdout += text));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.#stderr += text));
    this.ended = new Promise((resolve) => {
      child.once("close", (code) => resolve({ code, stdout: this.#stdout, stderr: this.#stderr }));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Everything that it wrote so far. */
  get output(): string {
    return `${this.#stdout}${this.#stderr}`;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Where this machine has what the container sees at a mount. */
  folderOf(mountPath: string): string {
    const folder = this.#folders.get(mountPath);
    if (folder === undefined) {
      throw new Error(`the container has no mount ${mountPath}`);
    }
    return folder;
  }

  async kill(signal: "SIGTERM" | "SIGKILL"): Promise<Ended> {
    this.#child.kill(signal);
    return await this.ended;
  }

  /** `kubectl exec POD -- romana ARGS`. */
  async exec(...args: readonly string[]): Promise<Ended> {
    return await new Promise((resolve) => {
      execFile(
        "nsenter",
        [`--mount=/proc/${this.pid}/ns/mnt`, PROGRAM, ...args],
        { env: { ...this.#environment }, timeout: 30_000 },
        (error, stdout, stderr) =>
          resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr }),
      );
    });
  }
}

/**
 * Runs Pods of workloads as they stand in an API server, as a kubelet would: it makes the Pod, mounts ConfigMaps, Secrets, files of the node and a token of the named
 * service account that is bound to the Pod, gives variables and arguments, and takes away what the security context takes away. Needs root.
 *
 *     API server ──► Deployment, ConfigMaps, Secrets ──► mount namespace ──► bin/romana ARGS
 *         ▲                                                                     │
 *         └────────────── KUBERNETES_SERVICE_HOST, token of the Pod ────────────┘
 */
export class PlayedKubelet {
  readonly #server: KubeApiServer;
  readonly #node: NodeTraits;
  readonly #folder = mkdtempSync(join(tmpdir(), "romana-kubelet-"));
  readonly #containers = new Set<PlayedContainer>();

  constructor(server: KubeApiServer, node: NodeTraits) {
    this.#server = server;
    this.#node = node;
    cpSync("/etc", join(this.#folder, "etc"), { recursive: true, verbatimSymlinks: true });
  }

  /** Starts a Pod of a workload: `/apis/apps/v1/namespaces/kube-system/deployments/romana-controller`. Rejects when something that it mounts is not there. */
  async run(path: string, name: string, more: readonly string[] = []): Promise<PlayedContainer> {
    const workload = workloadSchema.parse(await this.#server.call("GET", path));
    const { spec } = workload.spec.template;
    const [container] = spec.containers;
    const { namespace } = workload.metadata;
    await this.#server.call(
      "GET",
      `/api/v1/namespaces/${namespace}/serviceaccounts/${spec.serviceAccountName}`,
    );
    const environment = await this.#environmentOf(container, namespace, name);
    const pod = await this.#bring(workload, name);
    const folders = new Map<string, string>();
    const mounts: string[] = [];
    for (const { name: wanted, mountPath, readOnly = false } of container.volumeMounts) {
      const source = await this.#fill(this.#volume(spec.volumes, wanted), pod, workload);
      folders.set(mountPath, source);
      mounts.push(source, mountPath, readOnly ? "ro" : "rw");
    }
    if (spec.automountServiceAccountToken) {
      const source = this.#write(pod, "service-account", {
        token: await this.#token(pod, spec.serviceAccountName),
        "ca.crt": this.#server.ca,
        namespace,
      });
      mounts.push(source, SERVICE_ACCOUNT, "ro");
    }
    const args = [...container.args, ...more].map((arg) =>
      this.#here(arg.replaceAll(/\$\(([A-Z_]+)\)/g, (_, variable: string) => environment[variable] ?? "")),
    );
    const child = spawn(
      "unshare",
      ["--mount", "sh", "-c", MOUNTS, "sh", join(this.#folder, "etc"), ...mounts, "--"].concat(
        confined(container),
        [PROGRAM, ...args],
      ),
      { env: environment, stdio: ["ignore", "pipe", "pipe"] },
    );
    const played = new PlayedContainer(pod, child, environment, folders);
    this.#containers.add(played);
    return played;
  }

  /** The Pod is gone, its process too. */
  async delete(container: PlayedContainer, signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<Ended> {
    const ended = await container.kill(signal);
    this.#containers.delete(container);
    await remove(this.#server, container.pod);
    return ended;
  }

  /** Ends every process; the Pods go with the API server. */
  async close(): Promise<void> {
    await Promise.all([...this.#containers].map((container) => container.kill("SIGKILL")));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #bring(workload: Workload, name: string): Promise<KubeObject> {
    const { template } = workload.spec;
    const object: KubeObject = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, namespace: workload.metadata.namespace, labels: template.metadata.labels },
      spec: { ...template.spec, nodeName: this.#node.name },
    };
    const pod = await create(this.#server, object);
    await patchStatus(this.#server, object, { phase: "Running", podIP: POD_IP, podIPs: [{ ip: POD_IP }] });
    return { ...object, metadata: pod.metadata };
  }

  async #environmentOf(
    { env, envFrom }: PodContainer,
    namespace: string,
    name: string,
  ): Promise<Readonly<Record<string, string>>> {
    const maps = await Promise.all(
      envFrom.map(({ configMapRef }) => this.#dataOf(namespace, "configmaps", configMapRef.name)),
    );
    const fields = { "metadata.name": name, "spec.nodeName": this.#node.name, "status.podIP": POD_IP };
    const own = env.map(({ name: key, value = "", valueFrom }) => [
      key,
      valueFrom === undefined ? value : fields[valueFrom.fieldRef.fieldPath],
    ]);
    const given = { ...Object.assign({}, ...maps), ...Object.fromEntries(own) } as Record<string, string>;
    return {
      PATH: process.env["PATH"] ?? "",
      ...Object.fromEntries(Object.entries(given).map(([key, value]) => [key, this.#here(value)])),
      KUBERNETES_SERVICE_HOST: "127.0.0.1",
      KUBERNETES_SERVICE_PORT: String(this.#server.port),
      // What was compiled for earlier tests: a start takes a third of the time then.
      ...(process.env["NODE_COMPILE_CACHE"] === undefined
        ? {}
        : { NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"] }),
      ...this.#node.environment,
    };
  }

  #volume(volumes: readonly PodVolume[], name: string): PodVolume {
    const found = volumes.find((each) => each.name === name);
    if (found === undefined) {
      throw new Error(`the Pod has no volume ${name}`);
    }
    return found;
  }

  async #fill(volume: PodVolume, pod: KubeObject, workload: Workload): Promise<string> {
    const { namespace } = workload.metadata;
    const { configMap, secret, hostPath, emptyDir, projected } = volume;
    if (configMap !== undefined) {
      const files = await this.#dataOf(namespace, "configmaps", configMap.name);
      return this.#write(
        pod,
        volume.name,
        mapped(files, (text) => this.#here(text)),
      );
    }
    if (secret !== undefined) {
      const files = await this.#dataOf(namespace, "secrets", secret.secretName);
      const plain = mapped(files, (text) => Buffer.from(text, "base64").toString("utf8"));
      return this.#write(pod, volume.name, plain, secret.defaultMode);
    }
    if (hostPath !== undefined) {
      const file = this.#node.files?.[hostPath.path];
      if (file === undefined) {
        throw new Error(`there is no ${hostPath.path} on ${this.#node.name}`);
      }
      return file;
    }
    if (projected !== undefined) {
      const [source] = projected.sources;
      const { path = "", audience = "" } = source?.serviceAccountToken ?? {};
      const account = workload.spec.template.spec.serviceAccountName;
      return this.#write(pod, volume.name, { [path]: await this.#token(pod, account, audience) });
    }
    if (emptyDir !== undefined) {
      return this.#write(pod, volume.name, {});
    }
    throw new Error(`the volume ${volume.name} is of a kind that is not played here`);
  }

  #write(pod: KubeObject, name: string, files: Readonly<Record<string, string>>, mode = 0o644): string {
    const folder = join(this.#folder, pod.metadata.uid ?? pod.metadata.name, name);
    mkdirSync(folder, { recursive: true });
    for (const [file, text] of Object.entries(files)) {
      writeFileSync(join(folder, file), text, { mode });
    }
    return folder;
  }

  async #token({ metadata }: KubeObject, account: string, audience?: string): Promise<string> {
    return await this.#server.tokenOf(
      { namespace: metadata.namespace ?? "", name: account },
      {
        pod: { name: metadata.name, uid: metadata.uid ?? "" },
        ...(audience === undefined ? {} : { audiences: [audience] }),
      },
    );
  }

  async #dataOf(
    namespace: string,
    kind: "configmaps" | "secrets",
    name: string,
  ): Promise<Readonly<Record<string, string>>> {
    return filesSchema.parse(
      await this.#server.call("GET", `/api/v1/namespaces/${namespace}/${kind}/${name}`),
    ).data;
  }

  #here(text: string): string {
    return (this.#node.instead ?? []).reduce((done, [there, ours]) => done.replaceAll(there, ours), text);
  }
}

function mapped(
  files: Readonly<Record<string, string>>,
  change: (text: string) => string,
): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(files).map(([name, text]) => [name, change(text)]));
}

/** The user, and of root's capabilities those alone that the manifest adds. */
function confined({ securityContext }: PodContainer): readonly string[] {
  const { runAsUser, runAsGroup, capabilities } = securityContext;
  const kept = capabilities.add.map((name) => `+${name.toLowerCase()}`);
  return [
    "setpriv",
    "--no-new-privs",
    `--reuid=${runAsUser}`,
    `--regid=${runAsGroup}`,
    "--clear-groups",
    "--inh-caps=-all",
    `--bounding-set=${["-all", ...kept].join(",")}`,
  ];
}
