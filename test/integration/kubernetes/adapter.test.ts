import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";

import { CredentialKeeper } from "../../../src/adapters/kubernetes/credentials.ts";
import { KubernetesCluster } from "../../../src/adapters/kubernetes/kubernetes-cluster.ts";
import { Transport, type ApiCall } from "../../../src/adapters/kubernetes/transport.ts";
import { SystemClock } from "../../../src/adapters/system/system-clock.ts";
import type { ClusterNamespace } from "../../../src/core/cluster/objects.ts";
import { ObjectView, type ObjectChange } from "../../../src/services/cluster/object-view.ts";
import { KubeApiServer, requireKubeApi } from "../../support/kube-api.ts";
import { Relay } from "../../support/relay.ts";
import { silentLog } from "../../support/silent-log.ts";
import { listed, policyBody, startAdapter, waitForSync, type Adapter } from "./adapter-support.ts";

const WAIT = { timeout: 20_000, interval: 50 };
const signal = new AbortController().signal;

describe.skipIf(requireKubeApi())("a cluster that is followed", () => {
  let server: KubeApiServer;
  let relay: Relay;
  let adapter: Adapter;
  beforeAll(async () => {
    server = await KubeApiServer.start();
    relay = await Relay.start(server.port);
    adapter = startAdapter(server, { port: relay.port });
    await waitForSync(server, adapter.view);
  });
  afterAll(async () => {
    await adapter.stop();
    await relay.stop();
    await server.stop();
  });

  it("gives a NetworkPolicy that is watched the value that it has when it is listed", async () => {
    const peer = {
      podSelector: { matchLabels: { app: "web" } },
      namespaceSelector: { matchExpressions: [{ key: "team", operator: "In", values: ["a", "b"] }] },
    };
    await server.call("POST", "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies", {
      body: policyBody("listed-and-watched", peer),
    });
    const key = "default/listed-and-watched";
    await vi.waitFor(() => expect(adapter.view.networkpolicies.get(key)).toBeDefined(), WAIT);
    const watched = adapter.view.networkpolicies.get(key);

    const other = startAdapter(server);
    await vi.waitFor(() => expect(other.view.networkpolicies.synced).toBe(true), WAIT);
    const fromList = other.view.networkpolicies.get(key);
    await other.stop();

    expect(fromList).toEqual(watched);
    expect(watched?.ingress).toEqual([
      {
        peers: [
          {
            podSelector: { matchLabels: { app: "web" }, matchExpressions: [] },
            namespaceSelector: {
              matchLabels: {},
              matchExpressions: [{ key: "team", operator: "In", values: ["a", "b"] }],
            },
          },
        ],
        ports: [{ protocol: "TCP", port: 80 }],
      },
    ]);
  });

  it("tells of a new UID under an old name as of another object, and passes the old one's end", async () => {
    const changes: string[] = [];
    const off = adapter.view.nodes.onChange(
      ({ kind, object }: ObjectChange<{ name: string; uid: string }>) => {
        changes.push(`${kind} ${object.uid}`);
      },
    );
    const create = async (): Promise<string> => {
      const made = await server.call("POST", "/api/v1/nodes", { body: { metadata: { name: "again" } } });
      return (made as { readonly metadata: { readonly uid: string } }).metadata.uid;
    };

    const first = await create();
    await server.call("DELETE", "/api/v1/nodes/again");
    const second = await create();
    await vi.waitFor(() => expect(adapter.view.nodes.get("again")?.uid).toBe(second), WAIT);
    off();

    expect(changes).toEqual([`put ${first}`, `delete ${first}`, `put ${second}`]);
  });

  it("opens few connections for 300 calls, and keeps fewer", async () => {
    const before = relay.opened;
    for (let call = 0; call < 100; call += 1) {
      await adapter.kubernetes.lease.read(signal);
    }
    const oneByOne = relay.opened - before;
    for (let round = 0; round < 10; round += 1) {
      await Promise.all(Array.from({ length: 20 }, () => adapter.kubernetes.lease.read(signal)));
    }

    expect(oneByOne).toBeLessThanOrEqual(1);
    // As many as go at once, of which eight are kept from one round to the next.
    expect(relay.opened - before).toBeLessThanOrEqual(20 + 9 * 12);
    // Seven watches beside them.
    await vi.waitFor(() => expect(relay.connections).toBeLessThanOrEqual(7 + 8), WAIT);
  });

  it("says of every call who we are", () => {
    const ours = server.audit().filter(({ userAgent }) => userAgent === "romana-controller/2.0.0-test");

    expect(new Set(ours.map(({ verb }) => verb))).toEqual(new Set(["list", "watch", "get"]));
  });
});

/** Lets something happen after the first page of a list. */
class InterruptedTransport extends Transport {
  readonly paths: string[] = [];
  afterFirstPage: () => Promise<void> = () => Promise.resolve();

  override async json(call: ApiCall, until: AbortSignal): Promise<unknown> {
    this.paths.push(call.path);
    const answer = await super.json(call, until);
    if (this.paths.length === 1) {
      await this.afterFirstPage();
    }
    return answer;
  }
}

describe.skipIf(requireKubeApi())("a list of many objects", () => {
  const MANY = 1_200;
  let server: KubeApiServer;
  beforeAll(async () => {
    // Else it serves later pages out of its memory, for a while also after a compaction.
    server = await KubeApiServer.start({ flags: ["--feature-gates=ListFromCacheSnapshot=false"] });
    const names = Array.from({ length: MANY }, (_, index) => `many-${String(index).padStart(4, "0")}`);
    for (let from = 0; from < names.length; from += 40) {
      await Promise.all(
        names
          .slice(from, from + 40)
          .map((name) => server.call("POST", "/api/v1/namespaces", { body: { metadata: { name } } })),
      );
    }
  });
  afterAll(() => server.stop());

  function follow(afterFirstPage: () => Promise<void>): {
    readonly view: ObjectView<ClusterNamespace>;
    readonly cluster: KubernetesCluster;
    readonly transport: InterruptedTransport;
    readonly stop: () => Promise<void>;
  } {
    const clock = new SystemClock();
    const load = () =>
      Promise.resolve({
        server: server.url,
        tls: { ca: server.ca },
        headers: { authorization: `Bearer ${server.adminToken}` },
      });
    const credentials = new CredentialKeeper({ load, clock, log: silentLog });
    const transport = new InterruptedTransport({ credentials, clock, version: "2.0.0-test" });
    transport.afterFirstPage = afterFirstPage;
    const cluster = new KubernetesCluster({ transport, clock, log: silentLog });
    const view = new ObjectView<ClusterNamespace>();
    const end = new AbortController();
    const work = cluster.follow("namespaces", view, end.signal);
    return {
      view,
      cluster,
      transport,
      stop: async () => {
        end.abort(new Error("the test is over"));
        await work;
        transport.close();
      },
    };
  }

  const ofView = (view: ObjectView<ClusterNamespace>): readonly string[] =>
    [...view.values()]
      .map(({ name, uid, resourceVersion }) => `${name} ${uid} ${resourceVersion}`)
      .toSorted();

  it("takes pages of 500, all of one moment: what is made meanwhile comes by the watch", async () => {
    const followed = follow(async () => {
      await server.call("POST", "/api/v1/namespaces", { body: { metadata: { name: "aaa-meanwhile" } } });
    });
    await vi.waitFor(() => expect(followed.view.get("aaa-meanwhile")).toBeDefined(), WAIT);
    const all = ofView(followed.view);
    await followed.stop();

    expect(all).toEqual(await listed(server, "namespaces"));
    expect(all.length).toBeGreaterThan(MANY);
    expect(followed.transport.paths).toHaveLength(3);
    expect(followed.cluster.state("namespaces").lists).toBe(1);
  });

  it("starts over when its moment was compacted in its middle", async () => {
    const followed = follow(async () => {
      await server.call("DELETE", "/api/v1/namespaces/many-0000");
      const fresh = await server.call("POST", "/api/v1/namespaces", {
        body: { metadata: { name: "zzz-fresh" } },
      });
      const { resourceVersion } = (fresh as { readonly metadata: { readonly resourceVersion: string } })
        .metadata;
      await server.etcd.etcdctl(["compact", resourceVersion]);
    });
    await vi.waitFor(() => expect(followed.view.synced).toBe(true), WAIT);
    await vi.waitFor(
      async () => expect(ofView(followed.view)).toEqual(await listed(server, "namespaces")),
      WAIT,
    );
    await followed.stop();

    expect(followed.view.get("zzz-fresh")).toBeDefined();
    expect(followed.cluster.state("namespaces").lists).toBe(2);
  });
});
