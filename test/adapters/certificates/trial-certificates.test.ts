import { execFileSync } from "node:child_process";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  createTrialCertificates,
  type PemFile,
} from "../../../src/adapters/certificates/trial-certificates.ts";
import { writeNewFiles } from "../../../src/adapters/certificates/write-files.ts";

const nowMs = Date.now();
const DAY_MS = 86_400_000;

let folder = "";
let files: readonly PemFile[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "romana-certs-"));
  files = await createTrialCertificates({
    hosts: ["localhost", "romana.example.com", "127.0.0.1", "::1"],
    agents: ["node-1", "rack 1/ü"],
    days: 30,
    nowMs,
  });
  await writeNewFiles(join(folder, "new"), files);
});

afterAll(() => rm(folder, { recursive: true }));

function certificate(name: string): X509Certificate {
  return new X509Certificate(files.find((file) => file.name === `${name}.crt`)?.text ?? "");
}

const names = ["server", "admin", "reader", "agent-node-1", "agent-rack%201%2F%C3%BC"];

it.for(names)("signs %s so that openssl verifies it, strictly", (name) => {
  const purpose = name === "server" ? "sslserver" : "sslclient";
  const verify = () =>
    execFileSync(
      "openssl",
      ["verify", "-x509_strict", "-purpose", purpose, "-CAfile", "ca.crt", `${name}.crt`],
      { cwd: join(folder, "new"), encoding: "utf8" },
    );

  expect(verify()).toBe(`${name}.crt: OK\n`);
});

it.for(["ca", ...names])("gives %s a P-256 key of its own, and the asked time", (name) => {
  const key = createPrivateKey(files.find((file) => file.name === `${name}.key`)?.text ?? "");
  const found = certificate(name);

  expect(found.checkPrivateKey(key)).toBe(true);
  expect(key.asymmetricKeyDetails).toEqual({ namedCurve: "prime256v1" });
  expect(Math.abs(Date.parse(found.validTo) - (nowMs + 30 * DAY_MS))).toBeLessThan(1000);
  expect(Date.parse(found.validFrom)).toBeLessThan(nowMs);
});

it("names role and host in the subject", () => {
  const subjects = names.map((name) => ({ ...certificate(name).toLegacyObject().subject }));

  expect(subjects).toEqual([
    { CN: "romana" },
    { O: "romana:admin", CN: "admin" },
    { O: "romana:reader", CN: "reader" },
    { O: "romana:agent", CN: "node-1" },
    { O: "romana:agent", CN: "rack 1/ü" },
  ]);
});

it("lets the server be reached by each of its names and addresses, and no other", () => {
  const server = certificate("server");

  expect(["localhost", "romana.example.com"].map((name) => server.checkHost(name))).not.toContain(undefined);
  expect(["127.0.0.1", "::1"].map((address) => server.checkIP(address))).not.toContain(undefined);
  expect([server.checkHost("example.com"), server.checkIP("127.0.0.2")]).toEqual([undefined, undefined]);
});

it("lets the authority sign servers and clients, and no further authority", () => {
  const ca = certificate("ca");

  expect(ca.ca).toBe(true);
  expect(names.map((name) => certificate(name).ca)).not.toContain(true);
});

it.for(["", "https://x", "a b", "x:9600", "*.example.com", "-a"])(
  "refuses the name %j for a server",
  async (host) => {
    await expect(
      createTrialCertificates({ hosts: [host], agents: [], days: 1, nowMs }),
    ).rejects.toMatchObject({
      kind: "invalid",
      code: "CERTIFICATE_NAME_INVALID",
    });
  },
);

it("refuses an agent whose name no certificate can hold", async () => {
  const agents = ["n".repeat(65)];

  await expect(createTrialCertificates({ hosts: [], agents, days: 1, nowMs })).rejects.toMatchObject({
    code: "CERTIFICATE_NAME_INVALID",
  });
});

describe("writeNewFiles", () => {
  it("keeps files and folder to their owner", async () => {
    const modes = await Promise.all(
      files.map(async ({ name }) => (await stat(join(folder, "new", name))).mode & 0o777),
    );

    expect(new Set(modes)).toEqual(new Set([0o600]));
    expect((await stat(join(folder, "new"))).mode & 0o777).toBe(0o700);
  });

  it("writes nothing when one of the files is there, and names it", async () => {
    const taken = await mkdtemp(join(folder, "taken-"));
    await writeFile(join(taken, "server.key"), "precious");

    const attempt = writeNewFiles(taken, files);

    await expect(attempt).rejects.toMatchObject({
      kind: "conflict",
      code: "CERTIFICATE_EXISTS",
      details: { names: ["server.key"] },
    });
    expect(await readdir(taken)).toEqual(["server.key"]);
    expect(await readFile(join(taken, "server.key"), "utf8")).toBe("precious");
  });

  it("says which folder cannot be written", async () => {
    await writeFile(join(folder, "file"), "");

    await expect(writeNewFiles(join(folder, "file"), files)).rejects.toMatchObject({
      code: "CERTIFICATE_UNWRITABLE",
      details: { folder: join(folder, "file") },
    });
  });
});
