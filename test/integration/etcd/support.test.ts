import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, describe, expect, it } from "vitest";

import { EtcdCluster, EtcdServer, requireEtcd } from "../../support/etcd.ts";
import { Relay } from "../../support/relay.ts";
import { TestAuthority } from "../../support/test-authority.ts";

describe.skipIf(requireEtcd())("the etcds of these tests", () => {
  const folder = mkdtempSync(join(tmpdir(), "romana-etcd-test-"));
  const stops: (() => Promise<void>)[] = [];
  afterAll(async () => {
    await Promise.all(stops.map((stop) => stop()));
    rmSync(folder, { recursive: true });
  });

  it("keep what they have when they are killed", async () => {
    const server = await EtcdServer.start();
    stops.push(() => server.stop());
    await server.etcdctl(["put", "/a", "1"]);

    await server.restart();

    expect(await server.etcdctl(["get", "/a", "--print-value-only"])).toBe("1\n");
  });

  it("answer over TLS to a certificate of their authority, and let a user see his prefix alone", async () => {
    const authority = await TestAuthority.create();
    stops.push(async () => authority.remove());
    const server = await EtcdServer.start({ tls: await authority.issue(folder, "server") });
    stops.push(() => server.stop());
    const root = { name: "root", password: "r" };
    const user = { name: "romana", password: "p" };
    await server.enableAuth(root, user, "/romana/");

    await server.etcdctl(["put", "/romana/a", "1"], user);

    await expect(server.etcdctl(["put", "/other", "1"], user)).rejects.toThrow(/permission denied/);
  });

  it("form a cluster that lives on with two of three", async () => {
    const cluster = await EtcdCluster.start(3);
    stops.push(() => cluster.stop());
    const [first, second] = cluster.members;

    await first?.kill("SIGKILL");
    await second?.healthy();

    expect(await second?.etcdctl(["put", "/a", "1"])).toBe("OK\n");
  });

  it("can be reached over a wire that refuses and accepts", async () => {
    const server = await EtcdServer.start();
    stops.push(() => server.stop());
    const relay = await Relay.start(server.clientPort);
    stops.push(() => relay.stop());

    expect(await connects(relay.port)).toBe(true);
    await relay.refuse();
    expect(await connects(relay.port)).toBe(false);
    await relay.accept();
    expect(await connects(relay.port)).toBe(true);
  });
});

function connects(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
