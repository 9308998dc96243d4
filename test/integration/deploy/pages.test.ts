import { spawn, spawnSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createSecureContext } from "node:tls";

import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { parseAllDocuments } from "yaml";
import { z } from "zod";

import { requireEtcd } from "../../support/etcd.ts";
import { freePorts } from "../../support/free-ports.ts";
import { KubeApiServer, requireKubeApi } from "../../support/kube-api.ts";
import { toolPath } from "../../support/tools.ts";
import { requireTools } from "./manifests.ts";

const filesSchema = z.looseObject({ data: z.record(z.string(), z.string()) });

describe.skipIf(requireKubeApi() || requireTools("kubectl")).each([
  ["docs/install/kubeadm.md", "10.96.0.0/12", "10.96.0.99"],
  ["docs/install/kops.md", "100.64.0.0/13", "100.64.0.99"],
] as const)("the commands of %s", (page, serviceRange, address) => {
  let server: KubeApiServer;
  let folder: string;

  /** A folder in which the page's relative paths mean something, with `romana` and `kubectl` on the PATH. */
  const run = (script: string) =>
    spawnSync("sh", ["-eu", "-c", script], {
      cwd: folder,
      env: { ...process.env, PATH: `${join(folder, "bin")}:${process.env["PATH"] ?? ""}` },
      encoding: "utf8",
      timeout: 60_000,
    });
  const filesOf = async (
    kind: "secrets" | "configmaps",
    name: string,
  ): Promise<Readonly<Record<string, string>>> => {
    const { data } = filesSchema.parse(
      await server.call("GET", `/api/v1/namespaces/kube-system/${kind}/${name}`),
    );
    return kind === "configmaps"
      ? data
      : Object.fromEntries(
          Object.entries(data).map(([key, text]) => [key, Buffer.from(text, "base64").toString("utf8")]),
        );
  };

  beforeAll(async () => {
    server = await KubeApiServer.start({ serviceRange });
    folder = mkdtempSync(join(tmpdir(), "romana-pages-"));
    symlinkSync(resolve("deploy"), join(folder, "deploy"));
    mkdirSync(join(folder, "bin"));
    const program = (name: string, command: string): void => {
      const path = join(folder, "bin", name);
      writeFileSync(path, `#!/bin/sh\nexec ${command} "$@"\n`);
      chmodSync(path, 0o755);
    };
    program("romana", resolve("bin/romana"));
    program(
      "kubectl",
      `${toolPath("kubectl")} --kubeconfig ${server.writeKubeconfig()} --cache-dir ${join(folder, "cache")}`,
    );
  });
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    await server.stop();
  });

  it("run as they stand, from the first to the last", () => {
    const scripts = scriptsOf(page);

    expect(scripts.length).toBeGreaterThan(1);
    for (const script of scripts) {
      expect({ script, ...outcome(run(script)) }).toEqual({ script, status: 0, said: expect.any(String) });
    }
  });

  it("give the controller a certificate for the Service, and agents its authority and no key", async () => {
    const tls = await filesOf("secrets", "romana-tls");
    const certificate = new X509Certificate(tls["tls.crt"] ?? "");

    expect(Object.keys(tls).toSorted()).toEqual(["ca.crt", "tls.crt", "tls.key"]);
    expect(() =>
      createSecureContext({ cert: tls["tls.crt"], key: tls["tls.key"], ca: tls["ca.crt"] }),
    ).not.toThrow();
    expect(certificate.checkIP(address)).toBe(address);
    expect(certificate.checkHost("romana.kube-system.svc")).toBe("romana.kube-system.svc");
    expect(await filesOf("configmaps", "romana-ca")).toEqual({ "ca.crt": tls["ca.crt"] });
  });

  // The page for kOps refers to this one.
  it.skipIf(requireEtcd()).for(page.includes("kubeadm") ? ["the stand-alone etcd"] : [])(
    "give %s what its flags name, and it serves the controller's certificate alone",
    async () => {
      const [client = 0, peer = 0, metrics = 0] = await freePorts(3);
      const data = join(folder, "etcd");
      mkdirSync(join(data, "tls"), { recursive: true });
      for (const [name, text] of Object.entries(await filesOf("secrets", "romana-etcd-server"))) {
        writeFileSync(join(data, "tls", name), text);
      }
      const [program = "", ...flags] = etcdCommand().map((word) =>
        word
          .replaceAll("12379", String(client))
          .replaceAll("12380", String(peer))
          .replaceAll("12381", String(metrics))
          .replaceAll("0.0.0.0", "127.0.0.1")
          .replace("/etc/etcd/tls", join(data, "tls"))
          .replace("/var/lib/romana/etcd-db", join(data, "db")),
      );
      const etcd = spawn(program, flags, { stdio: "ignore" });
      onTestFinished(() => void etcd.kill("SIGKILL"));

      const own = await filesOf("secrets", "romana-etcd-tls");
      const trusted = { ca: own["ca.crt"] };
      const asController = { ...trusted, cert: own["tls.crt"], key: own["tls.key"] };
      await vi.waitFor(
        async () => expect(await healthAt(client, asController)).toContain('"health":"true"'),
        { timeout: 30_000, interval: 100 },
      );
      await expect(healthAt(client, trusted)).rejects.toThrow(
        /certificate required|bad certificate|ECONNRESET/,
      );
    },
  );
});

/** The blocks of a page that are marked as shell: all of them are meant to be run, in their order. */
function scriptsOf(page: string): readonly string[] {
  return [...readFileSync(page, "utf8").matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(
    ([, script = ""]) => script,
  );
}

function outcome({
  status,
  stdout,
  stderr,
}: {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}) {
  return { status, said: `${stdout}${stderr}` };
}

/** What the container of the stand-alone etcd runs. */
function etcdCommand(): readonly string[] {
  const deployment = parseAllDocuments(
    readFileSync("deploy/kubernetes/components/etcd-standalone/etcd.yaml", "utf8"),
  )[0]?.toJS() as unknown;
  const [container] = z
    .object({
      spec: z.object({
        template: z.object({
          spec: z.object({ containers: z.array(z.object({ command: z.array(z.string()) })) }),
        }),
      }),
    })
    .parse(deployment).spec.template.spec.containers;
  return container?.command ?? [];
}

async function healthAt(port: number, tls: Readonly<Record<string, string | undefined>>): Promise<string> {
  return await new Promise((done, fail) => {
    get({ host: "127.0.0.1", port, path: "/health", agent: false, ...tls }, (answer) => {
      let text = "";
      answer.on("data", (chunk: Buffer) => (text += chunk.toString()));
      answer.once("end", () => done(text));
      answer.once("error", fail);
    }).once("error", fail);
  });
}
