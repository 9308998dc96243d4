import { once } from "node:events";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { CredentialKeeper } from "../../../src/adapters/kubernetes/credentials.ts";
import { kubeconfigCredentials } from "../../../src/adapters/kubernetes/kubeconfig.ts";
import { Transport } from "../../../src/adapters/kubernetes/transport.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { silentLog } from "../../support/silent-log.ts";
import { TestAuthority } from "../../support/test-authority.ts";

const get = { verb: "get", resource: "nodes", path: "/" };
const signal = new AbortController().signal;

describe("a client certificate of a kubeconfig file", () => {
  let authority: TestAuthority;
  let server: Server;
  let folder: string;
  const sockets = new Set<TLSSocket>();
  beforeAll(async () => {
    authority = await TestAuthority.create();
    folder = mkdtempSync(join(tmpdir(), "romana-tls-"));
    const own = await authority.issue(folder, "server");
    await authority.issue(folder, "one");
    await authority.issue(folder, "two");
    const pem = { ca: readFileSync(own.ca), cert: readFileSync(own.cert), key: readFileSync(own.key) };
    server = createServer({ ...pem, requestCert: true, rejectUnauthorized: true }, (request, answer) => {
      const socket = request.socket as TLSSocket;
      sockets.add(socket);
      answer.end(JSON.stringify({ name: socket.getPeerCertificate().subject.CN }));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  });
  afterAll(async () => {
    server.close();
    server.closeAllConnections();
    await once(server, "close");
    authority.remove();
    rmSync(folder, { recursive: true });
  });

  it("is shown, kept on one connection, and replaced when the file has another", async () => {
    const use = (name: string): void => {
      copyFileSync(join(folder, `${name}.crt`), join(folder, "client.crt"));
      copyFileSync(join(folder, `${name}.key`), join(folder, "client.key"));
    };
    use("one");
    const path = join(folder, "kubeconfig");
    const { port } = server.address() as AddressInfo;
    const cluster = { server: `https://127.0.0.1:${port}`, "certificate-authority": authority.ca };
    const user = { "client-certificate": "client.crt", "client-key": "client.key" };
    writeFileSync(
      path,
      JSON.stringify({
        clusters: [{ name: "c", cluster }],
        users: [{ name: "u", user }],
        contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
        "current-context": "c",
      }),
    );
    const clock = new FakeClock();
    const credentials = new CredentialKeeper({ load: kubeconfigCredentials(path), clock, log: silentLog });
    const transport = new Transport({ credentials, clock, version: "2" });

    expect(await transport.json(get, signal)).toEqual({ name: "one" });
    expect(await transport.json(get, signal)).toEqual({ name: "one" });
    expect(sockets.size).toBe(1);
    use("two");
    await clock.advance(10_000);
    expect(await transport.json(get, signal)).toEqual({ name: "two" });
    expect(await transport.json(get, signal)).toEqual({ name: "two" });
    expect(sockets.size).toBe(2);
    // Nothing goes over the first any more: it is closed.
    await expect.poll(() => [...sockets].map(({ destroyed }) => destroyed)).toEqual([true, false]);
    transport.close();
  });

  it("of another authority than the server's is not trusted", async () => {
    const { port } = server.address() as AddressInfo;
    const stranger = await TestAuthority.create("stranger");
    const tls = { ca: readFileSync(stranger.ca, "utf8") };
    const load = () => Promise.resolve({ server: `https://127.0.0.1:${port}`, tls, headers: {} });
    const clock = new FakeClock();
    const credentials = new CredentialKeeper({ load, clock, log: silentLog });
    const transport = new Transport({ credentials, clock, version: "2" });

    await expect(transport.json(get, signal)).rejects.toMatchObject({
      code: "CLUSTER_UNAVAILABLE",
      message: expect.stringMatching(/certificate|self-signed/) as string,
    });
    transport.close();
    stranger.remove();
  });
});
