import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";

import type { ClusterNode } from "../../../src/core/cluster/objects.ts";
import type { LeaseState } from "../../../src/ports/cluster.ts";
import { KubeApiServer, requireKubeApi } from "../../support/kube-api.ts";
import { podBody, startAdapter, waitForObject, type Adapter } from "./adapter-support.ts";

const WAIT = { timeout: 20_000, interval: 50 };
const TAINT = "romana.io/agent-not-ready";
const signal = new AbortController().signal;
const FOLLOWER = { namespace: "kube-system", name: "writes-nothing" };

describe.skipIf(requireKubeApi())("what is written to a cluster", () => {
  let server: KubeApiServer;
  let adapter: Adapter;
  beforeAll(async () => {
    server = await KubeApiServer.start();
    adapter = startAdapter(server);
  });
  afterAll(async () => {
    await adapter.stop();
    await server.stop();
  });

  async function makeNode(name: string): Promise<ClusterNode> {
    await server.call("POST", "/api/v1/nodes", {
      body: {
        metadata: { name },
        spec: {
          taints: [
            { key: TAINT, effect: "NoSchedule" },
            { key: "theirs", value: "x", effect: "PreferNoSchedule" },
            { key: TAINT, effect: "NoExecute" },
          ],
        },
      },
    });
    return waitForObject(adapter.view.nodes, name);
  }

  const taintsOf = (name: string): readonly string[] =>
    adapter.view.nodes.get(name)?.taints.map(({ key }) => key) ?? [];

  it("a taint goes, those of others stay", async () => {
    const node = await makeNode("tainted");

    await adapter.kubernetes.writer.removeTaint(node, TAINT, signal);

    await vi.waitFor(() => expect(taintsOf("tainted")).not.toContain(TAINT), WAIT);
    // The API server itself adds one to each new Node.
    expect(taintsOf("tainted")).toEqual(["theirs", "node.kubernetes.io/not-ready"]);
    // Once more, with nothing left to take off: nothing is written.
    const now = await waitForObject(adapter.view.nodes, "tainted");
    await adapter.kubernetes.writer.removeTaint(now, TAINT, signal);
    expect(adapter.view.nodes.get("tainted")?.resourceVersion).toBe(now.resourceVersion);
  });

  it("a taint stays when the Node changed meanwhile, which is a conflict, and when the Node is gone", async () => {
    const node = await makeNode("changed");
    await server.call("PATCH", "/api/v1/nodes/changed", {
      body: { metadata: { labels: { a: "b" } } },
      contentType: "application/merge-patch+json",
    });
    const { writer } = adapter.kubernetes;

    await expect(writer.removeTaint(node, TAINT, signal)).rejects.toMatchObject({
      code: "CLUSTER_CONFLICT",
      kind: "conflict",
    });
    await expect(writer.removeTaint({ ...node, name: "none" }, TAINT, signal)).rejects.toMatchObject({
      code: "CLUSTER_NOT_FOUND",
    });
    expect(taintsOf("changed")).toContain(TAINT);
  });

  it("a condition is set, and those of the kubelet stay", async () => {
    const made = await makeNode("conditioned");
    await server.call("PATCH", "/api/v1/nodes/conditioned/status", {
      body: { status: { conditions: [{ type: "Ready", status: "True", reason: "KubeletReady" }] } },
      contentType: "application/strategic-merge-patch+json",
    });
    const condition = {
      type: "NetworkUnavailable",
      status: "False",
      reason: "RoutesStand",
      message: "the group's routes stand",
    } as const;

    const { writer } = adapter.kubernetes;
    await expect(
      writer.setCondition({ name: made.name, uid: "another" }, condition, signal),
    ).rejects.toMatchObject({ code: "CLUSTER_CONFLICT" });
    await writer.setCondition(made, condition, signal);

    const node = (await server.call("GET", "/api/v1/nodes/conditioned")) as {
      readonly status: { readonly conditions: readonly object[] };
    };
    expect(node.status.conditions).toHaveLength(2);
    expect(node.status.conditions).toContainEqual(
      expect.objectContaining({
        ...condition,
        lastTransitionTime: expect.stringMatching(/^\d{4}-.*Z$/) as string,
      }),
    );
    await vi.waitFor(
      () =>
        expect(adapter.view.nodes.get("conditioned")).toMatchObject({
          ready: "true",
          networkUnavailable: "false",
        }),
      WAIT,
    );
  });

  it("an event stands on its object, whatever its name and however long its note, and goes on as a series", async () => {
    const { writer } = adapter.kubernetes;
    const node = await makeNode("with.dots");
    const firstMs = Date.UTC(2026, 10, 22, 8, 0, 0, 123);
    const event = {
      subject: { apiVersion: "v1", kind: "Node", namespace: "", name: node.name, uid: node.uid },
      type: "Warning",
      reason: "HostUnplaced",
      action: "PlaceHost",
      note: "ü".repeat(1_000),
      firstMs,
    } as const;

    const made = await writer.createEvent(event, signal);
    const again = await writer.createEvent(event, signal);
    await writer.repeatEvent(made, { count: 2, lastMs: firstMs + 300_000 }, signal);
    await writer.repeatEvent(made, { count: 7, lastMs: firstMs + 600_000 }, signal);

    expect(made.namespace).toBe("default");
    expect(again.name).not.toBe(made.name);
    expect(
      await server.call("GET", `/apis/events.k8s.io/v1/namespaces/default/events/${made.name}`),
    ).toMatchObject({
      regarding: { kind: "Node", name: node.name, uid: node.uid },
      note: "ü".repeat(512),
      reason: "HostUnplaced",
      type: "Warning",
      eventTime: "2026-11-22T08:00:00.123000Z",
      series: { count: 7, lastObservedTime: "2026-11-22T08:10:00.123000Z" },
    });
  });

  it("an event on an object of a namespace stands there, and one that is gone cannot go on", async () => {
    const { writer } = adapter.kubernetes;
    const made = await writer.createEvent(
      {
        subject: {
          apiVersion: "networking.k8s.io/v1",
          kind: "NetworkPolicy",
          namespace: "kube-system",
          name: `${"a".repeat(239)}.b`,
          uid: "u",
        },
        type: "Normal",
        reason: "Translated",
        action: "Translate",
        note: "",
        firstMs: 0,
      },
      signal,
    );
    expect(made.namespace).toBe("kube-system");
    await server.call("DELETE", `/apis/events.k8s.io/v1/namespaces/kube-system/events/${made.name}`);

    await expect(writer.repeatEvent(made, { count: 2, lastMs: 1 }, signal)).rejects.toMatchObject({
      code: "CLUSTER_NOT_FOUND",
      kind: "not-found",
    });
  });

  it("what RBAC refuses is told by verb and resource", async () => {
    const token = await server.tokenOf(FOLLOWER);
    const other = startAdapter(server, { token });
    const condition = { type: "X", status: "True", reason: "X", message: "" } as const;

    const refusal = await other.kubernetes.writer
      .setCondition({ name: "n", uid: "u" }, condition, signal)
      .catch((error: unknown) => error);
    await other.stop();

    expect(refusal).toMatchObject({
      code: "CLUSTER_FORBIDDEN",
      details: { verb: "patch", resource: "nodes/status" },
    });
    expect(String(refusal)).not.toContain(token);
  });

  it("a token that nobody knows is CLUSTER_UNAUTHENTICATED", async () => {
    const other = startAdapter(server, { token: "no-such-token" });

    await expect(other.kubernetes.lease.read(signal)).rejects.toMatchObject({
      code: "CLUSTER_UNAUTHENTICATED",
    });
    await other.stop();
  });
});

describe.skipIf(requireKubeApi())("the Lease and the review of tokens", () => {
  let server: KubeApiServer;
  let adapter: Adapter;
  beforeAll(async () => {
    server = await KubeApiServer.start();
    adapter = startAdapter(server);
  });
  afterAll(async () => {
    await adapter.stop();
    await server.stop();
  });

  it("a Lease is made once, changed by whoever knows it as it is, and given up", async () => {
    const { lease } = adapter.kubernetes;
    const state = {
      holder: "replica-1",
      durationMs: 15_000,
      acquireMs: Date.UTC(2026, 10, 22, 8, 0, 0, 1),
      renewMs: Date.UTC(2026, 10, 22, 8, 0, 5, 999),
      transitions: 0,
      url: "https://10.0.0.1:9600",
    };
    expect(await lease.read(signal)).toBeUndefined();

    const made = await lease.create(state, signal);
    expect(made).toEqual({ ...state, resourceVersion: made.resourceVersion });
    await expect(lease.create(state, signal)).rejects.toMatchObject({ code: "CLUSTER_CONFLICT" });

    const renewed = await lease.update({ ...made, holder: "replica-2", transitions: 1 }, signal);
    expect(renewed).toEqual({
      ...made,
      holder: "replica-2",
      transitions: 1,
      resourceVersion: renewed.resourceVersion,
    });
    await expect(lease.update(made, signal)).rejects.toMatchObject({ code: "CLUSTER_CONFLICT" });

    const free = await lease.update({ ...renewed, holder: "", url: "" }, signal);
    expect(free).toMatchObject({ holder: "", url: "", transitions: 1 });
    expect(await lease.read(signal)).toEqual(free);
  });

  it("what others wrote on the Lease stays on it", async () => {
    const { lease } = adapter.kubernetes;
    const leases = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
    const { items } = (await server.call("GET", leases)) as {
      readonly items: readonly { readonly metadata: { readonly name: string } }[];
    };
    const path = `${leases}/${items.find(({ metadata }) => metadata.name.startsWith("lease-"))?.metadata.name ?? ""}`;
    await server.call("PATCH", path, {
      body: { metadata: { labels: { theirs: "1" }, annotations: { theirs: "2" } } },
      contentType: "application/merge-patch+json",
    });

    const now = await lease.read(signal);
    await lease.update({ ...(now as LeaseState), url: "https://x" }, signal);

    expect(await server.call("GET", path)).toMatchObject({
      metadata: { labels: { theirs: "1" }, annotations: { theirs: "2", "romana.io/url": "https://x" } },
    });
  });

  it("a token that is bound to a Pod says on which node that is; one for another audience is not known", async () => {
    const agent = { namespace: "kube-system", name: "romana-agent" };
    await server.call("POST", "/api/v1/nodes", { body: { metadata: { name: "node-7" } } });
    await server.tokenOf(agent);
    const made = (await server.call("POST", "/api/v1/namespaces/kube-system/pods", {
      body: podBody("agent-on-7", { nodeName: "node-7", serviceAccountName: agent.name }),
    })) as { readonly metadata: { readonly uid: string } };
    const pod = { name: "agent-on-7", uid: made.metadata.uid };
    const { reviewer } = adapter.kubernetes;

    const bound = await server.tokenOf(agent, { audiences: ["romana"], pod });
    const elsewhere = await server.tokenOf(agent, { audiences: ["https://kubernetes.default.svc"], pod });
    const unbound = await server.tokenOf(agent, { audiences: ["romana"] });

    expect(await reviewer.review(bound, "romana", signal)).toMatchObject({
      user: "system:serviceaccount:kube-system:romana-agent",
      groups: expect.arrayContaining(["system:serviceaccounts:kube-system"]) as string[],
      extra: {
        "authentication.kubernetes.io/node-name": ["node-7"],
        "authentication.kubernetes.io/pod-name": ["agent-on-7"],
        "authentication.kubernetes.io/pod-uid": [pod.uid],
      },
    });
    expect(await reviewer.review(elsewhere, "romana", signal)).toBeUndefined();
    expect(
      (await reviewer.review(unbound, "romana", signal))?.extra["authentication.kubernetes.io/node-name"],
    ).toBeUndefined();
    expect(await reviewer.review("no-such-token", "romana", signal)).toBeUndefined();
  });
});
