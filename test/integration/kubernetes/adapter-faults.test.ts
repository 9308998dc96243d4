import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";

import { KubeApiServer, requireKubeApi } from "../../support/kube-api.ts";
import { Relay } from "../../support/relay.ts";
import {
  inSync,
  KINDS,
  podBody,
  policyBody,
  startAdapter,
  waitForSync,
  type Adapter,
} from "./adapter-support.ts";

const WAIT = { timeout: 30_000, interval: 50 };
const POLICIES = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies";
const BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";

describe.skipIf(requireKubeApi())("a cluster whose API server fails", () => {
  let server: KubeApiServer;
  let relay: Relay;
  let adapter: Adapter;
  beforeAll(async () => {
    server = await KubeApiServer.start();
    relay = await Relay.start(server.port);
    const token = await server.tokenOf({ namespace: "kube-system", name: "follower" });
    await server.call("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", {
      body: {
        metadata: { name: "follower" },
        rules: [
          {
            apiGroups: [""],
            resources: ["nodes", "pods", "namespaces", "services"],
            verbs: ["list", "watch"],
          },
          { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] },
          {
            apiGroups: ["networking.k8s.io"],
            resources: ["networkpolicies", "servicecidrs"],
            verbs: ["list", "watch"],
          },
        ],
      },
    });
    await bind();
    await server.call("POST", "/api/v1/namespaces/default/pods", { body: podBody("stays") });
    await server.call("POST", POLICIES, { body: policyBody("stays", { podSelector: {} }) });
    await server.call("POST", "/api/v1/nodes", { body: { metadata: { name: "goes" } } });
    adapter = startAdapter(server, { token, port: relay.port });
    await waitForSync(server, adapter.view);
  });
  afterAll(async () => {
    await adapter.stop();
    await relay.stop();
    await server.stop();
  });

  async function bind(): Promise<void> {
    await server.call("POST", BINDINGS, {
      body: {
        metadata: { name: "follower" },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "follower" },
        subjects: [{ kind: "ServiceAccount", namespace: "kube-system", name: "follower" }],
      },
    });
  }

  it("is in sync again after the server was killed and started, with what went and came meanwhile", async () => {
    const { view } = adapter;
    await server.kill("SIGKILL");
    // While it is away, and behind its back.
    await server.etcd.etcdctl(["del", "/registry/minions/goes"]);
    await vi.waitFor(() => expect(adapter.kubernetes.source.state("nodes").problem).not.toBe(""), WAIT);
    const meanwhile = { nodes: view.nodes.get("goes"), pod: view.pods.get("default/stays") };
    const gone: string[] = [];
    const off = view.nodes.onChange(({ kind, object }) => gone.push(`${kind} ${object.name}`));
    server.spawn();
    await server.ready();
    const readyAt = performance.now();
    await server.call("POST", "/api/v1/nodes", { body: { metadata: { name: "comes" } } });
    await server.call("POST", POLICIES, { body: policyBody("comes", { namespaceSelector: {} }) });

    await waitForSync(server, view);
    const tookMs = performance.now() - readyAt;
    off();

    // The last state stood meanwhile.
    expect(meanwhile.nodes).toBeDefined();
    expect(meanwhile.pod).toBeDefined();
    expect(gone).toContain("delete goes");
    expect(view.nodes.get("comes")).toBeDefined();
    // Pauses are 2 s at most; on a busy machine the lists and the comparison take their time too.
    expect(tookMs).toBeLessThan(10_000);
    await vi.waitFor(
      () =>
        expect(KINDS.map((kind) => adapter.kubernetes.source.state(kind).problem)).toEqual(
          KINDS.map(() => ""),
        ),
      WAIT,
    );
  });

  it("misses nothing when its connections are cut and the history is compacted meanwhile", async () => {
    const { view } = adapter;
    await relay.refuse();
    relay.cut();
    for (const name of ["one", "two", "three"]) {
      await server.call("POST", "/api/v1/nodes", { body: { metadata: { name } } });
    }
    await server.call("DELETE", "/api/v1/nodes/two");
    const { metadata } = (await server.call("GET", "/api/v1/nodes")) as {
      readonly metadata: { readonly resourceVersion: string };
    };
    await server.etcd.etcdctl(["compact", metadata.resourceVersion]);
    await relay.accept();

    await waitForSync(server, view);

    expect(["one", "two", "three"].map((name) => view.nodes.get(name)?.name)).toEqual([
      "one",
      undefined,
      "three",
    ]);
  });

  it("goes on from where it was when a connection is cut, without a list", async () => {
    const { view } = adapter;
    const { source } = adapter.kubernetes;
    // A watch that is only being asked for has no connection yet that could be cut.
    await vi.waitFor(
      () => expect(KINDS.filter((kind) => source.state(kind).problem !== "")).toEqual([]),
      WAIT,
    );
    const before = KINDS.map((kind) => source.state(kind));
    relay.cut();
    await server.call("POST", "/api/v1/nodes", { body: { metadata: { name: "after-the-cut" } } });

    await vi.waitFor(() => expect(view.nodes.get("after-the-cut")).toBeDefined(), WAIT);
    await vi.waitFor(
      () =>
        expect(
          KINDS.filter((kind, index) => source.state(kind).watches === (before[index]?.watches ?? 0)),
        ).toEqual([]),
      WAIT,
    );

    expect(KINDS.map((kind) => source.state(kind).lists)).toEqual(before.map(({ lists }) => lists));
  });

  it("keeps the last state while its role is gone, says which verb it lacks, and is in sync within 5 s after it is back", async () => {
    const { view } = adapter;
    const { source } = adapter.kubernetes;
    const pods = view.pods.size;
    await server.call("DELETE", `${BINDINGS}/follower`);
    // An open watch goes on: it is the next connection that is refused.
    relay.cut();
    await vi.waitFor(
      () =>
        expect(KINDS.map((kind) => source.state(kind).missingVerb)).toEqual(
          KINDS.map((kind) => `watch ${kind}`),
        ),
      WAIT,
    );
    await server.call("POST", "/api/v1/nodes", { body: { metadata: { name: "unseen" } } });
    expect(view.nodes.get("unseen")).toBeUndefined();
    expect(view.pods.size).toBe(pods);
    expect(source.state("pods").problem).toMatch(/^watch pods: .*403/);

    await bind();
    const backAt = performance.now();
    await vi.waitFor(() => expect(view.nodes.get("unseen")).toBeDefined(), WAIT);
    await vi.waitFor(
      () => expect(KINDS.filter((kind) => source.state(kind).problem !== "")).toEqual([]),
      WAIT,
    );

    expect(performance.now() - backAt).toBeLessThan(5_000);
    expect(await inSync(server, view)).toBe(true);
  });
});
