import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { createTrialCertificates, type PemFile } from "../../src/adapters/certificates/trial-certificates.ts";
import { writeNewFiles } from "../../src/adapters/certificates/write-files.ts";

/** Certificates of a trial installation for 127.0.0.1 in a folder of their own, and others of the same making. */
export class Trial {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** With agents of node-1 and node-2. */
  static async create(): Promise<Trial> {
    const folder = await mkdtemp(join(tmpdir(), "romana-trial-"));
    await writeNewFiles(folder, await Trial.files());
    return new Trial(folder);
  }

  /** Files of another authority; `days` may be negative. */
  static files({ days = 30, nowMs = Date.now() } = {}): Promise<readonly PemFile[]> {
    return createTrialCertificates({
      hosts: ["127.0.0.1", "romana.kube-system.svc"],
      agents: ["node-1", "node-2"],
      days,
      nowMs,
    });
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  read(name: string): Promise<string> {
    return readFile(this.path(name), "utf8");
  }

  /** Certificate and key of `admin`, `agent-node-1` …, and the authority, as a client gives them. */
  async client(name: string): Promise<{ readonly ca: string; readonly cert: string; readonly key: string }> {
    const [ca, cert, key] = await Promise.all(
      [`ca.crt`, `${name}.crt`, `${name}.key`].map((file) => this.read(file)),
    );
    return { ca: ca ?? "", cert: cert ?? "", key: key ?? "" };
  }

  /** Puts another text in a file's place, by an atomic rename. */
  async replace(name: string, text: string): Promise<void> {
    await writeFile(this.path("next"), text);
    await rename(this.path("next"), this.path(name));
  }

  remove(): Promise<void> {
    return rm(this.folder, { recursive: true });
  }
}

/** The text of one of the files. */
export function textOf(files: readonly PemFile[], name: string): string {
  const found = files.find((file) => file.name === name);
  if (found === undefined) {
    throw new Error(`no file is called ${name}`);
  }
  return found.text;
}
