import { setTimeout as sleep } from "node:timers/promises";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { createKubernetes, type Kubernetes } from "../../../src/adapters/kubernetes/create-kubernetes.ts";
import { SystemClock } from "../../../src/adapters/system/system-clock.ts";
import { hashToken } from "../../../src/api/authentication.ts";
import { ClusterEventRecorder } from "../../../src/services/event-recorder.ts";
import { TokenReviewAuthenticator } from "../../../src/services/token-review.ts";
import { serverWithOneHost } from "../../api/support.ts";
import { KubeApiServer, requireKubeApi } from "../../support/kube-api.ts";
import { silentLog } from "../../support/silent-log.ts";

const never = new AbortController().signal;
const clock = new SystemClock();
const AGENT = { namespace: "kube-system", name: "romana-agent" };

describe.skipIf(requireKubeApi())("callers and events of a real cluster", () => {
  let server: KubeApiServer;
  let kubernetes: Kubernetes;
  beforeAll(async () => {
    server = await KubeApiServer.start({
      // Tokens of people are for us only where the API server counts our audience among its own (docs/security.md).
      flags: ["--api-audiences=https://kubernetes.default.svc,romana"],
      tokens: ["head.admin.sig,ann,ann,romana:admin", "head.reader.sig,bob,bob,romana:reader"],
    });
    kubernetes = createKubernetes({
      source: { kind: "kubeconfig", path: server.writeKubeconfig() },
      version: "test",
      clock,
      log: silentLog,
      lease: { namespace: "kube-system", name: "romana-controller" },
    });
  });
  afterAll(async () => {
    kubernetes.close();
    await server.stop();
  });

  const authenticator = () =>
    new TokenReviewAuthenticator({
      reviewer: kubernetes.reviewer,
      audience: "romana",
      agentServiceAccount: AGENT,
      hash: hashToken,
      clock,
      log: silentLog,
    });

  /** A Pod of the agent on a node, as it stands when it was scheduled there. */
  async function agentPod(node: string): Promise<{ readonly name: string; readonly uid: string }> {
    const pods = `/api/v1/namespaces/${AGENT.namespace}/pods`;
    await server.call("POST", "/api/v1/nodes", { body: { metadata: { name: node } } });
    const pod = await server.call("POST", pods, {
      body: {
        metadata: { name: `agent-${node}` },
        spec: { nodeName: node, serviceAccountName: AGENT.name, containers: [{ name: "a", image: "a" }] },
      },
    });
    const { metadata } = pod as { readonly metadata: { readonly name: string; readonly uid: string } };
    return { name: metadata.name, uid: metadata.uid };
  }

  it("knows an agent by the token of its Pod, for the node of that Pod", async () => {
    const pod = await agentPod("ip-10-0-1-7");
    const token = await server.tokenOf(AGENT, { audiences: ["romana"], pod });

    expect(await authenticator().callerOf(token, never)).toEqual({
      user: "system:serviceaccount:kube-system:romana-agent",
      role: "agent",
      host: "ip-10-0-1-7",
    });
  });

  it("refuses an agent's token that was made for no Pod", async () => {
    const token = await server.tokenOf(AGENT, { audiences: ["romana"] });

    await expect(authenticator().callerOf(token, never)).rejects.toMatchObject({ code: "TOKEN_UNBOUND" });
  });

  it("does not know a token that was made out to the API server, nor one that was changed", async () => {
    const pod = await agentPod("ip-10-0-1-8");
    const token = await server.tokenOf(AGENT, { audiences: ["romana"], pod });
    const other = await server.tokenOf(AGENT, { audiences: ["https://kubernetes.default.svc"], pod });
    const [head = "", , signature = ""] = token.split(".");
    const [, claims = ""] = other.split(".");

    expect(await authenticator().callerOf(other, never)).toBeUndefined();
    expect(await authenticator().callerOf([head, claims, signature].join("."), never)).toBeUndefined();
  });

  it("no longer knows the token of a Pod that is gone, ten seconds later", async () => {
    const pod = await agentPod("ip-10-0-1-9");
    const token = await server.tokenOf(AGENT, { audiences: ["romana"], pod });
    const callers = authenticator();
    expect(await callers.callerOf(token, never)).toMatchObject({ host: "ip-10-0-1-9" });
    await server.call(
      "DELETE",
      `/api/v1/namespaces/${AGENT.namespace}/pods/${pod.name}?gracePeriodSeconds=0`,
    );
    const deleted = performance.now();
    // An API server keeps its own answer for ten seconds, and so do we.
    while ((await callers.callerOf(token, never)) !== undefined) {
      expect(performance.now() - deleted).toBeLessThan(22_000);
      await sleep(100);
    }

    expect(performance.now() - deleted).toBeGreaterThan(1_000);
  });

  it("knows people by their groups", async () => {
    const callers = authenticator();

    expect(await callers.callerOf("head.admin.sig", never)).toEqual({ user: "ann", role: "admin", host: "" });
    expect(await callers.callerOf("head.reader.sig", never)).toEqual({
      user: "bob",
      role: "reader",
      host: "",
    });
    expect(await callers.callerOf("head.nobody.sig", never)).toBeUndefined();
  });

  it("lets an agent act for its own node alone over the REST API, and answers each refusal with its status", async () => {
    const { app } = await serverWithOneHost({}, { tokens: [authenticator()], requireAuth: true });
    const pod = await agentPod("node-1");
    const own = await server.tokenOf(AGENT, { audiences: ["romana"], pod });
    const unbound = await server.tokenOf(AGENT, { audiences: ["romana"] });
    const ask = async (token: string, method: "GET" | "POST", url: string, payload?: object) => {
      const headers = { authorization: `Bearer ${token}` };
      const body = payload === undefined ? {} : { payload };
      return (await app.inject({ method, url, headers, ...body })).statusCode;
    };
    expect(await ask("head.admin.sig", "POST", "/hosts", { name: "node-2", ip: "192.168.0.2" })).toBeLessThan(
      300,
    );

    expect(await ask(own, "POST", "/address", { name: "a", host: "node-1" })).toBe(200);
    expect(await ask(own, "POST", "/address", { name: "b", host: "node-2" })).toBe(403);
    expect(await ask(own, "GET", "/hosts")).toBe(200);
    expect(await ask("head.reader.sig", "POST", "/address", { name: "c", host: "node-1" })).toBe(403);
    expect(await ask(unbound, "GET", "/hosts")).toBe(403);
    expect(await ask("head.nobody.sig", "GET", "/hosts")).toBe(401);
    await app.close();
  });

  it("puts an event on a Node, as kubectl shows it", async () => {
    const node = await server.call("POST", "/api/v1/nodes", { body: { metadata: { name: "told" } } });
    const { uid } = (node as { readonly metadata: { readonly uid: string } }).metadata;
    const recorder = new ClusterEventRecorder({ writer: kubernetes.writer, clock, log: silentLog });
    recorder.start();
    const subject = { apiVersion: "v1", kind: "Node", namespace: "", name: "told", uid };
    const what = {
      subject,
      type: "Warning",
      reason: "HostNotPlaced",
      action: "Place",
      note: "no group",
    } as const;
    recorder.record(what);
    recorder.record(what);
    while (recorder.counters().written === 0) {
      await sleep(20);
    }
    const [event] = await eventsOf(uid);
    expect(event).toMatchObject({
      regarding: { kind: "Node", name: "told", uid },
      reason: "HostNotPlaced",
      note: "no group",
      type: "Warning",
      action: "Place",
      reportingController: "romana.io/controller",
      reportingInstance: expect.stringMatching(/./) as string,
    });
    const { metadata } = event as {
      readonly metadata: { readonly namespace: string; readonly name: string };
    };
    await kubernetes.writer.repeatEvent(metadata, { count: 2, lastMs: Date.now() }, never);
    expect((await eventsOf(uid))[0]).toMatchObject({ series: { count: 2 } });
    await recorder.stop();
  });

  async function eventsOf(uid: string): Promise<readonly object[]> {
    const list = await server.call("GET", "/apis/events.k8s.io/v1/events");
    const { items } = list as {
      readonly items: readonly { readonly regarding: { readonly uid?: string } }[];
    };
    return items.filter(({ regarding }) => regarding.uid === uid);
  }
});
