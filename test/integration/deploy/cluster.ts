import { execFileSync, spawnSync, type SpawnSyncReturns } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { z } from "zod";

import { KubeApiServer, type KubeApiOptions } from "../../support/kube-api.ts";
import { writeKubeSchemas } from "../../support/kube-schemas.ts";
import { toolPath } from "../../support/tools.ts";
import { manifestSchema, type Manifest } from "./manifests.ts";

const listSchema = z.object({ kind: z.literal("List"), items: z.array(z.unknown()) });

/** What a program said, and whether it was content. */
export interface Outcome {
  readonly ok: boolean;
  readonly text: string;
}

/** An API server with the service range of an overlay, and kubectl and kubeconform on it. */
export class DeployedCluster {
  readonly server: KubeApiServer;
  readonly #folder = mkdtempSync(join(tmpdir(), "romana-deploy-"));
  readonly #kubeconfig: string;

  private constructor(server: KubeApiServer) {
    this.server = server;
    this.#kubeconfig = server.writeKubeconfig();
  }

  static async start(
    serviceRange: string,
    options: Omit<KubeApiOptions, "serviceRange"> = {},
  ): Promise<DeployedCluster> {
    return new DeployedCluster(await KubeApiServer.start({ ...options, serviceRange }));
  }

  async stop(): Promise<void> {
    rmSync(this.#folder, { recursive: true, force: true });
    await this.server.stop();
  }

  /** `kubectl ARGS`, with `input` on its standard input. */
  kubectl(args: readonly string[], input = ""): Outcome {
    const { status, stdout, stderr } = this.#run(args, input);
    return { ok: status === 0, text: `${stdout}${stderr}` };
  }

  /** The objects of a manifest as the server has them now, in its order. */
  applied(manifest: string): readonly Manifest[] {
    const { status, stdout, stderr } = this.#run(["get", "--filename", "-", "--output", "json"], manifest);
    if (status !== 0) {
      throw new Error(stderr);
    }
    // Of one object there is no list.
    const answer = listSchema.or(manifestSchema).parse(JSON.parse(stdout));
    return "items" in answer ? z.array(manifestSchema).parse(answer.items) : [answer];
  }

  /** `kubeconform -strict` with the schemas of this very server. */
  async conforms(manifest: string): Promise<Outcome> {
    const schemas = join(this.#folder, "schemas");
    writeKubeSchemas(await this.server.call("GET", "/openapi/v2"), schemas);
    const file = join(this.#folder, "manifest.yaml");
    writeFileSync(file, manifest);
    try {
      const text = execFileSync(
        toolPath("kubeconform"),
        ["-strict", "-summary", "-schema-location", `${schemas}/{{.ResourceKind}}{{.KindSuffix}}.json`, file],
        { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] },
      );
      return { ok: true, text };
    } catch (error) {
      const { stdout = "", stderr = "" } = error as { readonly stdout?: string; readonly stderr?: string };
      return { ok: false, text: `${stdout}${stderr}` };
    }
  }

  #run(args: readonly string[], input: string): SpawnSyncReturns<string> {
    return spawnSync(
      toolPath("kubectl"),
      // The cache of discovery is this server's.
      ["--kubeconfig", this.#kubeconfig, "--cache-dir", join(this.#folder, "cache"), ...args],
      { input, encoding: "utf8", timeout: 60_000 },
    );
  }
}
